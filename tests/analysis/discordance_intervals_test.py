"""Tests of the intervals of spectral discordance."""

import numpy as np
import pytest
import scipy.stats
from absl.testing import parameterized

from experiments.validation import discordance_coverage
from experiments.validation.discordance_coverage import Effort
from thickets.analysis import (
  discordance_intervals,
  diversity,
)


class IntervalTest(parameterized.TestCase):
  def test_bca_is_that_of_scipy(self):
    # Of a skewed mean, whose influence is known.
    values = np.random.default_rng(0).exponential(size=200)
    rng = np.random.default_rng(1)
    drawn = rng.choice(values, (20_000, 200)).mean(axis=1)
    got = discordance_intervals.bca_interval(
      float(values.mean()), drawn, values - values.mean(), 0.95
    )
    expected = scipy.stats.bootstrap(
      (values,), np.mean, method="BCa", n_resamples=20_000, rng=rng
    ).confidence_interval
    width = expected.high - expected.low
    # Wider by the quantile of Student, 0.9 % here.
    np.testing.assert_allclose(got, expected, atol=0.03 * width)

  def test_prompts_widen_and_keep_the_skew(self):
    got = discordance_intervals.add_prompts(
      1.0, (0.9, 1.3), 0.01, 0.03, num_members=50, level=0.95
    )
    np.testing.assert_allclose(got, (0.8, 1.6))

  def test_jackknife_is_the_variance_over_prompts(self):
    # Prompts load on two skills; which are drawn decides what the task ranks.
    rng = np.random.default_rng(0)
    skills = rng.normal(size=(300, 2))
    others = skills[:, :1] + 0.1 * rng.normal(size=(300, 1))

    def draw():
      angle = rng.uniform(0, np.pi / 2, 60)
      return skills @ np.stack([np.cos(angle), np.sin(angle)])

    tables = [draw() for _ in range(80)]
    values = [
      diversity.spectral_discordance(
        np.stack([table.mean(axis=1), others[:, 0]], axis=1)
      )
      for table in tables
    ]
    found = [
      discordance_intervals.jackknife_prompts(table, others, rng)
      for table in tables[:10]
    ]
    np.testing.assert_allclose(np.mean(found), np.var(values), rtol=0.3)

  def test_chance_answers_leave_prompts_nothing(self):
    rng = np.random.default_rng(0)
    found = [
      discordance_intervals.jackknife_prompts(
        rng.normal(size=(100, 20)), rng.normal(size=(100, 1)), rng
      )
      for _ in range(10)
    ]
    # Over members the variance is 1 / 99, and all of it counts there.
    self.assertLess(np.mean(found), 0.35 / 99)

  @pytest.mark.slow
  def test_intervals_cover(self):
    # The full simulation is experiments/coverage_diversity.py.
    effort = Effort(num_runs=500, num_resamples=500, num_splits=10)
    for population in discordance_coverage.POPULATIONS[1:3]:
      row = discordance_coverage.simulate_discordance(
        population, np.random.default_rng(0), effort
      )
      share = row["coverage"]["interval"]["share"]
      self.assertBetween(share, 0.925, 0.975, population.name)
