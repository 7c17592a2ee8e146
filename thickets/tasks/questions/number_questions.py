"""Questions about whole numbers: sums, stories, comparisons, lists of numbers.

The answer to a sum, a difference or a story is the last number of a response,
whether or not what stands before it is right: if false equations were refused, the
vote would be a verifier. Which of two numbers is larger is said by a claim ("592 is
larger than 147", "The larger number is 592", "592 > 147"), or by naming one of the
two alone, first or last in the response. Claims that contradict each other, and both
numbers without a claim, are no answer. Whether a number is even is said by naming one of the two words. A list is
the last one in a response of at least two numbers with commas, or "and", between
them.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.parsing import numerals
from thickets.tasks.questions import word_questions
from thickets.tasks.questions.kinds import Question, QuestionKind

_NUMBER = re.compile(
  r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
)
_MAX_CHARS = 16  # A longer number is no answer.

_LIST = re.compile(
  r"(?<![\w.])[0-9]{1,12}(?:(?:, ?and |,| and ) ?[0-9]{1,12})+(?!\w)"
)

_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Jack", "Lucy", "Tom")
_THINGS = ("apples", "books", "cards", "coins", "marbles", "pencils", "stamps")

_LARGER = r"(?:larger|greater|bigger|higher|largest|greatest|biggest|highest)"
_SMALLER = r"(?:smaller|less|lower|smallest|least|lowest)"
_GAP, _MAYBE_GAP = r"\W{1,9}", r"\W{0,9}"
_NOUN = rf"(?:{_GAP}(?:numbers?|one|value|of the two|of these))*"
# A question that the response itself answers with no.
_REFUSED = re.compile(r"[^.?!\n]{0,200}\?\W{1,9}no\b", re.IGNORECASE)
_ADVERB = (
  r"(?:the|a|an|clearly|also|much|far|definitely|indeed|actually|obviously"
  r"|therefore)"
)


def _draw_sum(draw: StableRandom) -> Question:
  one, other = draw.between(2, 40), draw.between(2, 40)
  # Once in this order, so that no sum is asked twice.
  left, right = max(one, other), min(one, other)
  return Question(
    f"What is {left} + {right}? Answer with the number.", str(left + right)
  )


def _draw_difference(draw: StableRandom) -> Question:
  left, right = draw.between(2, 40), draw.between(2, 40)
  return Question(
    f"What is {left + right} - {left}? Answer with the number.", str(right)
  )


def _draw_story(draw: StableRandom) -> Question:
  name, things = draw.choose(_NAMES), draw.choose(_THINGS)
  has, change = draw.between(2, 40), draw.between(2, 20)
  if draw.uniform() < 0.5:
    what, answer = f"has {has} {things} and gets {change} more", has + change
  else:
    what = f"has {has + change} {things} and gives away {change} of them"
    answer = has
  return Question(
    f"{name} {what}. How many {things} does {name} have now?", str(answer)
  )


def _draw_larger(draw: StableRandom) -> Question:
  left, right = draw.between(10, 999), draw.between(10, 998)
  right += right >= left  # Another number, each with the same probability.
  return Question(
    f"Which number is larger, {left} or {right}?", str(max(left, right))
  )


def _draw_parity(draw: StableRandom) -> Question:
  number = draw.between(10, 999)
  return Question(f"Is {number} even or odd?", "odd" if number % 2 else "even")


def _draw_ordering(draw: StableRandom) -> Question:
  numbers: list[int] = []
  # A list that is in order already would be answered by its echo.
  while len({*numbers}) < 3 or numbers == sorted(numbers):
    numbers = [draw.between(1, 99) for _ in range(3)]
  return Question(
    f"Sort these numbers from smallest to largest: {_join(numbers)}",
    _join(sorted(numbers)),
  )


def _draw_repetition(draw: StableRandom) -> Question:
  number, times = draw.between(10, 999), draw.choose(("two", "three", "four"))
  count = {"two": 2, "three": 3, "four": 4}[times]
  return Question(
    f"Write the number {number} {times} times, separated by commas.",
    _join([number] * count),
  )


def _join(numbers: Sequence[object]) -> str:
  return ", ".join(map(str, numbers))


def read_last_number(question: str, response: str) -> str | None:
  """Reads the last number of a response, such as "29"; "29.5" is "59/2".

  A minus sign belongs to it unless a number stands before the sign.

  Args:
    question: not looked at.
    response: any text.
  """
  del question
  text = numerals.simplify(response)
  found = (list(_NUMBER.finditer(text)) or [None])[-1]
  if found is None or len(found[0]) > _MAX_CHARS:
    return None
  value = Fraction(found[0].replace(",", ""))
  before = text[: found.start()]
  is_negative = before.endswith("-") and not re.search(r"[\w)] ?-$", before)
  return str(-value if is_negative else value)


def read_last_list(question: str, response: str) -> str | None:
  """Reads the last list of numbers of a response, such as "4, 68, 93".

  Args:
    question: not looked at.
    response: any text.
  """
  del question
  lists = _LIST.findall(numerals.simplify(response))
  return _join(re.findall("[0-9]+", lists[-1])) if lists else None


def read_larger(question: str, response: str) -> str | None:
  """Reads which of the two numbers of the question a response calls larger.

  Args:
    question: a question with two whole numbers.
    response: any text.
  """
  numbers = re.findall("[0-9]+", question)
  if len(numbers) != 2:
    return None
  text = _REFUSED.sub(" ", numerals.simplify(response))
  claims = {
    number
    for number, other in (numbers, numbers[::-1])
    if _claims_larger(text, number) or _claims_smaller(text, other)
  }
  if not claims:
    named = {n for n in numbers if re.search(_word(n), text)}
    claims = {
      n for n in named if len(named) == 1 and _stands_at_an_end(text, n)
    }
  return claims.pop() if len(claims) == 1 else None


def _stands_at_an_end(text: str, number: str) -> bool:
  """Whether a number begins or ends a text, but for punctuation.

  In the midst of a sentence, which may have been cut off, it is no answer yet; at
  its end it is one if a full stop or the end of the response says so.
  """
  n = _word(number)
  if re.search(r"\bnot\b|n't\b|\bneither\b", text, re.IGNORECASE):
    return False
  return bool(
    re.match(rf"\W{{0,9}}{n}", text)
    or re.search(rf"\b(?:is|be|=|:){_MAYBE_GAP}{n}\W{{0,9}}$", text)
    or re.search(rf"{n}\W{{0,9}}[.!*]\W{{0,9}}$", text)
  )


def _claims_larger(text: str, number: str) -> bool:
  return _claims(text, number, _LARGER, ">", "<")


def _claims_smaller(text: str, number: str) -> bool:
  return _claims(text, number, _SMALLER, "<", ">")


def _claims(text, number, adjective, sign, reverse) -> bool:
  """Whether a text says that a number is the larger one, or the smaller one."""
  n, other = _word(number), r"(?<![\w.,])[0-9]+(?!\w|[.,][0-9])"
  among = rf"(?:{_GAP}(?:between|of|among|from){_GAP}{other}{_GAP}(?:and|or){_GAP}{other})?"
  verb = rf"(?:is|would{_GAP}be|has)"
  return any(
    re.search(pattern, text, re.IGNORECASE)
    for pattern in (
      rf"{n}{_GAP}{verb}{_GAP}(?:{_ADVERB}{_GAP})*{adjective}\b",
      rf"(?<!not )\b{adjective}{_NOUN}{among}{_MAYBE_GAP}"
      rf"(?:(?:{verb}\b|=|:){_MAYBE_GAP})(?:{_ADVERB}{_GAP})*{n}",
      rf"{n} ?{sign} ?{other}",
      rf"{other} ?{reverse} ?{n}",
      rf"{n}{_GAP}exceeds{_GAP}{other}" if sign == ">" else r"(?!)",
      rf"{other}{_GAP}exceeds{_GAP}{n}" if sign == "<" else r"(?!)",
    )
  )


def _word(number: str) -> str:
  """A pattern for a number that is no part of a longer one."""
  return rf"(?<![\w.,]){number}(?!\w|[.,][0-9])"


NUMBER_QUESTIONS = {
  "sum": QuestionKind(_draw_sum, read_last_number),
  "difference": QuestionKind(_draw_difference, read_last_number),
  "story": QuestionKind(_draw_story, read_last_number),
  "larger": QuestionKind(_draw_larger, read_larger),
  "parity": QuestionKind(_draw_parity, word_questions.read_named),
  "ordering": QuestionKind(_draw_ordering, read_last_list),
  "repetition": QuestionKind(_draw_repetition, read_last_list),
}
