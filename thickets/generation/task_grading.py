"""Starts what grades responses to tasks; a user's own grader is tried out first."""

import contextlib
import hashlib
import importlib.metadata
import pathlib
from collections.abc import Iterator, Sequence

from thickets.generation import grading_workers
from thickets.generation.batching import Detokenize
from thickets.generation.grading import Grader
from thickets.generation.grading_watch import GRADE_LIMIT_S
from thickets.generation.grading_workers import Grading
from thickets.generation.specs import TaskSpec
from thickets.tasks.base import Task
from thickets.tasks.grader import SeveralGraders, TaskGrader


@contextlib.contextmanager
def start_task_graders(
  graders: Sequence[TaskGrader],
  *,
  detokenize: Detokenize = str,
  num_threads: int = 1,
  num_workers: int = 0,
  limit_s: float = GRADE_LIMIT_S,
  keep_responses: bool = False,
) -> Iterator[Grading]:
  """Starts what grades: worker processes, or a thread of this process.

  A user's own grader never runs in this process, which it could end: there is
  one worker for it at least. It is tried out before anything is generated.

  Args:
    graders: one for each task; indices run through the examples of all.
    detokenize: maps token ids to their text.
    num_threads: how many responses are graded at once in each place.
    num_workers: how many processes; 0 for a thread, with the exception above.
    limit_s: seconds that one response may be graded.
    keep_responses: whether the texts become a channel as well.

  Raises:
    UserError: if a grader fails on one of its trials.
  """
  together = SeveralGraders(tuple(graders))
  grader = Grader(
    detokenize=detokenize,
    grade=together,
    keep_responses=keep_responses,
    num_threads=num_threads,
  )
  if any(one.is_of_a_file for one in graders):
    num_workers = max(num_workers, 1)
  with grading_workers.start_grading(
    grader, num_workers, limit_s=limit_s
  ) as started:
    if trials := together.list_trials():
      started.grade_texts(
        [index for index, _ in trials], [text for _, text in trials]
      )
    yield started


def describe_grader(task: Task, spec: TaskSpec) -> dict[str, str]:
  """What else grades depend on: libraries, and the file of a user's task."""
  versions = {lib: importlib.metadata.version(lib) for lib in task.libraries}
  if spec.is_a_file:
    content = pathlib.Path(spec.name).expanduser().read_bytes()
    versions["sha256"] = hashlib.sha256(content).hexdigest()
  return versions
