"""Tests of spectral discordance: laws, closed forms, known reliability."""

import json
import math
from unittest import mock

import hypothesis
import hypothesis.strategies as st
import numpy as np
import scipy.stats
from absl import logging
from absl.testing import parameterized

from thickets.analysis import (
  diversity,
  rank_correlation,
)
from thickets.analysis.rank_correlation import Column
from thickets.errors import UserError

NAMES = ("countdown", "gsm8k", "math")
FEW = {"names": NAMES, "num_resamples": 50, "num_splits": 2}


def _table(seed, num_members, num_tasks, *, coarse=False):
  rng = np.random.default_rng(seed)
  skill = rng.normal(size=(num_members, 1)) + rng.normal(
    size=(num_members, num_tasks)
  )
  return np.round(2 * skill) if coarse else skill


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


class SpectralDiscordanceTest(parameterized.TestCase):
  @parameterized.parameters(2, 7)
  def test_of_identical_columns_is_zero(self, num_tasks):
    column = np.random.default_rng(0).random((50, 1))
    scores = np.tile(column, num_tasks)
    self.assertAlmostEqual(diversity.spectral_discordance(scores), 0.0, 12)

  def test_of_two_reversed_columns_is_two(self):
    column = np.random.default_rng(0).random(50)
    scores = np.stack([column, -column], axis=1)
    self.assertAlmostEqual(diversity.spectral_discordance(scores), 2.0, 12)

  def test_of_unrelated_columns_is_about_one(self):
    rng = np.random.default_rng(0)
    values = [
      diversity.spectral_discordance(rng.random((500, 7))) for _ in range(20)
    ]
    # One has a standard deviation of 0.010.
    self.assertAlmostEqual(float(np.mean(values)), 1.0, delta=0.008)
    self.assertLess(np.abs(np.array(values) - 1).max(), 0.04)

  def test_reaches_its_bound(self):
    # Ranks 1, 2, 3 in all orders of a Latin square: C = -1/2 throughout.
    scores = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 1.0], [3.0, 1.0, 2.0]])
    self.assertAlmostEqual(diversity.spectral_discordance(scores), 1.5, 12)

  @hypothesis.given(
    st.integers(0, 99), st.integers(3, 60), st.integers(2, 6), st.booleans()
  )
  def test_is_within_its_bound_and_that_of_scipy(
    self, seed, size, tasks, coarse
  ):
    scores = _table(seed, size, tasks, coarse=coarse)
    hypothesis.assume((np.ptp(scores, axis=0) > 0).all())
    got = diversity.spectral_discordance(scores)
    self.assertBetween(got, 0.0, tasks / (tasks - 1))
    pairs = [
      scipy.stats.spearmanr(scores[:, j], scores[:, k]).statistic
      for j in range(tasks)
      for k in range(j)
    ]
    self.assertAlmostEqual(got, 1 - np.mean(pairs), 9)

  @hypothesis.given(st.integers(0, 99), st.booleans())
  def test_depends_on_ranks_alone(self, seed, coarse):
    scores = _table(seed, 40, 3, coarse=coarse)
    got = diversity.spectral_discordance(scores)
    other = np.stack(
      [np.exp(scores[:, 0]), 7 * scores[:, 1] - 3, scores[:, 2] ** 3], axis=1
    )
    self.assertAlmostEqual(diversity.spectral_discordance(other), got, 12)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rng.permutation(scores), axis=1)
    self.assertAlmostEqual(diversity.spectral_discordance(shuffled), got, 12)
    # One column turned over is another table.
    turned = scores * np.array([1, 1, -1])
    self.assertNotAlmostEqual(diversity.spectral_discordance(turned), got, 3)

  def test_the_order_of_prompts_breaks_no_ties(self):
    # 0.1 + 0.2 + 0.3 depends on the order in its last bit.
    column = np.array([(0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3, 0.9])
    self.assertNotEqual(column[0], column[1])
    scores = np.stack([column, np.array([0.2, 0.2, 0.9])], axis=1)
    self.assertAlmostEqual(diversity.spectral_discordance(scores), 0.0, 12)

  def test_refusals(self):
    good = _table(0, 5, 3)
    constant = good.copy()
    constant[:, 1] = 0.25
    failed = good.copy()
    failed[3, 0] = np.nan
    cases = (
      (constant, NAMES, r"got 0.25 for all 5 members on 'gsm8k'\. A ranking"),
      (good[:1], NAMES, "at least two members, got 1. Draw more"),
      (good[:, :1], NAMES[:1], r"at least two tasks, got 1 \(countdown\)"),
      (failed, NAMES, "got 1 members with others, the first at 3"),
      (good, NAMES[:2], "one distinct name per task"),
      (good, ("a", "b", "a"), "one distinct name per task"),
    )
    for scores, names, message in cases:
      with self.subTest(message), self.assertRaisesRegex(UserError, message):
        diversity.spectral_discordance(scores, names=names)

  def test_a_constant_column_is_refused_though_its_mean_rounds(self):
    scores = np.stack([np.full(49, 0.1), np.arange(49.0)], axis=1)
    scores[::2, 0] = np.mean([0.1] * 3)
    with self.assertRaisesRegex(UserError, "'task 0'"):
      diversity.spectral_discordance(scores)


class MeasureTest(parameterized.TestCase):
  def measure(self, tables, **options):
    options = {"num_resamples": 200, "num_splits": 10, **options}
    return diversity.measure_discordance(tables, names=NAMES, **options)

  def test_holds_the_discordance_of_the_means(self):
    tables = _answers(0)
    got = self.measure(tables)
    means = np.stack([table.mean(axis=1) for table in tables], axis=1)
    self.assertAlmostEqual(got.value, diversity.spectral_discordance(means), 12)
    np.testing.assert_allclose(
      got.correlation, scipy.stats.spearmanr(means).statistic, atol=1e-12
    )
    self.assertEqual(got.bound, 1.5)
    self.assertEqual(got.num_prompts, (20, 30, 25))
    self.assertEqual((got.num_members, got.num_failed), (60, 0))
    low, high = got.interval
    self.assertBetween(got.value, low, high)
    wide = got.interval_new_prompts
    self.assertLessEqual(wide[0], low)
    self.assertGreaterEqual(wide[1], high)
    self.assertLess(got.disattenuated, got.value)

  def test_depends_on_seed_and_data_alone(self):
    tables = _answers(0)
    same = self.measure(tables).to_json()
    self.assertEqual(self.measure(tables).to_json(), same)
    self.assertNotEqual(self.measure(tables, seed=1).to_json(), same)

  def test_its_width_is_that_of_the_central_limit(self):
    tables = _answers(3, num_members=400)
    got = self.measure(tables, num_resamples=2000)
    means = np.stack([table.mean(axis=1) for table in tables], axis=1)
    columns = [Column.sort(column) for column in means.T]
    _, influence = rank_correlation.correlation_influence(columns)
    error = rank_correlation.mean_pairs(influence).std() / math.sqrt(400)
    width = got.interval[1] - got.interval[0]
    np.testing.assert_allclose(width, 2 * 1.96 * error, rtol=0.08)
    narrow = self.measure(tables, num_resamples=2000, level=0.5).interval
    np.testing.assert_allclose(
      narrow[1] - narrow[0], 2 * 0.6745 * error, rtol=0.12
    )

  def test_a_failed_member_is_left_out_and_counted(self):
    tables = _answers(0)
    rest = [np.delete(table, [4, 7], axis=0) for table in tables]
    tables[0][4, 3] = np.nan
    tables[2][7] = np.inf
    got = self.measure(tables)
    self.assertEqual(got.num_failed, 2)
    self.assertEqual(got.num_members, 58)
    self.assertEqual(got.value, self.measure(rest).value)

  def test_of_identical_tasks(self):
    table = _answers(0)[0]
    got = self.measure([table, table, table])
    self.assertAlmostEqual(got.value, 0.0, 12)
    self.assertLess(got.interval[1], 1e-9)

  def test_one_prompt_has_no_reliability(self):
    tables = [*_answers(0)[:2], _table(0, 60, 1)]
    got = self.measure(tables)
    self.assertTrue(math.isnan(got.reliability[2]))
    self.assertIsNone(got.floor)
    self.assertIsNone(got.interval_new_prompts)
    self.assertIsNone(got.disattenuated)
    self.assertRegex(got.disattenuated_note, "above zero.* not for math")
    plain = json.loads(json.dumps(got.to_json(), allow_nan=False))
    self.assertIsNone(plain["reliability"][2])
    self.assertEqual(plain["names"], list(NAMES))

  def test_scarce_differences_are_told(self):
    tables = _answers(0)
    tables[1] = np.zeros_like(tables[1])
    tables[1][5, 2] = 1.0
    with mock.patch.object(logging, "warning") as warning:
      got = self.measure(tables)
    warning.assert_called_once()
    # A member is in no resample of its own with a chance of 1/e.
    self.assertAlmostEqual(got.num_undefined / 200, math.exp(-1), delta=0.12)
    self.assertEqual(got.num_resamples, 200)

  def test_refusals(self):
    tables = _answers(0)
    dead = [tables[0], tables[1].copy(), tables[2]]
    dead[1][:, 6] = np.nan
    failed = [table.copy() for table in tables]
    failed[0][1:] = np.nan
    failed[0][1:, :] = np.where(np.arange(20) == 0, np.nan, 0.0)
    same = [tables[0], np.ones_like(tables[1]), tables[2]]
    short = [tables[0], tables[1][:50], tables[2]]
    none = [tables[0], tables[1][:, :0], tables[2]]
    cases = (
      (dead, "got none for prompt 6 of task 'gsm8k'"),
      (failed, "got 1, and 59 that failed"),
      (same, "got 1 for all 60 members on 'gsm8k'"),
      (short, "got 60 for 'countdown', 50 for 'gsm8k', 60 for 'math'"),
      (none, "Task 'gsm8k' must have a prompt"),
    )
    for bad, message in cases:
      with self.subTest(message), self.assertRaisesRegex(UserError, message):
        self.measure(bad)
    for options in ({"num_resamples": 0}, {"level": 1.0}, {"num_splits": 0}):
      with self.assertRaisesRegex(UserError, "must be at least 1 and level"):
        self.measure(tables, **options)


class BySigmaTest(parameterized.TestCase):
  def tables(self):
    """Skills unrelated; members of sigma 0.1 fail at everything by degrees."""
    harm = np.repeat([0.0, 4.0], 60)[:, None] * np.random.default_rng(0).random(
      (120, 1)
    )
    rng = np.random.default_rng(1)
    tables = [
      rng.normal(size=(120, 10)) + rng.normal(size=(120, 1)) - harm
      for _ in NAMES
    ]
    return tables, np.repeat([0.01, 0.1], 60)

  def test_measures_within_each_sigma(self):
    tables, sigmas = self.tables()
    order = np.random.default_rng(3).permutation(120)
    # A twin of opposite sign has the same sigma.
    signed = sigmas * np.where(np.arange(120) % 2, 1, -1)
    got = diversity.discordance_by_sigma(
      [table[order] for table in tables], signed[order], **FEW
    )
    self.assertEqual([one.sigma for one in got], [0.01, 0.1])
    self.assertEqual([one.num_members for one in got], [60, 60])
    for one, low in zip(got, (0, 60), strict=True):
      means = np.stack([t[low : low + 60].mean(axis=1) for t in tables], axis=1)
      self.assertAlmostEqual(one.value, diversity.spectral_discordance(means))
      self.assertFalse(one.pooled)

  def test_pooling_is_marked_warned_of_and_too_low(self):
    tables, sigmas = self.tables()
    alone = diversity.discordance_by_sigma(tables, sigmas, **FEW)
    with mock.patch.object(logging, "warning") as warning:
      (pooled,) = diversity.discordance_by_sigma(
        tables, sigmas, pooled=True, **FEW
      )
    self.assertRegex(warning.call_args.args[0], "too low")
    self.assertTrue(pooled.pooled)
    self.assertIsNone(pooled.sigma)
    self.assertEqual(pooled.num_members, 120)
    self.assertLess(pooled.value, min(one.value for one in alone))

  def test_one_sigma_is_not_pooled(self):
    tables, _ = self.tables()
    with mock.patch.object(logging, "warning") as warning:
      (one,) = diversity.discordance_by_sigma(
        tables, np.full(120, 0.1), pooled=True, **FEW
      )
    warning.assert_not_called()
    self.assertFalse(one.pooled)
    self.assertEqual(one.sigma, 0.1)

  def test_a_sigma_without_a_discordance(self):
    tables, sigmas = self.tables()
    tables[1][60:] = 0.0
    message = "on 'gsm8k' at sigma 0.1"
    with self.assertRaisesRegex(UserError, message):
      diversity.discordance_by_sigma(tables, sigmas, **FEW)
    with mock.patch.object(logging, "warning") as warning:
      (one,) = diversity.discordance_by_sigma(
        tables, sigmas, skip_undefined=True, **FEW
      )
    self.assertEqual(one.sigma, 0.01)
    self.assertRegex(str(warning.call_args.args[-1]), message)
    # What is wrong at any sigma is refused all the same.
    with self.assertRaisesRegex(UserError, "num_resamples"):
      diversity.discordance_by_sigma(
        tables, sigmas, skip_undefined=True, num_resamples=0
      )

  def test_sigmas_of_other_members_are_refused(self):
    tables, sigmas = self.tables()
    with self.assertRaisesRegex(UserError, "got 119 for the 120 members of"):
      diversity.discordance_by_sigma(tables, sigmas[1:], **FEW)
