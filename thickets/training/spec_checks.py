"""Checks of the numbers and words in a spec, collected into one error."""

import math
from collections.abc import Iterable, Sequence

from thickets import errors
from thickets.errors import UserError


class SpecError(UserError):
  """Says everything that is wrong with a spec.

  Args:
    problems: one text for each mistake, at least one.

  Attributes:
    problems: the same texts, for whoever collects those of several specs.
  """

  def __init__(self, problems: Sequence[str]):
    self.problems = tuple(problems)
    super().__init__(
      problems[0] if len(problems) == 1 else "\n  - ".join(("", *problems))
    )


def raise_problems(problems: Iterable[str]) -> None:
  """Raises a SpecError if there are any problems."""
  if problems := tuple(problems):
    raise SpecError(problems)


def check_range(
  name: str, value: float, low: float, high: float | None = None
) -> list[str]:
  """Checks that a number is finite and lies within [low, high].

  Args:
    name: dotted name of the setting, for the message.
    value: the number.
    low: the smallest value that is allowed.
    high: the largest value that is allowed, None for no limit.

  Returns:
    One message, or none if the number is right.
  """
  if not math.isfinite(value):
    return [f"{name} must be finite, got {value}."]
  if value < low:
    return [f"{name} must be at least {low}, got {value}."]
  if high is not None and value > high:
    return [f"{name} must be at most {high}, got {value}."]
  return []


def check_choice(name: str, word: str, known: Iterable[str]) -> list[str]:
  """Checks that a word is one of those that are known.

  Args:
    name: dotted name of the setting, for the message.
    word: the value of the setting.
    known: the words to choose from.

  Returns:
    One message that names the nearest word, or none if the word is known.
  """
  known = sorted(known)
  if word in known:
    return []
  return [
    f"{name} must be one of {known}, got {word!r}. Nearest:"
    f" {errors.nearest(word, known, count=1)}."
  ]
