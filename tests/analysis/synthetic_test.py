"""Tests that synthetic populations are what they say."""

import numpy as np
import scipy.stats
from absl.testing import parameterized

from thickets.analysis.synthetic import (
  MixedGains,
  NormalGains,
  SkewedGains,
  SyntheticPopulation,
)
from thickets.errors import UserError

LAWS = {
  "normal": NormalGains(0.01, 0.03),
  "atom": NormalGains(0.02, 0.0),
  "skewed": SkewedGains(-0.02, 0.03),
  "capped": SkewedGains(0.05, -0.03),
  "mixed": MixedGains((0.3, 0.7), (NormalGains(0, 0), NormalGains(0.01, 0.02))),
}


class LawsTest(parameterized.TestCase):
  @parameterized.parameters(*LAWS)
  def test_survival_is_the_share_of_draws(self, name):
    gains = LAWS[name].draw(np.random.default_rng(0), 40_000)
    for margin in (-0.03, 0.0, 0.02, 0.04):
      # 4 standard errors of 40,000 draws.
      self.assertAlmostEqual(
        LAWS[name].survival(margin), np.mean(gains >= margin), delta=0.01
      )

  def test_survival_of_closed_forms(self):
    self.assertEqual(LAWS["atom"].survival(0.02), 1.0)  # A tie is a success.
    self.assertEqual(LAWS["atom"].survival(0.021), 0.0)
    self.assertAlmostEqual(
      LAWS["normal"].survival(0.02), scipy.stats.norm.sf(0.02, 0.01, 0.03)
    )
    self.assertAlmostEqual(
      LAWS["skewed"].survival(0.02), scipy.stats.expon.sf(0.02, -0.02, 0.03)
    )


class PopulationTest(parameterized.TestCase):
  @parameterized.parameters(
    {},
    {"coupling": 0.0},
    {"coupling": 0.9, "luck": 0.5},
    {"base_accuracy": 0.8},
    {"carrying": 0.25},
    {"copies": 0.3},
  )
  def test_a_member_gains_what_it_was_given(self, **settings):
    population = SyntheticPopulation(NormalGains(0.02, 0.02), **settings)
    sample = population.sample(np.random.default_rng(0), 40, 20_000)
    difference = (sample.scores - sample.base_scores).mean(axis=1)
    np.testing.assert_allclose(difference, sample.gains, atol=0.015)
    self.assertGreater(np.corrcoef(difference, sample.gains)[0, 1], 0.9)
    self.assertAlmostEqual(
      sample.base_scores.mean(), population.base_accuracy, delta=0.015
    )

  def test_copies_are_the_base(self):
    population = SyntheticPopulation(NormalGains(0.0, 0.02), copies=0.25)
    sample = population.sample(np.random.default_rng(0), 4000, 50)
    is_copy = (sample.scores == sample.base_scores).all(axis=1)
    self.assertAlmostEqual(is_copy.mean(), 0.25, delta=0.03)
    np.testing.assert_array_equal(sample.gains[is_copy], 0.0)
    self.assertAlmostEqual(population.true_density(0), 0.25 + 0.75 * 0.5)
    self.assertAlmostEqual(
      population.true_density(0.02), 0.75 * scipy.stats.norm.sf(1)
    )

  def test_members_share_prompts_and_luck(self):
    def shared(coupling):
      population = SyntheticPopulation(NormalGains(0.0, 0.0), coupling=coupling)
      sample = population.sample(np.random.default_rng(0), 200, 2000)
      return (sample.scores - sample.base_scores).mean(axis=0).var()

    self.assertGreater(shared(0.0), shared(0.6))
    self.assertGreater(shared(0.6), shared(0.95))

  def test_a_sample_depends_on_the_generator_alone(self):
    population = SyntheticPopulation(NormalGains(0.0, 0.03))
    first, again, other = (
      population.sample(np.random.default_rng(seed), 5, 7) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.scores, again.scores)
    self.assertFalse(np.array_equal(first.gains, other.gains))
    self.assertTrue(np.isin(first.scores, (0, 1)).all())

  def test_impossible_gains_are_refused(self):
    population = SyntheticPopulation(NormalGains(0.3, 0.0), base_accuracy=0.8)
    with self.assertRaisesRegex(UserError, "got 1.100 to 1.100"):
      population.sample(np.random.default_rng(0), 3, 3)
