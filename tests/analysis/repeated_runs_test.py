"""Tests of means over trainings, populations and prompts: coverage, and worked cases."""

import math

import numpy as np
from absl.testing import parameterized
from scipy import special

from thickets.analysis import repeated_runs
from thickets.errors import UserError

MEAN = 0.2


def _draw(rng, shape, training, population, prompt, rest):
  """One table [T, S, Q] of the model, with these standard deviations."""
  num_trainings, num_seeds, num_prompts = shape
  return np.clip(
    MEAN
    + training * rng.normal(size=(num_trainings, 1, 1))
    + population * rng.normal(size=(num_trainings, num_seeds, 1))
    + prompt * rng.normal(size=(1, num_seeds, num_prompts))
    + rest * rng.normal(size=shape),
    -1,
    1,
  )


class RepeatedRunsTest(parameterized.TestCase):
  @parameterized.parameters(
    # Shape, then the deviations of trainings, populations, prompts and the rest.
    ((5, 3, 150), 0.05, 0.03, 0.1, 0.2),
    ((5, 3, 150), 0.0, 0.0, 0.1, 0.3),
    ((5, 3, 150), 0.05, 0.0, 0.0, 0.1),
    ((3, 1, 150), 0.05, 0.03, 0.1, 0.2),
    ((3, 3, 150), 0.0, 0.05, 0.2, 0.1),
    ((2, 2, 150), 0.03, 0.02, 0.3, 0.1),
  )
  def test_intervals_cover_as_often_as_they_say(self, shape, *deviations):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
      found = repeated_runs.estimate_repeated(_draw(rng, shape, *deviations))
      held.append(found.low <= MEAN <= found.high)
    self.assertBetween(np.mean(held), 0.92, 0.999)

  def test_prompts_alone_would_not_cover_other_trainings(self):
    """Where trainings differ, which the estimator is for."""
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
      values = _draw(rng, (5, 3, 150), 0.05, 0.03, 0.1, 0.2)
      found = repeated_runs.estimate_one(values.reshape(-1, 150))
      held.append(found.low <= MEAN <= found.high)
    self.assertLess(np.mean(held), 0.6)

  def test_trainings_alone_have_students_interval(self):
    means = np.array([0.1, 0.2, 0.6])
    values = np.broadcast_to(means[:, None, None], (3, 2, 500))
    found = repeated_runs.estimate_repeated(values)
    half = special.stdtrit(2, 0.975) * means.std(ddof=1) / math.sqrt(3)
    self.assertAlmostEqual(found.value, 0.3)
    self.assertAlmostEqual(found.high, 0.3 + half, delta=0.005)
    self.assertEqual(found.over, "trainings, populations and prompts")

  def test_values_that_are_all_alike_are_not_certain(self):
    found = repeated_runs.estimate_repeated(np.zeros((3, 1, 100)))
    self.assertEqual(found.value, 0.0)
    self.assertBetween(
      found.high, 0.02, 0.03
    )  # However few trainings there are.

  def test_nothing_beyond_what_is_possible(self):
    values = np.zeros((2, 1, 4))
    values[0] = 1.0
    found = repeated_runs.estimate_repeated(values)
    self.assertEqual((found.low, found.high), (-1.0, 1.0))

  @parameterized.parameters(
    ((1, 3, 10), 0.0, "at least two trainings"),
    ((3, 3, 1), 0.0, "two prompts"),
    ((2, 1, 4), 1.5, "within -1 and 1, got 1.5"),
    ((2, 1, 4), math.nan, "within -1 and 1, got nan"),
  )
  def test_what_has_no_interval_is_refused(self, shape, value, message):
    with self.assertRaisesRegex(UserError, message):
      repeated_runs.estimate_repeated(np.full(shape, value))
