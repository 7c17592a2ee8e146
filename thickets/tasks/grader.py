"""A task's grader as the channels of a record."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from thickets.errors import UserError
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

    Raises:
      UserError: if the grader raises, which it must not.
    """
    grade = registry.load_grader(self.task, self.rules)
    example = self.examples[index]
    try:
      return make_channels(grade(example, response))
    except UserError:
      raise
    except Exception as error:  # Whatever a user's grader raises.
      raise UserError(
        f"The grader of {self.task} must not raise, got {type(error).__name__}:"
        f" {error} for the example {example.id}, with the reference"
        f" {str(example.reference)[:80]!r}, and the response"
        f" {response[:80]!r}. Correct it."
      ) from error

  def try_out(self) -> None:
    """Grades a few texts, so that a mistake shows before anything is generated.

    Raises:
      UserError: if the grader raises.
    """
    for text in ("", "0", "42 \u0664\x00", str(self.examples[0].reference)):
      self(0, text)


@dataclasses.dataclass(frozen=True)
class SeveralGraders:
  """Grades responses to the examples of several tasks; it pickles, too.

  Attributes:
    graders: one for each task; indices run through the examples of all.
  """

  graders: tuple[TaskGrader, ...]

  def __call__(self, index: int, response: str) -> dict[str, Any]:
    """Channels of one response, as of `TaskGrader`."""
    rest = index
    for grader in self.graders:
      if rest < len(grader.examples):
        return grader(rest, response)
      rest -= len(grader.examples)
    raise IndexError(f"There is no example {index}.")


def make_channels(grade: Grade) -> dict[str, Any]:
  """The fields of a grade as values that arrays hold."""
  return {
    "score": float(grade.score),
    "correct": bool(grade.correct),
    "lenient": bool(grade.lenient),
    "format": bool(grade.format),
    "vote": grade.vote or "",
  }
