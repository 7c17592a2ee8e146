r"""Other spellings of an answer, and answers that differ in one character."""

import re
from collections.abc import Iterator
from fractions import Fraction

_PLAIN_FRACTION = re.compile(r"\\d?frac\{([0-9]+)\}\{([0-9]+)\}")
_ANY_FRACTION = re.compile(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}")
_ONE_CHARACTER = re.compile(r"\\frac\{([^{}]+)\}\{([0-9a-z])\}")
_NUMBER_ALONE = re.compile(r"-?[0-9]+")
_LONG_NUMBER = re.compile(r"[1-9][0-9]{3,}")
_ROOT = re.compile(r"\\sqrt\{([0-9]+)\}")
_INTERVAL = re.compile(r"([(\[])([^,()\[\]]+),([^,()\[\]]+)([)\]])")
_BRACKET = re.compile(r"(?<![\\a-zA-Z|])([()\[\]])")

# (what is replaced, by what), each alone.
_CHANGES = (
  ("-", "\u2212"),
  (r"\pi", "π"),
  (r"\infty", "∞"),
  (r"\cup", "∪"),
  (r"\in ", "∈"),
  (r"\cdot", r"\times"),
  (r"\cdot", "·"),
  (r"\cdot", "*"),
  (r"\pm", "±"),
  (r"\geqslant", "≥"),
  (r"\geqslant", r"\ge"),
  (r"\frac", r"\dfrac"),
  (r"\frac", r"\tfrac"),
  (r"^{\circ}", "°"),
  (r"^\circ", "°"),
  (r"^\circ", r"^{\circ}"),
  (r"^\circ", r"\text{ degrees}"),
  (r"^\circ", r"\degree"),
  (r"\%", "%"),
  (r"\text", r"\mathrm"),
  (r"\text", r"\textbf"),
  (r"\mbox", r"\text"),
  (r"pmatrix", "bmatrix"),
  (r"\lfloor", r"\left\lfloor"),
  (" ", "  "),
  ("=", " = "),
  (r"\{", r"\left\{"),
  (r"\}", r"\right\}"),
)


def respell(
  answer: str, *, is_unordered: bool = False, unknown: str = "x"
) -> Iterator[str]:
  """Writes an answer in other notations with the same meaning.

  Args:
    answer: an answer in LaTeX, without dollars.
    is_unordered: whether a list may be in any order.
    unknown: name of the unknown in an inequality.
  """
  yield from (f"${answer}$", f"{{{answer}}}", f"{{{{{answer}}}}}")
  yield f"{answer.rstrip('.')}."
  yield from (
    f"\\displaystyle {answer}",
    f"\\boxed{{{answer}}}",
    f" {answer}\\,",
  )
  yield from (f"\\({answer}\\)", f"**{answer}**", f"\\quad {answer}")
  for old, new in _CHANGES:
    if old in answer:
      yield answer.replace(old, new)
  if not re.search(r"\\(left|text|mbox|begin)|\\[a-z]*\[", answer):
    yield _BRACKET.sub(_sized, answer)
  yield _ROOT.sub(r"\\sqrt{{\1}}", answer)
  yield _ROOT.sub(r" √\1", answer)
  yield _ROOT.sub(r" sqrt(\1)", answer)
  yield _ONE_CHARACTER.sub(r"\\frac{\1}\2", answer)
  if not re.search(r"[0-9] ?\\frac", answer):  # No mixed number.
    yield _ANY_FRACTION.sub(r"{((\1)/(\2))}", answer)
  yield from _respell_numbers(answer)
  yield from _respell_lists(answer, is_unordered)
  yield from _respell_intervals(answer, unknown)


def _sized(match):
  side = "left" if match[1] in "([" else "right"
  return f"\\{side}{match[1]}"


def _respell_numbers(answer):
  if _NUMBER_ALONE.fullmatch(answer):
    yield from (f"\\text{{{answer}}}", f"\\mathbf{{{answer}}}", f"{answer}.0")
    yield from (f"\\textbf{{{answer}}}", f"{answer}\\text{{ apples}}")
    yield from (f"\\mathrm{{{answer}}}", f"\\frac{{{answer}}}{{1}}")
    yield from (f"2({answer})/2", f"{answer}\\text{{ cm}}^2", f"\\${answer}")
    yield f"{answer} = {answer}"
  if _LONG_NUMBER.fullmatch(answer):
    for separator in (
      *(",", "{,}", "\\,", "\\!", ",\\!", "\\;", "\\:", "\u2009", "\u202f"),
      *("\u00a0", ",\\! "),
    ):
      yield f"{int(answer):,}".replace(",", separator)
  if match := _PLAIN_FRACTION.fullmatch(answer):
    top, bottom = map(int, match.groups())
    yield from (
      f"{top}/{bottom}",
      f"{2 * top}/{2 * bottom}",
      f"{top} \\div {bottom}",
    )
    whole, rest = divmod(top, bottom)
    if whole and rest:
      yield f"{whole}\\frac{{{rest}}}{{{bottom}}}"
      yield f"{whole} {rest}/{bottom}"
      yield f"{whole}\\ {rest}/{bottom}"
    if _is_decimal(Fraction(top, bottom)):
      yield f"{top / bottom:.12f}".rstrip("0")


def _is_decimal(value):
  return 10**12 % value.denominator == 0


def _respell_lists(answer, is_unordered):
  if re.search(r"[()\[\]{}\\=]", answer) or "," not in answer:
    return
  items = [item.strip() for item in answer.split(",")]
  if len(items) == 2 and len(items[1]) == 3:
    return  # Which is a number with a comma.
  yield ", ".join(items)
  yield " ; ".join(items)
  yield f"{', '.join(items[:-1])}, \\text{{ and }} {items[-1]}"
  yield f"{', '.join(items[:-1])} \\text{{ and }} {items[-1]}"
  if is_unordered:
    yield ",  ".join(reversed(items))
    yield f"\\{{{', '.join(items)}\\}}"


def _respell_intervals(answer, x):
  match = _INTERVAL.fullmatch(re.sub(r"\\left|\\right", "", answer))
  if not match or not re.search(r"infty|[\[\]]", answer):
    return
  opening, start, end, closing = match.groups()
  low = "<" if opening == "(" else r"\le "
  high = "<" if closing == ")" else r"\le "
  if "infty" in end:
    yield f"{x} {'>' if opening == '(' else '≥'} {start}"
    yield f"{start} {low} {x}"
    yield f"{x} \\in {opening}{start}, +{end.strip()}{closing}"
  elif "infty" in start:
    yield f"{x} {high} {end}"
  else:
    yield f"{start} {low} {x} {high} {end}"
    left = ">" if closing == ")" else r"\geq "
    right = ">" if opening == "(" else r"\geq "
    yield f"{end} {left}{x} {right} {start}"
  yield f"{x} \\in {opening}{start}, {end}{closing}"


def mutate(answer: str) -> Iterator[str]:
  """Writes an answer with one digit, sign, letter or bracket changed."""
  skipped = {
    at
    for match in re.finditer(r"\\[a-z]+(\{[a-zA-Z() ]*\})?", answer)
    for at in range(*match.span())
  }
  for at, character in enumerate(answer):
    if at in skipped:
      continue
    for other in _others(character):
      yield answer[:at] + other + answer[at + 1 :]
    if character.isdigit():
      yield answer[:at] + character + answer[at:]
      yield answer[:at] + answer[at + 1 :]
  yield f"-{answer}"
  for word in ("east", "even", "ellipse", "Evelyn", "Navin"):
    if word in answer:
      yield answer.replace(word, word[:-1] + "x")
  for old, new in (
    (r"\geqslant", ">"),
    (r"\geqslant", r"\le"),
    (r"\in ", r"\notin "),
    (r"\pi", "e"),
    (r"\lfloor", r"\lceil"),
    (r"\cup", r"\cap"),
    (r"\pm", "+"),
    (r"\sqrt", ""),
    (r"\infty", "7"),
    (r"\%", ""),
  ):
    if old in answer:
      yield answer.replace(old, new)


def _others(character):
  if character.isdigit():
    return [str((int(character) + step) % 10) for step in (1, 3, 8)]
  if character.isalpha():
    return ["q" if character != "q" else "v", "7"]
  return {
    "+": ["-"],
    "-": ["+"],
    "(": ["["],
    "[": ["("],
    ")": ["]"],
    "]": [")"],
    "<": [">", r"\le "],
    ",": [" ", ";"],
    "/": ["*", " "],
    "^": ["_", " "],
    "!": [""],
  }.get(character, [])
