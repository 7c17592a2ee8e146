"""Countdown exercises: reach a target with every number used once."""

import dataclasses
from collections.abc import Sequence

from thickets.tasks.drills.exercises import (
  DrillFamily,
  Exercise,
  is_held_out,
  join_words,
)
from thickets.tasks.drills.stable_random import StableRandom

MAX_NUMBER = 30  # The largest number that is given.
MAX_VALUE = 99  # The largest target, and the largest value on the way to it.
_MAX_TRIES = 20  # To find a detour.


@dataclasses.dataclass(frozen=True)
class _Term:
  """A part of a formula: its text, its value, and how strongly it binds."""

  text: str
  value: int
  strength: int = 3


_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2}


def _combine(left: _Term, sign: str, right: _Term) -> _Term | None:
  """Returns the result of one step, or None outside of [1, MAX_VALUE]."""
  if sign == "/":
    if left.value % right.value:
      return None
    value = left.value // right.value
  else:
    value = {
      "+": left.value + right.value,
      "-": left.value - right.value,
      "*": left.value * right.value,
    }[sign]
  if not 1 <= value <= MAX_VALUE:
    return None
  strength = _STRENGTH[sign]
  left_text = f"({left.text})" if left.strength < strength else left.text
  # To the right of - and /, a term that binds equally needs parentheses; to the
  # right of + and * it does without.
  least = strength + (sign in "-/")
  right_text = f"({right.text})" if right.strength < least else right.text
  return _Term(f"{left_text}{sign}{right_text}", value, strength)


@dataclasses.dataclass(frozen=True)
class _Step:
  """One step of a solution, which prints as `3*5=15`."""

  left: _Term
  sign: str
  right: _Term
  result: _Term

  def __str__(self) -> str:
    left, right = self.left.value, self.right.value
    return f"{left}{self.sign}{right}={self.result.value}"

  def backwards(self) -> str:
    """Returns the step with its result first, as in `15=3*5`."""
    return f"{self.result.value}={self.left.value}{self.sign}{self.right.value}"


def _solve(draw: StableRandom, numbers: Sequence[int]) -> list[_Step]:
  """Combines random pairs of numbers until one number is left."""
  terms = [_Term(str(number), number) for number in numbers]
  steps = []
  while len(terms) > 1:
    left, right, *rest = draw.shuffle(terms)
    sign = draw.choose("+-*/")
    # Some step always exists: a - b if a > b, and a / b if they are equal.
    if (result := _combine(left, sign, right)) is not None:
      steps.append(_Step(left, sign, right, result))
      terms = [result, *rest]
  return steps


def make_countdown(size: int) -> DrillFamily:
  """Makes the family of countdowns with `size` numbers.

  Args:
    size: how many numbers are given, 3 or 4.
  """

  def sample(draw: StableRandom) -> Exercise:
    numbers = [draw.between(1, MAX_NUMBER) for _ in range(size)]
    steps = _solve(draw, numbers)
    target = steps[-1].result.value
    return Exercise(
      identity=_identify_countdown(numbers, target),
      question=f"{' '.join(map(str, numbers))}={target}?",
      reference={"numbers": numbers, "target": target},
      work=steps,
    )

  return DrillFamily(
    sample,
    {
      "formula": lambda draw, exercise: _formula(exercise),
      "equation": lambda draw, exercise: (
        f"{_formula(exercise)}={exercise.reference['target']}"
      ),
      "steps": lambda draw, exercise: (
        f"{join_words(exercise.work)} {_formula(exercise)}"
      ),
      "backwards": lambda draw, exercise: (
        f"{join_words(step.backwards() for step in exercise.work[::-1])}"
        f" {_formula(exercise)}"
      ),
      "detour": _answer_with_detour,
    },
  )


def _formula(exercise: Exercise) -> str:
  return exercise.work[-1].result.text


def _answer_with_detour(draw: StableRandom, exercise: Exercise) -> str:
  """Shows a try that misses the target, if one is found, and then the steps.

  A try is not shown if the same numbers with the value that it reaches are a
  held-out exercise, which it would solve.
  """
  numbers, target = exercise.reference["numbers"], exercise.reference["target"]
  steps = f"{join_words(exercise.work)} {_formula(exercise)}"
  for _ in range(_MAX_TRIES):
    tried = _solve(draw, draw.shuffle(numbers))
    reached = tried[-1].result.value
    if reached == target:
      return f"{join_words(tried)} {tried[-1].result.text}"
    name = f"countdown{len(numbers)}"
    if not is_held_out(name, _identify_countdown(numbers, reached)):
      return f"{join_words(tried)} no {steps}"
  return steps


def _identify_countdown(numbers: Sequence[int], target: int) -> str:
  return f"{','.join(map(str, sorted(numbers)))}={target}"
