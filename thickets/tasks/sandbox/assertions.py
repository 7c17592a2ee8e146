"""Takes asserts apart: a call for the sandbox, a comparison made outside it."""

import ast
import builtins
import dataclasses
import json
import math
import operator
import sys
import threading
from collections.abc import Iterator
from typing import Any

from thickets.tasks.sandbox import values

_BUILTINS = frozenset(dir(builtins))
_SINGLETONS = ("None", "True", "False")
# CPython 3.11 fails with a SystemError where two threads make syntax trees at once.
_PARSING = threading.Lock()


def parse(source: str, *, mode: str = "exec") -> Any:
  """The syntax tree of a program, or of an expression (`eval`), in any thread.

  Raises:
    SyntaxError: as `ast.parse` does, which also has other errors for odd texts.
  """
  with _PARSING:
    return ast.parse(source, mode=mode)


@dataclasses.dataclass(frozen=True)
class Assertion:
  """One test, taken apart.

  Attributes:
    call: the side that the program computes, an expression.
    comparison: how the sides are compared, a key of `_COMPARISONS`.
    expected: the other side, an expression; None if there is none.
    modules: modules of the standard library that the other side uses.
    tolerances: further arguments of the comparison, by name.
  """

  call: str
  comparison: str
  expected: str | None = None
  modules: tuple[str, ...] = ()
  tolerances: tuple[tuple[str, float], ...] = ()

  @property
  def is_literal(self) -> bool:
    """Whether the other side can be read without executing anything."""
    return self.expected is None or _is_literal(
      parse(self.expected, mode="eval").body
    )

  def passes(self, actual: Any, expected: Any) -> bool:
    """Whether what the call gave is what the test expects.

    Args:
      actual: what the call gave, of plain built-in types (`values.decode`).
      expected: value of the other side, of plain types; ignored if there is
        none.
    """
    try:
      return bool(
        _COMPARISONS[self.comparison](actual, expected, **dict(self.tolerances))
      )
    # Types that do not compare, numbers that do not fit a float.
    except (TypeError, ValueError, ArithmeticError, RecursionError):
      return False

  def make_vote_key(self, actual: Any) -> str:
    """Returns a key for votes; what passes and what fails differ in it."""
    if self.comparison in ("==", "!="):
      return values.make_equality_key(actual)
    if self.comparison in ("true", "false"):
      return str(bool(actual))
    try:
      return json.dumps(values.encode(actual))  # Types matter: 1 is not True.
    except values.UnencodableError:  # Larger than what we would send.
      return f"{type(actual).__name__} {values.make_equality_key(actual)}"


def parse_test(test: str) -> Assertion:
  """Takes an assert apart.

  Exactly one side of `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `not in` must be
  the program's; `is` and `is not` compare with None, True or False. Also
  understood are `math.isclose(...)`, `abs(... - ...) < tolerance`, and an
  expression alone or after `not`.

  Raises:
    ValueError: for any other test, since its outcome would be decided in the
      program's own process.
  """
  try:
    (statement,) = parse(test.strip()).body
  except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
    raise ValueError(
      f"a test must be one assert, got {test!r:.200}."
    ) from error
  assertion = None
  if isinstance(statement, ast.Assert):
    assertion = _take_apart(statement.test)
  if assertion is None:
    raise ValueError(
      "a test must be an assert that compares what the program gives with what"
      f" does not depend on it, got {test!r:.200}."
    )
  return assertion


def _take_apart(node) -> Assertion | None:
  if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
    return _make(node.operand, "false")
  if isinstance(node, ast.Call) and ast.unparse(node.func) in (
    "math.isclose",
    "isclose",
  ):
    return _take_isclose(node)
  if not isinstance(node, ast.Compare):
    return _make(node, "true")
  if len(node.ops) != 1:
    return None
  sign, left, right = _SIGNS[type(node.ops[0])], node.left, node.comparators[0]
  if sign in ("is", "is not"):
    is_single = ast.unparse(right) in _SINGLETONS
    return _make(left, sign, right) if is_single else None
  difference = _find_difference(left)
  if sign in ("<", "<=") and difference is not None:
    sides = _sort_sides(difference.left, difference.right)
    if sides is None or not _is_literal(right):
      return None
    tolerance = (("tolerance", ast.literal_eval(right)),)
    return _make(sides[0], f"within {sign}", sides[1], tolerance)
  sides = _sort_sides(left, right)
  if sides is None:
    return None
  if sides[0] is right:
    sign = _MIRRORED.get(sign)
  return None if sign is None else _make(sides[0], sign, sides[1])


def _take_isclose(node) -> Assertion | None:
  if len(node.args) != 2 or not all(
    keyword.arg and _is_literal(keyword.value) for keyword in node.keywords
  ):
    return None
  sides = _sort_sides(*node.args)
  tolerances = tuple(
    (keyword.arg, ast.literal_eval(keyword.value)) for keyword in node.keywords
  )
  return sides and _make(sides[0], "isclose", sides[1], tolerances)


def _make(call, comparison, expected=None, tolerances=()) -> Assertion | None:
  if _decides(call):
    return None
  if expected is None:
    return Assertion(ast.unparse(call), comparison)
  modules = tuple(sorted(set(_modules(expected))))
  text = ast.unparse(expected)
  return Assertion(ast.unparse(call), comparison, text, modules, tolerances)


def _sort_sides(left, right):
  """Returns the program's side and the other, or None if that is not clear."""
  for call, expected in ((left, right), (right, left)):
    # A program may define a function named like a built-in one.
    if _is_literal(expected) and not _is_literal(call):
      return call, expected
  for call, expected in ((left, right), (right, left)):
    if not set(_free_names(expected)) and set(_free_names(call)):
      return call, expected
  return None


def _decides(call) -> bool:
  """Whether an expression compares, so that an object's `__eq__` would count.

  Functions that are arguments may compare.
  """
  if isinstance(call, ast.Lambda):
    return False
  is_comparison = isinstance(call, ast.Compare | ast.BoolOp) or (
    isinstance(call, ast.UnaryOp) and isinstance(call.op, ast.Not)
  )
  return is_comparison or any(map(_decides, ast.iter_child_nodes(call)))


def _is_literal(node) -> bool:
  try:
    ast.literal_eval(node)
  except (ValueError, TypeError, RecursionError, MemoryError):
    return False
  return True


def _find_difference(node: ast.expr) -> ast.BinOp | None:
  """Returns the difference in `abs(... - ...)`, None for another expression."""
  if (
    isinstance(node, ast.Call)
    and ast.unparse(node.func) in ("abs", "math.fabs")
    and len(node.args) == 1
    and isinstance(node.args[0], ast.BinOp)
    and isinstance(node.args[0].op, ast.Sub)
  ):
    return node.args[0]
  return None


def _modules(node) -> Iterator[str]:
  """Yields the names of modules whose attributes are used."""
  for part in ast.walk(node):
    owner = part.value if isinstance(part, ast.Attribute) else None
    if isinstance(owner, ast.Name) and owner.id in sys.stdlib_module_names:
      yield owner.id


def _free_names(node) -> Iterator[str]:
  """Yields the names that only a program can have defined."""
  parts = list(ast.walk(node))
  bound = {
    part.id
    for part in parts
    if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
  } | {part.arg for part in parts if isinstance(part, ast.arg)}
  known = bound | _BUILTINS | set(_modules(node))
  for part in parts:
    if isinstance(part, ast.Name) and part.id not in known:
      yield part.id


_SIGNS = {
  ast.Eq: "==",
  ast.NotEq: "!=",
  ast.Lt: "<",
  ast.LtE: "<=",
  ast.Gt: ">",
  ast.GtE: ">=",
  ast.In: "in",
  ast.NotIn: "not in",
  ast.Is: "is",
  ast.IsNot: "is not",
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COMPARISONS = {
  "true": lambda actual, _: actual,
  "false": lambda actual, _: not actual,
  "==": operator.eq,
  "!=": operator.ne,
  "<": operator.lt,
  "<=": operator.le,
  ">": operator.gt,
  ">=": operator.ge,
  "in": lambda actual, expected: actual in expected,
  "not in": lambda actual, expected: actual not in expected,
  "is": lambda actual, expected: actual is expected,
  "is not": lambda actual, expected: actual is not expected,
  "isclose": math.isclose,
  "within <": lambda actual, expected, tolerance: (
    abs(actual - expected) < tolerance
  ),
  "within <=": lambda actual, expected, tolerance: (
    abs(actual - expected) <= tolerance
  ),
}
