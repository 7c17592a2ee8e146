r"""GSM8K: grade-school word problems with a number as the answer.

Rules `standard`: the answer is the number after the last "####" that is followed
by one, and a response that has it has the form. White space, dollars, asterisks
or an opening box may stand in between. Anything may follow except more digits or
an operation, which would make it another number. Without such a number, the
lenient answer is the number in the last `\boxed{}`, else the last number in the
last 2000 characters. Numbers are compared by their exact values: 18, 18.0, "18.",
$18 and 36/2 are one answer and one vote, and commas may set thousands apart. A
number has at most 40 ASCII digits.

Rules `paper` are the authors' (`utils/reward_score/gsm8k.py`, which is verl's, and
`data_handlers/gsm8k.py`). In the last 300 characters they take the text of digits,
dots and commas after the last "#### ", without its commas; if that text is not
equal to the reference, they take the last such text anywhere, with its commas. So
"18." and "18.0" are not 18, and "1,800" is 1800 only after "####". The vote is the
first of the two texts that exists, right or wrong, and is judged after a "####"
of its own; `correct` looks at both.
"""

import re
from fractions import Fraction

from thickets.tasks.base import (
  Example,
  Grade,
  Row,
  Source,
  Task,
  ask,
  shorten_vote,
)

_MARK = "####"
_REQUEST = (
  "Think step by step. At the end, write the final answer as a single number"
  f' after "{_MARK}".'
)
_MAX_TAIL_CHARS = 2000
_MAX_MARKS = 50  # Marks that are looked at, from the last on.
_MAX_MARKED_CHARS = 120  # Characters that are looked at after a mark.
_MAX_DIGITS = 40
_MAX_PAPER_CHARS = 300

_DECIMAL = (
  r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
)
_SIGN = r"[-+]?\\?\$?[-+]?"
_VALUE = (
  rf"(?:(?P<sign>{_SIGN})\\[dt]?frac\{{(?P<top>{_DECIMAL})\}}"
  rf"\{{(?P<bottom>{_DECIMAL})\}}"
  rf"|(?P<sign2>{_SIGN})(?P<whole>{_DECIMAL})(?:\s?/\s?(?P<part>{_DECIMAL}))?)"
  # Not cut out of a longer number (of whatever digits), power or product.
  r"(?!\d|[.,]\d|[eE][-+]?[0-9]|[!²³¼½¾]|\s?x\s?[0-9]"
  r"|\s*(?:[*×·^/]+|\\times|\\cdot|\\div)\s*[-(\\]?[0-9]"
  # Nor of digits in groups, nor of a number that goes on in words.
  r"|[ _'’\u00a0\u202f][0-9]{3}(?![0-9])"
  r"|\s*(?:dozen|hundred|thousand|million|billion)\b)"
)
_MARKED = re.compile(
  r"(?:\s|\*\*|\\\(|\\boxed\{|\$(?=\\))*+"
  + _VALUE
  + r"(?!\s*[-+=]\s*[(]?[0-9])"
)
_ANYWHERE = re.compile(r"(?<!\w)(?<![0-9][.,])" + _VALUE)
_PAPER_MARKED = re.compile(r"#### (-?[0-9.,]+)")
_PAPER_ANYWHERE = re.compile(r"-?[0-9.,]+")


def grade_standard(example: Example, response: str) -> Grade:
  """Grades by our rules; the score is 1 for `correct`, else 0."""
  value = _find_marked(response)
  has_form = value is not None
  if value is None:
    value = _find_boxed(response)
  if value is None:
    value = _find_last(response[-_MAX_TAIL_CHARS:])
  if value is None:
    return Grade(0.0, False, False, None, False)
  right = str(value) == example.reference["value"]
  correct = right and has_form
  return Grade(
    float(correct), correct, right, shorten_vote(str(value)), has_form
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


def _find_marked(response):
  """Returns the value after the last mark that is followed by one."""
  end = len(response)
  for _ in range(_MAX_MARKS):
    end = response.rfind(_MARK, 0, end)
    if end < 0:
      return None
    start = end + len(_MARK)
    behind = response[start : start + _MAX_MARKED_CHARS].replace("−", "-")
    match = _MARKED.match(behind)
    if match and (value := _to_value(match)) is not None:
      return value
  return None


def _find_boxed(response):
  start = response.rfind("\\boxed{")
  if start < 0:
    return None
  content = response[start + len("\\boxed{") :][:_MAX_MARKED_CHARS]
  # Braces within are a fraction's, say; an unclosed box ends with its line.
  return _find_last(re.split(r"\}(?!\{)[^{}]*$|\n", content)[0])


def _find_last(text):
  text = text.replace("−", "-")
  last_digit = max(text.rfind(digit) for digit in "0123456789")
  # From the start of a word shortly before it, which is most often enough.
  near = text.rfind(" ", 0, max(0, last_digit - _MAX_MARKED_CHARS)) + 1
  for start in (near, 0) if near else (0,):
    found = [_to_value(match) for match in _ANYWHERE.finditer(text, start)]
    values = [value for value in found if value is not None]
    if values:
      return values[-1]
  return None


def _to_value(match):
  """Returns the exact value; None for too many digits or a division by zero."""
  if len(match[0]) > 2 * _MAX_DIGITS:
    return None
  top, bottom = (
    (match["top"], match["bottom"])
    if match["top"]
    else (match["whole"], match["part"] or "1")
  )
  try:
    value = _to_fraction(top) / _to_fraction(bottom)
  except (ValueError, ZeroDivisionError):
    return None
  sign = match["sign"] or match["sign2"] or ""
  return -value if sign.count("-") == 1 else value


def _to_fraction(text):
  digits = text.replace(",", "")
  if len(digits) > _MAX_DIGITS:
    raise ValueError("too many digits")
  return Fraction(digits)


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
  value = _find_marked(f"{_MARK} {text}")
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
)
