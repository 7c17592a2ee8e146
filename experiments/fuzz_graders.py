"""Attacks the graders of all tasks with hostile responses.

  python -m experiments.fuzz_graders --count=100000

Ends with 1 if a grader raised, took too long, credited what was made to be
wrong or broke another law of `thickets.tasks.fuzzing.laws`. What is attempted depends on
`--seed` and `--count` alone. No data are needed: the questions are made by hand.
Takes about a minute on two cores, and longer with the task mbpp.
"""

import concurrent.futures
import dataclasses
import faulthandler
import itertools
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from absl import app, flags, logging

from thickets.tasks import registry
from thickets.tasks.fuzzing import attacks as attacks_lib
from thickets.tasks.fuzzing import laws

_COUNT = flags.DEFINE_integer(
  "count", 100_000, "Fuzzed responses, over all tasks.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Drives what is attempted.")
_WORKERS = flags.DEFINE_integer(
  "workers", None, "Processes; one for each core by default.", lower_bound=1
)
_TASKS = flags.DEFINE_list("tasks", None, "Names of tasks; all by default.")

# How many responses a slow task gets, of those that a task of usual speed does.
_SHARES = {"math500": 0.3, "olympiadbench": 0.3, "mbpp": 0.01}
_JOB_SIZE = 500  # Responses of a task of average speed.
_JOB_LIMIT_S = 600  # Then a grader hangs, and its process ends.
_MAX_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class _Job:
  task: str
  number: int  # The first one of a task also tries what was made by hand.
  num_fuzzed: int
  seed: int


def _make_jobs(names: Sequence[str], count: int, seed: int) -> Iterator[_Job]:
  """Divides the count over tasks by their shares, rounding up."""
  total = sum(_SHARES.get(name, 1.0) for name in names)
  for name in names:
    share = _SHARES.get(name, 1.0)
    left = math.ceil(count * share / total)
    size = math.ceil(_JOB_SIZE * share)
    for number in range(math.ceil(left / size)):
      yield _Job(name, number, min(size, left - number * size), seed)


def _run(job: _Job) -> list[dict[str, Any]]:
  """Grades the attacks of a job by all rule sets, in a process of its own."""
  faulthandler.dump_traceback_later(_JOB_LIMIT_S, exit=True)
  done = []
  pairs = list(laws.judges(registry.load_task(job.task)))
  for place, (question, judges) in enumerate(pairs):
    count = len(range(place, job.num_fuzzed, len(pairs)))
    seed = f"{job.seed} {job.task} {place} {job.number}"
    attacks = itertools.islice(attacks_lib.fuzz(question, seed), count)
    if job.number == 0:
      attacks = itertools.chain(attacks_lib.handmade(question), attacks)
    for attack in attacks:
      for judge in judges:
        judge.grade(attack)
    done += judges
  faulthandler.cancel_dump_traceback_later()
  return [_portable(judge) for judge in done]


def _portable(judge):
  """What is left to report; tasks do not pickle, names do."""
  return {
    "name": f"{judge.task.name} {judge.rules}",
    "num_graded": judge.num_graded,
    "slowest": judge.slowest,
    "violations": judge.violations,
  }


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"No arguments are taken, got {argv[1:]}.")
  names = _TASKS.value or registry.names()
  jobs = list(_make_jobs(names, _COUNT.value, _SEED.value))
  workers = _WORKERS.value or os.cpu_count() or 1
  start = shown = time.monotonic()
  reports, broken = [], []
  with concurrent.futures.ProcessPoolExecutor(
    workers, mp_context=multiprocessing.get_context("spawn")
  ) as executor:
    futures = {executor.submit(_run, job): job for job in jobs}
    for future in concurrent.futures.as_completed(futures):
      try:
        reports += future.result()
      except Exception as error:  # A process died, or a task does not load.
        broken.append(f"{futures[future]} ended with {error!r:.500}")
      if time.monotonic() - shown > 10:
        shown = time.monotonic()
        graded = sum(report["num_graded"] for report in reports)
        logging.info("%d gradings | %.0f s", graded, shown - start)
  _summarize(reports, broken, jobs, workers, time.monotonic() - start)


def _summarize(reports, broken, jobs, workers, seconds):
  violations = [*broken]
  for name in sorted({report["name"] for report in reports}):
    those = [report for report in reports if report["name"] == name]
    slowest_s, kind = max(report["slowest"] for report in those)
    found = [line for report in those for line in report["violations"]]
    violations += found
    logging.info(
      "%-32s %7d gradings | slowest %8.2f ms (%s) | %d violations",
      name,
      sum(report["num_graded"] for report in those),
      1000 * slowest_s,
      kind,
      len(found),
    )
  for line in violations[:_MAX_SHOWN]:
    logging.error("%s", line)
  logging.info(
    "%d gradings of %d fuzzed responses and those made by hand | %d violations"
    " | %.0f s in %d processes",
    sum(report["num_graded"] for report in reports),
    sum(job.num_fuzzed for job in jobs),
    len(violations),
    seconds,
    workers,
  )
  if violations:
    sys.exit(1)


if __name__ == "__main__":
  app.run(main)
