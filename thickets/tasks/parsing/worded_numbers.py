"""The number that an answer in words and signs gives, with its unit.

Either all of an answer is understood, or it has no value: no part of a longer
number, of an expression, of a range or of several numbers is taken for it. A unit
may follow ("18 eggs", "18 km/h", "18 m^2"), but nothing that makes another number
of it ("18k", "5 million", "18 and a half", "3:30", "10 hours 30 minutes").

Percents and words such as dozen are a unit where the question asks for them, and
change the value elsewhere: `find_asked` says which of them a question asks for.
"""

import functools
import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from thickets.tasks.parsing import formulas, numerals

_SCALES = {
  "dozen": "dozens?",
  "hundred": "hundreds?",
  "thousand": "thousands?|thou|[kK](?![-&'])",
  "million": "millions?|mil|mio|mln|mn|M(?![-&'])",
  "billion": "billions?|bil|bn|B(?![-&'])",
  "trillion": "trillions?|tn|T(?![-&'])",
  "lakh": "lakhs?",
  "crore": "crores?",
  "grand": "grand",
  "percent": "%|percent(?:age)?|per cent|pct",
}
_SCALED = tuple(
  (name, re.compile(rf"(?:{words})(?![A-Za-z])"))
  for name, words in _SCALES.items()
)
_ASKED = {
  name: re.compile(
    rf"\b(?:how (?:many|much)(?: more)?|in) (?:\w+ )?{name}s?\b", re.IGNORECASE
  )
  for name in _SCALES
} | {
  "percent": re.compile(
    r"%|\b(?:percent|per cent|likel|probab|chance|rate\b)", re.IGNORECASE
  )
}
_PART = (
  "(?:half|third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth"
  "|hundredth|thousandth)"
)
# Next words that make another number of the one before them.
_CHANGED = re.compile(
  rf"(?:(?:and|&) (?:a |an |one )?{_PART}"
  r"|hal(?:f|ves)(?![ -]dollar)|(?:third|fourth|fifth|sixth|seventh|eighth|ninth"
  r"|tenth|hundredth|thousandth)s|plus|minus|squared|cubed|factorial|pi|divided"
  r"|multiplied|modulo|or (?:more|less|fewer|[a-z]+(?:teen|ty)|two|three)|[xXeinyz])(?![A-Za-z'-])"
)
_LETTERS_OF_UNITS = "mgLlshdcpFCNJWVA"
_OTHER_NUMBERS = re.compile(
  r"\b(?:or|at (?:least|most)|(?:dozen|hundred|thousand|[mbtr]+illion)s?|zero|two"
  r"|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six"
  r"|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\b",
  re.IGNORECASE,
)
_UNIT_POWER = re.compile(
  r"(?<=[A-Za-z]) ?(?:\^ ?[23]|[²³])(?![0-9])|(?<=[ckmd]m)[23]\b"
)
# After a number: an operator, and not the end of a tag, a font or a dash.
_OPERATOR = re.compile(
  r"[\^√!+±~≠≤≥\\]|<(?![</A-Za-z|])|\*(?![*_ ]*(?:$|[.,)\n]))(?![*_]* [A-Za-z])"
  r"|\* [A-Za-z0-9](?![A-Za-z])|-(?! ?[A-Za-z])|/(?![A-Za-z])"
)
# What the solutions of GSM8K hold for a calculator, before its result.
_CALCULATED = re.compile(r"<<[^<>\n]*>>(?= ?\$? ?[-0-9.])")
_TIMES = re.compile(r"(?<=[0-9)]) ?[xX] ?(?=[$(]{0,2}[0-9])")
_MARKUP = re.compile(r"</?[a-zA-Z|][^<>\n]*>")
_SENTENCE_END = re.compile(
  r"\.(?= +[A-Z]| *$)|(?<=[A-Za-z)])[!?](?= |$)|\n", re.MULTILINE
)
_NAME = re.compile(r"[A-Za-z ,.:*$()'_-]*")

_VALUE = re.compile(numerals.VALUE)
_LEAD = re.compile(r"[ $(\[*_:|\"]*(?P<sign>[-+]?)[ $(\[]*")
_WORDS = re.compile(
  r"[ (\[*]*[A-Za-z][A-Za-z ,.:*'()-]*?(?=[ :(\[*$]*[-+]?[ $(]*\.?[0-9])"
)
_NUMBER_AND_PERCENT = re.compile(r"([0-9]+)(?:\.([0-9]+))?(%?)")

_ANYWHERE = re.compile(rf"(?<!\w)(?<![0-9][.,])(?:{numerals.VALUE})")
_NEAR_CHARS = 120
_GAP = " $([*_"  # What may stand between a number and what it belongs to.
_LINE_START = re.compile(r"(?:^|\n) *(?:[0-9]+[.)]|[-*+>•#]+)?$")
_COMPOUND = (
  "(?:hours?|hrs?|h|minutes?|mins?|days?|weeks?|months?|years?|feet|foot|ft|yards?"
  "|yds?|miles?|dollars?|pounds?|lbs?|euros?|km|m|kg|meters?|metres?|kilometers?"
  "|kilograms?|grams?|gallons?|quarts?|pints?|cups?)"
)
# What before a number makes it a part of something longer.
_PART_OF_MORE = re.compile(
  r"(?:[\^_√±<≤≥≠\\/×+&]|(?<![->=])>|\\[A-Za-z]+|[0-9%$][,']|[0-9)]|[0-9)] ?x|[0-9]%"
  r"|\b(?:than|least|most|not|plus|minus|negative|times|(?:divid|multipli)ed by)"
  r"|[0-9]%?\)?(?:[ -]?[A-Za-z°.']+){0,2},? (?:and|or|&)"
  rf"|[0-9]%?(?: ?{_COMPOUND})? (?:to|through|till|until|by)"
  rf"|[0-9] ?{_COMPOUND}"
  r"|= ?-?[0-9.]+,? (?:and )?[a-z] ?=)$",
  re.IGNORECASE,
)
# A quantity in two units: what stands before the comma, and what behind it.
_LARGER = re.compile(rf"[0-9] ?{_COMPOUND},$", re.IGNORECASE)
_SMALLER = re.compile(
  rf" ?(?:{_COMPOUND}|inch(?:es)?|in|seconds?|secs?|cents?|ounces?|oz)(?![A-Za-z])",
  re.IGNORECASE,
)
_NEGATED = re.compile(r"(?:[=:,|(]|\b(?:is|are|be|equals|to|of))$")
_CLAIM = re.compile(
  r"(?:^|[\n:;]|\.\s|\b(?:is|so|thus|hence|therefore|then|get|have)\b)[ ,$(]*"
  r"(?P<left>[0-9][-+*/() $0-9.,]*)= *$"
)


class Reading(NamedTuple):
  """What was found where a number is written.

  Attributes:
    value: the exact value; None if what is written is not one number.
    is_plain: whether the number stands first, before any word.
  """

  value: Fraction | None
  is_plain: bool = False


@functools.lru_cache(maxsize=4096)
def find_asked(question: str) -> frozenset[str]:
  """Returns the scales that a question asks for, such as percent and dozen."""
  return frozenset(
    name for name, pattern in _ASKED.items() if pattern.search(question)
  )


def read_answer(text: str, asked: frozenset[str]) -> Reading | None:
  """Reads the first sentence of an answer, all of it.

  Words may stand before the number, and equations are read if they are true.

  Args:
    text: the answer.
    asked: what `find_asked` gives for the question.

  Returns:
    None if the sentence has no numeral.
  """
  text = _prepare(text).strip()
  if end := _SENTENCE_END.search(text):
    text = text[: end.start()]
  if not numerals.has_numeral(text):
    return None
  sides = text.split("=")
  *others, last = filter(numerals.has_numeral, sides)
  value, is_plain = _read_side(last, asked)
  if value is None or any(_evaluate(side) != value for side in others):
    return Reading(None)
  if not all(
    _NAME.fullmatch(side) for side in sides if not numerals.has_numeral(side)
  ):
    return Reading(None)
  return Reading(value, is_plain and len(sides) == 1)


def read_last(text: str, asked: frozenset[str]) -> Reading | None:
  """Reads the last number of a text, None if there is none.

  Args:
    text: any text.
    asked: what `find_asked` gives for the question.
  """
  text = _prepare(text)
  last_digit = max(map(text.rfind, "0123456789"))
  # From the start of a word shortly before it, which is most often enough.
  near = text.rfind(" ", 0, max(0, last_digit - _NEAR_CHARS)) + 1
  for start in (near, 0) if near else (0,):
    if found := list(_ANYWHERE.finditer(text, start)):
      return Reading(_read_in_text(text, found[-1], asked))
  return None


def _prepare(text):
  text = _MARKUP.sub("", _CALCULATED.sub("", numerals.simplify(text)))
  return _TIMES.sub(" * ", text)


def _read_side(side, asked):
  """Returns the value of a side of an equation, and whether it stands first."""
  is_plain, start = True, 0
  if words := _WORDS.match(side):
    if _PART_OF_MORE.search(words[0].strip()):
      return None, False
    is_plain, start = False, words.end()
  lead = _LEAD.match(side, start)
  assert lead is not None  # It may be empty.
  match = _VALUE.match(side, lead.end())
  if match is None:
    return None, False
  rest = side[match.end() :]
  if _changes_value(rest, asked, "$" in lead[0]) or _has_more(rest):
    return None, False
  value = numerals.to_value(match)
  return (-value if value and lead["sign"] == "-" else value), is_plain


def _has_more(rest):
  """Whether what follows a number and its unit holds another number or sign."""
  rest = _UNIT_POWER.sub("", rest)
  for _, pattern in _SCALED:
    if scaled := pattern.match(rest.lstrip(" ")):  # Asked for, or not here.
      rest = rest.lstrip(" ")[scaled.end() :]
  return bool(
    numerals.has_numeral(rest)
    or _OTHER_NUMBERS.search(rest)
    or any(
      c in "^\\_√" or unicodedata.category(c) in ("Sm", "Cc", "Cf", "Cs", "Co")
      for c in rest.replace("|", " ").rstrip(" *_>")
    )
  )


def _changes_value(rest, asked, is_money=False):
  """Whether what follows a number makes another number of it.

  Args:
    rest: the text behind the number.
    asked: scales that are units.
    is_money: whether a sign of a currency stands before the number.
  """
  rest = _UNIT_POWER.sub("", rest)
  if rest[:1].isnumeric() or re.match(r"[.,:;'/_+^*-]? ?[0-9]", rest):
    return True
  after = rest.lstrip(" ")
  if _OPERATOR.match(after):
    return True
  if after[:1].isnumeric() or "\u0370" <= after[:1] <= "\u03ff":
    return True
  word = after.lstrip(" -(*_")
  for name, pattern in _SCALED:
    if pattern.match(word):
      return name not in asked
  letters = re.match("[A-Za-z]+", rest)
  if letters and len(letters[0]) == 1 and letters[0] not in _LETTERS_OF_UNITS:
    return True
  if is_money and letters and letters[0] == "m":
    return True
  return bool(_CHANGED.match(word))


def _evaluate(side):
  """Returns the value of a formula of numbers and percents, None without one."""
  text = side.replace("$", " ").strip(" *_:|")
  text = re.sub(r"(?<=[0-9])[, '_](?=[0-9]{3}(?![0-9]))", "", text)
  try:
    return formulas.evaluate(_NUMBER_AND_PERCENT.sub(_spell_exactly, text))
  except ValueError:
    return None


def _spell_exactly(match):
  whole, places, percent = match[1], match[2] or "", match[3]
  digits = (whole + places).lstrip("0") or "0"
  scale = 10 ** (len(places) + 2 * bool(percent))
  return digits if scale == 1 else f"({digits}/{scale})"


def _read_in_text(text, match, asked):
  """Returns the value of a number in a text, None if it is a part of more."""
  before, rest = text[: match.start()][-_NEAR_CHARS:], text[match.end() :]
  if _changes_value(rest, asked, before[-1:] == "$"):
    return None
  value = numerals.to_value(match)
  gap = before[len(before.rstrip(_GAP)) :]
  before = before.rstrip(_GAP)
  if value is None or _is_multiplied(before, gap):
    return None
  if _LARGER.search(before) and _SMALLER.match(rest):
    return None
  if not gap and re.search("[0-9]:$", before):
    return None
  if before[-1:] in ("-", "+"):
    sign = _read_sign(before, is_glued=" " not in gap)
    return None if sign is None else sign * value
  if _LINE_START.search(before):
    return value
  claim = _CLAIM.search(before)
  is_false = claim and _evaluate(claim["left"]) not in (None, value)
  return None if is_false or _PART_OF_MORE.search(before) else value


def _is_multiplied(before, gap):
  """Whether an asterisk before a number is an operator rather than a font."""
  if "*" not in gap or _LINE_START.search(before):
    return False
  return before[-1:] in "0123456789)" or gap[0] == "*" or "* " in gap


def _read_sign(before, *, is_glued):
  """Returns 1 or -1 for the sign at the end, None for an operator or a range."""
  sign = -1 if before[-1] == "-" else 1
  left = before[:-1]
  if not left.strip(" ") or left.rstrip(" $(*")[-1:] == "\n":
    return sign if is_glued else 1  # Else the bullet of a list.
  is_free = left[-1] in " $(*=:,|"
  left = left.rstrip(" $(*")
  if (
    not is_free or _PART_OF_MORE.search(left) or re.search(r"[0-9] ?\w+$", left)
  ):
    return None
  is_negated = is_glued or _NEGATED.search(left)
  return sign if is_negated else 1  # Else a dash.
