"""Exercises that the tests of drills draw, answer and grade."""

from hypothesis import strategies as st

from thickets.tasks.base import Example, Grade
from thickets.tasks.drills.exercises import Exercise
from thickets.tasks.drills.families import DRILL_FAMILIES
from thickets.tasks.drills.family_tasks import DRILL_TASKS
from thickets.tasks.drills.stable_random import StableRandom

FAMILIES = tuple(DRILL_FAMILIES)
COUNTDOWNS = ("countdown3", "countdown4")
FAMILIES_AND_SEEDS = st.tuples(st.sampled_from(FAMILIES), st.integers(0, 10**6))


def sample(family: str, seed: int) -> Exercise:
  """Draws the exercise of a seed."""
  return DRILL_FAMILIES[family].sample(StableRandom(f"test/{seed}"))


def answer(family: str, seed: int) -> tuple[Exercise, dict[str, str]]:
  """Draws the exercise of a seed, and answers it in each manner."""
  exercise = sample(family, seed)
  draw = StableRandom(f"answers/{seed}")
  return exercise, {
    name: manner(draw, exercise)
    for name, manner in DRILL_FAMILIES[family].manners.items()
  }


def make_example(family: str, exercise: Exercise, **changes) -> Example:
  """Makes the example of an exercise, with changed fields of its row."""
  row = {
    "id": exercise.identity,
    "prompt": exercise.question,
    "reference": exercise.reference,
  }
  return DRILL_TASKS[f"drills/{family}"].make_example(row | changes, 0)


def grade(family: str, example: Example, response: str) -> Grade:
  """Grades a response by the rules of the package."""
  return DRILL_TASKS[f"drills/{family}"].grader("standard")(example, response)
