"""Tests of members that are bad at everything: who they are, and D without them."""

import numpy as np
from absl.testing import parameterized

from thickets.analysis import destroyed, diversity
from thickets.errors import UserError

NAMES = ("a", "b", "c", "d")
SIZE = 100  # Prompts of each task.


def measure(num_members=200, num_destroyed=0, level=0.0, centre=0.4, seed=0):
  """Tasks that rank members independently, and a base better than most of them.

  Args:
    num_members: number of members.
    num_destroyed: number of these, the first ones, that are bad at everything.
    level: what these score on average.
    centre: what the others score on average.
    seed: the seed of everything that is drawn.
  """
  rng = np.random.default_rng(seed)
  tables, bases = [], []
  for _ in NAMES:
    skill = rng.normal(centre, 0.06, (num_members, 1))
    skill[:num_destroyed] = level
    tables.append((rng.random((num_members, SIZE)) < skill).astype(float))
    bases.append((np.arange(SIZE) < 0.5 * SIZE).astype(float))
  return tables, bases


def discordance(tables):
  means = np.stack([table.mean(axis=1) for table in tables], axis=1)
  return diversity.spectral_discordance(means)


class DestroyedTest(parameterized.TestCase):
  @parameterized.parameters(0.0, 0.02, 0.1)
  def test_planted_members_are_found_and_leave_d_as_it_was(self, level):
    tables, bases = measure(num_destroyed=20, level=level)
    found = destroyed.find_destroyed(tables, bases, names=NAMES)
    self.assertEqual(np.flatnonzero(found.is_destroyed).tolist(), [*range(20)])
    self.assertEqual(found.to_json()["share"]["frac"], 0.1)
    without = [table[20:] for table in tables]
    self.assertAlmostEqual(discordance(tables), 0.74, delta=0.04)
    cleaned = discordance([table[~found.is_destroyed] for table in tables])
    self.assertAlmostEqual(cleaned, discordance(without), delta=1e-9)
    self.assertAlmostEqual(cleaned, 1.0, delta=0.06)

  def test_more_planted_members_change_nothing(self):
    values = []
    for count in (0, 10, 60, 120):
      tables, bases = measure(200 + count, count)
      found = destroyed.find_destroyed(tables, bases, names=NAMES)
      self.assertEqual(found.count, count)
      values.append(discordance([t[~found.is_destroyed] for t in tables]))
    self.assertLess(np.ptp(values), 0.1)

  @parameterized.parameters(0.5, 0.4, 0.35)
  def test_members_that_are_somewhat_worse_stay(self, centre):
    """Even where nearly all of them are shown to be below the base."""
    tables, bases = measure(centre=centre)
    found = destroyed.find_destroyed(tables, bases, names=NAMES)
    self.assertEqual((found.count, found.is_known), (0, True))

  def test_one_good_task_is_enough_to_stay(self):
    tables, bases = measure(num_destroyed=20)
    tables[2][:20] = bases[2]
    found = destroyed.find_destroyed(tables, bases, names=NAMES)
    self.assertEqual(found.count, 0)

  def test_a_task_that_the_base_cannot_do_says_nothing(self):
    tables, bases = measure(num_destroyed=20)
    tables[1][:], bases[1][:] = 0.0, 0.0
    bases[1][0] = 1.0
    found = destroyed.find_destroyed(tables, bases, names=NAMES)
    self.assertEqual(found.cannot_tell, ("b",))
    self.assertEqual((found.count, found.names), (20, ("a", "c", "d")))

  def test_with_one_telling_task_nobody_is_called_destroyed(self):
    tables, bases = measure(num_destroyed=20)
    for base in bases[1:]:
      base[:] = 0.0
    found = destroyed.find_destroyed(tables, bases, names=NAMES)
    self.assertEqual((found.count, found.is_known), (0, False))
    self.assertIsNone(found.to_json()["share"])

  def test_few_prompts_show_nothing(self):
    tables, bases = measure(num_destroyed=20)
    found = destroyed.find_destroyed(
      [table[:, 48:52] for table in tables],
      [base[48:52] for base in bases],
      names=NAMES,
    )
    self.assertFalse(found.is_known)

  def test_members_that_failed_are_not_destroyed(self):
    tables, bases = measure(num_destroyed=20)
    tables[3][5, 7] = np.nan
    found = destroyed.find_destroyed(tables, bases, names=NAMES)
    self.assertEqual((found.count, found.num_scored), (19, 199))
    self.assertFalse(found.is_destroyed[5])

  def test_the_floor_is_that_of_the_range(self):
    tables, bases = measure(num_destroyed=20)
    expected = destroyed.find_destroyed(tables, bases, names=NAMES)
    found = destroyed.find_destroyed(
      [3 * table - 1 for table in tables],
      [3 * base - 1 for base in bases],
      names=NAMES,
      score_range=(-1.0, 2.0),
    )
    np.testing.assert_array_equal(found.is_destroyed, expected.is_destroyed)

  def test_a_base_on_other_prompts_is_refused(self):
    tables, bases = measure()
    bases[3] = bases[3][1:]
    with self.assertRaisesRegex(UserError, r"got shape \(99,\) .* on 'd'"):
      destroyed.find_destroyed(tables, bases, names=NAMES)
