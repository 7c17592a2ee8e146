r"""What a question says about its unknowns.

A question names the letters that are variables of its own, so that a letter
behind a number is no unit; it may say in which order it asks for several
unknowns ("Determine $b$ and $c$"); and it may ask for a set, in which a number
counts once. This reads the wording of the question alone, never its answer.
"""

import re
from typing import NamedTuple

_MATHEMATICS = re.compile(
  r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL
)
_WORDS_IN_IT = re.compile(
  r"\\(?:text|mbox|mathrm|textrm|textbf|operatorname|begin|end)"
  r"\s*\{[^{}]*\}"
)
_COMMAND = re.compile(r"\\[A-Za-z]+")
# What may stand between the request and the names.
_BETWEEN = [
  "the",
  "all",
  "both",
  "each",
  "every",
  "possible",
  "real",
  "complex",
  "rational",
  "positive",
  "negative",
  "nonnegative",
  "non-negative",
  "integer",
  "integers",
  "integral",
  "prime",
  "natural",
  "number",
  "numbers",
  "value",
  "values",
  "of",
  "smallest",
  "largest",
  "least",
  "greatest",
  "minimum",
  "maximum",
  "minimal",
  "maximal",
  "constant",
  "constants",
  "function",
  "functions",
  "exact",
  "angle",
  "angles",
  "for",
  "which",
  "ordered",
  "pair",
  "pairs",
  "triple",
  "triples",
  "and",
  "are",
  "is",
  "a",
  "find",
  "x",
  "solution",
  "solutions",
  "measure",
  "measures",
]
_NAME = (
  r"(?:\\[A-Za-z]+\s*)?[A-Za-z]?'*(?:_(?:\{[^{}]*\}|\w))?"
  r"(?:\s*\([^()]*\))?"
)
_NAMES = re.compile(rf"\s*\(?\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\)?\s*")
_ASKS = re.compile(
  r"\b(?:find|determine|compute|calculate|evaluate|solve\s+for|what\s+(?:is|are)"
  r"|express)\b"
  rf"(?:\s+(?!numbers?\s+of\b)(?:{'|'.join(map(re.escape, _BETWEEN))})\b){{0,9}}\s*"
  r"(?P<names>\$[^$]+\$(?:(?:\s*,\s*|\s+)(?:and\s+|or\s+)?\$[^$]+\$)*"
  r"|(?:[A-Za-z]\s*,\s*)*[A-Za-z]\s*,?\s+and\s+[A-Za-z]\b)",
  re.IGNORECASE,
)
_ASKS_FOR_A_SET = re.compile(
  r"\b(?:find|determine|compute|give|state|describe|what\s+is|write)\s+the"
  r"\s+set\b|\bsolution\s+set\b",
  re.IGNORECASE,
)


class Unknowns(NamedTuple):
  """The unknowns of a question.

  Attributes:
    letters: the letters that its formulas have, in the order of the alphabet.
    asked: names that it asks for, in its order, in LaTeX; empty if unknown.
    is_set: whether it asks for a set.
  """

  letters: str
  asked: tuple[str, ...]
  is_set: bool


def read_unknowns(question: str) -> Unknowns:
  """Reads what a question says about its unknowns."""
  formulas = [
    "".join(filter(None, groups)) for groups in _MATHEMATICS.findall(question)
  ]
  letters: set[str] = set()
  for formula in formulas:
    bare = _COMMAND.sub(" ", _WORDS_IN_IT.sub(" ", formula))
    letters |= {c for c in bare if c.isascii() and c.isalpha()}
  asked: tuple[str, ...] = ()
  for match in _ASKS.finditer(question):
    asked = _divide(match["names"]) or asked
  if not asked and len(letters) == 1:
    asked = tuple(letters)
  is_set = _ASKS_FOR_A_SET.search(question) is not None
  return Unknowns("".join(sorted(letters)), asked, is_set)


def _divide(text):
  """Returns the names in formulas beside each other; empty if they are more."""
  names: list[str] = []
  if "$" not in text:
    text = " ".join(f"${name}$" for name in re.findall(r"\b[A-Za-z]\b", text))
  for formula in re.findall(r"\$([^$]+)\$", text):
    if not _NAMES.fullmatch(formula):
      return ()
    inner = formula.strip()
    if inner.startswith("(") and inner.endswith(")"):
      inner = inner[1:-1]
    depth, name = 0, ""
    for character in inner:
      depth += {"(": 1, ")": -1}.get(character, 0)
      if character == "," and not depth:
        names.append(name)
        name = ""
      else:
        name += character
    names.append(name)
  names = [name.strip() for name in names]
  return tuple(names) if all(names) and len(set(names)) == len(names) else ()
