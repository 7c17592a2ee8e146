"""Attacks the graders of all tasks with hostile responses.

    python -m experiments.fuzz_graders --count=100000

Ends with status 1 if a grader raised, took too long, credited an answer that was
made to be wrong, or broke another law of `thickets.tasks.fuzzing.laws`. What is
attempted depends on `--seed` and `--count` alone. No data are needed: the
questions are made by hand. Takes about a minute on two cores, and longer with
the task mbpp.
"""

import concurrent.futures
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence

from absl import flags, logging

from experiments import launch
from thickets.tasks import registry
from thickets.tasks.fuzzing.jobs import (
  FuzzingJob,
  FuzzingReport,
  make_jobs,
  run_job,
)

FLAGS = launch.BinaryFlags(
  __doc__, "python -m experiments.fuzz_graders --count=100000 --tasks=gsm8k"
)
_COUNT = flags.DEFINE_integer(
  "count",
  100_000,
  "How many responses are fuzzed, over all tasks.",
  lower_bound=1,
  flag_values=FLAGS.values,
)
_SEED = flags.DEFINE_integer(
  "seed",
  0,
  "The seed that decides what is attempted.",
  flag_values=FLAGS.values,
)
_WORKERS = flags.DEFINE_integer(
  "workers",
  None,
  "How many processes grade; one for each core by default.",
  lower_bound=1,
  flag_values=FLAGS.values,
)
_TASKS = flags.DEFINE_list(
  "tasks", None, "Names of tasks; all by default.", flag_values=FLAGS.values
)

_MAX_SHOWN = 20  # Violations in the log.
_LOG_EVERY_S = 10


def main(_: list[str]) -> None:
  """Reads the flags, runs all jobs, and says what they found."""
  names = _TASKS.value or registry.names()
  jobs = list(make_jobs(names, _COUNT.value, _SEED.value))
  workers = _WORKERS.value or os.cpu_count() or 1
  start = time.monotonic()
  reports, broken = _run_jobs(jobs, workers)
  violations = [*broken]
  for name in sorted({report.name for report in reports}):
    violations += _log_grader(name, [r for r in reports if r.name == name])
  for line in violations[:_MAX_SHOWN]:
    logging.error("%s", line)
  logging.info(
    "%d gradings of %d fuzzed responses and those made by hand | %d violations"
    " | %.0f s in %d processes",
    sum(report.num_graded for report in reports),
    sum(job.num_fuzzed for job in jobs),
    len(violations),
    time.monotonic() - start,
    workers,
  )
  if violations:
    sys.exit(1)


def _run_jobs(
  jobs: Sequence[FuzzingJob], workers: int
) -> tuple[list[FuzzingReport], list[str]]:
  """Returns all reports, and a text for each job that ended without one."""
  start = shown = time.monotonic()
  reports: list[FuzzingReport] = []
  broken: list[str] = []
  with concurrent.futures.ProcessPoolExecutor(
    workers, mp_context=multiprocessing.get_context("spawn")
  ) as executor:
    futures = {executor.submit(run_job, job): job for job in jobs}
    for future in concurrent.futures.as_completed(futures):
      try:
        reports += future.result()
      # A process died, or a task does not load, or ends the process.
      except (Exception, SystemExit) as error:
        broken.append(f"{futures[future]} ended with {error!r:.500}")
      if time.monotonic() - shown > _LOG_EVERY_S:
        shown = time.monotonic()
        graded = sum(report.num_graded for report in reports)
        logging.info("%d gradings | %.0f s", graded, shown - start)
  return reports, broken


def _log_grader(name: str, reports: Sequence[FuzzingReport]) -> list[str]:
  """Logs a line on one grader; returns its violations."""
  slowest_s, kind = max(report.slowest for report in reports)
  violations = [line for report in reports for line in report.violations]
  logging.info(
    "%-32s %7d gradings | slowest %8.2f ms (%s) | %d violations",
    name,
    sum(report.num_graded for report in reports),
    1000 * slowest_s,
    kind,
    len(violations),
  )
  return violations


if __name__ == "__main__":
  launch.run(main, FLAGS)
