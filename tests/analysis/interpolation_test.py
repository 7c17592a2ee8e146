"""Tests of interpolation and of the measure of what it explains."""

import json
import math
from unittest import mock

import numpy as np
from absl.testing import parameterized

from thickets.analysis import interpolation
from thickets.analysis.interpolation import interpolate, measure_explained
from thickets.errors import UserError

RNG = np.random.default_rng(5)
CLOUD = RNG.normal(size=(300, 2)) * 0.02
HILL = np.exp(-np.square(CLOUD / 0.02).sum(axis=1))
NOISE = RNG.normal(size=300)


def _explain(scores, coordinates=CLOUD, **options):
  return measure_explained(coordinates, scores, seed=1, **options)


class MeasureExplainedTest(parameterized.TestCase):
  def test_a_member_at_a_time_gives_the_same(self):
    coordinates, scores = CLOUD[:40], NOISE[:40] + 100 * CLOUD[:40, 0]
    width = math.sqrt(coordinates.var(axis=0).mean())
    shares = []
    for bandwidth in (0.2, 0.8):
      errors, baseline = 0.0, 0.0
      for left_out in range(40):
        rest = np.arange(40) != left_out
        squares = np.square(coordinates[rest] - coordinates[left_out]).sum(1)
        weights = np.exp(-squares / 2 / (bandwidth * width) ** 2)
        guess = weights @ scores[rest] / weights.sum()
        errors += (scores[left_out] - guess) ** 2
        baseline += (scores[left_out] - scores[rest].mean()) ** 2
      shares.append(1 - errors / baseline)
    for used in ((0.2,), (0.8,), (0.2, 0.8)):
      got = _explain(scores, coordinates, bandwidths=used)
      expected = max(
        s for s, b in zip(shares, (0.2, 0.8), strict=True) if b in used
      )
      self.assertAlmostEqual(got.share, expected, places=5)
    best = (0.2, 0.8)[int(np.argmax(shares))]
    self.assertAlmostEqual(got.bandwidth, best * width)

  def test_a_hill_is_found_and_noise_is_not(self):
    hill, noisy, noise = map(_explain, (HILL, HILL + 0.3 * NOISE, NOISE))
    self.assertGreater(hill.share, 0.95)
    self.assertEqual(hill.p_value, 1 / 201)
    # What can be explained is the hill's part of the variance.
    part = HILL.var() / (HILL + 0.3 * NOISE).var()
    self.assertBetween(noisy.share, part - 0.1, part + 0.05)
    self.assertLess(noise.share, noise.null_high)
    self.assertLess(noise.share, 0.02)
    self.assertGreater(noise.p_value, 0.05)

  def test_the_null_takes_the_best_bandwidth_of_every_deal(self):
    got = _explain(HILL)
    for bandwidth in interpolation.BANDWIDTHS:
      alone = _explain(HILL, bandwidths=(bandwidth,))
      self.assertGreaterEqual(got.null_high, alone.null_high - 1e-6)
      self.assertGreaterEqual(got.null, alone.null - 1e-6)

  def test_the_null_is_exact(self):
    # Scores without a picture: p values are uniform, so 5 % are below 0.05.
    rng = np.random.default_rng(0)
    p_values = [
      measure_explained(
        rng.normal(size=(30, 2)), rng.normal(size=30), seed=draw, num_deals=39
      ).p_value
      for draw in range(200)
    ]
    error = math.sqrt(0.05 * 0.95 / 200)
    self.assertLess(abs(np.mean(np.array(p_values) <= 0.05) - 0.05), 3 * error)
    self.assertLess(abs(np.mean(p_values) - 0.5125), 3 * 0.29 / math.sqrt(200))

  def test_a_larger_sigma_further_out_is_not_an_explanation(self):
    sigmas = np.repeat([0.01, 0.1], 150)
    coordinates = RNG.normal(size=(300, 2)) * sigmas[:, None]
    scores = NOISE - 5 * (sigmas == 0.1)
    pooled = _explain(scores, coordinates)
    within = _explain(scores, coordinates, groups=sigmas)
    self.assertGreater(pooled.share, 0.3)
    self.assertEqual(pooled.p_value, 1 / 201)
    self.assertLess(within.share, within.null_high)

  def test_deals_stay_within_their_group(self):
    group = np.array([1, 0, 1, 0, 0])
    values = np.array([10.0, 1.0, 20.0, 2.0, 3.0])
    dealt = interpolation._deal(values, group, 50, np.random.default_rng(0))
    for places in (group == 0, group == 1):
      np.testing.assert_array_equal(
        np.sort(dealt[places], axis=0),
        np.repeat(np.sort(values[places])[:, None], 50, axis=1),
      )
    self.assertLen(np.unique(dealt, axis=1).T, 12)  # 3! times 2!.

  def test_units_and_failures_do_not_matter(self):
    scores = HILL + NOISE
    expected = _explain(scores[:200], CLOUD[:200])
    failed = scores.copy()
    failed[200:] = np.nan
    got = _explain(failed)
    self.assertEqual(got, expected)
    self.assertEqual(got.num_members, 200)
    scaled = _explain(100 * scores[:200] - 7, 1000 * CLOUD[:200])
    self.assertAlmostEqual(scaled.share, expected.share, places=5)
    self.assertAlmostEqual(scaled.bandwidth, 1000 * expected.bandwidth)

  def test_equal_scores_have_nothing_to_explain(self):
    got = _explain(np.full(300, 0.1))
    self.assertTrue(math.isnan(got.share))
    self.assertIsNone(json.loads(json.dumps(got.to_json()))["share"])
    self.assertEqual(_explain(NOISE).to_json()["num_deals"], 200)

  @parameterized.parameters(
    (CLOUD, np.where(np.arange(300) < 2, 1.0, np.nan), "got 2 of 300"),
    (np.zeros((3, 2)), np.arange(3.0), "got one place for all"),
  )
  def test_refuses(self, coordinates, scores, message):
    with self.assertRaisesRegex(UserError, message):
      _explain(scores, coordinates)


class InterpolateTest(parameterized.TestCase):
  def test_a_weighted_mean_within_the_hull(self):
    corners = np.array([[0, 0], [2, 0], [0, 2], [2, 2]], float)
    values = np.array([1.0, 3.0, 5.0, np.nan])
    places = np.array([[1, 0], [0.9, 0.9], [1.5, 1.5], [-0.1, 0]])
    got = interpolate(corners, values, places, bandwidth=1.0)
    weights = np.exp(-np.array([1, 1, 5]) / 2)
    self.assertAlmostEqual(got[0], weights @ values[:3] / weights.sum())
    self.assertBetween(got[1], 1, 5)
    # The failed corner spans no hull either.
    np.testing.assert_array_equal(np.isnan(got), [False, False, True, True])

  def test_recovers_a_hill_and_stays_within_the_values(self):
    got = interpolate(CLOUD, HILL, CLOUD, bandwidth=0.003)
    inside = ~np.isnan(got)
    self.assertGreater(np.corrcoef(got[inside], HILL[inside])[0, 1], 0.98)
    noisy = interpolate(CLOUD, NOISE, CLOUD)
    self.assertGreater(np.nanmin(noisy), NOISE.min())
    self.assertLess(np.nanmax(noisy), NOISE.max())

  def test_blocks_do_not_matter(self):
    expected = interpolate(CLOUD, HILL, CLOUD)
    explained = _explain(NOISE)
    with mock.patch.object(interpolation, "_BLOCK", 7 * 300):
      np.testing.assert_allclose(interpolate(CLOUD, HILL, CLOUD), expected)
      self.assertAlmostEqual(_explain(NOISE).share, explained.share, places=5)

  @parameterized.parameters(2, 3)
  def test_refuses_a_line(self, count):
    line = np.stack([np.arange(count), np.arange(count)], axis=1).astype(float)
    with self.assertRaisesRegex(
      UserError, f"not on a line, got {count} members"
    ):
      interpolate(line, np.arange(count, dtype=float), line)
