"""Tests of means over populations and prompts: coverage, and worked cases."""

import math

import numpy as np
from absl.testing import parameterized
from scipy import special

from thickets.analysis import population_means
from thickets.errors import UserError

MEAN = 0.2


def _draw(rng, population, group, rest):
  """Ten populations of 60 prompts that 40 recurring groups decide."""
  groups = rng.integers(0, 40, (10, 60))
  of_group = group * rng.normal(size=40)
  values = (
    MEAN
    + population * rng.normal(size=(10, 1))
    + of_group[groups]
    + rest * rng.normal(size=(10, 60))
  )
  return [*np.clip(values, -1, 1)], groups.tolist()


class PopulationMeansTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.1, 0.0, 0.2), (0.05, 0.2, 0.2), (0.0, 0.3, 0.1), (0.0, 0.0, 0.3)
  )
  def test_intervals_cover_as_often_as_they_say(self, *deviations):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(250):
      values, groups = _draw(rng, *deviations)
      found = population_means.estimate_over_populations(values, groups)
      held.append(found.low <= MEAN <= found.high)
    self.assertBetween(np.mean(held), 0.93, 0.999)

  def test_groups_that_recur_are_not_new_in_each_population(self):
    """Student's interval over populations alone would be too narrow."""
    rng = np.random.default_rng(1)
    held = []
    for _ in range(100):
      values, groups = _draw(rng, 0.0, 0.3, 0.1)
      apart = [[(s, g) for g in of] for s, of in enumerate(groups)]
      found = population_means.estimate_over_populations(values, apart)
      held.append(found.low <= MEAN <= found.high)
    self.assertLess(np.mean(held), 0.8)

  def test_without_groups_it_is_students_interval_over_populations(self):
    means = np.array([0.1, 0.2, 0.6, -0.1])
    values = [np.full(500, mean) for mean in means]
    labels = np.arange(2000).reshape(4, 500).tolist()
    found = population_means.estimate_over_populations(values, labels)
    half = special.stdtrit(3, 0.975) * means.std(ddof=1) / math.sqrt(4)
    self.assertAlmostEqual(found.value, 0.2)
    self.assertAlmostEqual(found.high, 0.2 + half, delta=0.001)
    self.assertEqual(found.over, "populations and prompts")

  def test_populations_count_alike_whatever_their_prompts(self):
    values = [np.full(10, 0.5), np.full(30, 0.1)]
    found = population_means.estimate_over_populations(
      values, [["a", "b"] * 5, ["a", "b", "c"] * 10]
    )
    self.assertAlmostEqual(found.value, 0.3)
    self.assertEqual(found.over, "populations and groups of prompts")

  def test_values_that_are_all_alike_are_not_certain(self):
    found = population_means.estimate_over_populations(
      [np.zeros(20)] * 3, [list(range(20))] * 3
    )
    self.assertEqual(found.value, 0.0)
    self.assertBetween(found.high, 0.01, 0.1)

  @parameterized.parameters(
    ([[0.0, 1.0]], [[0, 1]], "at least two populations, got 1"),
    (
      [[0.0, 1.0], [0.0]],
      [[0, 1], [0, 1]],
      r"one label .* \[2, 2\] for \[2, 1",
    ),
    ([[0.0], [1.0]], [[0], [0]], "at least two groups, got one"),
    ([[0.0], [1.5]], [[0], [1]], "within -1 and 1, got 1.5"),
    ([[0.0], [math.nan]], [[0], [1]], "within -1 and 1, got nan"),
  )
  def test_what_has_no_interval_is_refused(self, values, groups, message):
    with self.assertRaisesRegex(UserError, message):
      population_means.estimate_over_populations(
        [np.array(found) for found in values], groups
      )
