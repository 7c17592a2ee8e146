"""Responses made to break graders; what is made depends on a seed alone."""

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator, Mapping

from thickets.tasks.fuzzing.question import Question

_TAGS = ("answer", "think", "code", "b", "answer answer")
_DIGITS = (
  "٠١٢٣٤٥٦٧٨٩",
  "０１２３４５６７８９",
  "०१२३४५६७८९",
  "⁰¹²³⁴⁵⁶⁷⁸⁹",
  "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
)
_CONTROLS = "\0\a\b\x1b\x7f\x85\r\n\t\v\f\x1c"
_UNSEEN = "\u202e\u202d\u2066\u200b\u200d\ufeff\u00ad\u0301\u2028\u2029"
_SURROGATES = "\ud800\udfff\udc80"

Maker = Callable[[random.Random], str]
Change = Callable[[random.Random, str], str]


def _times(rng: random.Random, *counts: int) -> int:
  return rng.choice(counts)


def _tower(rng):
  power = rng.choice(["**", "^", "!", "<<", "^{"])
  inner = power.join([rng.choice("9(1-")] * _times(rng, 3, 9, 500))
  return _tagged(rng, inner + "9")


def _parentheses(rng):
  opened, closed = rng.choice(["()", "[]", "{}", ("\\left(", "\\right)")])
  count = _times(rng, 10, 150, 10_000)
  closing = rng.choice([count, count - 1, count + 1, 0])
  return _tagged(rng, opened * count + rng.choice("19x") + closed * closing)


def _huge_integer(rng):
  digits = rng.choice("19") * _times(rng, 30, 4301, 100_000)
  return _tagged(rng, rng.choice(["", "-", "0", "1e", "0x", "."]) + digits)


def _other_digits(rng):
  digits = rng.choice(_DIGITS)
  number = "".join(rng.choices(digits, k=rng.randrange(1, 6)))
  return _tagged(rng, number + rng.choice(["", "+" + number, "/" + number]))


def _unclosed(rng):
  tag = rng.choice(_TAGS)
  opening = rng.choice([f"<{tag}>", f"</{tag}>", f"<{tag}", "\\boxed{", "```"])
  return opening * _times(rng, 1, 50, 20_000) + rng.choice(["", "1", "x = 2"])


def _nested(rng):
  text = rng.choice("17x")
  for _ in range(_times(rng, 2, 5, 300)):
    text = _tagged(rng, text)
  return text


def _latex(rng):
  start, end = rng.choice(
    [
      ("\\frac{", "}{2}"),
      ("\\sqrt{", "}"),
      ("\\frac1", ""),
      ("{", "}"),
      ("\\text{", "}"),
      ("x^{", "}"),
      ("\\binom{9}{", "}"),
    ]
  )
  count = _times(rng, 3, 30, 5_000)
  return _tagged(rng, f"{start * count}1{end * rng.choice([count, count - 1])}")


def _code(rng):
  code = rng.choice(
    [
      "while True: pass",
      "import os; os.kill(os.getppid(), 9)",
      "def f(n):\n  return f(n + 1)\nf(0)",
      "x = 'a' * 10**12",
      "raise SystemExit(0)",
      "__import__('os').system('true')",
      "class A:\n  def __eq__(self, other): return True",
      "print('\\x00' * 10**6)",
      "def " + "a" * 5000 + "(): pass",
    ]
  )
  return rng.choice([f"<answer>{code}</answer>", f"```python\n{code}\n```"])


def _bytes(rng):
  raw = rng.randbytes(2 * rng.randrange(1, 200))
  return raw.decode(rng.choice(["latin-1", "utf-16-le"]), "surrogatepass")


def _characters(rng):
  alphabet = rng.choice(
    [
      "<>/answer ",
      "0123456789+-*/() =",
      "{}\\boxed$^_1,",
      "ABCDE, ->",
      "# \n1.",
    ]
  )
  return "".join(rng.choices(alphabet, k=rng.randrange(400)))


def _invisible(rng):
  alphabet = rng.choice([_CONTROLS, _UNSEEN, _SURROGATES])
  return "".join(rng.choices(alphabet + "1A<", k=rng.randrange(1, 200)))


def _megabyte(rng):
  piece = rng.choice(
    [
      " ",
      "\n",
      "A ",
      "a,",
      "1",
      "9 ",
      "(",
      "<",
      "<answer>",
      "</think>\n<answer>",
      "\\boxed{",
      "= ",
      "####",
      "#### 1",
      "1,",
      "$",
      "```python\n",
      "is $",
      "\0",
      "answer is ",
      "1+",
    ]
  )
  return (piece * (1_000_000 // len(piece))) + rng.choice(["", "1", "x"])


def _division(rng):
  zero = rng.choice(["0", "(1-1)", "0.0", "(3-3*1)"])
  return _tagged(rng, f"{rng.randrange(99)}{rng.choice('/%')}{zero}")


def _tagged(rng, text):
  shape = rng.randrange(6)
  if shape == 0:
    return text
  if shape == 1:
    return f"\\boxed{{{text}}}"
  if shape == 2:
    return f"#### {text}"
  if shape == 3:
    return f"The answer is ${text}$."
  tag = rng.choice(_TAGS)
  return f"<{tag}>{text}</{tag}>"


# What holds no right answer, unless by a chance that is next to none.
JUNK: Mapping[str, Maker] = {
  "tower": _tower,
  "parentheses": _parentheses,
  "huge_integer": _huge_integer,
  "other_digits": _other_digits,
  "unclosed": _unclosed,
  "latex": _latex,
  "code": _code,
  "bytes": _bytes,
  "invisible": _invisible,
  "megabyte": _megabyte,
  "division": _division,
}
# What may by chance.
CHANCES: Mapping[str, Maker] = {"nested": _nested, "characters": _characters}


def _cut(rng, text):
  return text[rng.randrange(len(text) + 1) :][: rng.randrange(len(text) + 1)]


def _mutate(rng, text):
  for _ in range(rng.randrange(1, 5)):
    at = rng.randrange(len(text) + 1)
    inserted = rng.choice(
      ["", "0", "-", ")", "<", "\0", "\ud800", ",", "E", "="]
    )
    text = text[:at] + inserted + text[at + rng.randrange(2) :]
  return text


def _insert_invisible(rng, text):
  at = rng.randrange(len(text) + 1)
  return text[:at] + _invisible(rng) + text[at:]


def _change_digits(rng, text):
  return text.translate(str.maketrans("0123456789", rng.choice(_DIGITS)))


def _repeat(rng, text):
  return rng.choice(["", "\n", " "]).join([text] * _times(rng, 2, 7, 400))


def _wrap(rng, text):
  return _tagged(rng, text)


def _pad(rng, text):
  pad = rng.choice([" ", "\n", "\t", "0"]) * _times(rng, 1, 30, 5_000)
  return rng.choice([pad + text, text + pad, text.replace(">", ">" + pad)])


def _splice(rng, text):
  name = rng.choice([name for name in JUNK if name != "megabyte"])
  at = rng.randrange(len(text) + 1)
  return text[:at] + JUNK[name](rng) + text[at:]


# Of a response, right or wrong; what comes out may be right.
CHANGES: Mapping[str, Change] = {
  "cut": _cut,
  "mutate": _mutate,
  "insert_invisible": _insert_invisible,
  "change_digits": _change_digits,
  "repeat": _repeat,
  "wrap": _wrap,
  "pad": _pad,
  "splice": _splice,
  "case": lambda rng, text: rng.choice([text.upper(), text.lower()]),
}


@dataclasses.dataclass(frozen=True)
class Attack:
  """One hostile response.

  Attributes:
    kind: how it was made.
    text: the response.
    is_wrong: made to be wrong: must not be credited.
    is_junk: holds no right answer in the form that was asked for.
    rules: the rule set that it is wrong for; None for all of them.
  """

  kind: str
  text: str
  is_wrong: bool = False
  is_junk: bool = False
  rules: str | None = None


def handmade(question: Question) -> Iterator[Attack]:
  """Each kind of junk, and each answer that was written by hand."""
  rng = random.Random(0)
  for name, make in {**JUNK, **CHANCES}.items():
    for _ in range(5):
      yield Attack(name, make(rng), is_junk=name in JUNK)
  for text in question.right:
    yield Attack("right", text)
  for text in question.wrong:
    yield Attack("wrong", text, is_wrong=True)
  for text in question.confusing:
    yield Attack("confusing", text, is_wrong=True, rules="standard")
  for text in (
    "",
    " ",
    "\n",
    "None",
    "nan",
    "inf",
    "-inf",
    "<answer></answer>",
  ):
    yield Attack("empty", text, is_wrong=True)


def fuzz(question: Question, seed: str) -> Iterator[Attack]:
  """Endless attacks; `seed` names them."""
  for number in itertools.count():
    yield _fuzz_one(question, random.Random(f"{seed} {number}"))


def _fuzz_one(question, rng):
  shape = rng.randrange(100)
  if shape < 1:
    return Attack("megabyte", _megabyte(rng), is_junk=True)
  if shape < 25:
    name = rng.choice([name for name in JUNK if name != "megabyte"])
    return Attack(name, JUNK[name](rng), is_junk=True)
  if shape < 35:
    name = rng.choice(list(CHANCES))
    return Attack(name, CHANCES[name](rng))
  if shape < 60 and question.make_wrong is not None:
    return Attack("made_wrong", question.make_wrong(rng), is_wrong=True)
  names = rng.choices(list(CHANGES), k=rng.randrange(1, 4))
  text = rng.choice([*question.right, *question.wrong, ""])
  for name in names:
    text = CHANGES[name](rng, text)[:1_000_000]
  return Attack("+".join(names), text)
