"""Arithmetic that a model wrote: read without executing it, computed exactly.

A formula is made of non-negative whole numbers in ASCII digits, `+`, `-`, `*`,
`/`, parentheses and spaces, with Python's precedence. As in Python, `+` and `-`
may also be signs (`-3 + 5`, `2 * -(1 + 1)`), there is no implied multiplication
(`2(3)`), and a number has no leading zeros (`07`; `00` is refused here too).
Powers `**` and whole divisions `//` are refused. The work is bounded: a formula
is short, so are its numbers, and no operator makes long numbers of short ones.
"""

import fractions
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

# A formula for a handful of numbers is far shorter than this.
MAX_CHARS = 300
MAX_DIGITS = 12  # In one number.

# Not \d, which has digits of all scripts.
_TOKEN = re.compile(r"[0-9]+|[-+*/()]")
_BINARY: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
  "+": operator.add,
  "-": operator.sub,
  "*": operator.mul,
  "/": operator.truediv,
}
_SIGNS = {"+": "plus", "-": "minus"}  # Names that set them apart as signs.
_STRENGTH = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, "plus": 3, "minus": 3}


class Formula(NamedTuple):
  """A formula that was read.

  Attributes:
    value: exact value of the whole formula.
    numbers: numbers that are written in it, from left to right.
  """

  value: Fraction
  numbers: tuple[int, ...]


def parse(text: str) -> Formula:
  """Reads a formula.

  Raises:
    ValueError: with the reason, if the text is not a formula or has no value.
  """
  if len(text) > MAX_CHARS:
    raise ValueError(
      f"a formula must have at most {MAX_CHARS} characters, got {len(text)}."
    )
  reader = _Reader()
  for token in _tokens(text):
    reader.read(token)
  return reader.finish()


def evaluate(text: str) -> Fraction:
  """Computes the exact value of a formula; raises as `parse` does."""
  return parse(text).value


def _tokens(text: str) -> list[str]:
  tokens, at = [], 0
  while at < len(text):
    if text[at] == " ":
      at += 1
      continue
    match = _TOKEN.match(text, at)
    if match is None:
      raise ValueError(f"a formula must not contain {text[at]!a}.")
    token, at = match[0], match.end()
    if token.isdigit() and len(token) > MAX_DIGITS:
      raise ValueError(
        f"a number must have at most {MAX_DIGITS} digits, got {len(token)}."
      )
    if token.isdigit() and len(token) > 1 and token[0] == "0":
      raise ValueError(f"a number must not begin with 0, got {token}.")
    tokens.append(token)
  return tokens


class _Reader:
  """Computes while it reads, with two stacks instead of recursion."""

  def __init__(self):
    self._values: list[Fraction] = []
    self._waiting: list[str] = []  # Operators, signs and open parentheses.
    self._numbers: list[int] = []
    self._wants_value = True  # Rather than an operator.

  def read(self, token: str) -> None:
    if self._wants_value:
      self._read_value(token)
    elif token == ")":
      self._apply_down_to(_STRENGTH["("] + 1)
      if not self._waiting:
        raise ValueError("a formula must open each parenthesis that it closes.")
      self._waiting.pop()
    elif token in _BINARY:
      self._apply_down_to(_STRENGTH[token])
      self._waiting.append(token)
      self._wants_value = True
    else:
      raise ValueError(f"a formula must have an operator before {token!r}.")

  def _read_value(self, token):
    if token.isdigit():
      self._numbers.append(int(token))
      self._values.append(fractions.Fraction(int(token)))
      self._wants_value = False
    elif token == "(":
      self._waiting.append(token)
    elif token in _SIGNS:
      self._waiting.append(_SIGNS[token])
    else:
      raise ValueError(f"a formula must have a number before {token!r}.")

  def finish(self) -> Formula:
    if self._wants_value:
      raise ValueError("a formula must end with a number or a parenthesis.")
    self._apply_down_to(_STRENGTH["("] + 1)
    if self._waiting:
      raise ValueError("a formula must close each parenthesis that it opens.")
    (value,) = self._values
    return Formula(value, tuple(self._numbers))

  def _apply_down_to(self, strength):
    """Applies what binds at least as strongly, from the last on."""
    while self._waiting and _STRENGTH[self._waiting[-1]] >= strength:
      name = self._waiting.pop()
      right = self._values.pop()
      if name in _BINARY:
        left = self._values.pop()
        if name == "/" and right == 0:
          raise ValueError("a formula must not divide by zero.")
        right = _BINARY[name](left, right)
      elif name == "minus":
        right = -right
      self._values.append(right)
