"""Tests of percentile ranks and rank correlations."""

import numpy as np
from absl.testing import parameterized

from thickets.analysis import (
  diversity,
  rank_correlation,
)
from thickets.analysis.rank_correlation import Column


def _table(seed, num_members, num_tasks, *, coarse=False):
  rng = np.random.default_rng(seed)
  skill = rng.normal(size=(num_members, 1)) + rng.normal(
    size=(num_members, num_tasks)
  )
  return np.round(2 * skill) if coarse else skill


class RankTest(parameterized.TestCase):
  def test_percentiles_share_ties(self):
    scores = np.array([[3.0], [1.0], [3.0], [0.0]])
    got = rank_correlation.percentile_ranks(scores)
    ranks = np.array([3.5, 2, 3.5, 1])
    np.testing.assert_allclose(got[:, 0], (ranks - 0.5) / 4)

  @parameterized.product(coarse=(False, True), drawn=(12, 7))
  def test_resamples_are_tables_of_the_members_drawn(self, coarse, drawn):
    scores = _table(1, 12, 3, coarse=coarse)
    rng = np.random.default_rng(0)
    picks = rng.integers(12, size=(40, drawn))
    weights = np.stack(
      [np.bincount(pick, minlength=12) for pick in picks], axis=1
    ).astype(float)
    got = rank_correlation.resample_discordance(
      [Column.sort(column) for column in scores.T], weights
    )
    expected = [diversity.spectral_discordance(scores[pick]) for pick in picks]
    np.testing.assert_allclose(got, expected, atol=1e-12)

  def test_a_constant_resample_is_undefined(self):
    scores = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 3.0]])
    columns = [Column.sort(column) for column in scores.T]
    weights = np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
    got = rank_correlation.resample_discordance(columns, weights)
    self.assertEqual(np.isnan(got).tolist(), [True, False, True])

  @parameterized.parameters(False, True)
  def test_influence_is_the_derivative_by_a_members_weight(self, coarse):
    scores = _table(2, 25, 3, coarse=coarse)
    columns = [Column.sort(column) for column in scores.T]
    _, influence = rank_correlation.correlation_influence(columns)
    step = 1e-5
    # A member's weight up by `step`, one column per member; then the total is
    # 25 + step, and influence is by share.
    weights = np.ones((25, 25)) + step * np.eye(25)
    moved = rank_correlation.resample_discordance(columns, weights)
    rest = rank_correlation.resample_discordance(columns, np.ones((25, 1)))
    np.testing.assert_allclose(
      (moved - rest) * 25 / step,
      -rank_correlation.mean_pairs(influence),
      atol=1e-3,
    )
