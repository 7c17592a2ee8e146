"""Tests of how well a ranking of members repeats."""

import math

import numpy as np
import scipy.stats
from absl.testing import parameterized

from thickets.analysis import (
  diversity,
  reliability,
)

NAMES = ("countdown", "gsm8k", "math")


def _answers(seed, num_members=60, num_prompts=(20, 30, 25), shared=1.0):
  """Right or wrong answers of members with skills in common."""
  rng = np.random.default_rng(seed)
  common = shared * rng.normal(size=num_members)
  tables = []
  for count in num_prompts:
    skill = common + rng.normal(size=num_members)
    logit = skill[:, None] + rng.normal(size=count)
    chance = scipy.special.expit(logit)
    tables.append((rng.random(logit.shape) < chance).astype(np.float64))
  return tables


class ReliabilityTest(parameterized.TestCase):
  @parameterized.parameters(0.2, 0.5, 0.9)
  def test_is_that_of_a_known_population(self, share):
    # Scores are skill plus noise: `share` of a mean's variance is skill.
    rng = np.random.default_rng(0)
    size, count = 4000, 40
    noise = math.sqrt((1 - share) / share * count)
    skill = rng.normal(size=(size, 1))
    table = skill + noise * rng.normal(size=(size, count))
    got, _ = reliability.measure_reliability(table, 20, rng)
    # Between ranks of two normal variables of that correlation.
    expected = 6 / math.pi * math.asin(share / 2)
    self.assertAlmostEqual(got, expected, delta=0.02)
    odd, _ = reliability.measure_reliability(table[:, :39], 20, rng)
    self.assertAlmostEqual(odd, expected, delta=0.025)

  def test_floor_and_clean_discordance_of_tasks_that_rank_alike(self):
    tables = _answers(0, 3000, (12, 40, 25), shared=0.0)
    rng = np.random.default_rng(1)
    skill = rng.normal(size=(3000, 1))
    tables = [
      skill + rng.normal(size=(3000, count)) * scale
      for count, scale in ((12, 3.0), (40, 8.0), (25, 5.0))
    ]
    got = diversity.measure_discordance(tables, num_resamples=50)
    # Noise alone makes these tasks of one skill look different.
    self.assertGreater(got.value, 0.35)
    self.assertAlmostEqual(got.floor, got.value, delta=0.02)
    self.assertAlmostEqual(got.disattenuated, 0.0, delta=0.03)
    self.assertBetween(0.0, *got.disattenuated_interval)

  def test_noise_alone_has_none(self):
    rng = np.random.default_rng(2)
    tables = [rng.normal(size=(400, 20)) for _ in range(3)]
    got = diversity.measure_discordance(tables, names=NAMES, num_resamples=50)
    self.assertLess(np.abs(got.reliability).max(), 0.25)
    self.assertGreater(got.floor, 0.7)
    if (got.reliability <= 0).any():
      self.assertIsNone(got.disattenuated)

  def test_halves_without_differences_agree_with_nothing(self):
    table = np.zeros((30, 8))
    table[:10, 0] = 1.0  # One of two halves is always constant.
    got, influence = reliability.measure_reliability(
      table, 5, np.random.default_rng(0)
    )
    self.assertEqual(got, 0.0)
    self.assertEqual(np.abs(influence).max(), 0.0)

  def test_members_in_reverse_have_no_end(self):
    table = np.array([[1.0, 0.0], [0.0, 1.0]])
    got, _ = reliability.measure_reliability(table, 5, np.random.default_rng(0))
    self.assertEqual(got, -math.inf)
    self.assertEqual(reliability.find_unreliable(np.array([got]), "a"), ["a"])
