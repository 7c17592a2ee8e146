"""Fuzzing divided into jobs of about a minute, each for a process of its own."""

import dataclasses
import faulthandler
import itertools
import math
from collections.abc import Iterator, Sequence

from thickets.tasks import registry
from thickets.tasks.fuzzing import attacks, laws

# Responses that a slow task gets for each that a task of usual speed gets.
_SHARES = {"math500": 0.3, "olympiadbench": 0.3, "mbpp": 0.01}
_JOB_SIZE = 500  # Responses of a task of usual speed.
_JOB_LIMIT_S = 600  # After that a grader hangs, and its process is ended.


@dataclasses.dataclass(frozen=True)
class FuzzingJob:
  """Some of the attacks on one task.

  Attributes:
    task: name of the task.
    number: number of the job among those of its task; the first one also tries
      the responses that were made by hand.
    num_fuzzed: number of fuzzed responses.
    seed: drives what is attempted.
  """

  task: str
  number: int
  num_fuzzed: int
  seed: int


@dataclasses.dataclass(frozen=True)
class FuzzingReport:
  """What came of the attacks on one question by one rule set; it pickles.

  Attributes:
    name: task and rule set.
    num_graded: number of attacks.
    slowest: seconds that the slowest grading took, and the kind of its attack.
    violations: one text for each law that was broken.
  """

  name: str
  num_graded: int
  slowest: tuple[float, str]
  violations: list[str]


def make_jobs(
  names: Sequence[str], count: int, seed: int
) -> Iterator[FuzzingJob]:
  """Divides responses over tasks by their speed, rounding up.

  Args:
    names: names of the tasks.
    count: fuzzed responses of all tasks together.
    seed: drives what is attempted.
  """
  total = sum(_SHARES.get(name, 1.0) for name in names)
  for name in names:
    share = _SHARES.get(name, 1.0)
    left = math.ceil(count * share / total)
    size = math.ceil(_JOB_SIZE * share)
    for number in range(math.ceil(left / size)):
      yield FuzzingJob(name, number, min(size, left - number * size), seed)


def run_job(job: FuzzingJob) -> list[FuzzingReport]:
  """Grades the attacks of a job by all rule sets.

  A grader that hangs ends the process, so that this one must be of its own.
  """
  faulthandler.dump_traceback_later(_JOB_LIMIT_S, exit=True)
  done = []
  pairs = list(laws.make_checkers(registry.load_task(job.task)))
  for place, (question, checkers) in enumerate(pairs):
    count = len(range(place, job.num_fuzzed, len(pairs)))
    seed = f"{job.seed} {job.task} {place} {job.number}"
    attempts = itertools.islice(attacks.fuzz(question, seed), count)
    if job.number == 0:
      attempts = itertools.chain(attacks.handmade(question), attempts)
    for attack in attempts:
      for checker in checkers:
        checker.grade(attack)
    done += checkers
  faulthandler.cancel_dump_traceback_later()
  # Checkers hold a task, which does not pickle.
  return [
    FuzzingReport(
      f"{checker.task.name} {checker.rules}",
      checker.num_graded,
      checker.slowest,
      checker.violations,
    )
    for checker in done
  ]
