"""Expressions: from tokens to exact values.

Grammar: signs, sums, products, quotients, powers, roots, factorials, functions.
Factors may stand side by side where one of them is in brackets or no numeral:
2(3), 2x, 3 sqrt(2). Whole numbers before a proper fraction of whole numbers are
a mixed number. Other numerals side by side (3 4, x 3) are refused, as readers
do not agree on what they are.

The file is loaded alone, without the package (`killable`).
"""

from typing import Any

import sympy

from .notation import Token, Tokens, UnreadableError

_CLOSING = {"(": ")", "[": "]", "⌊": "⌋", "⌈": "⌉"}
_CONSTANTS = {"e": sympy.E, "i": sympy.I, "pi": sympy.pi, "infty": sympy.oo}
_FUNCTIONS = {
  "sin": sympy.sin,
  "cos": sympy.cos,
  "tan": sympy.tan,
  "cot": sympy.cot,
  "sec": sympy.sec,
  "csc": sympy.csc,
  "arcsin": sympy.asin,
  "arccos": sympy.acos,
  "arctan": sympy.atan,
  "sinh": sympy.sinh,
  "cosh": sympy.cosh,
  "tanh": sympy.tanh,
  "exp": sympy.exp,
  "ln": sympy.log,
}
_INVERSES = {
  "sin": sympy.asin,
  "cos": sympy.acos,
  "tan": sympy.atan,
  "cot": sympy.acot,
}
_STARTS = {"number", "letter", "function", "fraction", "root", "binomial"}
_END = Token("end")


def read_values(tokens: Tokens) -> list[Any]:
  """Reads an expression; returns two values if it has a sign ±.

  Raises:
    UnreadableError: if it is no expression.
  """
  if not _has_plus_minus(tokens):
    return [read_value(tokens)]
  return [_Reader(tokens, sign).read() for sign in (1, -1)]


def read_value(tokens: Tokens) -> Any:
  """Reads an expression with one value.

  Raises:
    UnreadableError: if it is no expression, or has a sign ±.
  """
  return _Reader(tokens, None).read()


def is_whole(tokens: Tokens) -> bool:
  """Whether tokens are one numeral of digits alone."""
  return (
    len(tokens) == 1
    and tokens[0].kind == "number"
    and tokens[0].value.isdigit()
  )


def _is_literal(token):
  """Whether a token is a fraction of numerals."""
  return token.kind == "fraction" and all(
    len(part) == 1 and part[0].kind == "number" for part in token.parts
  )


def _has_plus_minus(tokens):
  return any(
    (token.kind == "sign" and token.value in "±∓")
    or any(map(_has_plus_minus, token.parts))
    for token in tokens
  )


class _Reader:
  """Recursive descent over one list of tokens.

  Args:
    tokens: what is read.
    sign: +1 or -1, what ± stands for; None if it may not occur.
    in_function: whether degrees are angles of a function, not a unit.
  """

  def __init__(self, tokens, sign, in_function=False):
    self._tokens = tokens
    self._sign = sign
    self._in_function = in_function
    self._at = 0

  def read(self):
    value = self._sum()
    if self._peek() is not _END:
      raise UnreadableError(f"{self._peek().value!r} is out of place")
    return value

  def _peek(self, ahead=0):
    at = self._at + ahead
    return self._tokens[at] if 0 <= at < len(self._tokens) else _END

  def _is_sign(self, *values):
    token = self._peek()
    return token.kind == "sign" and token.value in values

  def _inner(self, tokens):
    return _Reader(tokens, self._sign, self._in_function).read()

  def _sum(self):
    value = self._signed_term()
    while self._is_sign("+", "-", "±", "∓"):
      value = value + self._signed_term()
    return value

  def _signed_term(self):
    factor = 1
    if self._is_sign("+", "-", "±", "∓"):
      factor = self._read_sign()
    return factor * self._term()

  def _read_sign(self):
    sign = self._peek().value
    self._at += 1
    if sign in "±∓":
      if self._sign is None:
        raise UnreadableError("± has two values")
      return self._sign if sign == "±" else -self._sign
    return -1 if sign == "-" else 1

  def _term(self):
    value = self._factor()
    while True:
      if self._is_sign("*"):
        self._at += 1
        value = value * self._signed_factor()
      elif self._is_sign("/"):
        self._at += 1
        value = _divide(value, self._signed_factor())
      elif self._may_follow():
        value = value * self._factor()
      else:
        return value

  def _signed_factor(self):
    """After an operator, as in 6.7 * -3."""
    if self._is_sign("+", "-"):
      return self._read_sign() * self._factor()
    return self._factor()

  def _may_follow(self):
    """Whether a factor stands beside the last one."""
    token, last = self._peek(), self._peek(-1)
    if token.kind == "open":
      return token.value in _CLOSING
    if token.kind not in _STARTS:
      return False
    if last.kind == "close":
      return True
    if token.kind == "number" or (
      _is_literal(token) and (last.kind == "number" or _is_literal(last))
    ):
      raise UnreadableError("numbers side by side")
    return True

  def _factor(self):
    value = self._power(self._primary())
    while self._is_sign("!", "°"):
      sign = self._peek().value
      self._at += 1
      if sign == "!" and self._is_sign("!"):
        self._at += 1
        value = sympy.factorial2(value)
      elif sign == "!":
        value = sympy.factorial(value)
      elif self._in_function:
        value = value * sympy.pi / 180
    return self._power(value)

  def _power(self, base):
    if self._peek().kind == "power":
      (exponent,) = self._peek().parts
      self._at += 1
      if self._peek().kind == "power":
        raise UnreadableError("powers side by side")
      exponent = self._inner(exponent)
      if base.is_zero and exponent.is_nonpositive:
        raise UnreadableError("a power has no value")
      base = base**exponent
    return base

  def _primary(self):
    token = self._peek()
    self._at += 1
    match token.kind:
      case "number":
        return self._number(token)
      case "letter":
        return self._letter(token)
      case "fraction":
        top, bottom = token.parts
        return _divide(self._inner(top), self._inner(bottom))
      case "root":
        return self._root(token)
      case "binomial":
        return sympy.binomial(*map(self._inner, token.parts))
      case "function":
        return self._function(token.value)
      case "open" if token.value in _CLOSING:
        return self._bracket(token.value)
      case "sign" if token.value == "|":
        return self._absolute()
    raise UnreadableError(f"{token.value or token.kind!r} is out of place")

  def _number(self, token):
    value = sympy.Rational(token.value)
    if self._peek().kind == "index":
      raise UnreadableError("a number in another base is no part of a formula")
    fraction = self._mixed_part(token)
    return value if fraction is None else value + fraction

  def _mixed_part(self, token):
    """Reads the fraction of a mixed number behind its whole number."""
    following = self._peek()
    if _is_literal(following):
      parts, size = following.parts, 1
    elif following.kind == "number" and self._peek(1) == Token("sign", "/"):
      parts, size = ((following,), (self._peek(2),)), 3
    else:
      return None
    if not all(map(is_whole, ((token,), *parts))):
      raise UnreadableError("numbers side by side")
    top, bottom = (sympy.Integer(part.value) for (part,) in parts)
    self._at += size
    if not 0 < top < bottom or self._peek().kind in ("number", "power"):
      raise UnreadableError("no mixed number")
    if size == 3 and self._is_sign("/"):
      raise UnreadableError("no mixed number")
    return top / bottom

  def _letter(self, token):
    name = token.value
    if self._peek().kind == "index":
      (index,) = self._peek().parts
      self._at += 1
      name += "_" + "".join(part.value or part.kind for part in index)
    while self._is_sign("'"):
      self._at += 1
      name += "'"
    if name in ("angle", "triangle", "max", "min", "gcd", "lcm"):
      raise UnreadableError(f"{name} has no value")
    return _CONSTANTS.get(name, sympy.Symbol(name, real=True))

  def _root(self, token):
    radicand, index = token.parts
    value = self._inner(radicand)
    degree = self._inner(index) if index else sympy.Integer(2)
    if not degree.is_nonzero:
      raise UnreadableError("a root has no degree")
    if value.is_negative and degree.is_odd:
      return -sympy.root(-value, degree)
    return sympy.root(value, degree)

  def _bracket(self, opening):
    value = self._sum()
    if self._peek() != Token("close", _CLOSING[opening]):
      raise UnreadableError("a bracket is not closed")
    self._at += 1
    if opening in "([":
      return value
    return sympy.floor(value) if opening == "⌊" else sympy.ceiling(value)

  def _absolute(self):
    value = self._sum()
    if not self._is_sign("|"):
      raise UnreadableError("a bar is not closed")
    self._at += 1
    return sympy.Abs(value)

  def _function(self, name):
    base, power = None, None
    while self._peek().kind in ("index", "power"):
      (inner,) = self._peek().parts
      if self._peek().kind == "index":
        base = self._inner(inner)
      else:
        power = self._inner(inner)
      self._at += 1
    if base is not None and name != "log":
      raise UnreadableError(f"{name} has no base")
    outside, self._in_function = self._in_function, True
    argument = self._argument()
    self._in_function = outside
    if power == -1 and name in _INVERSES:
      return _INVERSES[name](argument)
    if name in ("log", "lg"):
      value = sympy.log(argument, 10 if base is None else base)
    else:
      value = _FUNCTIONS[name](argument)
    return value if power is None else value**power

  def _argument(self):
    """A bracket, or the factors up to the next sign or function."""
    if self._peek().kind == "open":
      value = self._primary_in_brackets()
      if self._peek().kind == "power":
        raise UnreadableError("what is raised, the function or its argument")
      return value
    sign = self._read_sign() if self._is_sign("+", "-") else 1
    value = self._factor()
    while self._peek().kind not in ("function", "open") and self._may_follow():
      value = value * self._factor()
    if self._is_sign("/") and self._peek(1).kind != "function":
      raise UnreadableError("what is divided, the function or its argument")
    return sign * value

  def _primary_in_brackets(self):
    opening = self._peek().value
    if opening not in _CLOSING:
      raise UnreadableError("a set is no argument")
    self._at += 1
    return self._bracket(opening)


def _divide(top, bottom):
  if bottom.is_zero:
    raise UnreadableError("a division by zero")
  return top / bottom
