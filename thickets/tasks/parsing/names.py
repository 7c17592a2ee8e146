"""Names of unknowns, and the signs that divide an answer into parts.

The file is loaded alone, without the package (`killable`).
"""

from .notation import Token, Tokens, spell


def split(tokens: Tokens, *values: str) -> tuple[list[Tokens], list[str]]:
  """Divides tokens at signs outside of brackets; returns the signs as well."""
  parts: list[list[Token]] = [[]]
  signs, depth = [], 0
  for token in tokens:
    depth += {"open": 1, "close": -1}.get(token.kind, 0)
    if token.kind == "sign" and token.value in values and not depth:
      parts.append([])
      signs.append(token.value)
    else:
      parts[-1].append(token)
  return [tuple(part) for part in parts], signs


def is_point(tokens: Tokens) -> bool:
  """Whether tokens are a point of names, (x, y)."""
  return (
    len(tokens) > 3
    and tokens[0] == Token("open", "(")
    and tokens[-1] == Token("close", ")")
    and all(map(read_name, split(tokens[1:-1], ",")[0]))
  )


def read_name(tokens: Tokens) -> str | None:
  """Returns the name that tokens are, None if they are something else.

  Names are x, x', x_1, f(x), T(10), words, AB, and an angle ABC.
  """
  if not tokens:
    return None
  if all(token.kind == "text" for token in tokens):
    return " ".join(token.value for token in tokens).lower()
  if tokens[:2] == (Token("letter", "m"), Token("letter", "angle")):
    return read_name(tokens[1:])  # The measure of an angle.
  rest = _skip_letter(tokens)
  if rest is None or tokens[0].value in ("e", "i", "pi", "infty"):
    return None
  name = "".join(spell(tokens).split())
  if not rest:
    return name
  if rest[0] == Token("open", "("):
    is_call = rest[-1] == Token("close", ")") and len(rest) > 2
    return name if is_call and _closes_at_end(rest) else None
  is_figure = tokens[0].value in ("angle", "triangle")
  if is_figure and [token.kind for token in rest] == ["text"]:
    return name if rest[0].value.isupper() else None
  while rest:
    if not is_figure and not (
      tokens[0].value.isupper() and rest[0][1].isupper()
    ):
      return None
    rest = _skip_letter(rest)
    if rest is None:
      return None
  return name


def _skip_letter(tokens):
  if tokens[0].kind != "letter":
    return None
  tokens = tokens[1:]
  while tokens and (
    tokens[0].kind == "index" or tokens[0][:2] == ("sign", "'")
  ):
    tokens = tokens[1:]
  return tokens


def _closes_at_end(tokens):
  depth = 0
  for at, token in enumerate(tokens):
    depth += {"open": 1, "close": -1}.get(token.kind, 0)
    if not depth:
      return at == len(tokens) - 1
  return False
