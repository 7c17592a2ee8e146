"""Graders as workers call them: from a response to the channels of a record."""

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from thickets import errors
from thickets.errors import UserError
from thickets.tasks import base, registry
from thickets.tasks.base import Example, Grade

# The fields of `base.Grade` in a record; the vote is empty for none.
GradeChannels = dict[str, float | bool | str]

_FLAGS = ("correct", "lenient", "format")


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

  @property
  def is_of_a_file(self) -> bool:
    """Whether a user wrote it."""
    return self.task.endswith(".py")

  def __call__(self, index: int, response: str) -> GradeChannels:
    """Returns the channels of one response: the fields of `base.Grade`.

    The vote is a text, which is empty if there is no vote.

    Args:
      index: position of the example in `examples`.
      response: text that a model wrote.

    Raises:
      UserError: if the grader raises or would end the process, which it must
        not, or returns no sound grade.
    """
    grade = registry.load_grader(self.task, self.rules)
    example = self.examples[index]
    try:
      found = grade(example, response)
      problem = find_problem(found)
    except UserError:
      raise
    except BaseException as error:  # Whatever a user's grader raises.
      if errors.is_interrupt(error):
        raise
      problem = f"not raise, got {errors.describe_error(error)}"
      raise UserError(self._refuse(index, response, problem)) from error
    if problem:
      raise UserError(self._refuse(index, response, problem))
    return make_channels(found)

  def name_example(self, index: int) -> str:
    """Names the grader and an example, as the subject of a message."""
    example = self.examples[index]
    return (
      f"The grader of {self.task} ({self._function}, rules {self.rules}), at the"
      f" example {example.id} with the reference"
      f" {str(example.reference)[:80]!r},"
    )

  def list_trials(self) -> list[tuple[int, str]]:
    """(index, response) that a grader is tried out on before it is needed.

    The first is the reference of the first example, the second is empty.
    """
    texts = (str(self.examples[0].reference), "", "0", "42 \u0664\x00")
    return [(0, text) for text in texts]

  @property
  def _function(self) -> str:
    grade: Any = registry.load_grader(self.task, self.rules)
    while hasattr(grade, "func"):  # As of functools.partial.
      grade = grade.func
    return getattr(grade, "__qualname__", type(grade).__name__)

  def _refuse(self, index: int, response: str, problem: str) -> str:
    example = self.examples[index]
    return (
      f"The grader of {self.task} ({self._function}, rules {self.rules}) must"
      f" {problem} for the example {example.id}, with the reference"
      f" {str(example.reference)[:80]!r}, and the response {response[:80]!r}."
      " Correct it."
    )


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
    grader, rest = self._find(index)
    return grader(rest, response)

  def name_example(self, index: int) -> str:
    """Names the grader and an example, as `TaskGrader` does."""
    grader, rest = self._find(index)
    return grader.name_example(rest)

  def list_trials(self) -> list[tuple[int, str]]:
    """(index, response) that the graders of files are tried out on."""
    trials, start = [], 0
    for grader in self.graders:
      if grader.is_of_a_file:  # The package's own are tested.
        trials += [(start + n, text) for n, text in grader.list_trials()]
      start += len(grader.examples)
    return trials

  def _find(self, index: int) -> tuple[TaskGrader, int]:
    rest = index
    for grader in self.graders:
      if rest < len(grader.examples):
        return grader, rest
      rest -= len(grader.examples)
    raise IndexError(f"There is no example {index}.")


def find_problem(grade: Any) -> str:
  """Says what a grade must be, and is not; "" for a sound one."""
  if not isinstance(grade, Grade):
    return f"return a thickets.tasks.base.Grade, got {_show(grade)}"
  if not isinstance(grade.score, numbers.Real | np.bool_):
    return f"return a number as the score, got {_show(grade.score)}"
  if not math.isfinite(float(grade.score)):
    return f"return a finite score, got {float(grade.score)}"
  for name in _FLAGS:
    if not isinstance(flag := getattr(grade, name), bool | np.bool_):
      return f"return true or false as {name}, got {_show(flag)}"
  if not isinstance(grade.vote, str | None):
    return (
      f"return a text as the vote, or None for no vote, got {_show(grade.vote)}"
    )
  return ""


def make_channels(grade: Grade) -> GradeChannels:
  """Returns the fields of a grade as values that arrays can hold."""
  return {
    "score": float(grade.score),
    "correct": bool(grade.correct),
    "lenient": bool(grade.lenient),
    "format": bool(grade.format),
    # A long key, or one that arrays would not keep as it is, is hashed.
    "vote": base.shorten_vote(grade.vote or ""),
  }


def _show(value: Any) -> str:
  return f"{type(value).__name__} {repr(value)[:80]}"
