"""Reads mathematical answers and compares them; runs in a killable process.

Reading and equality are math-verify's. This module brings what was read into
one form, from which both the key of a vote and the verdict follow, so that
answers with the same key have the same verdict, and a key does not depend on
the reference (math-verify's equality would not do: it is not transitive). The
form loses what does not count: how a number was written (0.5, 1/2), the order
of a set, the side of an inequality, products that are not multiplied out. Equal
answers that it does not bring together merely have different keys; unequal ones
never have the same.

math-verify's equality is used as it is, with these exceptions:

- A comma list without parentheses is a set, and never equal to a pair or tuple:
  a point's coordinates have an order.
- Decimals agree with other numbers to six digits, as there, but counted from
  the first that is not zero: 0.0000674 is not 0.0000672.
- A percentage is equal to its number and to its value, decimals included.
- `i` is the imaginary unit, and letters are real.
- An identity (x = x) is equal to no other equation.
- `**` is a power, and three or more letters in a row are a word.

What may be lenient and is left: 52_8 equals 52, an upper-case letter its lower
case, and an assignment the value assigned (x = 5 and 5), where the reference is
either; the vote tells these two apart.

The file is loaded alone, without the package (`killable`).
"""

import functools
import logging
import math
import re
from typing import Any

import math_verify
import sympy
from latex2sympy2_extended.logic import And
from latex2sympy2_extended.sets import FiniteSet
from sympy.core import relational

# Its time limits are signals, which only a main thread may use: our caller
# limits the time instead, and need not be reminded.
logging.getLogger("math_verify").setLevel(logging.ERROR)

_PERCENT = sympy.UnevaluatedExpr(sympy.Rational(1, 100))
_WORDS = re.compile(r"[A-Za-z]{3,}(?: [A-Za-z]+)*")
# Bare dollars delimit mathematics; escaped ones are a currency.
_DOLLAR = re.compile(r"(?<!\\)\$")
_MAX_EXPANDED_POWER = 12
_FLIPPED = {
  relational.StrictGreaterThan: relational.StrictLessThan,
  relational.GreaterThan: relational.LessThan,
}
_SIGNS = {
  relational.Equality: "=",
  relational.Unequality: "!=",
  relational.StrictLessThan: "<",
  relational.LessThan: "<=",
}


def read_answer(text: str, is_answer: bool) -> str | None:
  """Returns the key of an answer, None if a response holds none.

  Args:
    text: an answer, or the end of a response.
    is_answer: whether the text is nothing but an answer, as in a box. Then a
      text that cannot be read is its own key, after a question mark.
  """
  found = _find(text, is_answer)
  if found is not None:
    return _spell(found)
  return f"? {_clean(text)}" if is_answer else None


def agree(text: str, is_answer: bool, reference: str, tolerance: float) -> bool:
  """Whether an answer is right; a function of its key and the reference.

  Args:
    text: an answer, or the end of a response.
    is_answer: whether the text is nothing but an answer; see `read_answer`.
    reference: the right answer, in LaTeX.
    tolerance: largest difference of a number that is still right.
  """
  found, wanted = _find(text, is_answer), _find(reference, True)
  if found is None or wanted is None:
    # Both are keys that start with a question mark, or one of them is.
    return is_answer and read_answer(text, True) == read_answer(reference, True)
  if _spell(found) == _spell(wanted):
    return True
  if isinstance(found, FiniteSet) and isinstance(wanted, sympy.Tuple):
    return False
  if _is_identity(found):
    return False
  if tolerance and _is_near(found, wanted, tolerance):
    return True
  return math_verify.verify(
    _variants(wanted),
    _variants(found),
    float_rounding=_num_decimals(wanted),
    timeout_seconds=None,
  )


@functools.lru_cache(maxsize=4096)
def _find(text: str, is_answer: bool) -> Any:
  """Reads a text into our form; returns None if it cannot be read."""
  if not is_answer:
    return _tidy(_parse(text))
  text = _clean(text).strip("*").replace("**", "^")
  if _WORDS.fullmatch(text):
    text = f"\\text{{{text}}}"
  found = _parse(f"${text}$", latex_alone=True)
  if found is None and text.count("=") == 1:
    # The name of an unknown is what math-verify could not read (m_{\max}).
    found = _parse(f"${text.partition('=')[2]}$", latex_alone=True)
  return _tidy(found)


def _clean(text):
  """Removes what would end the mathematics early."""
  return " ".join(_DOLLAR.sub("", text).split()).rstrip(". \\")


def _parse(text: str, latex_alone: bool = False) -> Any:
  configs: list[Any] = [math_verify.LatexExtractionConfig()]
  if not latex_alone:
    configs.append(math_verify.ExprExtractionConfig())
  limits: Any = {"parsing_timeout": None}  # Declared as a number there.
  found = math_verify.parse(
    text, configs, fallback_mode="no_fallback", **limits
  )
  return found[0] if found else None


def _tidy(found: Any) -> Any:
  """Brings what was read into our form; returns None for other things."""
  if found is None or isinstance(found, str):
    return None
  try:
    return _tidy_any(found)
  except (ArithmeticError, TypeError, ValueError):
    return None  # Sympy could not compute it: 1/0 in a set, say.


def _tidy_any(found: Any) -> Any:
  if isinstance(found, sympy.MatrixBase):
    return sympy.ImmutableMatrix(found.applyfunc(_tidy_scalar))
  if _is_percentage(found):
    return sympy.Mul(_tidy_scalar(found.args[0]), _PERCENT, evaluate=False)
  if isinstance(found, sympy.FiniteSet):
    return FiniteSet(*sorted(map(_tidy_any, found.args), key=_spell))
  if isinstance(found, sympy.Interval):
    interval = _tidy_interval(found)
    # It was read so since its ends ascend, and may as well be a point.
    if (
      found.left_open
      and found.right_open
      and interval.start.is_finite
      and interval.end.is_finite
    ):
      return sympy.Tuple(interval.start, interval.end)
    return interval
  if isinstance(found, sympy.Tuple):
    return sympy.Tuple(*map(_tidy_any, found))
  if isinstance(found, sympy.Union):
    return sympy.Union(
      *(
        _tidy_interval(part)
        if isinstance(part, sympy.Interval)
        else _tidy_any(part)
        for part in found.args
      )
    )
  if isinstance(found, And):
    parts = [_tidy_any(part) for part in _unsorted(found)]
    if not any(isinstance(part, relational.Equality) for part in parts):
      parts.sort(key=_spell)  # Else a chain, whose ends matter.
    return And(*parts, evaluate=False)
  if isinstance(found, relational.Relational):
    left, right = map(_tidy_any, found.args)
    if type(found) in _FLIPPED:
      return _FLIPPED[type(found)](right, left, evaluate=False)
    return found.func(left, right, evaluate=False)
  return _tidy_scalar(found)


def _tidy_interval(found: Any) -> Any:
  start, end = _tidy_scalar(found.start), _tidy_scalar(found.end)
  return sympy.Interval(start, end, found.left_open, found.right_open)


def _tidy_scalar(found: Any) -> Any:
  if not isinstance(found, sympy.Expr):
    return found
  symbols: Any = found.free_symbols
  found = found.xreplace(
    {f: sympy.Rational(str(f)) for f in found.atoms(sympy.Float)}
    | {s: _letter(s.name) for s in symbols}
  ).doit()
  if isinstance(found, sympy.MatrixBase):
    return sympy.ImmutableMatrix(found.applyfunc(_tidy_scalar))
  if found.is_Rational or not isinstance(found, sympy.Expr):
    return found
  if any(
    power.exp.is_Integer and abs(power.exp) > _MAX_EXPANDED_POWER
    for power in found.atoms(sympy.Pow)
    if power.base.is_Add
  ):
    return found
  found = sympy.expand(found)
  if not found.free_symbols:
    return sympy.radsimp(found)
  try:
    return sympy.cancel(found)
  except sympy.PolynomialError:  # Piecewise and the like.
    return found


def _letter(name):
  return sympy.I if name == "i" else sympy.Symbol(name, real=True)


def _is_percentage(found):
  return (
    isinstance(found, sympy.Mul)
    and len(found.args) == 2
    and found.args[1] == _PERCENT
  )


def _is_identity(found):
  return isinstance(found, relational.Equality) and found.lhs == found.rhs


def _variants(found: Any) -> list[Any]:
  """Returns all that an answer may be taken for."""
  taken = [found]
  if _is_percentage(found):
    taken = [found.args[0], found.args[0] / 100]
  if _is_ascending_pair(found):
    taken.append(sympy.Interval.open(*found))
  # math-verify compares with a tolerance what has a Float in it.
  return taken + [
    one.xreplace(
      {r: sympy.Float(r) for r in one.atoms(sympy.Rational) if _is_decimal(r)}
    )
    for one in taken
  ]


def _is_ascending_pair(found):
  return (
    isinstance(found, sympy.Tuple)
    and len(found) == 2
    and all(isinstance(part, sympy.Expr) and part.is_real for part in found)
    and (found[0] < found[1]) == sympy.true
  )


def _is_decimal(number):
  """Whether a fraction has a finite number of decimals, and some."""
  rest = number.q
  for factor in (2, 5):
    while rest % factor == 0:
      rest //= factor
  return rest == 1 and number.q > 1


def _num_decimals(wanted):
  """Decimals to compare: six, counted from the first that is not zero."""
  value = _to_float(wanted)
  if value is None or not 0 < abs(value) < 1:
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
  if _is_percentage(found):
    found = found.args[0]
  try:
    return float(found)
  except (ArithmeticError, AttributeError, TypeError, ValueError):
    return None


def _spell(found: Any) -> str:
  """Writes an answer in our form, so that different ones differ."""
  if isinstance(found, sympy.MatrixBase):
    rows = ", ".join(_list(row) for row in found.tolist())
    return f"[{rows}]"
  if _is_percentage(found):
    return f"{_spell(found.args[0])}%"
  if isinstance(found, FiniteSet):
    return f"{{{', '.join(map(_spell, _unsorted(found)))}}}"
  if isinstance(found, sympy.Tuple):
    return f"({', '.join(map(_spell, found))})"
  if isinstance(found, sympy.Interval):
    left = "]" if found.left_open else "["
    right = "[" if found.right_open else "]"
    return f"{left}{_spell(found.start)}, {_spell(found.end)}{right}"
  if isinstance(found, sympy.Union):
    return " or ".join(sorted(map(_spell, found.args)))
  if isinstance(found, And):
    return " and ".join(map(_spell, _unsorted(found)))
  if type(found) in _SIGNS:
    return f"{_spell(found.lhs)} {_SIGNS[type(found)]} {_spell(found.rhs)}"
  return str(found) if _is_plain(found) else sympy.srepr(found)


def _unsorted(found: Any) -> tuple[Any, ...]:
  """Returns the parts of a set or conjunction in the order of the text."""
  return found._unsorted_args


def _list(row):
  return f"[{', '.join(map(_spell, row))}]"


def _is_plain(found):
  """Whether its short spelling is its own alone."""
  return all(
    isinstance(part, (sympy.Rational, sympy.Add, sympy.Mul, sympy.Pow))
    or part in (sympy.pi, sympy.E, sympy.I)
    or (isinstance(part, sympy.Symbol) and _is_plain_name(part.name))
    for part in sympy.preorder_traversal(found)
  )


def _is_plain_name(name):
  return re.fullmatch(r"[a-z]|[a-z]{3,}|[a-z]_[0-9]+", name) is not None
