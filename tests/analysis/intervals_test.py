"""Tests of standard errors and intervals against SciPy."""

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import scipy.stats
from absl.testing import parameterized

from thickets.analysis import intervals


class StandardErrorTest(parameterized.TestCase):
  @hypothesis.given(st.integers(2, 40), st.floats(-1e3, 1e3), st.integers(0, 9))
  def test_is_that_of_scipy(self, size, mean, seed):
    values = np.random.default_rng(seed).normal(mean, 2.0, size)
    np.testing.assert_allclose(
      intervals.standard_error(values), scipy.stats.sem(values), rtol=1e-9
    )

  def test_of_float32_is_computed_in_float64(self):
    values = 1000 + np.random.default_rng(0).normal(size=1000)
    values = values.astype(np.float32)
    np.testing.assert_allclose(
      intervals.standard_error(values),
      scipy.stats.sem(values.astype(np.float64)),
      rtol=1e-9,
    )

  @parameterized.parameters(0.1, 1 / 3, 1e30)
  def test_of_equal_values_is_exactly_zero(self, value):
    # The rounded mean of equal values may differ from them.
    self.assertEqual(intervals.standard_error(np.full(1023, value)), 0.0)

  @parameterized.parameters(0, 1)
  def test_of_fewer_than_two_is_undefined(self, size):
    self.assertTrue(math.isnan(intervals.standard_error(np.zeros(size))))


class EstimateTest(parameterized.TestCase):
  def test_a_share_of_flags_is_never_certain(self):
    share = intervals.estimate_share(4, 4)
    self.assertEqual(
      (share.value, share.low, share.high),
      (1, *intervals.wilson_interval(4, 4)),
    )
    self.assertLess(share.low, 0.6)
    self.assertEqual(
      intervals.describe_count(4, 4),
      {"count": 4, "frac": 1.0, "low": share.low, "high": share.high},
    )

  def test_a_mean_of_values_that_are_all_alike_is_certain(self):
    # Differences that are all alike have no spread to resample.
    mean = intervals.estimate_mean(np.full(4, 0.25))
    self.assertEqual(
      mean.to_json("mean"), {"mean": 0.25, "low": 0.25, "high": 0.25}
    )
    self.assertFalse(math.isnan(mean.low))


class PairedTest(parameterized.TestCase):
  def test_a_worked_case(self):
    # Of 8 prompts three are won and one lost; with one more of each, of 10.
    differences = np.array([1.0, 1, 1, -1, 0, 0, 0, 0])
    half = 1.96 * math.sqrt((6 / 10 - 0.2**2) / 10)
    expected = [0.2 - half, 0.2 + half]
    np.testing.assert_allclose(intervals.paired_interval(differences), expected)
    np.testing.assert_allclose(intervals.gain_interval(differences), expected)

  def test_no_change_is_not_certain(self):
    low, high = intervals.gain_interval(np.zeros(100))
    self.assertEqual(low, -high)
    self.assertBetween(high, 0.02, 0.04)

  def test_only_a_gain_is_cut_off(self):
    self.assertEqual(intervals.gain_interval(np.ones(2))[1], 1.0)
    self.assertEqual(intervals.gain_interval(-np.ones(2))[0], -1.0)
    # A difference of two gains may be as large as 2.
    self.assertGreater(intervals.paired_interval(np.full(9, 2.0))[1], 1.5)

  def test_a_win_and_a_loss_are_added_to_each_row(self):
    table = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
      intervals.add_win_and_loss(table),
      [[0, 1, 2, 1, -1], [3, 4, 5, 1, -1]],
    )

  @parameterized.parameters(
    (50, 0.02, 0.0),
    (50, 0.1, 0.05),
    (50, 0.2, 0.05),
    (100, 0.05, 0.02),
    (200, 0.02, 0.02),
    (200, 0.3, 0.1),
  )
  def test_covers_the_gain(self, num_prompts, won, lost):
    """Probabilities that a prompt is won over the base, and lost."""
    runs = np.random.default_rng(0).multinomial(
      num_prompts, [won, lost, 1 - won - lost], size=4000
    )
    covered = 0
    for counts, times in zip(
      *np.unique(runs, axis=0, return_counts=True), strict=True
    ):
      low, high = intervals.gain_interval(np.repeat([1.0, -1.0, 0.0], counts))
      covered += times * (low <= won - lost <= high)
    # Where few prompts are won or lost, the interval covers too often.
    self.assertGreaterEqual(covered / 4000, 0.93)
    if num_prompts * lost > 2 and num_prompts * won > 5:
      self.assertLessEqual(covered / 4000, 0.97)


class WilsonTest(parameterized.TestCase):
  @hypothesis.given(
    st.integers(1, 10**6).flatmap(
      lambda trials: st.tuples(st.integers(0, trials), st.just(trials))
    )
  )
  @hypothesis.example((0, 1))
  @hypothesis.example((64, 64))
  @hypothesis.example((0, 3289))
  def test_is_that_of_scipy(self, counts):
    expected = scipy.stats.binomtest(*counts).proportion_ci(method="wilson")
    got = intervals.wilson_interval(*counts)
    np.testing.assert_allclose(
      got, (expected.low, expected.high), rtol=1e-9, atol=1e-12
    )
    self.assertBetween(got[0], 0.0, counts[0] / counts[1] + 1e-12)
    self.assertBetween(got[1], counts[0] / counts[1] - 1e-12, 1.0)
    # At the ends exactly: "0 of n" must not print as a tiny chance.
    self.assertEqual(got[0] == 0.0, counts[0] == 0)
    self.assertEqual(got[1] == 1.0, counts[0] == counts[1])

  def test_a_wider_z_is_a_wider_interval(self):
    expected = scipy.stats.binomtest(3, 20).proportion_ci(0.99, "wilson")
    z = scipy.stats.norm.ppf(0.995)
    np.testing.assert_allclose(
      intervals.wilson_interval(3, 20, z=float(z)), expected, rtol=1e-9
    )

  @parameterized.parameters((-1, 5), (6, 5), (0, 0))
  def test_impossible_counts_are_refused(self, successes, trials):
    with self.assertRaisesRegex(ValueError, f"got {successes} of {trials}"):
      intervals.wilson_interval(successes, trials)


class BootstrapTest(parameterized.TestCase):
  def values(self, kind):
    rng = np.random.default_rng(3)
    return {
      "flags": rng.random(200) < 0.1,
      "ternary": rng.choice([-1.0, 0.0, 1.0], 300, p=[0.1, 0.6, 0.3]),
      "skewed": rng.exponential(size=60),
      "means": rng.binomial(50, 0.3, 150) / 50 - (rng.random(150) < 0.3),
    }[kind]

  @parameterized.parameters("flags", "ternary", "skewed", "means")
  def test_is_that_of_scipy(self, kind):
    values = self.values(kind)
    expected = scipy.stats.bootstrap(
      (values.astype(np.float64),),
      np.mean,
      method="percentile",
      n_resamples=10_000,
      rng=np.random.default_rng(0),
    ).confidence_interval
    got = intervals.bootstrap_interval(values)
    # Quantiles of 10,000 resamples: their own error is about 0.03 s.e.
    error = float(scipy.stats.sem(values.astype(np.float64)))
    np.testing.assert_allclose(got, expected, atol=0.12 * error)
    self.assertBetween(float(np.mean(values)), *got)

  @parameterized.parameters(0.5, 0.9, 0.99)
  def test_its_level_is_that_of_the_normal_distribution(self, level):
    values = np.random.default_rng(0).normal(2.0, 3.0, 400)
    got = intervals.bootstrap_interval(values, level=level)
    expected = scipy.stats.norm.interval(
      level, values.mean(), scipy.stats.sem(values)
    )
    error = float(scipy.stats.sem(values))
    np.testing.assert_allclose(got, expected, atol=0.2 * error)

  def test_depends_on_seed_and_values_alone(self):
    values = self.values("skewed")
    first = intervals.bootstrap_interval(values)
    self.assertEqual(intervals.bootstrap_interval(values), first)
    # Prompts have no order.
    self.assertEqual(intervals.bootstrap_interval(values[::-1]), first)
    self.assertNotEqual(intervals.bootstrap_interval(values, seed=1), first)

  def test_fewer_resamples_are_fewer_values(self):
    low, high = intervals.bootstrap_interval(
      np.array([0.0, 1.0]), num_resamples=1
    )
    self.assertEqual(low, high)

  @parameterized.parameters(0.1, -1.0, 1 / 3)
  def test_of_equal_values_is_that_value(self, value):
    got = intervals.bootstrap_interval(np.full(77, value))
    np.testing.assert_allclose(got, (value, value), rtol=1e-12)

  def test_of_nothing_is_undefined(self):
    self.assertTrue(np.isnan(intervals.bootstrap_interval(np.zeros(0))).all())
