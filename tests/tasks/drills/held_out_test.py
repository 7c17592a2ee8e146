"""Tests of what is held out, and of the rows that tasks are made of."""

import numpy as np
import pytest
from absl.testing import parameterized
from tasks.drills import drawn_drills, small_pools

from thickets.errors import UserError
from thickets.tasks.drills import held_out
from thickets.tasks.drills.exercises import is_held_out
from thickets.tasks.drills.families import DRILL_FAMILIES
from thickets.tasks.drills.stable_random import StableRandom

# Small numbers make fewer exercises than others.
ENOUGH = {"addition2": 1100, "subtraction2": 2300}


class HeldOutTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    small_pools.use(self)

  @parameterized.parameters(*drawn_drills.FAMILIES)
  def test_pretraining_never_meets_an_exercise_of_the_tasks(self, family):
    draw = StableRandom("training")
    seen = {held_out.sample_training(family, draw).identity for _ in range(600)}
    rows = held_out.generate_rows(family, 300, seed=5)
    self.assertEmpty(seen & {row["id"] for row in rows})
    # Nor is one set empty because the other is all.
    self.assertGreater(len(seen), 300)

  @parameterized.parameters(*drawn_drills.FAMILIES)
  def test_one_in_four_is_held_out(self, family):
    draw, sample = StableRandom("share"), DRILL_FAMILIES[family].sample
    identities = {sample(draw).identity for _ in range(1500)}
    held_out = [is_held_out(family, one) for one in identities]
    share = sum(held_out) / len(held_out)
    self.assertAlmostEqual(share, 1 / 4, delta=0.05)  # Four standard errors.


class RowsTest(parameterized.TestCase):
  @parameterized.parameters(*drawn_drills.FAMILIES)
  def test_rows_are_distinct_and_more_of_them_begin_alike(self, family):
    small_pools.use(self)
    rows = held_out.generate_rows(family, 200, seed=0)
    self.assertLen({row["id"] for row in rows}, 200)
    self.assertEqual(
      held_out.generate_rows(f"drills/{family}", 40, 0), rows[:40]
    )
    self.assertNotEqual(held_out.generate_rows(family, 40, 1), rows[:40])

  @parameterized.parameters(*drawn_drills.FAMILIES)
  @pytest.mark.slow
  def test_there_are_enough_for_all_splits(self, family):
    count = ENOUGH.get(family, 3200)
    self.assertLen(held_out.generate_rows(family, count, seed=0), count)

  @parameterized.parameters(*drawn_drills.FAMILIES)
  @pytest.mark.slow
  def test_no_row_was_there_during_development(self, family):
    seen = {row["id"] for row in held_out.development_rows(family)}
    self.assertLen(seen, 1200)
    rows = held_out.generate_rows(family, ENOUGH.get(family, 3000), seed=0)
    self.assertEmpty(seen & {row["id"] for row in rows})

  @pytest.mark.slow
  def test_early_rows_are_like_late_ones(self):
    """Of a family whose exercises are not drawn equally often."""
    rows = held_out.generate_rows("countdown3", 5000, seed=1)
    targets = np.array([row["reference"]["target"] for row in rows])
    early, late = targets[:2500], targets[2500:]
    error = np.sqrt(2 * targets.var() / 2500)
    self.assertLess(abs(early.mean() - late.mean()), 4 * error)

  def test_rows_are_those_of_every_python(self):
    """Another value changes which exercises published numbers are about.

    To renew, print the left-hand side, and train the shipped model again.
    """
    rows = held_out.generate_rows("modulo", 3, 0)
    self.assertEqual(
      [row["prompt"] for row in rows], ["430%8?", "495%2?", "625%2?"]
    )

  @pytest.mark.slow
  def test_rows_of_the_main_experiment_are_those_of_every_python(self):
    rows = held_out.generate_rows("countdown3", 3, 0)
    self.assertEqual(
      [row["prompt"] for row in rows],
      ["5 23 20=38?", "3 29 29=61?", "9 20 30=19?"],
    )

  def test_draws_are_those_of_every_python(self):
    """What the shipped model was trained on depends on them; see above."""
    self.assertEqual(
      [
        held_out._draw_held_out(family, 1)[0].question
        for family in drawn_drills.FAMILIES
      ],
      [
        "1 15 5=19?",
        "13 13 19 3=71?",
        "45+879?",
        "65+68?",
        "370-298?",
        "38-37?",
        "9*3?",
        "418%10?",
        "sort 18,57,33?",
        "reverse bfwtex?",
        "max 86,3,62,96,42?",
        "min 25,48,5,61,46?",
      ],
    )

  @parameterized.parameters(
    ("countdwn3", 1, "must be a family of drills, got 'countdwn3'.*countdown3"),
    ("modulo", -1, "count must be from 0 to [0-9]+, .*of modulo, got -1"),
    ("modulo", 10**6, "count must be from 0 to [0-9]+, .*got 1000000"),
  )
  def test_what_cannot_be_generated_is_refused(self, name, count, message):
    with self.assertRaisesRegex(UserError, message):
      held_out.generate_rows(name, count, seed=0)
