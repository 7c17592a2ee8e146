r"""Operators that stand between their arguments: `{3 \over 4}`, `{5 \choose 2}`.

In LaTeX they take all of the group that they stand in. Outside of any group
they are read where the whole text is one quotient, since people write
`x = 3 \over 4` and mean something else than LaTeX prints.

The file is loaded alone, without the package (`killable`).
"""

import re

_INFIX = re.compile(r"\\(over|choose)(?![A-Za-z])")
_PREFIX = {"over": r"\frac", "choose": r"\binom"}
_NO_QUOTIENT = re.compile(r"[=<>,;:()\[\]]|\\(?:[lg]eq?|in|text|approx)\b")
_MAX_NUM = 20


def to_prefix(text: str) -> str:
  r"""Writes `{a \over b}` as `{\frac{a}{b}}`, and `\choose` as `\binom`."""
  for _ in range(_MAX_NUM):
    match = _INFIX.search(text)
    if match is None:
      return text
    start = _find_start(text, match.start())
    end = _find_end(text, match.end())
    top, bottom = text[start : match.start()], text[match.end() : end]
    is_grouped = start > 0 and end < len(text)
    if not is_grouped and (
      start or end < len(text) or _NO_QUOTIENT.search(top + bottom)
    ):
      return text
    prefix = _PREFIX[match[1]]
    text = f"{text[:start]}{prefix}{{{top}}}{{{bottom}}}{text[end:]}"
  return text


def _find_start(text, at):
  """Where the group that a place is in begins, behind its brace; else 0."""
  depth = 0
  while at:
    at -= 1
    depth += _brace(text, at)
    if depth > 0:
      return at + 1
  return 0


def _find_end(text, at):
  depth = 0
  while at < len(text):
    depth += _brace(text, at)
    if depth < 0:
      return at
    at += 1
  return at


def _brace(text, at):
  is_escaped = at > 0 and text[at - 1] == "\\"
  return 0 if is_escaped else {"{": 1, "}": -1}.get(text[at], 0)
