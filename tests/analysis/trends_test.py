"""Tests of trends, against SciPy and lines that are known."""

import json

import numpy as np
import pytest
import scipy.stats
from absl.testing import parameterized

from thickets.analysis import trends
from thickets.errors import UserError

X = np.array([4.0, 4.6, 5.0, 5.7, 6.1, 6.4])


def _noisy(seed, *, slope=0.2, spread=0.1, x=X):
  """Points around a line."""
  return (
    0.1 + slope * x + spread * np.random.default_rng(seed).normal(size=len(x))
  )


class TrendTest(parameterized.TestCase):
  def test_exact_points_give_their_line(self):
    trend = trends.fit_trend(X, 2 - 0.5 * X)
    np.testing.assert_allclose(
      [trend.slope, *trend.slope_interval], -0.5, rtol=0, atol=1e-7
    )

  @parameterized.parameters(1.0, 1e-3, 1e3)
  def test_is_the_textbook_interval(self, scale):
    y = scale * _noisy(1)
    centred = X - X.mean()
    slope = centred @ y / (centred @ centred)
    rest = y - y.mean() - slope * centred
    error = np.sqrt(rest @ rest / 4 / (centred @ centred))
    half = error * scipy.stats.t.ppf(0.975, 4)
    trend = trends.fit_trend(X, y)
    np.testing.assert_allclose(trend.slope, slope)
    np.testing.assert_allclose(
      trend.slope_interval, [slope - half, slope + half]
    )

  def test_beside_another_is_the_regression_on_both(self):
    z = np.array([0.3, -0.2, 0.9, 0.1, -0.5, 0.4])
    y = _noisy(2) - 0.8 * z
    design = np.stack([np.ones(6), X, z], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ y
    rest = y - design @ found
    error = np.sqrt(rest @ rest / 3 * inverse[1, 1])
    half = error * scipy.stats.t.ppf(0.975, 3)
    trend = trends.fit_trend(X, y, beside=z)
    np.testing.assert_allclose(trend.slope, found[1])
    np.testing.assert_allclose(
      trend.slope_interval, [found[1] - half, found[1] + half]
    )

  @parameterized.parameters(
    ([1.0, 2.0], "a finite number for each of the 6 points"),
    ([np.nan, 1, 2, 3, 4, 5], "a finite number for each"),
    (3 - 2 * X, "x that does not follow"),
  )
  def test_what_stands_beside_must_differ_from_x(self, beside, message):
    with self.assertRaisesRegex(UserError, message):
      trends.fit_trend(X, _noisy(3), beside=beside)

  @parameterized.parameters((0.5, "rises"), (-0.5, "falls"), (0.0, "not shown"))
  def test_verdict_and_json(self, slope, verdict):
    trend = trends.fit_trend(X, _noisy(4, slope=slope, spread=0.03))
    self.assertEqual(trend.verdict, verdict)
    plain = json.loads(json.dumps(trend.to_json(), allow_nan=False))
    self.assertEqual(plain["verdict"], verdict)
    self.assertEqual(plain["slope_interval"], list(trend.slope_interval))
    self.assertEqual((plain["num_points"], plain["level"]), (6, 0.95))

  def test_points_all_alike_show_nothing(self):
    for y in (0.0, 0.3):
      trend = trends.fit_trend(X, np.full(6, y))
      self.assertAlmostEqual(trend.slope, 0.0)
      self.assertEqual(trend.verdict, "not shown")
      self.assertTrue(np.isfinite(trend.slope_interval).all())

  def test_a_higher_level_is_wider(self):
    lows = [
      trends.fit_trend(X, _noisy(5), level=level).slope_interval[0]
      for level in (0.8, 0.95, 0.99)
    ]
    self.assertEqual(lows, sorted(lows, reverse=True))

  @parameterized.parameters(
    ([1, 2], [1, 2], r"at least 3 points .* got x=\[1.0, 2.0\]"),
    ([2, 2, 2], [1, 2, 3], "at least 3 points at different x"),
    ([1, 2, 3], [1, 2], "must be of one length"),
    ([1, 2, 3], [1, 2, np.nan], "must be finite"),
    ([1, 2, np.inf], [1, 2, 3], "must be finite"),
  )
  def test_refusals(self, x, y, message):
    with self.assertRaisesRegex(UserError, message):
      trends.fit_trend(x, y)

  @parameterized.parameters(4, 6)
  @pytest.mark.slow
  def test_intervals_cover_the_slope(self, num_points):
    x = np.linspace(4, 6.5, num_points)
    covered = 0
    for seed in range(2000):
      low, high = trends.fit_trend(x, _noisy(seed, x=x)).slope_interval
      covered += low <= 0.2 <= high
    self.assertBetween(covered / 2000, 0.93, 0.97)
