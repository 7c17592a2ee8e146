"""The forms of answers, and the one way of writing each.

Numbers and expressions are sympy's, brought into one form by `tidy`; matrices
as well. All else is one of the records below, whose parts are answers again.

The file is loaded alone, without the package (`killable`).
"""

import dataclasses
import re
from typing import Any

import sympy

from .notation import UnreadableError

_MAX_EXPANDED_POWER = 12


@dataclasses.dataclass(frozen=True)
class Percent:
  """A percentage; `value` is its number, 25 for 25 %."""

  value: Any


@dataclasses.dataclass(frozen=True)
class Based:
  """A whole number in another base, as it is written."""

  digits: str
  base: int


@dataclasses.dataclass(frozen=True)
class Word:
  """An answer in words."""

  text: str


@dataclasses.dataclass(frozen=True)
class Named:
  """A value with the name of its unknown, as in x = 5 and x > 5."""

  name: str
  value: Any


@dataclasses.dataclass(frozen=True)
class Listing:
  """Several answers.

  Attributes:
    kind: `list` (in any order), `set` (a list in braces), `tuple` (a point),
      `assignments` (each item is `Named`, each name another) or `ordered` (a
      list whose order the question gives).
    items: the answers.
  """

  kind: str
  items: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Region:
  """Intervals and points on the line; `points` is sympy's set of them."""

  points: Any


@dataclasses.dataclass(frozen=True)
class Equation:
  """An equation between expressions.

  Attributes:
    difference: what one side is more than the other; 0 stands for an identity.
    said: a compound expression that is said to have a value, as m + n = 5 says.
    value: that value; both are None where the equation says none.
  """

  difference: Any
  said: Any = None
  value: Any = None


@dataclasses.dataclass(frozen=True)
class Inequality:
  """`difference` < 0, or <= 0 where it is not strict."""

  difference: Any
  is_strict: bool


def value_of(answer: Any) -> Any:
  """Returns an answer without the name of its unknown."""
  return answer.value if isinstance(answer, Named) else answer


def tidy(value: Any) -> Any:
  """Brings an expression into the form that equal ones share, if we know it.

  Raises:
    UnreadableError: if it has no value.
  """
  value = value.doit()
  if value.has(sympy.nan, sympy.zoo):
    raise UnreadableError("it has no value")
  if value.is_Rational or value.is_infinite or not _may_expand(value):
    return value
  value = sympy.expand(value)
  if not value.free_symbols:
    return sympy.sqrtdenest(sympy.radsimp(value))
  try:
    return sympy.cancel(value)
  except sympy.PolynomialError:  # Piecewise and the like.
    return value


def _may_expand(value):
  return not any(
    power.exp.is_Integer and abs(power.exp) > _MAX_EXPANDED_POWER
    for power in value.atoms(sympy.Pow)
    if power.base.is_Add
  )


def spell(answer: Any, *asked: str) -> str:
  """Writes an answer as a text, so that different ones differ.

  Args:
    answer: an answer in its form.
    *asked: names of the unknown that the question asks for, which the text
      leaves out.
  """
  match answer:
    case Percent():
      return f"{spell(answer.value)}%"
    case Based():
      return f"{answer.digits}_{answer.base}"
    case Word():
      return answer.text.casefold()
    case Named() if answer.name in asked:
      return spell(answer.value)
    case Named() if isinstance(answer.value, Region):
      return f"{answer.name} in {spell(answer.value)}"
    case Named():
      return f"{answer.name} = {spell(answer.value)}"
    case Listing():
      return _spell_listing(answer)
    case Region():
      return _spell_points(answer.points)
    case Equation() if answer.said is not None:
      return f"{spell(answer.said)} = {spell(answer.value)}"
    case Equation():
      return f"{spell(answer.difference)} = 0"
    case Inequality():
      sign = "<" if answer.is_strict else "<="
      return f"{spell(answer.difference)} {sign} 0"
  if isinstance(answer, sympy.MatrixBase):
    rows = (", ".join(map(spell, row)) for row in answer.tolist())
    return "[" + ", ".join(f"[{row}]" for row in rows) + "]"
  return str(answer) if _is_plain(answer) else sympy.srepr(answer)


def _spell_listing(listing):
  items = [spell(item) for item in listing.items]
  match listing.kind:
    case "list" | "set":
      return "{" + ", ".join(sorted(items)) + "}"
    case "tuple":
      return "(" + ", ".join(items) + ")"
  return ", ".join(items)


def _spell_points(points):
  if isinstance(points, sympy.Interval):
    if points.left_open and points.right_open and _is_bounded(points):
      return f"({spell(points.start)}, {spell(points.end)})"  # As a pair.
    left = "]" if points.left_open else "["
    right = "[" if points.right_open else "]"
    return f"{left}{spell(points.start)}, {spell(points.end)}{right}"
  if isinstance(points, sympy.Union):
    return " or ".join(sorted(map(_spell_points, points.args)))
  if isinstance(points, sympy.FiniteSet):
    return "{" + ", ".join(sorted(map(spell, points.args))) + "}"
  return sympy.srepr(points)


def _is_bounded(points):
  return bool(points.start.is_finite and points.end.is_finite)


def _is_plain(value):
  """Whether its short spelling is its own alone."""
  return all(
    isinstance(part, (sympy.Rational, sympy.Add, sympy.Mul, sympy.Pow))
    or part in (sympy.pi, sympy.E, sympy.I, sympy.oo, -sympy.oo)
    or (isinstance(part, sympy.Symbol) and _is_plain_name(part.name))
    for part in sympy.preorder_traversal(value)
  )


def _is_plain_name(name):
  return re.fullmatch(r"[A-DF-HJ-Za-z]|[a-z]{3,}|[a-zA-Z]_[0-9]+", name) and (
    name not in ("zoo", "nan", "pi")
  )
