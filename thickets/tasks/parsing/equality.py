"""When an answer is right: equality of answers in their forms.

An answer is compared part by part: numbers with numbers, points with points in
their order, lists with lists in any order, each number as often as it is there.
Numbers are equal where their exact values are; those
of expressions with variables where they agree at several points (math-verify
decides where there are too few at which both are real). Beside that,

- decimals agree with other numbers to six digits, counted from the first that
  is not zero, as in math-verify;
- a percentage is equal to its number and to its value, and to no percentage but
  itself;
- a number in another base is equal to its digits;
- the name of an unknown may be missing on one side, but not differ;
- a pair that ascends is an open interval, and a list of numbers a set of points.

The file is loaded alone, without the package (`killable`).
"""

import math
import re
from typing import Any

import math_verify
import sympy

from . import relations
from .forms import (
  Based,
  Equation,
  Inequality,
  Listing,
  Named,
  Percent,
  Region,
  Word,
  spell,
  value_of,
)
from .notation import UnreadableError

# Where expressions with variables are compared: of both signs, whole and not.
_POINTS = tuple(
  map(sympy.Rational, ("17/7", "5", "31/9", "4", "2/11", "-13/8", "7", "-3"))
)
_MIN_POINTS = 3
_FUNCTION = re.compile(r"([A-Za-z]'*)\(([A-Za-z])\)")


def is_right(
  found: Any,
  wanted: Any,
  *,
  letters: str = "",
  asked: tuple[str, ...] = (),
  tolerance: float = 0.0,
) -> bool:
  """Whether an answer is equal to the right one.

  Args:
    found: the answer.
    wanted: the right answer.
    letters: the variables of the question.
    asked: names of the unknowns that it asks for.
    tolerance: largest difference of a number that is still right.
  """
  if isinstance(found, Equation) or isinstance(wanted, Equation):
    return _is_equation_right(found, wanted)
  found = _rename_argument(found, wanted)
  if not asked and isinstance(found, Named) and isinstance(found.value, Region):
    found = _bare_value(found)  # As in the key.
  if not _names_agree(found, wanted, letters, asked):
    return False
  if not _several_names_agree(found, wanted, asked):
    return False
  return _is_same(_bare_value(found), _bare_value(wanted), tolerance)


def _bare_value(answer):
  value = value_of(answer)
  return (
    relations.make_region(value.points) if isinstance(value, Region) else value
  )


def _rename_argument(found, wanted):
  """Makes f(n) = 2n of f(x) = 2x where the right answer says it so."""
  if not isinstance(found, Named) or not isinstance(wanted, Named):
    return found
  one, other = map(_FUNCTION.fullmatch, (found.name, wanted.name))
  if not one or not other or one[1] != other[1]:
    return found
  old, new = (sympy.Symbol(match[2], real=True) for match in (one, other))
  if not isinstance(found.value, sympy.Expr) or found.value.has(new):
    return found
  return Named(wanted.name, found.value.xreplace({old: new}))


def _names_agree(found, wanted, letters, asked):
  name = found.name if isinstance(found, Named) else None
  if asked == (name,):
    name = None  # As in the key.
  other = wanted.name if isinstance(wanted, Named) else None
  if name == other:
    return True
  if name is not None and other is not None:
    return False
  given = name or other
  return not asked or given in asked or given not in letters


def _several_names_agree(found, wanted, asked):
  """Whether answers that name several unknowns may be compared with others."""
  several = [_is_assignments(answer) for answer in (found, wanted)]
  if several[0] == several[1]:
    return True
  if isinstance(found, Named) or isinstance(wanted, Named):
    return False
  named = found if several[0] else wanted
  # The names are others than those that it asks for, unless they count them.
  return not asked or all(
    len(asked) == 1 and item.name.startswith(f"{asked[0]}index")
    for item in named.items
  )


def _is_assignments(answer):
  return isinstance(answer, Listing) and answer.kind == "assignments"


def _is_equation_right(found, wanted):
  left, right = (
    relations.make_equation(sympy.Symbol(side.name, real=True), side.value)
    if isinstance(side, Named) and isinstance(side.value, sympy.Expr)
    else side
    for side in (found, wanted)
  )
  if isinstance(right, Equation) and isinstance(left, Equation):
    if not left.difference or not right.difference:
      return left.difference == right.difference
    if left.difference == right.difference:
      return True
    ratio = sympy.simplify(left.difference / right.difference)
    return not ratio.free_symbols
  # What m + n = 5 says of m + n; but 5 does not say which equation is meant.
  return (
    isinstance(left, Equation)
    and left.value is not None
    and _is_same(left.value, right, 0.0)
  )


def _is_same(found: Any, wanted: Any, tolerance: float) -> bool:
  if isinstance(found, Percent) or isinstance(wanted, Percent):
    return _is_same_percentage(found, wanted, tolerance)
  if isinstance(found, Based) or isinstance(wanted, Based):
    return _is_same_based(found, wanted)
  if isinstance(found, Word) or isinstance(wanted, Word):
    return spell(found).casefold() == spell(wanted).casefold()
  if isinstance(found, sympy.MatrixBase) and isinstance(
    wanted, sympy.MatrixBase
  ):
    return found.shape == wanted.shape and all(
      _is_same_value(one, other, tolerance)
      for one, other in zip(found.flat(), wanted.flat(), strict=True)
    )
  if isinstance(found, Region) or isinstance(wanted, Region):
    return _is_same_region(found, wanted)
  if isinstance(found, Listing) and isinstance(wanted, Listing):
    return _is_same_listing(found, wanted, tolerance)
  if isinstance(found, (Named, Inequality)) or isinstance(
    wanted, (Named, Inequality)
  ):
    return _is_same_relation(found, wanted, tolerance)
  if isinstance(found, sympy.Expr) and isinstance(wanted, sympy.Expr):
    return _is_same_value(found, wanted, tolerance)
  return False


def _is_same_relation(found, wanted, tolerance):
  if isinstance(found, Named) and isinstance(wanted, Named):
    return found.name == wanted.name and _is_same(
      found.value, wanted.value, tolerance
    )
  if isinstance(found, Inequality) and isinstance(wanted, Inequality):
    return found.is_strict == wanted.is_strict and not (
      sympy.simplify(found.difference - wanted.difference)
    )
  return False


def _is_same_percentage(found, wanted, tolerance):
  if isinstance(found, Percent) and isinstance(wanted, Percent):
    return _is_same_value(found.value, wanted.value, tolerance)
  percent, number = (
    (found.value, wanted)
    if isinstance(found, Percent)
    else (wanted.value, found)
  )
  if not isinstance(number, sympy.Expr):
    return False
  if isinstance(found, Percent):
    return _is_same_value(percent, number, tolerance) or _is_same_value(
      percent / 100, number, tolerance
    )
  return _is_same_value(number, percent, tolerance) or _is_same_value(
    number, percent / 100, tolerance / 100
  )


def _is_same_based(found, wanted):
  if isinstance(found, Based) and isinstance(wanted, Based):
    return found == wanted
  based, number = (
    (found, wanted) if isinstance(found, Based) else (wanted, found)
  )
  return getattr(number, "is_Integer", False) and str(number) == based.digits


def _is_same_listing(found, wanted, tolerance):
  kinds = (found.kind, wanted.kind)
  if len(found.items) != len(wanted.items):
    return False
  is_unordered = found.kind in ("list", "set")
  if is_unordered and wanted.kind == "tuple":
    return False
  if "assignments" in kinds and kinds[0] != kinds[1]:
    return _is_same_without_names(found, wanted, tolerance)
  if is_unordered and wanted.kind == "ordered":
    return _are_alike(wanted.items, tolerance) and _are_same_in_any_order(
      found.items, wanted.items, tolerance
    )
  if kinds[0] not in ("list", "set") and kinds[1] not in ("list", "set"):
    return all(
      _is_same(*pair, tolerance)
      for pair in zip(found.items, wanted.items, strict=True)
    )
  return _are_same_in_any_order(found.items, wanted.items, tolerance)


def _is_same_without_names(found, wanted, tolerance):
  """Whether values are those of unknowns, of which only one answer has names.

  A point has them in the order of the names. A list has no order, where the
  question gives none; but it does not say whose value each is.
  """
  one, other = (tuple(map(_bare_value, side.items)) for side in (found, wanted))
  if "tuple" in (found.kind, wanted.kind):
    return all(
      _is_same(*pair, tolerance) for pair in zip(one, other, strict=True)
    )
  if wanted.kind == "assignments" and not _are_alike(other, tolerance):
    return False
  return _are_same_in_any_order(one, other, tolerance)


def _are_alike(items, tolerance):
  return all(_is_same(items[0], item, tolerance) for item in items)


def _are_same_in_any_order(items, others, tolerance):
  left = list(others)
  for item in items:
    for at, other in enumerate(left):
      if _is_same(item, other, tolerance):
        del left[at]
        break
    else:
      return False
  return True


def _is_same_region(found, wanted):
  try:
    one, other = (relations.as_region(side).points for side in (found, wanted))
  except UnreadableError:
    return False
  if one == other:
    return True
  pieces, others = _pieces(one), _pieces(other)
  if pieces is None or others is None or len(pieces) != len(others):
    return False
  return all(
    left[2:] == right[2:]
    and relations.is_equal(left[0], right[0])
    and relations.is_equal(left[1], right[1])
    for left, right in zip(pieces, others, strict=True)
  )


def _pieces(points):
  """Intervals and points from left to right; None for other sets."""
  parts = points.args if isinstance(points, sympy.Union) else (points,)
  pieces = []
  for part in parts:
    if isinstance(part, sympy.Interval):
      pieces.append(
        (*part.args[:2], bool(part.left_open), bool(part.right_open))
      )
    elif isinstance(part, sympy.FiniteSet):
      pieces += [(point, point, False, False) for point in part.args]
    else:
      return None
  try:
    return sorted(pieces, key=lambda piece: float(piece[0]))
  except TypeError:  # An end is not a number.
    return None


def _is_same_value(found: Any, wanted: Any, tolerance: float) -> bool:
  if found == wanted:
    return True
  if found.free_symbols or wanted.free_symbols:
    is_equal = _agree_at_points(found, wanted)
    if is_equal is not None:
      return is_equal
    return math_verify.verify([wanted], [found], timeout_seconds=None)
  if tolerance and _is_near(found, wanted, tolerance):
    return True
  if relations.is_equal(found, wanted):
    return True
  if not (_is_decimal(found) or _is_decimal(wanted)):
    return False
  one, other = _to_float(found), _to_float(wanted)
  if one is None or other is None:
    return False
  digits = _num_decimals(other)
  return round(one, digits) == round(other, digits)


def _agree_at_points(one, other):
  """Whether expressions agree at points where both are real numbers.

  Returns:
    None if there are too few such points to tell.
  """
  symbols = sorted(one.free_symbols | other.free_symbols, key=str)
  num_points = 0
  for start in range(len(_POINTS)):
    at = {
      symbol: _POINTS[(start + 2 * number) % len(_POINTS)] + 3 * (number // 4)
      for number, symbol in enumerate(symbols)
    }
    pair = [side.subs(at).evalf(30, maxn=150) for side in (one, other)]
    if not all(value.is_Float or value.is_Integer for value in pair):
      continue
    num_points += 1
    size = 1 + abs(pair[0])
    if abs(pair[0] - pair[1]) > size * sympy.Float(10) ** -20:
      return False
  return True if num_points >= _MIN_POINTS else None


def _is_decimal(number):
  """Whether a fraction has a finite number of decimals, and some."""
  if not number.is_Rational or number.q == 1:
    return False
  rest = number.q
  for factor in (2, 5):
    while rest % factor == 0:
      rest //= factor
  return rest == 1


def _num_decimals(value):
  """Decimals to compare: six, counted from the first that is not zero."""
  if not 0 < abs(value) < 1:
    return 6
  return 6 + int(-math.log10(abs(value)))


def _is_near(found, wanted, tolerance):
  value, middle = _to_float(found), _to_float(wanted)
  # With room for the rounding of the difference itself.
  return (
    value is not None
    and middle is not None
    and abs(value - middle) <= tolerance * (1 + 1e-9)
  )


def _to_float(found):
  try:
    return float(found)
  except (ArithmeticError, TypeError, ValueError):
    return None
