"""Tests of countdown exercises: identity, bounds, detours, parentheses."""

from unittest import mock

import hypothesis
from absl.testing import parameterized
from hypothesis import strategies as st
from tasks.drills import drawn_drills

from thickets.tasks.drills import countdown_exercises
from thickets.tasks.drills.exercises import is_held_out
from thickets.tasks.drills.families import DRILL_FAMILIES
from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.parsing import formulas


class CountdownTest(parameterized.TestCase):
  @parameterized.parameters(*drawn_drills.COUNTDOWNS)
  def test_the_order_of_a_countdowns_numbers_makes_no_other_exercise(
    self, family
  ):
    by_identity = {}
    draw = StableRandom("orders")
    # Of so few numbers, many exercises ask the same in another order.
    with mock.patch.object(countdown_exercises, "MAX_NUMBER", 4):
      for _ in range(300):
        exercise = DRILL_FAMILIES[family].sample(draw)
        by_identity.setdefault(exercise.identity, []).append(exercise)
    orders = [
      {tuple(one.reference["numbers"]) for one in same}
      for same in by_identity.values()
    ]
    self.assertGreater(sum(len(same) > 1 for same in orders), 10)
    for identity, same in by_identity.items():
      for one in same:
        numbers = sorted(one.reference["numbers"])
        target = one.reference["target"]
        self.assertEqual(identity, f"{','.join(map(str, numbers))}={target}")

  @hypothesis.given(
    st.sampled_from(drawn_drills.COUNTDOWNS), st.integers(0, 10**6)
  )
  def test_a_countdown_has_a_solution_within_bounds(self, family, seed):
    exercise, answers = drawn_drills.answer(family, seed)
    numbers, target = exercise.reference.values()
    formula = formulas.parse(answers["formula"])
    self.assertEqual(formula.value, target)
    self.assertCountEqual(formula.numbers, numbers)
    self.assertBetween(target, 1, countdown_exercises.MAX_VALUE)
    self.assertBetween(min(numbers), 1, countdown_exercises.MAX_NUMBER)
    self.assertBetween(max(numbers), 1, countdown_exercises.MAX_NUMBER)

  def test_parentheses_stand_where_they_are_needed(self):
    one, two, three = (
      countdown_exercises._Term(text, int(text)) for text in "842"
    )
    combine = countdown_exercises._combine
    for expected, (left, sign, right) in {
      "8-(4-2)": (one, "-", combine(two, "-", three)),
      "8-4-2": (combine(one, "-", two), "-", three),
      "8+4-2": (one, "+", combine(two, "-", three)),
      "(8+4)*2": (combine(one, "+", two), "*", three),
      "8*(4+2)": (one, "*", combine(two, "+", three)),
      "8/(4/2)": (one, "/", combine(two, "/", three)),
      "8*4/2": (one, "*", combine(two, "/", three)),
      "8*4+2": (combine(one, "*", two), "+", three),
    }.items():
      result = combine(left, sign, right)
      self.assertEqual(result.text, expected)
      self.assertEqual(result.value, formulas.evaluate(expected))
    self.assertIsNone(combine(three, "-", three))  # 0 is no step.
    self.assertIsNone(combine(one, "/", countdown_exercises._Term("3", 3)))


class DetourTest(parameterized.TestCase):
  @parameterized.parameters(*drawn_drills.COUNTDOWNS)
  def test_tries_never_solve_what_is_held_out(self, family):
    detour = DRILL_FAMILIES[family].manners["detour"]
    num_tries = 0
    for seed in range(400):
      exercise = drawn_drills.sample(family, seed)
      text = detour(StableRandom(f"detour/{seed}"), exercise)
      tried, no, _ = text.partition(" no ")
      if no:
        num_tries += 1
        numbers = sorted(exercise.reference["numbers"])
        reached = tried.rpartition("=")[2]
        identity = f"{','.join(map(str, numbers))}={reached}"
        self.assertFalse(is_held_out(family, identity), text)
    self.assertGreater(num_tries, 200)
