"""Tests of standard errors and intervals against SciPy."""

import math

import hypothesis
import hypothesis.extra.numpy as hnp
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
  def test_says_what_it_is_over(self):
    flags = np.array([True, True, True, True])
    share = intervals.estimate_share(4, 4, over="members")
    self.assertEqual(
      (share.value, share.low, share.high),
      (1, *intervals.wilson_interval(4, 4)),
    )
    self.assertEqual(
      intervals.describe_count(4, 4, over="members"),
      {"count": 4, **share.to_json("frac")},
    )
    self.assertEqual(share.to_json("frac")["over"], "members")
    self.assertEqual(
      intervals.estimate_mean(flags),
      intervals.Estimate(1.0, share.low, share.high, "prompts"),
    )
    found = intervals.estimate_difference(flags - 1.0)
    self.assertEqual(
      (found.value, found.low, found.high, found.over),
      (0.0, *intervals.paired_interval(np.zeros(4)), "prompts"),
    )


def _covers(find, draw, truth, runs=600):
  """Share of the runs whose interval holds the truth."""
  held = 0
  for _ in range(runs):
    low, high = find(draw())
    held += low <= truth <= high
  return held / runs


SIXTHS = st.integers(0, 6).map(lambda count: count / 6)
SHARES = hnp.arrays(np.float64, st.integers(1, 40), elements=SIXTHS)


class MeanTest(parameterized.TestCase):
  @hypothesis.given(hnp.arrays(bool, st.integers(1, 60)))
  def test_of_flags_is_that_of_wilson(self, flags):
    expected = intervals.wilson_interval(int(flags.sum()), len(flags))
    self.assertEqual(intervals.mean_interval(flags), expected)
    # And so it is of a mean over one member.
    mean = flags[None].mean(axis=0)
    self.assertEqual(intervals.mean_interval(mean), expected)

  @hypothesis.given(SHARES)
  def test_holds_the_mean_and_turns_with_the_question(self, values):
    low, high = intervals.mean_interval(values)
    self.assertBetween(values.mean(), low - 1e-12, high + 1e-12)
    self.assertBetween(low, 0, high - 1e-3)
    self.assertLessEqual(high, 1)
    np.testing.assert_allclose(
      intervals.mean_interval(1 - values), (1 - high, 1 - low), atol=1e-12
    )

  @hypothesis.given(SHARES)
  def test_is_no_wider_than_that_of_flags_and_shrinks(self, values):
    more = np.tile(values, 6)  # So that there is a count of the same share.
    found = intervals.mean_interval(more)
    flags = intervals.wilson_interval(round(more.sum()), len(more))
    self.assertLessEqual(np.ptp(found), np.ptp(flags) + 1e-12)
    self.assertLess(np.ptp(found), np.ptp(intervals.mean_interval(values)))

  @parameterized.parameters(
    (10, 2, 0.3, 0.7), (10, 50, 2, 3), (40, 10, 0.05, 2), (200, 50, 2, 3)
  )
  def test_covers_the_mean(self, num_prompts, num_members, a, b):
    """Prompts of chances Beta(a, b), each member right with that chance."""
    rng = np.random.default_rng(0)

    def draw():
      return (
        rng.binomial(num_members, rng.beta(a, b, num_prompts)) / num_members
      )

    covered = _covers(intervals.mean_interval, draw, a / (a + b))
    self.assertGreaterEqual(covered, 0.93)

  @parameterized.parameters(-0.5, 1.5, math.nan)
  def test_what_is_no_share_is_refused(self, value):
    with self.assertRaisesRegex(ValueError, "within 0 and 1, got"):
      intervals.mean_interval(np.array([0.5, value]))


class PairedTest(parameterized.TestCase):
  def test_a_worked_case(self):
    # Of 8 prompts three are won and one lost; with one more of each, of 10.
    differences = np.array([1.0, 1, 1, -1, 0, 0, 0, 0])
    half = scipy.stats.norm.ppf(0.975) * math.sqrt((6 / 10 - 0.2**2) / 10)
    expected = [0.2 - half, 0.2 + half]
    np.testing.assert_allclose(intervals.paired_interval(differences), expected)

  @hypothesis.given(st.integers(1, 500))
  def test_without_a_discordant_pair_is_not_certain(self, num_prompts):
    low, high = intervals.paired_interval(np.zeros(num_prompts))
    self.assertEqual(low, -high)
    self.assertBetween(high, 2.5 / (num_prompts + 2), 3 / (num_prompts + 2))

  def test_is_cut_off_at_what_is_possible(self):
    self.assertEqual(intervals.paired_interval(np.ones(2))[1], 1.0)
    self.assertEqual(intervals.paired_interval(-np.ones(2))[0], -1.0)
    # A difference of two gains may be as large as 2.
    low, high = intervals.paired_interval(np.full(9, 2.0), reach=2.0)
    self.assertEqual(high, 2.0)
    self.assertGreater(low, 0.9)

  @hypothesis.given(SHARES, SHARES)
  def test_exchanging_the_systems_turns_it_round(self, first, second):
    size = min(len(first), len(second))
    differences = first[:size] - second[:size]
    low, high = intervals.paired_interval(differences)
    self.assertEqual(intervals.paired_interval(-differences), (-high, -low))
    self.assertBetween(differences.mean(), low - 1e-12, high + 1e-12)
    self.assertBetween(low, -1, high - 1e-3)
    self.assertLessEqual(high, 1)
    # In another unit it is the same interval.
    np.testing.assert_allclose(
      intervals.paired_interval(2 * differences, reach=2.0),
      (2 * low, 2 * high),
      atol=1e-12,
    )
    # Prompts have no order; more of the same make it narrower.
    np.testing.assert_allclose(
      intervals.paired_interval(differences[::-1]), (low, high), atol=1e-12
    )
    more = intervals.paired_interval(np.tile(differences, 3))
    self.assertLess(np.ptp(more), high - low)

  @parameterized.parameters(1.5, -2.0, math.nan)
  def test_what_is_out_of_reach_is_refused(self, value):
    with self.assertRaisesRegex(ValueError, "within -1 and 1, got"):
      intervals.paired_interval(np.array([0.0, value]))

  def test_no_prompt_is_refused(self):
    with self.assertRaisesRegex(ValueError, "at least one prompt"):
      intervals.paired_interval(np.zeros(0))

  @parameterized.parameters(
    (5, 0.1, 0.1),
    (10, 0.2, 0.05),
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
      low, high = intervals.paired_interval(np.repeat([1.0, -1.0, 0.0], counts))
      covered += times * (low <= won - lost <= high)
    # Where few prompts are won or lost, the interval covers too often.
    self.assertGreaterEqual(covered / 4000, 0.93)
    if num_prompts * lost > 2 and num_prompts * won > 5:
      self.assertLessEqual(covered / 4000, 0.97)

  @parameterized.parameters(
    (10, 2, 0.3, 0.7), (20, 10, 0.05, 2), (50, 50, 2, 3), (200, 2, 0.05, 2)
  )
  def test_covers_the_gain_of_a_mean_over_members(
    self, num_prompts, num_members, a, b
  ):
    """Members and base are right with the same chance, so that none gains."""
    rng = np.random.default_rng(0)

    def draw():
      chance = rng.beta(a, b, num_prompts)
      members = rng.binomial(num_members, chance) / num_members
      return members - (rng.random(num_prompts) < chance)

    covered = _covers(intervals.paired_interval, draw, 0.0)
    self.assertGreaterEqual(covered, 0.93)


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
