"""A task's grader as the channels of a record."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from thickets.tasks import registry
from thickets.tasks.base import Example, Grade


@dataclasses.dataclass(frozen=True)
class TaskGrader:
  """Grades responses to the examples of a run; it pickles, for workers.

  Attributes:
    task: name of the task, or the file that defines it.
    rules: name of the rule set.
    examples: that indices refer to.
  """

  task: str
  rules: str
  examples: Sequence[Example]

  def __call__(self, index: int, response: str) -> dict[str, Any]:
    """Channels of one response: the fields of `base.Grade`.

    The vote is a text, empty for none.
    """
    grade = registry.load_grader(self.task, self.rules)
    return make_channels(grade(self.examples[index], response))


def make_channels(grade: Grade) -> dict[str, Any]:
  """The fields of a grade as values that arrays hold."""
  return {
    "score": float(grade.score),
    "correct": bool(grade.correct),
    "lenient": bool(grade.lenient),
    "format": bool(grade.format),
    "vote": grade.vote or "",
  }
