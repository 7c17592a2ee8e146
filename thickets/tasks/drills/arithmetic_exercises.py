"""Exercises in arithmetic with two numbers, such as `47+85?`."""

from collections.abc import Callable, Mapping

from thickets.tasks.drills.exercises import DrillFamily, Exercise
from thickets.tasks.drills.stable_random import StableRandom

Explain = Callable[[int, int], str]  # Maps both numbers to the steps.


def _make_arithmetic(
  sign: str,
  draw_numbers: Callable[[StableRandom], tuple[int, int]],
  compute: Callable[[int, int], int],
  explain: Mapping[str, Explain],
) -> DrillFamily:
  """Makes a family of exercises `a sign b?`.

  Args:
    sign: the operator, as it is written.
    draw_numbers: draws both numbers.
    compute: maps both numbers to the answer.
    explain: further manners by name; each maps both numbers to the steps that
      are written before the answer.
  """

  def sample(draw):
    left, right = draw_numbers(draw)
    question = f"{left}{sign}{right}"
    answer = compute(left, right)
    return Exercise(question, f"{question}?", str(answer), (left, right))

  def explained(steps):
    return lambda draw, exercise: (
      f"{steps(*exercise.work)} {exercise.reference}"
    )

  return DrillFamily(
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


def _draw_ordered(draw: StableRandom) -> tuple[int, int]:
  first, second = draw.between(1, 999), draw.between(1, 999)
  return max(first, second), min(first, second)


def _draw_small_ordered(draw: StableRandom) -> tuple[int, int]:
  first, second = draw.between(1, 199), draw.between(1, 99)
  return max(first, second), min(first, second)


ARITHMETIC: Mapping[str, DrillFamily] = {
  "addition": _make_arithmetic(
    "+",
    lambda draw: (draw.between(1, 999), draw.between(1, 999)),
    lambda left, right: left + right,
    {"tens first": _add_tens_first, "ones first": _add_ones_first},
  ),
  "addition2": _make_arithmetic(
    "+",
    lambda draw: (draw.between(1, 99), draw.between(1, 99)),
    lambda left, right: left + right,
    {"tens first": _add_tens_first, "ones first": _add_ones_first},
  ),
  "subtraction": _make_arithmetic(
    "-",
    _draw_ordered,
    lambda left, right: left - right,
    {"tens first": _subtract_tens_first, "ones first": _subtract_ones_first},
  ),
  "subtraction2": _make_arithmetic(
    "-",
    _draw_small_ordered,
    lambda left, right: left - right,
    {"tens first": _subtract_tens_first, "ones first": _subtract_ones_first},
  ),
  "multiplication": _make_arithmetic(
    "*",
    lambda draw: (draw.between(2, 999), draw.between(2, 20)),
    lambda left, right: left * right,
    {"tens first": _multiply_tens_first, "ones first": _multiply_ones_first},
  ),
  "modulo": _make_arithmetic(
    "%",
    lambda draw: (draw.between(10, 999), draw.between(2, 20)),
    lambda left, right: left % right,
    {"with rest": _divide_with_rest, "multiple": _subtract_multiple},
  ),
}
