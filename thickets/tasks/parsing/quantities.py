"""Numbers with what may stand around them: a currency, a unit, a percent sign.

A unit is dropped only where the text marks it: as `\\text{}` or the like, or by a
word of three letters. Words that make another number of the one before them are
no units: 5 million is not 5, and 5 or more is not read.

The file is loaded alone, without the package (`killable`).
"""

import re
from typing import Any

import sympy

from . import expressions, symbols
from .forms import Percent, tidy
from .notation import Token, Tokens, UnreadableError

_CURRENCY = Token("sign", "currency")
_PERCENT = Token("sign", "%")
# Words that may stand inside of a unit, though not at its beginning.
_JOINING = frozenset(["a", "cubed", "in", "of", "per", "squared", "the"])
_CURRENCIES = frozenset(["usd", "eur", "rs", "dollars"])


def read_quantities(tokens: Tokens) -> list[Any]:
  """Reads a number or expression; returns two if it has a sign ±.

  Raises:
    UnreadableError: if it is none, or what stands behind it is not a unit.
  """
  tokens = _drop_currency(tokens)
  tokens, scale = _drop_unit(tokens)
  is_percentage = tokens[-1:] == (_PERCENT,)
  if is_percentage:
    tokens = tokens[:-1]
  if not tokens:
    raise UnreadableError("a unit without a number")
  values = [tidy(scale * value) for value in expressions.read_values(tokens)]
  return [Percent(value) if is_percentage else value for value in values]


def _drop_currency(tokens):
  for at in (0, 1, len(tokens) - 1):
    if at < len(tokens) and (
      tokens[at] == _CURRENCY
      or (
        at == 0
        and tokens[at].kind == "text"
        and tokens[at].value.lower() in _CURRENCIES
      )
    ):
      if at == 1 and tokens[0] != Token("sign", "-"):
        break
      return tokens[:at] + tokens[at + 1 :]
  return tokens


def _drop_unit(tokens):
  """Returns the tokens before the unit, and what its words multiply by."""
  tokens = _drop_temperature(tokens)
  start = next(
    (at for at, token in enumerate(tokens) if _is_unit(token)), len(tokens)
  )
  unit, tokens = tokens[start:], tokens[:start]
  if not unit:
    return tokens, sympy.Integer(1)
  if not tokens:
    raise UnreadableError("words before the number")
  scale = sympy.Integer(1)
  wants_word = True
  for at, token in enumerate(unit):
    if _is_unit(token) and wants_word:
      words = re.findall("[A-Za-z]+", token.value) if token.value else []
      if at == 0 and words and words[0].lower() in symbols.SCALES:
        scale = sympy.Integer(symbols.SCALES[words.pop(0).lower()])
      elif at == 0 and token.value.lower() in ("percent", "per cent"):
        if len(unit) > 1:
          raise UnreadableError("words behind a percentage")
        return (*tokens, _PERCENT), scale
      _check_words(words)
      wants_word = False
    elif token.kind == "sign" and token.value in "*/" and not wants_word:
      wants_word = True
    elif token.kind == "power" and not wants_word:
      _check_power(token.parts[0])
    elif _is_unit(token):
      _check_words(re.findall("[A-Za-z]+", token.value))
    else:
      raise UnreadableError("something behind a unit")
  if wants_word:
    raise UnreadableError("a unit has no end")
  return tokens, scale


def _is_unit(token):
  return token.kind == "text" or (
    token.kind == "fraction"
    and all(
      part and all(inner.kind in ("text", "power") for inner in part)
      for part in token.parts
    )
  )


def _check_words(words):
  if words == ["in"]:
    return  # Inches, where nothing follows.
  for at, word in enumerate(words):
    if word.lower() in symbols.NO_UNITS and not (
      at and word.lower() in _JOINING
    ):
      raise UnreadableError(f"{word!r} is no unit")


def _check_power(exponent):
  if exponent and exponent[0] == Token("sign", "-"):
    exponent = exponent[1:]
  if not expressions.is_whole(exponent):
    raise UnreadableError("a unit has a strange power")


def _drop_temperature(tokens):
  scales = (Token("letter", "C"), Token("letter", "F"))
  if tokens[-2:-1] == (Token("sign", "°"),) and tokens[-1] in scales:
    return tokens[:-1]
  return tokens
