"""Drills as tasks: small exercises made by a procedure, without any data.

The language model that ships with the package was pretrained on the families of
`families`. Each family is a task of its own, `drills/countdown3` and so on, and
asks what was held out from the training (`held_out`).

* **The form asked for.** A question does not say how it should be answered, and
  pretraining answers it in several manners. A response has the form if it is
  made of their characters and has at most 200 of them. The answer is the last
  word, or one side of it if that word is an equation; it is found in a response
  of any form.
* **Vote key.** For a countdown, the exact value of the formula if it uses each
  number once; any other response has no vote. This is the paper's rule, as in
  `countdown`: two formulas with the same value support each other. It makes the
  vote nearly a verifier, since formulas that miss the target rarely agree. For
  the other families, the answer.
* There is one rule set, `standard`: the paper has no such tasks. The score is 1
  for a right answer and 0 otherwise.

The message of a prompt is the question, `3 5 7=22?`. The model was trained on
the question, the answer right behind it, and the end token.
"""

import functools
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from thickets.tasks import base
from thickets.tasks.base import Example, Grade, Row, Task
from thickets.tasks.drills import held_out
from thickets.tasks.drills.families import DRILL_FAMILIES, TASK_PREFIX
from thickets.tasks.parsing import formulas

_MAX_WORD = 64  # Characters in an answer.
# No answer of the corpus is longer, with its end token.
_MAX_NEW_TOKENS = {"countdown3": 56, "countdown4": 80}

_ANSWERS = {  # What the answers to a family look like, in ASCII.
  "sorting": re.compile(r"[0-9]{1,6}(?:,[0-9]{1,6}){0,7}"),
  "reversal": re.compile(r"[a-z]{1,12}"),
}
_COUNTDOWN = re.compile(
  r"(?P<numbers>[0-9]{1,4}( [0-9]{1,4}){2,3})=(?P<target>[0-9]{1,4})\?"
)
# The characters of all manners, and more of them than any manner takes.
_FORM = re.compile(r"[-+*/()=%,0-9a-z \n]{1,200}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,11}")


def _make_example(family: str, row: Row, number: int) -> Example:
  prompt, reference = row["prompt"], row["reference"]
  for field in ("id", "prompt"):
    if not isinstance(row[field], str):
      raise ValueError(f"{field} must be a text, got {row[field]!r}.")
  if family.startswith("countdown"):
    reference = _read_countdown(prompt, reference)
  elif not isinstance(reference, str):
    raise ValueError(f"reference must be a text, got {reference!r}.")
  return Example(row["id"] or str(number), base.ask(prompt), reference)


def _read_countdown(prompt: str, reference: Any) -> dict[str, Any]:
  """Returns numbers and target, from the question if the row lacks them."""
  if isinstance(reference, Mapping):
    numbers, target = reference.get("numbers"), reference.get("target")
    if isinstance(numbers, list) and all(
      type(number) is int for number in (*numbers, target)
    ):
      return {"numbers": numbers, "target": target}
    raise ValueError(
      "reference must have whole numbers and a whole target, got"
      f" {reference!r}."
    )
  countdown = _COUNTDOWN.fullmatch(prompt)
  if countdown is None or reference:
    raise ValueError(
      f"prompt must be like '3 5 7=22?' where there is no reference with"
      f" numbers and target, got {prompt!r} and {reference!r}."
    )
  return {
    "numbers": [int(number) for number in countdown["numbers"].split()],
    "target": int(countdown["target"]),
  }


def _grade_formula(example: Example, response: str) -> Grade:
  """Grades the value of the last formula that uses each number once."""
  numbers = sorted(example.reference["numbers"])
  value = None
  for side in _sides(response):
    try:
      formula = formulas.parse(side)
    except ValueError:
      continue
    if sorted(formula.numbers) == numbers:
      value = formula.value
  is_right = value == Fraction(example.reference["target"])
  return _make_grade(response, is_right, None if value is None else str(value))


def _grade_answer(
  pattern: re.Pattern, example: Example, response: str
) -> Grade:
  """Grades the last side of the last word, if it looks like an answer."""
  answer = (_sides(response) or [""])[-1]
  if not pattern.fullmatch(answer):
    return _make_grade(response, False, None)
  return _make_grade(response, answer == example.reference, answer)


def _sides(response: str) -> list[str]:
  """Returns the sides, usually one, of the equation that ends a response."""
  words = response.rsplit(None, 1)
  return words[-1].split("=") if words and len(words[-1]) <= _MAX_WORD else []


def _make_grade(response: str, is_right: bool, vote: str | None) -> Grade:
  has_form = vote is not None and _FORM.fullmatch(response) is not None
  return Grade(
    score=float(is_right and has_form),
    correct=is_right and has_form,
    lenient=is_right,
    vote=None if vote is None else base.shorten_vote(vote),
    format=has_form,
  )


def _make_task(name: str) -> Task:
  grade = _grade_formula
  if not name.startswith("countdown"):
    grade = functools.partial(_grade_answer, _ANSWERS.get(name, _NUMBER))
  return Task(
    name=f"{TASK_PREFIX}{name}",
    fields=("id", "prompt", "reference"),
    make_example=functools.partial(_make_example, name),
    graders={"standard": grade},
    max_new_tokens=_MAX_NEW_TOKENS.get(name, 48),
    generate=functools.partial(held_out.generate_rows, name),
    question="prompt",
    blank={"id": "", "reference": ""},
    is_checkable=name.startswith("countdown"),
  )


# The tasks by their names, such as `drills/countdown3`.
DRILL_TASKS: Mapping[str, Task] = {
  task.name: task for task in map(_make_task, DRILL_FAMILIES)
}
