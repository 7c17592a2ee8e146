"""Tests of trends over points with errors, against lines that are known."""

import json

import numpy as np
import pytest
import scipy.stats
from absl.testing import parameterized

from thickets import trends
from thickets.errors import UserError

X = np.array([4.0, 4.6, 5.0, 5.7, 6.1, 6.4])


def _noisy(seed, *, slope=0.2, tau=0.0, errors=0.0, x=X):
  """Points around a line, with errors of their own and a scatter beyond."""
  rng = np.random.default_rng(seed)
  spread = np.sqrt(tau**2 + np.square(errors))
  return 0.1 + slope * x + spread * rng.standard_normal(len(x))


class TrendTest(parameterized.TestCase):
  @parameterized.parameters(0.0, 0.01, 3.0)
  def test_exact_points_give_their_line(self, error):
    trend = trends.fit_trend(X, 2 - 0.5 * X, np.full(6, error))
    self.assertAlmostEqual(trend.slope, -0.5, places=9)
    self.assertAlmostEqual(trend.intercept, 2, places=8)
    self.assertAlmostEqual(trend.tau, 0, places=5)
    np.testing.assert_allclose(trend.predict(X), 2 - 0.5 * X, atol=1e-8)
    low, high = trend.slope_interval
    self.assertAlmostEqual((low + high) / 2, trend.slope, places=9)
    # Of a line that fits better than its errors allow, the errors count.
    half = error / (X.std() * np.sqrt(6)) * scipy.stats.t.ppf(0.975, 4)
    self.assertAlmostEqual((high - low) / 2, half, delta=1e-5)

  @parameterized.product(scale=(1.0, 1e-3, 1e3), share=(0.0, 0.5, 0.99))
  def test_is_least_squares_where_errors_are_alike(self, scale, share):
    """Whatever part of the scatter the errors explain, up to all of it."""
    y = scale * _noisy(1, tau=0.1)
    plain = scipy.stats.linregress(X, y)
    residual = np.sqrt(np.sum((y - plain.intercept - plain.slope * X) ** 2) / 4)
    trend = trends.fit_trend(X, y, np.full(6, residual * share))
    self.assertAlmostEqual(trend.slope / scale, plain.slope / scale, places=9)
    half = plain.stderr * scipy.stats.t.ppf(0.975, 4)
    np.testing.assert_allclose(
      trend.slope_interval, [plain.slope - half, plain.slope + half], rtol=1e-4
    )
    # The restricted likelihood's: what the errors leave of the residuals.
    self.assertAlmostEqual(
      trend.tau / scale, residual / scale * np.sqrt(1 - share**2), delta=1e-5
    )

  def test_errors_that_explain_the_scatter_leave_none(self):
    y = _noisy(2, tau=0.1)
    self.assertGreater(trends.fit_trend(X, y, np.zeros(6)).tau, 0.05)
    self.assertEqual(trends.fit_trend(X, y, np.full(6, 0.5)).tau, 0.0)

  def test_a_point_of_large_error_counts_little(self):
    y = 1 + 0.3 * X
    y[-1] += 5
    errors = np.full(6, 0.01)
    errors[-1] = 50.0
    self.assertAlmostEqual(trends.fit_trend(X, y, errors).slope, 0.3, places=5)
    self.assertGreater(trends.fit_trend(X, y, np.full(6, 0.01)).slope, 1.0)

  def test_weights_are_those_of_the_likelihood(self):
    """tau² maximises the restricted likelihood, by a search of its own."""
    errors = np.array([0.01, 0.05, 0.02, 0.2, 0.1, 0.03])
    y = _noisy(3, tau=0.08, errors=errors)
    design = np.stack([np.ones(6), X], axis=1)

    def likelihood(tau):
      weights = np.diag(1 / (errors**2 + tau**2))
      information = design.T @ weights @ design
      beta = np.linalg.solve(information, design.T @ weights @ y)
      rest = y - design @ beta
      return (
        np.linalg.slogdet(weights)[1]
        - np.linalg.slogdet(information)[1]
        - rest @ weights @ rest
      ) / 2, beta

    grid = np.linspace(0, 0.5, 5001)
    best = grid[np.argmax([likelihood(tau)[0] for tau in grid])]
    trend = trends.fit_trend(X, y, errors)
    self.assertAlmostEqual(trend.tau, best, delta=1e-4)
    self.assertGreater(best, 0.01)
    self.assertAlmostEqual(trend.slope, likelihood(best)[1][1], places=4)

  @parameterized.parameters((0.5, "rises"), (-0.5, "falls"), (0.0, "not shown"))
  def test_verdict_and_json(self, slope, verdict):
    y = _noisy(4, slope=slope, tau=0.02)
    trend = trends.fit_trend(X, y, np.full(6, 0.02))
    self.assertEqual(trend.verdict, verdict)
    plain = json.loads(json.dumps(trend.to_json(), allow_nan=False))
    self.assertEqual(plain["verdict"], verdict)
    self.assertEqual(plain["slope_interval"], list(trend.slope_interval))
    self.assertEqual((plain["num_points"], plain["level"]), (6, 0.95))

  def test_points_all_alike_show_nothing(self):
    for error in (0.0, 0.01):
      trend = trends.fit_trend(X, np.zeros(6), np.full(6, error))
      self.assertEqual(trend.slope, 0.0)
      self.assertEqual(trend.verdict, "not shown")

  def test_a_higher_level_is_wider(self):
    y, errors = _noisy(5, tau=0.1), np.full(6, 0.02)
    lows = [
      trends.fit_trend(X, y, errors, level=level).slope_interval[0]
      for level in (0.8, 0.95, 0.99)
    ]
    self.assertEqual(lows, sorted(lows, reverse=True))

  @parameterized.parameters(
    ([1, 2], [1, 2], [0, 0], r"at least 3 points .* got x=\[1.0, 2.0\]"),
    ([2, 2, 2], [1, 2, 3], [0, 0, 0], "at least 3 points at different x"),
    ([1, 2, 3], [1, 2], [0, 0, 0], "must be of one length"),
    ([1, 2, 3], [1, 2, np.nan], [0, 0, 0], "must be finite"),
    ([1, 2, 3], [1, 2, 3], [0, -1, 0], "errors above 0 or all 0"),
    ([1, 2, 3], [1, 2, 3], [0, 1, 1], "errors above 0 or all 0"),
    ([1, 2, np.inf], [1, 2, 3], [0, 0, 0], "must be finite"),
  )
  def test_refusals(self, x, y, errors, message):
    with self.assertRaisesRegex(UserError, message):
      trends.fit_trend(x, y, errors)

  @parameterized.parameters((0.0, 6), (0.03, 6), (0.2, 6), (0.03, 4))
  @pytest.mark.slow
  def test_intervals_cover_the_slope(self, tau, num_points):
    x = np.linspace(4, 6.5, num_points)
    errors = np.linspace(0.02, 0.06, num_points)
    covered = 0
    for seed in range(2000):
      y = _noisy(seed, tau=tau, errors=errors, x=x)
      low, high = trends.fit_trend(x, y, errors).slope_interval
      covered += low <= 0.2 <= high
    # The scatter is never taken for less than the errors, so that intervals are
    # too wide where there is little beyond them.
    self.assertGreaterEqual(covered / 2000, 0.93)
    if tau == 0.2:
      self.assertLessEqual(covered / 2000, 0.97)
