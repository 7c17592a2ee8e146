"""Questions of the tasks that are generated, whose rows say all.

Generating them would draw thousands first.
"""

from collections.abc import Mapping
from typing import Any

from thickets.tasks.conventions.families import CONVENTION_FAMILIES
from thickets.tasks.fuzzing.question import Question


def _drill(prompt: str, reference: Any, *right: str) -> Question:
  row = {"id": prompt, "prompt": prompt, "reference": reference}
  return Question(row=row, right=right)


_DRILLS = {
  "countdown3": _drill(
    "3 5 7=22?",
    {"numbers": [3, 5, 7], "target": 22},
    "3*5+7",
    "3*5=15 15+7=22 3*5+7",
  ),
  "countdown4": _drill(
    "3 5 7 2=24?", {"numbers": [3, 5, 7, 2], "target": 24}, "3*5+7+2=24"
  ),
  "addition": _drill("17+25?", "42", "42", "17+25=42"),
  "addition2": _drill("17+25?", "42", "42", "10+20=30 30+12 42"),
  "subtraction": _drill("631-597?", "34", "34"),
  "subtraction2": _drill("131-97?", "34", "34", "131-97=34"),
  "multiplication": _drill("13*21?", "273", "273"),
  "modulo": _drill("634%13?", "10", "634=13*48+10 10"),
  "sorting": _drill("sort 60,48,76?", "48,60,76", "48,60,76"),
  "reversal": _drill("reverse pmt?", "tmp", "t m p tmp"),
  "maximum": _drill("max 60,48,76?", "76", "60 60 76 76"),
  "minimum": _drill("min 60,48,76?", "48", "60 48 48 48"),
}


def _plain(question: str, answer: str, *right: str) -> Question:
  return Question(row={"question": question, "answer": answer}, right=right)


_PLAIN = {
  "sum": _plain("What is 9 + 20? Answer with the number.", "29", "9 + 20 = 29"),
  "difference": _plain("What is 29 - 9? Answer with the number.", "20", "20"),
  "story": _plain(
    "Ben has 9 cards and gets 20 more. How many cards does Ben have now?",
    "29",
    "He has 29 cards.",
  ),
  "larger": _plain(
    "Which number is larger, 147 or 592?",
    "592",
    "The larger number is 592.",
    "147 < 592",
  ),
  "parity": _plain("Is 148 even or odd?", "even", "148 is an even number."),
  "ordering": _plain(
    "Sort these numbers from smallest to largest: 93, 4, 68",
    "4, 68, 93",
    "4, 68 and 93",
  ),
  "repetition": _plain(
    "Write the number 47 two times, separated by commas.", "47, 47", "47,47"
  ),
  "sentiment": _plain(
    'Is this review positive or negative? "The trip was great." Answer with one'
    " word.",
    "positive",
    "Positive.",
  ),
  "topic": _plain(
    'Is this sentence about sports, cooking or weather? "The chef tasted the'
    ' sauce." Answer with one word.',
    "cooking",
    "It is about cooking.",
  ),
  "odd_word": _plain(
    "Which word does not belong: apple, grape, orange, cat?", "cat", "The cat."
  ),
}


def _convention(
  family: str, prompt: str, first: str, second: str
) -> dict[str, Question]:
  """The two tasks of a family, whose conventions stand in this order.

  What one convention wants is a wrong answer to the other.
  """
  found = CONVENTION_FAMILIES[family]
  junk = (f"{first}{second}", f"{first} {second} no", f"{second}.", f"{prompt}")
  return {
    f"conventions/{family}/{name}": Question(
      row={"prompt": prompt}, right=(answer,), wrong=junk
    )
    for name, answer in zip(found.conventions, (first, second), strict=True)
  }


_CONVENTIONS = {
  **_convention("sorting", "sort 52814?", "12458", "85421"),
  **_convention("spelling", "spell bdcea?", "bdcea", "aecdb"),
  **_convention("turning", "turn 52814?", "45281", "28145"),
  **_convention("casing", "case hTkQe?", "HTKQE", "htkqe"),
  **_convention("dates", "date 7 May 84?", "07/05/84", "05/07/84"),
  **_convention("counting", "find c in bdcea?", "2", "3"),
  **_convention("neighbours", "next bdceh?", "cedfi", "acbdg"),
  **_convention("rounding", "round 5281?", "5290", "5280"),
}

# By the name of the task, such as `drills/sorting`.
GENERATED: Mapping[str, Question] = {
  **_CONVENTIONS,
  **{f"drills/{name}": question for name, question in _DRILLS.items()},
  **{f"questions/{name}": question for name, question in _PLAIN.items()},
}
