"""Which exercises of a family are for training, development and tasks.

A hash of what an exercise asks (its *identity*: the sorted numbers and the
target of a countdown, otherwise the question) puts one exercise in four aside.
Pretraining draws from the others alone (`sample_training`), and tasks from
these alone (`generate_rows`), so no split holds an exercise that the model was
trained on. What is held out depends on no seed.
"""

import functools
import hashlib

from thickets import errors
from thickets.errors import UserError
from thickets.tasks.base import Row
from thickets.tasks.drills.exercises import Exercise, is_held_out
from thickets.tasks.drills.families import DRILL_FAMILIES, TASK_PREFIX
from thickets.tasks.drills.stable_random import StableRandom

_NUM_DEVELOPMENT = 1200  # Exercises that the shipped model was chosen by.
_NUM_DRAWS = 60_000  # The exercises of a task are collected from this many.


def sample_training(family: str, draw: StableRandom) -> Exercise:
  """Draws an exercise that is not held out.

  Args:
    family: name of the family.
    draw: source of all random choices.
  """
  while True:
    exercise = DRILL_FAMILIES[family].sample(draw)
    if not is_held_out(family, exercise.identity):
      return exercise


def development_rows(name: str) -> list[Row]:
  """Returns the held-out exercises that the shipped model was developed on.

  The size, corpus and training of the model, and its sigma, were chosen by what
  these exercises showed, so no task contains one of them.

  Args:
    name: a family, with or without `drills/` before it.

  Returns:
    Rows like those of `generate_rows`, in the order of drawing: exercises that
    are drawn more often come first.
  """
  return [
    _make_row(exercise)
    for exercise in _draw_held_out(_check_family(name), _NUM_DEVELOPMENT)
  ]


def generate_rows(name: str, count: int, seed: int) -> list[Row]:
  """Makes distinct held-out exercises of one task, in random order.

  All exercises are shuffled alike: one that is drawn more often is no more
  likely to come early, so the splits of a run do not differ in difficulty.

  Args:
    name: a family, with or without `drills/` before it.
    count: number of rows; a larger count begins with the same rows.
    seed: decides the order.

  Returns:
    Rows with an `id`, a `prompt` and a `reference`, for `make_example`.

  Raises:
    UserError: if there is no such family, or it has fewer exercises.
  """
  family = _check_family(name)
  pool = _make_pool(family)
  if not 0 <= count <= len(pool):
    raise UserError(
      f"count must be from 0 to {len(pool)}, the number of held-out exercises"
      f" of {family}, got {count}. Ask for fewer prompts."
    )

  def place(exercise):
    text = f"{seed}/{family}:{exercise.identity}"
    return hashlib.sha256(text.encode()).digest()

  return [_make_row(exercise) for exercise in sorted(pool, key=place)[:count]]


def _check_family(name: str) -> str:
  family = name.removeprefix(TASK_PREFIX)
  if family not in DRILL_FAMILIES:
    raise UserError(
      f"name must be a family of drills, got {name!r}. Nearest:"
      f" {errors.nearest(family, list(DRILL_FAMILIES), count=3)}."
    )
  return family


@functools.lru_cache
def _make_pool(family: str) -> tuple[Exercise, ...]:
  """Collects the held-out exercises of a family that development did not see."""
  seen = {e.identity for e in _draw_held_out(family, _NUM_DEVELOPMENT)}
  draw = StableRandom(f"pool/{family}")
  pool = {}
  for _ in range(_NUM_DRAWS):
    exercise = DRILL_FAMILIES[family].sample(draw)
    identity = exercise.identity
    if identity not in seen and is_held_out(family, identity):
      pool.setdefault(identity, exercise)
  return tuple(pool.values())


@functools.lru_cache
def _draw_held_out(family: str, count: int) -> tuple[Exercise, ...]:
  """Draws until there are `count` distinct exercises that are held out."""
  draw = StableRandom(f"held out/{family}/0")
  drawn: dict[str, Exercise] = {}
  while len(drawn) < count:
    exercise = DRILL_FAMILIES[family].sample(draw)
    if is_held_out(family, exercise.identity):
      drawn.setdefault(exercise.identity, exercise)
  return tuple(drawn.values())


def _make_row(exercise: Exercise) -> Row:
  return {
    "id": exercise.identity,
    "prompt": exercise.question,
    "reference": exercise.reference,
  }
