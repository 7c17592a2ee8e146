"""Graders as workers call them: from a response to the channels of a record."""

import dataclasses
from collections.abc import Sequence

from thickets.errors import UserError
from thickets.tasks import registry
from thickets.tasks.base import Example, Grade

# The fields of `base.Grade` in a record; the vote is empty for none.
GradeChannels = dict[str, float | bool | str]


@dataclasses.dataclass(frozen=True)
class TaskGrader:
  """Grades responses to examples of one task; it pickles, for workers.

  Attributes:
    task: name of the task, or path of the file that defines it.
    rules: name of the rule set.
    examples: the examples that indices refer to.
  """

  task: str
  rules: str
  examples: Sequence[Example]

  def __call__(self, index: int, response: str) -> GradeChannels:
    """Returns the channels of one response: the fields of `base.Grade`.

    The vote is a text, which is empty if there is no vote.

    Args:
      index: position of the example in `examples`.
      response: text that a model wrote.

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
  """Grades responses to examples of several tasks; it pickles as well.

  Attributes:
    graders: one grader for each task; indices count through the examples of the
      first, then of the second, and so on.
  """

  graders: tuple[TaskGrader, ...]

  def __call__(self, index: int, response: str) -> GradeChannels:
    """Returns the channels of one response, as `TaskGrader` does."""
    rest = index
    for grader in self.graders:
      if rest < len(grader.examples):
        return grader(rest, response)
      rest -= len(grader.examples)
    raise IndexError(f"There is no example {index}.")


def make_channels(grade: Grade) -> GradeChannels:
  """Returns the fields of a grade as values that arrays can hold."""
  return {
    "score": float(grade.score),
    "correct": bool(grade.correct),
    "lenient": bool(grade.lenient),
    "format": bool(grade.format),
    "vote": grade.vote or "",
  }
