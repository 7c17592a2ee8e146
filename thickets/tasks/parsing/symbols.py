r"""What the signs, commands and words of mathematical answers stand for.

The file is loaded alone, without the package (`killable`).
"""

import re

_GREEK = [
  "alpha",
  "beta",
  "gamma",
  "delta",
  "epsilon",
  "zeta",
  "eta",
  "theta",
  "iota",
  "kappa",
  "lambda",
  "mu",
  "nu",
  "xi",
  "rho",
  "sigma",
  "tau",
  "upsilon",
  "phi",
  "chi",
  "psi",
  "omega",
  "Gamma",
  "Delta",
  "Theta",
  "Lambda",
  "Xi",
  "Pi",
  "Sigma",
  "Upsilon",
  "Phi",
  "Psi",
  "Omega",
]

# Written by one character, read as LaTeX.
_UNICODE = {
  "\u2212": "-",
  "\ufe63": "-",
  "\uff0d": "-",
  "×": r"\times ",
  "·": r"\cdot ",
  "⋅": r"\cdot ",
  "∙": r"\cdot ",
  "∗": "*",
  "÷": r"\div ",
  "≤": r"\le ",
  "⩽": r"\le ",
  "≥": r"\ge ",
  "⩾": r"\ge ",
  "≠": r"\ne ",
  "≈": r"\approx ",
  "∞": r"\infty ",
  "√": r"\sqrt ",
  "±": r"\pm ",
  "∓": r"\mp ",
  "°": r"^{\circ}",
  "º": r"^{\circ}",
  "∪": r"\cup ",
  "∩": r"\cap ",
  "∈": r"\in ",
  "∅": r"\emptyset ",
  "∖": r"\setminus ",
  "∠": r"\angle ",
  "ℝ": r"\mathbb{R}",
  "ℤ": r"\mathbb{Z}",
  "⌊": r"\lfloor ",
  "⌋": r"\rfloor ",
  "⌈": r"\lceil ",
  "⌉": r"\rceil ",
  "⟨": r"\langle ",
  "⟩": r"\rangle ",
  "′": "'",
  "²": "^{2}",
  "³": "^{3}",
  "½": r"\frac{1}{2}",
  "¼": r"\frac{1}{4}",
  "¾": r"\frac{3}{4}",
  "π": r"\pi ",
  "ϕ": r"\phi ",
  "€": r"\$",
  "£": r"\$",
  "，": ",",
  "~": r"\,",
  **dict.fromkeys(
    "\u00a0\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f", r"\,"
  ),
  **dict.fromkeys("\u2002\u2003\u3000", " "),
  **dict.fromkeys("\u200b\u2060\ufeff", ""),
}
_UNICODE |= {
  letter: rf"\{name} "
  for name, letter in zip(
    _GREEK, "αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", strict=True
  )
}
_TABLE = str.maketrans(_UNICODE)
# Delimiters of mathematics; an escaped dollar is a currency.
_DELIMITERS = re.compile(r"(?<!\\)\$|(?<!\\)\\[()]|(?<!\\)\\[\[\]]")
_ROOT = re.compile(r"√[ ]*([0-9]+|[A-Za-z])|\\sqrt[ ]*([0-9]{2,})")
_AT_MOST = re.compile(r"(?<![<>=!])([<>])=(?![<>=])")
# A dash is a minus where no number stands before it.
_DASH = re.compile(r"(^|[(,=\[{]) *[\u2010-\u2013] ?(?=[0-9.\\])")
# Equations in rows, as a list.
_ROWS = re.compile(
  r"\\begin\{(cases|aligned|gathered|align\*)\}(.*?)\\end\{\1\}", re.DOTALL
)
_ALIGNED = re.compile(r"&(?=\s*(?:[=<>]|\\[lg]eq?(?![A-Za-z])))")
_THIN_SPACE = re.compile(r"\\(?:thin|med|thick)space(?![A-Za-z])\s*")
# Letters that in text, behind a number, are units.
UNIT_LETTERS = frozenset("mshgLlNJWVAKCF")

SKIPPED = frozenset(
  [
    *("left", "right", "middle", "displaystyle", "textstyle", "limits"),
    *("big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr"),
    *("biggl", "biggr", "Biggl", "Biggr", "quad", "qquad", "nolimits"),
    *("thinspace", "medspace", "thickspace", "enspace", "negthinspace"),
    *(",", ";", ":", "!", " ", "\n", "therefore"),
  ]
)
BRACKETS = {
  "{": ("open", "{"),
  "}": ("close", "}"),
  "lbrace": ("open", "{"),
  "rbrace": ("close", "}"),
  "lfloor": ("open", "⌊"),
  "rfloor": ("close", "⌋"),
  "lceil": ("open", "⌈"),
  "rceil": ("close", "⌉"),
  "langle": ("open", "("),
  "rangle": ("close", ")"),
  "lbrack": ("open", "["),
  "rbrack": ("close", "]"),
  "lparen": ("open", "("),
  "rparen": ("close", ")"),
}
SIGN_CHARACTERS = dict(zip("+-*/!=<>,;:|'%", "+-*/!=<>,;:|'%", strict=True))
SIGNS = {
  "times": "*",
  "cdot": "*",
  "ast": "*",
  "div": "/",
  "pm": "±",
  "mp": "∓",
  "le": "<=",
  "leq": "<=",
  "leqslant": "<=",
  "ge": ">=",
  "geq": ">=",
  "geqslant": ">=",
  "lt": "<",
  "gt": ">",
  "ne": "!=",
  "neq": "!=",
  "in": "in",
  "approx": "≈",
  "simeq": "≈",
  "cup": "∪",
  "cap": "∩",
  "setminus": "∖",
  "backslash": "∖",
  "circ": "∘",
  "degree": "°",
  "land": "and",
  "wedge": "and",
  "lor": "or",
  "vee": "or",
  "mid": "|",
  "vert": "|",
  "lvert": "|",
  "rvert": "|",
  "%": "%",
  "$": "currency",
  "pounds": "currency",
  "euro": "currency",
  "prime": "'",
  "colon": ":",
}
FUNCTIONS = frozenset(
  [
    *("sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "lg", "exp"),
    *("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
  ]
)
LETTERS = {name: name for name in _GREEK} | {
  "pi": "pi",
  "varphi": "phi",
  "varepsilon": "epsilon",
  "vartheta": "theta",
  "infty": "infty",
  "emptyset": "emptyset",
  "varnothing": "emptyset",
  "angle": "angle",
  "measuredangle": "angle",
  "triangle": "triangle",
  "max": "max",
  "min": "min",
  "gcd": "gcd",
  "lcm": "lcm",
  "ell": "ell",
}
LETTERS_BY_NAME = {
  name: name for name in _GREEK if len(name) > 2 and name != "eta"
} | {"pi": "pi", "infty": "infty", "infinity": "infty"}
# Commands whose argument is words, and those that only change its look.
WORDS = frozenset(
  [
    *("text", "mbox", "hbox", "textrm", "textbf", "textit", "textsf", "texttt"),
    *("textnormal", "mathrm", "rm", "operatorname", "emph", "textup"),
  ]
)
FONTS = frozenset(
  [
    *("mathbf", "boldsymbol", "bm", "mathit", "mathsf", "boxed", "fbox"),
    *("underline", "ensuremath", "bf"),
  ]
)
ACCENTS = frozenset(
  [
    *("overline", "bar", "vec", "hat", "widehat", "tilde", "overrightarrow"),
    *("mathbb", "mathcal", "mathfrak", "mathscr"),
  ]
)
TWO_ARGUMENTS = {
  "frac": "fraction",
  "dfrac": "fraction",
  "tfrac": "fraction",
  "cfrac": "fraction",
  "binom": "binomial",
  "dbinom": "binomial",
  "tbinom": "binomial",
}

SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
SCALES["trillion"] = 10**12
# Words behind a number that make another of it; all others name its unit.
NO_UNITS = frozenset(
  [
    "a",
    "about",
    "approximately",
    "around",
    "at",
    "above",
    "base",
    "below",
    "between",
    "but",
    "by",
    "cubed",
    "different",
    "dozen",
    "dozens",
    "double",
    "each",
    "either",
    "equal",
    "even",
    "except",
    "exactly",
    "factorial",
    "few",
    "fifth",
    "fifths",
    "for",
    "fourth",
    "fourths",
    "from",
    "greater",
    "gross",
    "half",
    "halves",
    "if",
    "in",
    "infinity",
    "integer",
    "integers",
    "is",
    "least",
    "less",
    "likely",
    "many",
    "minus",
    "mod",
    "modulo",
    "more",
    "most",
    "much",
    "negative",
    "neither",
    "no",
    "none",
    "nor",
    "not",
    "odd",
    "of",
    "one",
    "or",
    "over",
    "per",
    "percent",
    "plus",
    "points",
    "power",
    "quarter",
    "quarters",
    "ratio",
    "remainder",
    "root",
    "score",
    "scores",
    "several",
    "sixth",
    "sixths",
    "some",
    "squared",
    "st",
    "nd",
    "rd",
    "th",
    "than",
    "third",
    "thirds",
    "through",
    "thousand",
    "million",
    "billion",
    "trillion",
    "hundred",
    "hundreds",
    "hundredth",
    "hundredths",
    "tenth",
    "tenths",
    "thousandth",
    "thousandths",
    "times",
    "to",
    "triple",
    "twice",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "twenty",
    "under",
    "unless",
    "until",
    "up",
    "where",
    "when",
    "with",
    "without",
    "and",
    "pi",
    "pair",
    "pairs",
    "am",
    "p",
    "o",
    "pm",
  ]
)


def spell_out(text: str) -> str:
  """Writes what has a character of its own as LaTeX, without delimiters."""
  text = _AT_MOST.sub(_spell_at_most, _DASH.sub(r"\1-", text))
  text = _ROWS.sub(_spell_rows, _THIN_SPACE.sub(r"\\,", text))
  # All digits behind a root are meant, though LaTeX prints \\sqrt13 otherwise.
  text = _ROOT.sub(r"\\sqrt{\1\2}", text).translate(_TABLE)
  text = _DELIMITERS.sub(" ", text).replace("**", "^")
  return text.replace("\\tfrac", "\\frac").strip()


def _spell_at_most(match):
  return r"\le " if match[1] == "<" else r"\ge "


def _spell_rows(match):
  rows = _ALIGNED.sub(" ", match[2])
  if "&" in rows:
    return match[0]  # The cases of a function.
  return ", ".join(filter(str.strip, rows.split("\\\\")))
