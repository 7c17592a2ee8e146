r"""GSM8K: grade-school word problems with a number as the answer.

Rules `standard`: the answer is what stands on the line of the last "####" that is
followed by a numeral, up to the end of the sentence, and one that is read as a
number has the form. Without such a line, the lenient answer is that of the last
complete `\boxed{}` with a numeral, else the last number in the last 2000
characters. Either all of an answer is read, or it is refused and the response has
no vote: "18k", "17-18" and "18 or 19" are not 18. `parsing.worded_numbers` says what
is read, and `parsing.numerals` how numbers may be written. Numbers are compared by
their exact values: 18, 18.0, "18.", $18, 36/2 and "18 eggs" are one answer and one
vote. A percentage is its number where the question asks for a percentage, and
refused elsewhere; "3 dozen" is 3 where the question asks how many dozen.

Rules `paper` are the authors' (`utils/reward_score/gsm8k.py`, which is verl's, and
`data_handlers/gsm8k.py`). In the last 300 characters they take the text of digits,
dots and commas after the last "#### ", without its commas; if that text is not
equal to the reference, they take the last such text anywhere, with its commas. So
"18." and "18.0" are not 18, and "1,800" is 1800 only after "####". The vote is the
first of the two texts that exists, right or wrong, and is judged after a "####"
of its own; `correct` looks at both.
"""

import re

from thickets.tasks.base import (
  Example,
  Grade,
  Row,
  Source,
  Task,
  ask,
  shorten_vote,
)
from thickets.tasks.parsing import boxed, numerals, worded_numbers

_MARK = "####"
_REQUEST = (
  "Think step by step. At the end, write the final answer as a single number"
  f' after "{_MARK}".'
)
_MAX_TAIL_CHARS = 2000
_MAX_MARKS = 50  # Marks that are looked at, from the last on.
_MAX_MARKED_CHARS = 400  # Characters that are looked at after a mark.
_MAX_PAPER_CHARS = 300

_FIRST_SIGN = re.compile(r"[^\W_]")  # A letter or a numeral.
_NUMERAL = re.compile(r"[0-9][0-9.,]*")
_PAPER_MARKED = re.compile(r"#### (-?[0-9.,]+)")
_PAPER_ANYWHERE = re.compile(r"-?[0-9.,]+")


def grade_standard(example: Example, response: str) -> Grade:
  """Grades by our rules; the score is 1 for `correct`, else 0."""
  asked = worded_numbers.find_asked(example.messages[-1].text)
  reading = _read_marked(response, asked)
  is_marked = reading is not None
  if reading is None and (box := boxed.find_box(response)) is not None:
    reading = worded_numbers.read_answer(box, asked)
  if reading is None:
    reading = worded_numbers.read_last(response[-_MAX_TAIL_CHARS:], asked)
  if reading is None or reading.value is None:
    return Grade(0.0, False, False, None, False)
  has_form = is_marked and reading.is_plain
  right = str(reading.value) == example.reference["value"]
  correct = right and has_form
  return Grade(
    float(correct), correct, right, shorten_vote(str(reading.value)), has_form
  )


def grade_paper(example: Example, response: str) -> Grade:
  """Grades by the authors' rules; the score is 1 or 0."""
  reference = example.reference["text"]
  marked, last = _paper_marked(response), _paper_last(response)
  correct = _paper_reward(response, reference)
  vote = last if marked is None else marked
  return Grade(
    score=float(correct),
    correct=correct,
    lenient=bool(vote) and _paper_reward(f"{_MARK} {vote}", reference),
    vote=shorten_vote(vote) if vote else None,
    format=marked is not None,
  )


def _read_marked(response, asked):
  """Reads what follows the last mark that is followed by a numeral."""
  end = len(response)
  for _ in range(_MAX_MARKS):
    end, next_mark = response.rfind(_MARK, 0, end), end
    if end < 0:
      return None
    start = end + len(_MARK)
    line = _find_line(
      response[start : min(next_mark, start + _MAX_MARKED_CHARS)]
    )
    simple = numerals.simplify(line)
    first = _FIRST_SIGN.search(simple)
    # Words before one number are passed over; several are read, or refused.
    if first and (first[0].isnumeric() or len(_NUMERAL.findall(simple)) > 1):
      return worded_numbers.read_answer(line, asked)
  return None


def _find_line(text):
  """Returns the first line with a letter or a numeral, "" if there is none."""
  for line in text.split("\n"):
    if _FIRST_SIGN.search(line):
      return line
  return ""


def _paper_reward(response, reference):
  found = (_paper_marked(response), _paper_last(response))
  return reference != "" and reference in found


def _paper_marked(response):
  found = _PAPER_MARKED.findall(response[-_MAX_PAPER_CHARS:])
  return found[-1].replace(",", "") if found else None


def _paper_last(response):
  found = _PAPER_ANYWHERE.findall(response[-_MAX_PAPER_CHARS:])
  # The last that is not a lone dot, or else the first, which is one.
  numbers = [text for text in found if text != "."]
  return (numbers[-1:] or found[:1] or [None])[0]


def make_example(row: Row, number: int) -> Example:
  """Makes an example; its id is its number."""
  question, answer = row["question"], row["answer"]
  if not isinstance(question, str) or not question.strip():
    raise ValueError(f"question must be a text, got {question!r}.")
  if not isinstance(answer, str) or _MARK not in answer:
    raise ValueError(
      f"answer must be a text with the result behind {_MARK}, got {answer!r}."
    )
  text = answer.rpartition(_MARK)[2].strip()
  reading = worded_numbers.read_answer(text, frozenset())
  value = None if reading is None else reading.value
  if text and value is None:
    raise ValueError(f"answer must end in a number, got {text!r}.")
  return Example(
    id=str(number),
    messages=ask(f"{question}\n\n{_REQUEST}"),
    reference={
      "text": text.replace(",", ""),
      "value": "" if value is None else str(value),
    },
  )


TASK = Task(
  name="gsm8k",
  fields=("question", "answer"),
  make_example=make_example,
  graders={"standard": grade_standard, "paper": grade_paper},
  max_new_tokens=1024,
  train=Source("openai/gsm8k", name="main", split="train"),
  test=Source("openai/gsm8k", name="main", split="test"),
  question="question",
  blank={"answer": _MARK},  # An empty result.
  version=2,
)
