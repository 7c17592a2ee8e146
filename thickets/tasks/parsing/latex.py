r"""Reads mathematical answers and compares them; runs in a killable process.

An answer is read in three steps: its notation becomes tokens (`notation`), these
an answer (`answers`, with `quantities`, `relations` and `expressions`), and an
answer has one form (`forms`). From the form follow both the key of a vote and
the verdict (`equality`), so that answers with the same key have the same
verdict, and a key does not depend on the reference. Equal answers that the form
does not bring together merely have different keys; unequal ones never have the
same. What is not understood as a whole is not read at all: in a box it is its
own key, and right only where the reference is the same text; outside there is
no vote.

math-verify (0.9.0, with latex2sympy2_extended 1.11.0) reads what the grammar of
`expressions` leaves out, which is sums, products, integrals and limits over a
variable, and decides whether these are equal. It is not asked about anything else, since it reads 3 4 as 7, 2(3) as 5, 10\,000 as 0 and
4=5 as 5, drops a last letter as a unit, and compares lists as sets.

The file is loaded alone, without the package (`killable`), and so are the files
that it imports from its own folder.
"""

import functools
import logging
import re
from typing import Any

import math_verify
import sympy

from . import answers, equality, forms, names, notation
from .forms import Listing, Named, Region

# Its time limits are signals, which only a main thread may use: our caller
# limits the time instead, and need not be reminded.
logging.getLogger("math_verify").setLevel(logging.ERROR)

_OVER_A_VARIABLE = re.compile(r"\\(?:sum|prod|int|lim)(?![A-Za-z])")
# Bare dollars delimit mathematics; escaped ones are a currency.
_DOLLAR = re.compile(r"(?<!\\)\$")
# Those of ASCII: a thin space may be part of a number.
_SPACE = " \t\n\r\f\v"
_SPACES = re.compile(f"[{_SPACE}]+")
_SHORT_WORD = re.compile(r"(?<![A-Za-z])(?!or|pi)[A-Za-z]{2}(?![A-Za-z])")
_PAUSE = re.compile(r" ?([,;:]) ?")

# What a question says: its letters, the names it asks for, whether for a set.
Question = tuple[str, tuple[str, ...], bool]
NO_QUESTION: Question = ("", (), False)


def read_answer(
  text: str, is_answer: bool, question: Question = NO_QUESTION
) -> str | None:
  """Returns the key of an answer, None if a text holds none.

  Args:
    text: an answer.
    is_answer: whether the text is an answer in any case, as in a box. Then a
      text that cannot be read is its own key, after a question mark.
    question: what the question says; see `unknowns.Unknowns`.
  """
  question = _freeze(question)
  found = _find(text, question)
  if found is None or (not is_answer and _is_prose(found, text)):
    return f"? {_bare(text, question)}" if is_answer else None
  return _key(found, question)


def _is_prose(found, text):
  """Whether a text seems to be words that were not meant as mathematics."""
  if "\\" in text or "$" in text:
    return False
  return isinstance(found, forms.Word) or _SHORT_WORD.search(text) is not None


def agree(
  text: str,
  is_answer: bool,
  reference: str,
  tolerance: float,
  question: Question = NO_QUESTION,
) -> bool:
  """Whether an answer is right; a function of its key and the reference.

  Args:
    text: an answer.
    is_answer: whether the text is an answer in any case; see `read_answer`.
    reference: the right answer, in LaTeX.
    tolerance: largest difference of a number that is still right.
    question: what the question says; see `unknowns.Unknowns`.
  """
  question = _freeze(question)
  key = read_answer(text, is_answer, question)
  if key is None:
    return False
  if key == read_answer(reference, True, question):
    return True
  found, wanted = _find(text, question), _find(reference, question)
  if found is None or wanted is None:
    return False
  letters, _, _ = question
  try:
    return equality.is_right(
      found,
      wanted,
      letters=letters,
      asked=_asked(question),
      tolerance=tolerance,
    )
  except (ArithmeticError, TypeError, ValueError):
    return False  # Sympy could not compute it.


def _freeze(question):
  letters, asked, is_set = question
  return letters, tuple(asked), bool(is_set)


def _key(found, question):
  asked = _asked(question)
  if not asked and isinstance(found, Named) and isinstance(found.value, Region):
    return forms.spell(found.value)  # The interval that it describes.
  return forms.spell(found, *(asked if len(asked) == 1 else ()))


@functools.lru_cache(maxsize=4096)
def _asked(question: Question) -> tuple[str, ...]:
  """The names that a question asks for, as answers spell them."""
  found = []
  for name in question[1]:
    try:
      found.append(names.read_name(notation.tokenize(name)))
    except notation.UnreadableError:
      return ()
  return () if None in found else tuple(found)


@functools.lru_cache(maxsize=4096)
def _find(text: str, question: Question) -> Any:
  """Reads a text into its form; returns None if it cannot be read."""
  text = _clean(text)
  try:
    if _OVER_A_VARIABLE.search(text):
      return _ask_math_verify(text)
    tokens = notation.tokenize(text, frozenset(question[0]))
    return _arrange(answers.read(tokens), question)
  except (
    ArithmeticError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,  # An `UnreadableError` is one.
  ):
    return None  # Or sympy could not compute it: 1/0 in a set, say.


def _clean(text):
  text = _SPACES.sub(" ", _DOLLAR.sub(" ", text)).strip(_SPACE)
  text = text.strip("*").rstrip("\\ ")
  return text if text.endswith("..") else text.removesuffix(".").rstrip("\\ ")


def _bare(text, question):
  """A text that could not be read, with what does not count taken away."""
  try:
    return notation.spell(
      notation.tokenize(_clean(text), frozenset(question[0]))
    )
  except notation.UnreadableError:
    return _PAUSE.sub(r"\1 ", _clean(text))


def _ask_math_verify(text: str) -> Any:
  limits: Any = {"parsing_timeout": None}  # Declared as a number there.
  found = math_verify.parse(
    f"${text}$",
    [math_verify.LatexExtractionConfig()],
    fallback_mode="no_fallback",
    **limits,
  )
  if not found or not isinstance(found[0], sympy.Expr):
    return None
  symbols: Any = found[0].free_symbols
  value = found[0].xreplace(
    {f: sympy.Rational(str(f)) for f in found[0].atoms(sympy.Float)}
    | {s: sympy.Symbol(s.name, real=True) for s in symbols}
  )
  return forms.tidy(value)


def _arrange(answer: Any, question: Question) -> Any:
  """Gives a list the order, or the lack of one, that the question asks for."""
  asked = _asked(question)
  if isinstance(answer, Named) and isinstance(answer.value, Listing):
    value = _arrange_list(answer.value, (), question[2])
    return Named(answer.name, value)
  if not isinstance(answer, Listing):
    return answer
  return _arrange_list(answer, asked, question[2])


def _arrange_list(answer, asked, is_set):
  items = answer.items
  if answer.kind == "assignments":
    values = {item.name: item.value for item in items}
    if len(asked) > 1 and set(values) == set(asked):
      return Listing("ordered", tuple(values[name] for name in asked))
    return answer
  if is_set and answer.kind in ("list", "set"):
    items = tuple({forms.spell(item): item for item in items}.values())
    if len(items) == 1:
      return items[0]
  if (
    answer.kind in ("list", "tuple")
    and len(items) == len(asked) > 1
    and not any(isinstance(item, (Listing, Named, Region)) for item in items)
  ):
    return Listing("ordered", items)
  return Listing(answer.kind, items)
