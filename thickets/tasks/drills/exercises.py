"""Procedural exercises: what is asked, the answer, and manners of answering.

A family draws exercises, writes the question, and answers it in several
*manners*: at once, as an equation, or in steps and then the answer. Nothing in
the question says which, as in text that many people wrote. In every manner the
answer is the last word, whole or as a side of an equation.
"""

import dataclasses
import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

MAX_NUMBER = 30  # The largest number of a countdown.
MAX_VALUE = 99  # Its largest target, and the largest value on the way to it.


_ONE_IN = 4  # One of so many exercises is held out.
_MAX_TRIES = 20  # Of a detour.


class Draws:
  """Random draws that are the same in all versions of Python.

  Of `random.Random` only `random()` is promised to stay as it is.

  Args:
    seed: a text that names the draws.
  """

  def __init__(self, seed: str):
    self._uniform = random.Random(seed).random

  def uniform(self) -> float:
    """A number in [0, 1)."""
    return self._uniform()

  def between(self, low: int, high: int) -> int:
    """A whole number, both ends included."""
    return low + int(self._uniform() * (high - low + 1))

  def choose(self, items: Sequence[T]) -> T:
    """One of the items."""
    return items[int(self._uniform() * len(items))]

  def shuffle(self, items: Sequence[T]) -> list[T]:
    """The items in another order."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
      other = int(self._uniform() * (last + 1))
      order[last], order[other] = order[other], order[last]
    return order


@dataclasses.dataclass(frozen=True)
class Exercise:
  """One question and what its answers are written from.

  Attributes:
    identity: the same for all exercises that ask the same; decides whether it
      is held out.
    question: the text of the prompt.
    reference: what a grader compares with, JSON values.
    work: what the manners need, such as one solution.
  """

  identity: str
  question: str
  reference: Any
  work: Any


Manner = Callable[[Draws, Exercise], str]


def is_held_out(name: str, identity: str) -> bool:
  """Whether an exercise of a family is kept from pretraining."""
  digest = hashlib.sha256(f"{name}:{identity}".encode()).digest()
  return digest[0] % _ONE_IN == 0


@dataclasses.dataclass(frozen=True)
class Family:
  """A kind of exercise.

  Attributes:
    sample: draws an exercise.
    manners: of answering, by name; each maps (draws, exercise) to a text.
  """

  sample: Callable[[Draws], Exercise]
  manners: dict[str, Manner]


# Countdown: reach a target with every number once.


@dataclasses.dataclass(frozen=True)
class _Term:
  """A part of a formula: its text, its value, how strongly it binds."""

  text: str
  value: int
  strength: int = 3


_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2}


def _combine(left: _Term, sign: str, right: _Term) -> _Term | None:
  """The result of one step; None where it is not a number in [1, MAX_VALUE]."""
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
  # Behind - and /, what binds equally needs parentheses; + and * do without.
  least = strength + (sign in "-/")
  right_text = f"({right.text})" if right.strength < least else right.text
  return _Term(f"{left_text}{sign}{right_text}", value, strength)


@dataclasses.dataclass(frozen=True)
class _Step:
  """One step of a solution."""

  left: _Term
  sign: str
  right: _Term
  result: _Term

  def __str__(self):
    left, right = self.left.value, self.right.value
    return f"{left}{self.sign}{right}={self.result.value}"

  def undone(self) -> str:
    """The same step, found from its result."""
    return f"{self.result.value}={self.left.value}{self.sign}{self.right.value}"


def _solve(draw: Draws, numbers: Sequence[int]) -> list[_Step]:
  """Combines random pairs until one number is left."""
  terms = [_Term(str(number), number) for number in numbers]
  steps = []
  while len(terms) > 1:
    left, right, *rest = draw.shuffle(terms)
    sign = draw.choose("+-*/")
    # Some step always exists: a - b where a > b, a / b where they are equal.
    if (result := _combine(left, sign, right)) is not None:
      steps.append(_Step(left, sign, right, result))
      terms = [result, *rest]
  return steps


def _countdown(size: int) -> Family:
  def sample(draw: Draws) -> Exercise:
    numbers = [draw.between(1, MAX_NUMBER) for _ in range(size)]
    steps = _solve(draw, numbers)
    target = steps[-1].result.value
    return Exercise(
      identity=_identify_countdown(numbers, target),
      question=f"{' '.join(map(str, numbers))}={target}?",
      reference={"numbers": numbers, "target": target},
      work=steps,
    )

  return Family(
    sample,
    {
      "formula": lambda draw, exercise: _formula(exercise),
      "equation": lambda draw, exercise: (
        f"{_formula(exercise)}={exercise.reference['target']}"
      ),
      "steps": lambda draw, exercise: (
        f"{_join(exercise.work)} {_formula(exercise)}"
      ),
      "backwards": lambda draw, exercise: (
        f"{_join(step.undone() for step in exercise.work[::-1])}"
        f" {_formula(exercise)}"
      ),
      "detour": _answer_with_detour,
    },
  )


def _formula(exercise: Exercise) -> str:
  return exercise.work[-1].result.text


def _answer_with_detour(draw: Draws, exercise: Exercise) -> str:
  """First a try that ends elsewhere, if one is found, then the steps.

  A try that solves a held-out exercise, as it would be asked with these numbers,
  is not shown.
  """
  numbers, target = exercise.reference["numbers"], exercise.reference["target"]
  steps = f"{_join(exercise.work)} {_formula(exercise)}"
  for _ in range(_MAX_TRIES):
    tried = _solve(draw, draw.shuffle(numbers))
    reached = tried[-1].result.value
    if reached == target:
      return f"{_join(tried)} {tried[-1].result.text}"
    name = f"countdown{len(numbers)}"
    if not is_held_out(name, _identify_countdown(numbers, reached)):
      return f"{_join(tried)} no {steps}"
  return steps


def _identify_countdown(numbers: Sequence[int], target: int) -> str:
  return f"{','.join(map(str, sorted(numbers)))}={target}"


# Arithmetic with two numbers.


def _arithmetic(
  sign: str,
  draw_numbers: Callable[[Draws], tuple[int, int]],
  compute: Callable[[int, int], int],
  explain: dict[str, Callable[[int, int], str]],
) -> Family:
  """Exercises `a sign b?`; each way to explain is a manner, before the answer."""

  def sample(draw):
    left, right = draw_numbers(draw)
    question = f"{left}{sign}{right}"
    answer = compute(left, right)
    return Exercise(question, f"{question}?", str(answer), (left, right))

  def explained(steps):
    return lambda draw, exercise: (
      f"{steps(*exercise.work)} {exercise.reference}"
    )

  return Family(
    sample,
    {
      "number": lambda draw, exercise: exercise.reference,
      "equation": lambda draw, exercise: (
        f"{exercise.identity}={exercise.reference}"
      ),
      **{name: explained(steps) for name, steps in explain.items()},
    },
  )


def _add_tens_first(left: int, right: int) -> str:
  tens = left // 10 * 10 + right // 10 * 10
  ones = left % 10 + right % 10
  return f"{left // 10 * 10}+{right // 10 * 10}={tens} {tens}+{ones}"


def _add_ones_first(left: int, right: int) -> str:
  tens = left // 10 * 10 + right // 10 * 10
  ones = left % 10 + right % 10
  return f"{left % 10}+{right % 10}={ones} {ones}+{tens}"


def _subtract_tens_first(left: int, right: int) -> str:
  tens = right // 10 * 10
  return f"{left}-{tens}={left - tens} {left - tens}-{right % 10}"


def _subtract_ones_first(left: int, right: int) -> str:
  ones = right % 10
  return f"{left}-{ones}={left - ones} {left - ones}-{right // 10 * 10}"


def _multiply_tens_first(left: int, right: int) -> str:
  tens, ones = left // 10 * 10, left % 10
  return (
    f"{tens}*{right}={tens * right} {ones}*{right}={ones * right}"
    f" {tens * right}+{ones * right}"
  )


def _multiply_ones_first(left: int, right: int) -> str:
  tens, ones = left // 10 * 10, left % 10
  return (
    f"{ones}*{right}={ones * right} {tens}*{right}={tens * right}"
    f" {ones * right}+{tens * right}"
  )


def _divide_with_rest(left: int, right: int) -> str:
  return f"{left}={right}*{left // right}+{left % right}"


def _subtract_multiple(left: int, right: int) -> str:
  multiple = left // right * right
  return f"{right}*{left // right}={multiple} {left}-{multiple}"


def _draw_ordered(draw: Draws) -> tuple[int, int]:
  first, second = draw.between(1, 999), draw.between(1, 999)
  return max(first, second), min(first, second)


def _draw_small_ordered(draw: Draws) -> tuple[int, int]:
  first, second = draw.between(1, 199), draw.between(1, 99)
  return max(first, second), min(first, second)


# Lists and words.


def _listing(
  verb: str,
  draw_items: Callable[[Draws], list[Any]],
  separator: str,
  compute: Callable[[list[Any]], str],
  explain: dict[str, Callable[[list[Any]], list[Any]]],
) -> Family:
  """Exercises `verb items?`; manners show other items before the answer."""

  def sample(draw):
    items = draw_items(draw)
    question = f"{verb} {separator.join(map(str, items))}"
    return Exercise(question, f"{question}?", compute(items), items)

  def explained(rewrite):
    return lambda draw, exercise: (
      f"{_join(rewrite(exercise.work))} {exercise.reference}"
    )

  return Family(
    sample,
    {
      "answer": lambda draw, exercise: exercise.reference,
      "equation": lambda draw, exercise: (
        f"{separator.join(map(str, exercise.work))}={exercise.reference}"
      ),
      **{name: explained(rewrite) for name, rewrite in explain.items()},
    },
  )


def _draw_numbers(draw: Draws) -> list[int]:
  return [draw.between(1, 99) for _ in range(draw.between(3, 5))]


def _draw_letters(draw: Draws) -> list[str]:
  letters = "abcdefghijklmnopqrstuvwxyz"
  return [draw.choose(letters) for _ in range(draw.between(4, 7))]


def _commas(numbers: Sequence[int]) -> str:
  return ",".join(map(str, numbers))


def _running_maxima(numbers: list[int]) -> list[int]:
  return [max(numbers[:end]) for end in range(1, len(numbers) + 1)]


def _running_minima(numbers: list[int]) -> list[int]:
  return [min(numbers[:end]) for end in range(1, len(numbers) + 1)]


def _join(words) -> str:
  return " ".join(map(str, words))


FAMILIES: dict[str, Family] = {
  "countdown3": _countdown(3),
  "countdown4": _countdown(4),
  "addition": _arithmetic(
    "+",
    lambda draw: (draw.between(1, 999), draw.between(1, 999)),
    lambda left, right: left + right,
    {"tens first": _add_tens_first, "ones first": _add_ones_first},
  ),
  "addition2": _arithmetic(
    "+",
    lambda draw: (draw.between(1, 99), draw.between(1, 99)),
    lambda left, right: left + right,
    {"tens first": _add_tens_first, "ones first": _add_ones_first},
  ),
  "subtraction": _arithmetic(
    "-",
    _draw_ordered,
    lambda left, right: left - right,
    {"tens first": _subtract_tens_first, "ones first": _subtract_ones_first},
  ),
  "subtraction2": _arithmetic(
    "-",
    _draw_small_ordered,
    lambda left, right: left - right,
    {"tens first": _subtract_tens_first, "ones first": _subtract_ones_first},
  ),
  "multiplication": _arithmetic(
    "*",
    lambda draw: (draw.between(2, 999), draw.between(2, 20)),
    lambda left, right: left * right,
    {"tens first": _multiply_tens_first, "ones first": _multiply_ones_first},
  ),
  "modulo": _arithmetic(
    "%",
    lambda draw: (draw.between(10, 999), draw.between(2, 20)),
    lambda left, right: left % right,
    {"with rest": _divide_with_rest, "multiple": _subtract_multiple},
  ),
  "sorting": _listing(
    "sort",
    _draw_numbers,
    ",",
    lambda numbers: _commas(sorted(numbers)),
    {
      "one by one": sorted,
      "falling first": lambda numbers: [_commas(sorted(numbers, reverse=True))],
    },
  ),
  "reversal": _listing(
    "reverse",
    _draw_letters,
    "",
    lambda letters: "".join(letters[::-1]),
    {"spelled": lambda letters: letters[::-1]},
  ),
  "maximum": _listing(
    "max",
    _draw_numbers,
    ",",
    lambda numbers: str(max(numbers)),
    {
      "running": _running_maxima,
      "sorted first": lambda numbers: [_commas(sorted(numbers))],
    },
  ),
  "minimum": _listing(
    "min",
    _draw_numbers,
    ",",
    lambda numbers: str(min(numbers)),
    {
      "running": _running_minima,
      "falling first": lambda numbers: [_commas(sorted(numbers, reverse=True))],
    },
  ),
}
