"""Drills: small exercises made by a procedure, without any data to load.

The language model that ships with the package was pretrained on the families of
`drill_texts`. Each family is a task of its own, `drills/countdown3` and so on.

* **Held-out exercises.** A hash of what an exercise asks (its *identity*: for a
  countdown the sorted numbers and the target, otherwise the question) puts one
  in four aside. Pretraining draws from the others only (`sample_training`), the
  tasks from these only (`generate_rows`), so no split meets an exercise that the
  model was trained on. What is held out depends on no seed.
* **The form asked for.** A question does not say how it should be answered, and
  pretraining answers it in several manners. Any text in their characters, of at
  most 200, has the form. The answer is the last word, or a side of it where that
  is an equation; it is found in a text of any form.
* **Vote key.** Of a countdown the exact value of the formula, if it uses each
  number once; any other response has no vote. This is the paper's rule, as in
  `countdown`: two formulas for the same value support each other. It makes the
  vote nearly a verifier, since formulas that miss the target rarely agree. Of
  other families the answer itself.
* There is one rule set, `standard`: the paper has no such tasks. The score is 1
  for a right answer and 0 otherwise.

The message of a prompt is the question, `3 5 7=22?`. What the model was trained
on is the question, right behind it the answer, and the end token.
"""

import functools
import hashlib
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from thickets import errors
from thickets.errors import UserError
from thickets.tasks import base
from thickets.tasks.base import Example, Grade, Task
from thickets.tasks.drills import exercises
from thickets.tasks.drills.exercises import Draws, Exercise
from thickets.tasks.parsing import formulas

PREFIX = "drills/"
_MAX_WORD = 64  # Characters of an answer.
_NUM_DEVELOPMENT = 1200  # Exercises that the shipped model was chosen by.
_NUM_DRAWS = 60_000  # From which the exercises of tasks are collected.
# No answer of the corpus is longer, its end included.
_MAX_NEW_TOKENS = {"countdown3": 56, "countdown4": 80}

_ANSWERS = {  # What the answers of a family look like, in ASCII.
  "sorting": re.compile(r"[0-9]{1,6}(?:,[0-9]{1,6}){0,7}"),
  "reversal": re.compile(r"[a-z]{1,12}"),
}
_COUNTDOWN = re.compile(
  r"(?P<numbers>[0-9]{1,4}( [0-9]{1,4}){2,3})=(?P<target>[0-9]{1,4})\?"
)
# The characters of all manners, and more of them than any takes.
_FORM = re.compile(r"[-+*/()=%,0-9a-z \n]{1,200}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,11}")


def sample_training(name: str, draw: Draws) -> Exercise:
  """Draws an exercise that is not held out."""
  while True:
    exercise = exercises.FAMILIES[name].sample(draw)
    if not exercises.is_held_out(name, exercise.identity):
      return exercise


def development_rows(name: str) -> list[dict[str, Any]]:
  """The held-out exercises that the shipped model was developed on.

  Its size, corpus and training, and sigma, were chosen by what these showed, so
  they are in no row that a task gives.

  Args:
    name: of a family, with or without `drills/`.

  Returns:
    Rows as of `generate_rows`, in the order of drawing: the ones drawn more
    often come first.
  """
  return [
    _make_row(exercise)
    for exercise in _draw_held_out(_check_family(name), _NUM_DEVELOPMENT)
  ]


def generate_rows(name: str, count: int, seed: int) -> list[dict[str, Any]]:
  """Makes distinct held-out exercises of one task, in random order.

  All in the same order: an exercise that is easy to draw is not more likely to
  come early, so the splits of a run are alike.

  Args:
    name: of a family, with or without `drills/`.
    count: number of rows; with another count the first ones are the same.
    seed: of the order.

  Returns:
    Rows with an `id`, a `prompt` and a `reference`, as `make_example` takes.

  Raises:
    UserError: if there is no such family, or it has fewer exercises.
  """
  family = _check_family(name)
  pool = _make_pool(family)
  if not 0 <= count <= len(pool):
    raise UserError(
      f"count must be within 0 and {len(pool)}, the held-out exercises of"
      f" {family}, got {count}."
    )

  def place(exercise):
    text = f"{seed}/{family}:{exercise.identity}"
    return hashlib.sha256(text.encode()).digest()

  return [_make_row(exercise) for exercise in sorted(pool, key=place)[:count]]


def _check_family(name: str) -> str:
  family = name.removeprefix(PREFIX)
  if family not in exercises.FAMILIES:
    raise UserError(
      f"name must be a family of drills, got {name!r}. Nearest:"
      f" {errors.nearest(family, list(exercises.FAMILIES), count=3)}."
    )
  return family


@functools.lru_cache
def _make_pool(family: str) -> tuple[Exercise, ...]:
  """Held-out exercises of a family that development did not see."""
  seen = {e.identity for e in _draw_held_out(family, _NUM_DEVELOPMENT)}
  draw = Draws(f"pool/{family}")
  found = {}
  for _ in range(_NUM_DRAWS):
    exercise = exercises.FAMILIES[family].sample(draw)
    if exercise.identity not in seen and exercises.is_held_out(
      family, exercise.identity
    ):
      found.setdefault(exercise.identity, exercise)
  return tuple(found.values())


@functools.lru_cache
def _draw_held_out(family: str, count: int) -> tuple[Exercise, ...]:
  """The first distinct held-out exercises that are drawn."""
  draw = Draws(f"held out/{family}/0")
  found: dict[str, Exercise] = {}
  while len(found) < count:
    exercise = exercises.FAMILIES[family].sample(draw)
    if exercises.is_held_out(family, exercise.identity):
      found.setdefault(exercise.identity, exercise)
  return tuple(found.values())


def _make_row(exercise: Exercise) -> dict[str, Any]:
  return {
    "id": exercise.identity,
    "prompt": exercise.question,
    "reference": exercise.reference,
  }


def _make_example(family: str, row: Mapping[str, Any], number: int) -> Example:
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
  """The numbers and the target, from the question where the row lacks them."""
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
  """The value of the last formula that uses each number once."""
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
  """The last side of the last word, if it looks like an answer."""
  answer = (_sides(response) or [""])[-1]
  if not pattern.fullmatch(answer):
    return _make_grade(response, False, None)
  return _make_grade(response, answer == example.reference, answer)


def _sides(response: str) -> list[str]:
  """The sides of the equation, usually one, that a response ends in."""
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
    name=f"{PREFIX}{name}",
    fields=("id", "prompt", "reference"),
    make_example=functools.partial(_make_example, name),
    graders={"standard": grade},
    max_new_tokens=_MAX_NEW_TOKENS.get(name, 48),
    generate=functools.partial(generate_rows, name),
    question="prompt",
    blank={"id": "", "reference": ""},
  )


# By the name of the task, `drills/countdown3`.
TASKS: dict[str, Task] = {
  task.name: task for task in map(_make_task, exercises.FAMILIES)
}
