r"""One number as people write it: its notation, without what stands around it.

`simplify` takes away notation that changes no value: fonts, dollars, spacing
commands, boxes, and the many signs for one operation. `VALUE` matches a number in
what is left, and `to_value` computes it:

* digits, which may be grouped in threes by commas (also `{,}` and `,\!`), spaces
  of any kind (also `\,` and `\!`), apostrophes or underscores, one kind in one
  number, and a decimal point;
* a fraction of two of these, `36/2` or `\frac{36}{2}`;
* a mixed number of whole numbers, `1 1/4`.

Digits are those of ASCII. Others stay in the text, where they are no number.
"""

import re
from fractions import Fraction

_MAX_DIGITS = 40  # A number with more is not read.

_SPACES = "\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
_SPACES += "\u200a\u202f\u205f\u3000"
_SIGNS = str.maketrans(
  {
    **dict.fromkeys("−‐‑‒–﹣－", "-"),
    **dict.fromkeys("×·⋅∙∗", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("€£¥₹", "$"),
    **dict.fromkeys("’′ʼ", "'"),
    **dict.fromkeys("＄", "$"),
    **dict.fromkeys(_SPACES, " "),
    # These have no width, so that nobody sees them.
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", None),
    "—": " - ",
    "＝": "=",
    "`": None,
    "\r": None,
  }
)
_FONTS = (
  r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:bf|it|rm|sf|tt)|mbox|fbox|boxed"
  r"|operatorname|underline|emph|bm|boldsymbol) ?(?=\{)"
)
# From LaTeX, in this order; braces that are left over are spaces.
_LATEX = tuple(
  (re.compile(pattern), plain)
  for pattern, plain in (
    (r"\{,\}|, ?\\[,!;: ]", ","),
    (r"\\[,!;: ]|~|\\(?:thinspace|enspace|quad|qquad)(?![A-Za-z])", " "),
    (_FONTS, ""),
    (r"\\(?:left|right|displaystyle|Large|large|bf)(?![A-Za-z])", ""),
    (r"\\[()\[\]]", " "),
    (r"\\(?:times|cdot|ast)(?![A-Za-z])", "*"),
    (r"\\div(?![A-Za-z])", "/"),
    (r"\\([$%&#_])", r"\1"),
    (r"\^ ?\{? ?\\circ ?\}?|\\degree(?![A-Za-z])", "°"),
    (r"\\approx(?![A-Za-z])", "≈"),
    (r"(?<=[0-9]) ?(?=\\[dtc]?frac)", " "),
    (r"\\[dtc]?frac ?([0-9]) ?([0-9])", r"\1/\2 "),
    (
      r"\\[dtc]?frac ?\{ ?\{? ?([0-9.,]+) ?\}? ?\} ?\{ ?\{? ?([0-9.,]+) ?\}? ?\}",
      r"\1/\2 ",
    ),
    (r"\} ?\{", r" \\ "),  # Two arguments of one command that is not read.
    (r"[{}]", " "),
  )
)
_BOLD = re.compile(r"(?<![0-9)])(?:\*\*|__)|(?:\*\*|__)(?![0-9(])")
_BLANKS = re.compile("[ ]{2,}")

_GROUPED = "|".join(
  rf"[1-9][0-9]{{0,2}}(?:{separator}[0-9]{{3}})+(?![0-9])"
  for separator in (",", " ", "'", "_")
)
_NUMBER = rf"(?:(?:{_GROUPED})(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
VALUE = (
  r"(?:(?P<whole>[0-9]+) (?:and )?(?P<above>[1-9][0-9]*)/(?P<below>[1-9][0-9]*)"
  rf"|(?P<top>{_NUMBER})(?: ?/ ?(?P<bottom>{_NUMBER}))?)"
)


def simplify(text: str) -> str:
  """Returns a text without the notation that changes no number in it."""
  text = text.translate(_SIGNS)
  if "\\" in text or "{" in text or "~" in text:
    for pattern, plain in _LATEX:
      text = pattern.sub(plain, text)
  return _BLANKS.sub(" ", _BOLD.sub("", text))


def has_numeral(text: str) -> bool:
  """Whether a text has a digit or another numeral of whatever script."""
  return any(map(str.isnumeric, text))


def to_value(match: re.Match[str]) -> Fraction | None:
  """Computes what `VALUE` matched.

  Returns:
    The exact value; None for too many digits, a division by zero, or a mixed
    number of which the fraction is not below one.
  """
  try:
    if match["whole"]:
      part = _to_number(match["above"]) / _to_number(match["below"])
      return _to_number(match["whole"]) + part if part < 1 else None
    return _to_number(match["top"]) / _to_number(match["bottom"] or "1")
  except (ValueError, ZeroDivisionError):
    return None


def _to_number(text):
  digits = re.sub("[, '_]", "", text)
  if len(digits) > _MAX_DIGITS:
    raise ValueError("too many digits")
  return Fraction(digits)
