"""Tests of discordance over prompts that come in groups."""

import numpy as np
from absl.testing import absltest

from thickets.analysis import diversity, reliability
from thickets.errors import UserError


def draw_tables(seed=0, num_members=60, num_prompts=40):
  """Two tasks that half agree on who is good, on noisy prompts."""
  rng = np.random.default_rng(seed)
  shared = rng.normal(0, 0.5, (num_members, 1))
  return [
    shared
    + rng.normal(0, 0.5, (num_members, 1))
    + rng.normal(0, 1.5, (num_members, num_prompts))
    for _ in range(2)
  ]


def measure(tables, **options):
  return diversity.measure_discordance(
    tables, num_resamples=50, num_splits=20, **options
  )


class GroupsTest(absltest.TestCase):
  def test_groups_of_one_give_the_same_digits_as_none(self):
    tables = draw_tables()
    found = measure(tables, groups=[np.arange(40), None])
    np.testing.assert_equal(found.to_json(), measure(tables).to_json())

  def test_variants_that_agree_are_one_prompt(self):
    tables = draw_tables()
    several = np.repeat(np.arange(40), 5)
    found = measure([t[:, several] for t in tables], groups=[several] * 2)
    one = measure(tables)
    self.assertAlmostEqual(found.value, one.value, 12)
    np.testing.assert_allclose(found.reliability, one.reliability)
    np.testing.assert_allclose(
      found.interval_new_prompts, one.interval_new_prompts
    )
    self.assertEqual(
      (found.num_prompts, found.num_groups), ((200,) * 2, (40,) * 2)
    )
    # Without groups, halves that share their templates agree too well.
    without = measure([t[:, several] for t in tables])
    self.assertTrue(np.all(without.reliability > one.reliability + 0.02))

  def test_halves_have_no_group_in_common(self):
    """Where members differ by template alone, no half ranks as the other."""
    rng = np.random.default_rng(0)
    numbers = np.repeat(np.arange(20), 10)
    table = rng.normal(size=(400, 20))[:, numbers]
    found, _ = reliability.measure_reliability(table, 20, rng, numbers)
    self.assertLess(abs(found), 0.3)
    without, _ = reliability.measure_reliability(table, 20, rng)
    self.assertGreater(without, 0.8)

  def test_groups_that_do_not_fit_are_refused_by_task(self):
    with self.assertRaisesRegex(UserError, "^b: groups must hold one label"):
      measure(draw_tables(), names=["a", "b"], groups=[None, [1, 2]])
    with self.assertRaisesRegex(UserError, "one entry for each task"):
      measure(draw_tables(), groups=[None])


if __name__ == "__main__":
  absltest.main()
