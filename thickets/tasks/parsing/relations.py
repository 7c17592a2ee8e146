"""Equations, inequalities, and the intervals that these describe.

The file is loaded alone, without the package (`killable`).
"""

from typing import Any

import sympy

from . import expressions, names
from .forms import Equation, Inequality, Listing, Named, Region, tidy
from .notation import UnreadableError

_SAME_WAY = ({"<", "<="}, {">", ">="})
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}
# Constants are equal where this many digits are; unequal ones that answers tell
# apart differ much earlier.
_DIGITS = 60


def is_equal(one: Any, other: Any) -> bool:
  """Whether two answers have the same exact value."""
  if one == other:
    return True
  if not (isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr)):
    return False
  if one.free_symbols or other.free_symbols:
    return False
  if one.is_infinite or other.is_infinite:
    return False
  if one.is_Rational and other.is_Rational:
    return False
  difference = sympy.N(one - other, _DIGITS, maxn=300)
  size = 1 + abs(sympy.N(one, 15))
  return bool(abs(difference) < size * sympy.Float(10) ** -40)


def is_rounded(exact: Any, rounded: Any) -> bool:
  """Whether a decimal number is another one, rounded to its last digit."""
  if is_equal(exact, rounded):
    return True
  if not getattr(rounded, "is_Rational", False) or exact.free_symbols:
    return False
  digits = 0
  while (rounded * 10**digits).q > 1:
    digits += 1
    if digits > 40:
      return False
  return bool(abs(exact - rounded) <= sympy.Rational(1, 2 * 10**digits))


def make_equation(left: Any, right: Any) -> Equation:
  """Makes an equation that its sides' order and multiples leave the same."""
  difference = _normalise(tidy(left - right), may_flip=True)
  if right.free_symbols or right == 0 or len(left.free_symbols) < 2:
    return Equation(difference)
  return Equation(difference, tidy(left), right)


def _normalise(difference, may_flip):
  terms = sorted(sympy.Add.make_args(difference), key=_by_letters)
  factor = terms[0].as_coeff_Mul()[0]
  if not factor.is_real or factor == 0:
    return difference
  return sympy.expand(difference / (factor if may_flip else abs(factor)))


def _by_letters(term):
  rest = str(term.as_coeff_Mul()[1])
  return (rest == "1", rest)


def read_inequalities(parts: list[Any], signs: list[str]) -> Any:
  """Reads a chain of inequalities, such as 1 < x <= 2.

  Returns:
    The interval of its unknown, if it has one alone; else an `Inequality`.

  Raises:
    UnreadableError: if it is none of these.
  """
  values = [tidy(expressions.read_value(part)) for part in parts]
  unknowns = [names.read_name(part) for part in parts]
  found = _find_unknown(values, unknowns)
  if found is None:
    if len(parts) != 2:
      raise UnreadableError("a chain of inequalities without an unknown")
    return _make_inequality(values[0], values[1], signs[0])
  middle, name = found
  if len(signs) > 1 and not any(set(signs) <= same for same in _SAME_WAY):
    raise UnreadableError("a chain of inequalities of both directions")
  points = sympy.S.Reals
  for at, sign in enumerate(signs):
    if middle not in (at, at + 1):
      raise UnreadableError("a chain of inequalities without an unknown")
    is_left = at == middle
    bound = values[at + 1] if is_left else values[at]
    points = points.intersect(_half(sign if is_left else _FLIPPED[sign], bound))
  return Named(name, Region(points))


def _find_unknown(values, unknowns):
  """Position and name of the only part that is not a real number, or None."""
  places = [
    at
    for at, value in enumerate(values)
    if value.free_symbols or not value.is_extended_real
  ]
  name = unknowns[places[0]] if len(places) == 1 else None
  return None if name is None else (places[0], name)


def _half(sign, bound):
  if sign == "!=":
    return sympy.S.Reals - sympy.FiniteSet(bound)
  if sign in ("<", "<="):
    return sympy.Interval(-sympy.oo, bound, True, sign == "<")
  return sympy.Interval(bound, sympy.oo, sign == ">", True)


def _make_inequality(left, right, sign):
  if not (left.free_symbols | right.free_symbols):
    raise UnreadableError("an inequality without an unknown")
  if sign == "!=":
    raise UnreadableError("what an unknown is not")
  if sign in (">", ">="):
    left, right = right, left
  difference = _normalise(tidy(left - right), may_flip=False)
  return Inequality(difference, sign in "<>")


def make_interval(
  start: Any, end: Any, *, left_open: bool, right_open: bool
) -> Any:
  """Makes an interval.

  Raises:
    UnreadableError: if its ends are not numbers that ascend.
  """
  if not (isinstance(start, sympy.Expr) and isinstance(end, sympy.Expr)):
    raise UnreadableError("the ends of an interval must be numbers")
  if start.is_extended_real is False or end.is_extended_real is False:
    raise UnreadableError("an interval must have real ends")
  if (start < end) == sympy.false:
    raise UnreadableError("the ends of an interval must ascend")
  return make_region(sympy.Interval(start, end, left_open, right_open))


def make_region(points: Any) -> Any:
  """Makes a region; a bounded open interval is a pair, as it is written."""
  if (
    isinstance(points, sympy.Interval)
    and points.left_open
    and points.right_open
    and points.start.is_finite
    and points.end.is_finite
  ):
    return Listing("tuple", (points.start, points.end))
  return Region(points)


def as_region(answer: Any) -> Region:
  """Takes an answer for a region: a pair for an interval, numbers for points.

  Raises:
    UnreadableError: if it cannot be one.
  """
  if isinstance(answer, Region):
    return answer
  if isinstance(answer, sympy.Expr):
    return Region(sympy.FiniteSet(answer))
  if isinstance(answer, Listing) and all(
    isinstance(item, sympy.Expr) for item in answer.items
  ):
    if answer.kind in ("list", "set"):
      return Region(sympy.FiniteSet(*answer.items))
    if (
      len(answer.items) == 2
      and (answer.items[0] < answer.items[1]) == sympy.true
    ):
      return Region(sympy.Interval.open(*answer.items))
  raise UnreadableError("it is no part of the line")
