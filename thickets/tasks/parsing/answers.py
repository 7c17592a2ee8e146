"""What an answer is: a number, a list, a point, an interval, an equation.

Reads tokens as answers. Here it is settled which signs divide an answer into
parts, and what stands around a value without changing it: units that the text
marks as such, a currency, degrees, the name of the unknown.

- A list without brackets, or in braces, has its numbers as often as it says
  them. One that assigns values to names keeps the names.
- `a = b` counts where one side is a name, or where both have the same value.
- An inequality with one unknown is the interval that it describes.

The file is loaded alone, without the package (`killable`).
"""

import dataclasses
from typing import Any

import sympy

from . import expressions, forms, names, quantities, relations
from .forms import Based, Inequality, Listing, Named, Region, Word, value_of
from .notation import Token, Tokens, UnreadableError

_RELATIONS = ("=", "≈", "<", "<=", ">", ">=", "!=", "in")
# Digits above nine; other letters with an index are unknowns.
_CAPITALS = frozenset("ABCDEF")
_INFINITE = (sympy.oo, -sympy.oo)


def read(tokens: Tokens) -> Any:
  """Reads an answer.

  Raises:
    UnreadableError: if it is none that is known.
  """
  if not tokens:
    raise UnreadableError("it is empty")
  return _read_alternatives(_drop_commas(tokens))


def _drop_commas(tokens):
  """Removes commas before "and" and "or"."""
  words = [("sign", "and"), ("sign", "or")]
  return tuple(
    token
    for token, following in zip(tokens, (*tokens[1:], None), strict=True)
    if not (following and token[:2] == ("sign", ",") and following[:2] in words)
  )


def _read_alternatives(tokens):
  parts, _ = names.split(tokens, "or")
  answers = [_read_conjunction(part) for part in parts]
  if len(answers) > 1 and all(_is_region(answer) for answer in answers):
    return _join(answers, sympy.Union)
  # The same value in two notations is one alternative.
  return _collect(list(dict.fromkeys(answers)))


def _read_conjunction(tokens):
  parts, _ = names.split(tokens, "and")
  answers = [_read_list(part) for part in parts]
  if len(answers) > 1 and all(_is_region(answer) for answer in answers):
    return _join(answers, sympy.Intersection)
  return _collect(answers)


def _read_list(tokens):
  parts, _ = names.split(tokens, ",", ";")
  answers = [_read_one(part) for part in parts]
  if len(answers) > 1 and any(
    isinstance(answer, Inequality)
    or (isinstance(answer, Named) and isinstance(answer.value, Region))
    for answer in answers
  ):
    raise UnreadableError("inequalities beside each other, joined by no word")
  return _collect(answers)


def _is_region(answer):
  return isinstance(answer, Region) or (
    isinstance(answer, Named) and isinstance(answer.value, Region)
  )


def _join(answers, operation):
  unknowns = {answer.name for answer in answers if isinstance(answer, Named)}
  if len(unknowns) > 1:
    raise UnreadableError("inequalities of several unknowns")
  points = operation(*(value_of(answer).points for answer in answers))
  if unknowns:
    return Named(unknowns.pop(), Region(points))
  return relations.make_region(points)


def _collect(answers):
  """Makes one answer of several: of one unknown, of several, or of none."""
  if len(answers) == 1:
    return answers[0]
  unknowns = [
    answer.name if isinstance(answer, Named) else None for answer in answers
  ]
  if None not in unknowns and len(set(unknowns)) == len(unknowns):
    return Listing("assignments", tuple(sorted(answers, key=lambda a: a.name)))
  if unknowns[0] is not None and set(unknowns) <= {unknowns[0], None}:
    return Named(unknowns[0], _list(map(value_of, answers)))
  if set(unknowns) == {None}:
    return _list(answers)
  raise UnreadableError("only some answers name their unknown")


def _list(answers, kind="list"):
  items = []
  for answer in answers:
    if isinstance(answer, Listing) and answer.kind == "list":
      items += answer.items
    else:
      items.append(answer)
  return items[0] if len(items) == 1 else Listing(kind, tuple(items))


def _read_one(tokens):
  parts, signs = names.split(tokens, *_RELATIONS)
  if not all(parts):
    raise UnreadableError("a side is missing")
  if not signs:
    return _read_plain(tokens)
  if signs == ["in"]:
    return _read_membership(*parts)
  if set(signs) <= {"=", "≈"}:
    return _read_equation(parts, signs)
  if "in" in signs or "≈" in signs:
    raise UnreadableError("relations of several kinds")
  return relations.read_inequalities(parts, signs)


def _read_membership(left, right):
  name = names.read_name(left)
  value = _read_plain(right)
  if name is None:
    raise UnreadableError("an element must have a name")
  if isinstance(value, Listing) and value.kind in ("tuple", "set"):
    value = relations.as_region(value) if value.kind == "tuple" else value
  return Named(name, value)


def _read_equation(parts, signs):
  unknowns = [names.read_name(part) for part in parts]
  if len(parts) == 2 and unknowns[0] is None and unknowns[1] is not None:
    parts, unknowns = parts[::-1], unknowns[::-1]  # 5 = x
  if len(parts) == 2 and names.is_point(parts[0]):
    return _assign(parts[0], _read_plain(parts[1]))
  if len(parts) > 2 and None not in unknowns[:-1] and unknowns[-1] is None:
    value = _read_plain(parts[-1])  # a = b = 5
    return _collect([Named(name, value) for name in unknowns[:-1] if name])
  name = unknowns[0]
  if name is not None:
    value = _agreed([_read_plain(part) for part in parts[1:]], signs[1:])
    letter = sympy.Symbol(name, real=True)
    if isinstance(value, sympy.Expr) and value.has(letter):
      return relations.make_equation(letter, value)
    return Named(name, value)
  values = [_read_plain(part) for part in parts]
  if all(
    isinstance(value, sympy.Expr) and value.free_symbols == set()
    for value in values
  ):
    return _agreed(values, signs)
  if len(parts) == 2 and all(isinstance(value, sympy.Expr) for value in values):
    if not values[0].free_symbols:
      values.reverse()
    return relations.make_equation(*values)
  raise UnreadableError("an equation between other things than expressions")


def _agreed(values, signs):
  """The value of a chain of equal numbers, the most exact of them."""
  for value, sign in zip(values[1:], signs, strict=True):
    is_true = (
      relations.is_rounded(values[0], value)
      if sign == "≈"
      else relations.is_equal(values[0], value)
    )
    if not is_true:
      raise UnreadableError("an equation that is not true")
  return values[0]


def _assign(point, value):
  """Reads (b, a) = (2, 1); in the order of the alphabet it is the point."""
  parts, _ = names.split(point[1:-1], ",")
  unknowns = list(filter(None, map(names.read_name, parts)))
  if unknowns == sorted(unknowns):
    return value
  if not isinstance(value, Listing) or len(value.items) != len(unknowns):
    raise UnreadableError("a point of other dimensions than its names")
  return _collect(
    [
      Named(name, item)
      for name, item in zip(unknowns, value.items, strict=True)
    ]
  )


def _read_plain(tokens):
  parts, _ = names.split(tokens, "∪", "∩", "∖")
  if len(parts) > 1:
    return _read_union(tokens)
  first, last = tokens[0], tokens[-1]
  if {first.kind, last.kind} <= {"open", "close"} and len(tokens) > 1:
    answer = _read_bracket(first.value, last.value, tokens[1:-1])
    if answer is not None:
      return answer
  if len(tokens) == 1 and first.kind == "letter":
    points = {"mathbb R": sympy.S.Reals, "emptyset": sympy.S.EmptySet}
    if first.value in points:
      return Region(points[first.value])
  if last.kind == "matrix":
    return _read_matrix(tokens)
  if last.kind == "index" and (based := _read_based(tokens[:-1], last)):
    return based
  if all(token.kind == "text" for token in tokens):
    word = " ".join(token.value for token in tokens)
    bare = word[1:-1] if word[:1] + word[-1:] == "()" else word
    # Which of several choices; as a letter that no text marks.
    return sympy.Symbol(bare, real=True) if len(bare) == 1 else Word(bare)
  return _list(quantities.read_quantities(tokens))


def _read_union(tokens):
  parts, _ = names.split(tokens, "∪")
  if len(parts) > 1:
    sets = [_points(_read_plain(part)) for part in parts]
    return relations.make_region(sympy.Union(*sets))
  parts, signs = names.split(tokens, "∩", "∖")
  points = _points(_read_plain(parts[0]))
  for part, sign in zip(parts[1:], signs, strict=True):
    other = _points(_read_plain(part))
    points = points.intersect(other) if sign == "∩" else points - other
  return relations.make_region(points)


def _points(answer):
  answer = relations.as_region(answer)
  return answer.points


def _read_bracket(opening, closing, inner):
  """Reads what is in one pair of brackets; None if it is a product."""
  if opening in "⌊⌈" or closing in "⌋⌉":
    return None
  if not _is_one_pair(inner):
    return None
  parts, _ = names.split(inner, ",", ";")
  if (opening, closing) == ("{", "}"):
    return _read_set(inner)
  if "{" in (opening, closing) or "}" in (opening, closing):
    raise UnreadableError("brackets do not fit")
  if len(parts) == 1:
    is_matrix = [token.kind for token in inner] == ["matrix"]
    if (opening, closing) == ("(", ")") or is_matrix:
      return _read_alternatives(inner)
    return None
  if not all(parts):
    raise UnreadableError("a part of a list is missing")
  items = tuple(_read_one(part) for part in parts)
  if (opening, closing) == ("(", ")") and all(
    isinstance(item, Named) and not isinstance(item.value, Region)
    for item in items
  ):
    return _collect(items)  # (x = 1, y = 2)
  if any(isinstance(item, Named) for item in items):
    raise UnreadableError("a name within brackets")
  is_point = (opening, closing) == ("(", ")")
  if len(items) == 2 and not (is_point and not _has_infinity(items)):
    return relations.make_interval(
      *items, left_open=opening in "(]", right_open=closing in ")["
    )
  if is_point or ((opening, closing) == ("[", "]")):
    return Listing("tuple", items)
  raise UnreadableError("brackets do not fit")


def _has_infinity(items):
  return any(item in _INFINITE for item in items)


def _is_one_pair(inner):
  depth = 0
  for token in inner:
    depth += {"open": 1, "close": -1}.get(token.kind, 0)
    if depth < 0:
      return False
  return not depth


def _read_set(inner):
  if not inner:
    return Region(sympy.S.EmptySet)
  conditions, signs = names.split(inner, "|", ":")
  if len(signs) == 1:
    return _read_condition(*conditions)
  items = _list([_read_list(inner)])
  if isinstance(items, Listing) and items.kind == "list":
    return dataclasses.replace(items, kind="set")
  return items


def _read_condition(element, condition):
  """Reads {x | x > 2}, all real numbers that meet a condition."""
  element, signs = names.split(element, "in")
  is_real = not signs or element[1:] == [(Token("letter", "mathbb R"),)]
  name, found = names.read_name(element[0]), _read_alternatives(condition)
  if (
    name is None
    or not is_real
    or not isinstance(found, Named)
    or found.name != name
    or not isinstance(found.value, Region)
  ):
    raise UnreadableError("a set with a condition that is no interval")
  return Region(found.value.points)


def _read_matrix(tokens):
  size, cells = tokens[-1].value, tokens[-1].parts
  height, width = map(int, size.split("x"))
  factor = tokens[:-1]
  if factor and factor[-1] == Token("sign", "*"):
    factor = factor[:-1]
  scale = expressions.read_value(factor) if factor else sympy.Integer(1)
  values = [forms.tidy(scale * expressions.read_value(cell)) for cell in cells]
  return sympy.ImmutableMatrix(height, width, values)


def _read_based(tokens, index):
  """Reads a number in another base; None if it is an unknown with an index."""
  sign = "-" if tokens[:1] == (Token("sign", "-"),) else ""
  digits = tokens[1:] if sign else tokens
  if digits[:1] == (Token("open", "("),):
    digits = digits[1:-1]
  letters = [token for token in digits if token.kind == "letter"]
  if not digits or digits[0].kind != "number":
    return None
  if not all(
    expressions.is_whole((token,)) or token.value in _CAPITALS
    for token in digits
  ):
    return None
  if not expressions.is_whole(index.parts[0]):
    raise UnreadableError("a base must be a whole number")
  base = int(index.parts[0][0].value)
  if letters and base <= 10:
    return None
  text = "".join(token.value for token in digits)
  if not 2 <= base <= 36 or any(int(digit, 36) >= base for digit in text):
    raise UnreadableError("a digit must be below its base")
  return Based(sign + text, base)
