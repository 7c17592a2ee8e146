"""Tests of the noise-corrected density against populations of known truth."""

from unittest import mock

import numpy as np
import pytest
import scipy.stats
from absl.testing import parameterized

from thickets.analysis import density_correction, density_null
from thickets.analysis.synthetic import NormalGains, SyntheticPopulation

MARGINS = np.array([0.0, 0.02, 0.05])


def correct(differences, margins=MARGINS, *, num_resamples=2, seed=0, **kwargs):
  settings = {"num_failed": 0, "level": 0.95} | kwargs
  return density_correction.correct_density(
    differences,
    margins,
    num_resamples=num_resamples,
    rng=np.random.default_rng(seed),
    **settings,
  )


def draw(population, seed, num_members=500, num_prompts=200):
  rng = np.random.default_rng(seed)
  sample = population.sample(rng, num_members, num_prompts)
  return sample.scores - sample.base_scores


def simulate(population, num_runs, num_resamples=2, **size):
  """[R, M] estimates and [R, M] whether intervals hold the truth."""
  true = np.array([population.true_density(m) for m in MARGINS])
  found = [
    correct(
      draw(population, [5, run], **size), num_resamples=num_resamples, seed=run
    )
    for run in range(num_runs)
  ]
  ends = np.array([f.interval for f in found])
  held = (ends[..., 0] <= true) & (true <= ends[..., 1])
  return true, np.array([f.corrected for f in found]), held


class ExactTest(parameterized.TestCase):
  @parameterized.parameters(0, 1, 7, 19, 20)
  def test_exact_interval_is_that_of_scipy(self, successes):
    expected = scipy.stats.binomtest(successes, 20).proportion_ci(0.9)
    got = density_correction.exact_interval(
      np.array([float(successes)]), 20, 0.9
    )
    np.testing.assert_allclose(got[0], expected, atol=1e-9)

  def test_exact_interval_of_shares_lies_between_those_of_counts(self):
    ends = density_correction.exact_interval(
      np.array([3.0, 3.4, 4.0]), 20, 0.95
    )
    self.assertTrue(np.all(np.diff(ends, axis=0) > 0))


class NoiseTest(parameterized.TestCase):
  def test_variances_are_those_that_were_put_in(self):
    rng = np.random.default_rng(0)
    gains = rng.normal(0.1, 0.05, (2000, 1))
    shared = rng.normal(0, 0.4, 200)
    own = rng.normal(0, 0.6, (2000, 200))
    found = correct(gains + shared + own)
    root = np.sqrt(200)
    self.assertAlmostEqual(found.noise_sd, 0.6 / root, delta=0.002)
    self.assertAlmostEqual(found.shared_sd, shared.std() / root, delta=0.002)
    self.assertAlmostEqual(found.gain_sd, 0.05, delta=0.005)

  def test_normal_gains_give_the_normal_closed_form(self):
    # Without a shared shift, so that one table is enough.
    rng = np.random.default_rng(0)
    gains = rng.normal(0.01, 0.04, (4000, 1))
    noise = rng.normal(0, 0.4, (4000, 200))
    table = gains + noise - noise.mean(axis=0)
    expected = scipy.stats.norm.sf(MARGINS, 0.01, 0.04)
    # Three standard deviations of the estimate.
    np.testing.assert_allclose(correct(table).corrected, expected, atol=0.04)
    # The widening that was removed was not small.
    plain = (table.mean(axis=1)[:, None] >= MARGINS).mean(axis=0)
    self.assertGreater(plain[2] - expected[2], 0.05)

  def test_two_kinds_of_members_are_told_apart(self):
    rng = np.random.default_rng(0)
    gains = np.where(rng.random((4000, 1)) < 0.7, -0.05, 0.06)
    noise = rng.normal(0, 0.4, (4000, 200))
    table = gains + noise - noise.mean(axis=0)
    found = correct(table, np.array([0.0, 0.02])).corrected
    np.testing.assert_allclose(found, 0.3, atol=0.04)

  def test_without_noise_the_correction_is_none(self):
    # Each member gains the same on every prompt.
    gains = np.linspace(-0.1, 0.1, 21)
    table = np.tile(gains[:, None], (1, 30))
    found = correct(table, np.array([0.0, 0.05, 0.1]))
    np.testing.assert_allclose(found.corrected, [11 / 21, 6 / 21, 1 / 21])
    self.assertEqual(found.shared_sd, 0.0)

  def test_few_far_members_do_not_blow_up_the_grid(self):
    table = draw(SyntheticPopulation(NormalGains(0.0, 0.02), coupling=0.99), 0)
    table[:5] = 1.0
    found = correct(table, np.array([0.0, 0.5]))
    self.assertAlmostEqual(found.corrected[1], 0.01, delta=0.004)


class WorkTest(parameterized.TestCase):
  def count_cells(self, differences):
    """Cells that deconvolution multiplied, over all its calls."""
    worked, deconvolve = [], density_correction._deconvolve

    def count(*args):
      found = deconvolve(*args)
      worked.append(found.shares.shape[0] * found.shares.shape[1] ** 2)
      return found

    with mock.patch.object(density_correction, "_deconvolve", count):
      correct(differences, num_resamples=200)
    return sum(worked)

  @parameterized.parameters(2, 3, 5)
  def test_few_members_are_little_more_work_than_many(self, num_members):
    population = SyntheticPopulation(NormalGains(0.0, 0.04))
    few = draw(population, 3, num_members=num_members)
    many = draw(population, 3, num_members=128)
    self.assertLess(self.count_cells(few), 3 * self.count_cells(many))

  def test_equal_members_are_no_work(self):
    few = draw(SyntheticPopulation(NormalGains(0.0, 0.04)), 3, num_members=2)
    equal = np.repeat(few[:1], 5, axis=0)
    self.assertLess(self.count_cells(equal), self.count_cells(few))

  def test_members_that_were_not_drawn_change_nothing(self):
    gains = np.array([[0.01, 0.3, 0.03, -0.5]], np.float32)
    weights = np.array([[0.25, 0.0, 0.75, 0.0]], np.float32)
    noise = np.array([1e-5], np.float32)
    found = density_correction._deconvolve(gains, weights, noise)
    # The factor P / (P - 1) of the variance is made equal by copies.
    some = [0, 2, 2, 2]
    even = np.full((1, 4), 0.25, np.float32)
    expected = density_correction._deconvolve(gains[:, some], even, noise)
    np.testing.assert_allclose(found.shares, expected.shares, rtol=1e-4)
    np.testing.assert_allclose(found.step, expected.step, rtol=1e-5)


class IntervalTest(parameterized.TestCase):
  def test_members_alone_narrow_with_their_number(self):
    population = SyntheticPopulation(
      NormalGains(0.0, 0.04), coupling=0.95, luck=0.3
    )
    widths = [
      np.diff(correct(draw(population, 0, n), num_resamples=150).interval)
      for n in (30, 1000)
    ]
    self.assertTrue(np.all(widths[1] < widths[0]))

  def test_more_prompts_narrow_it(self):
    population = SyntheticPopulation(NormalGains(0.0, 0.04))
    widths = [
      np.diff(
        correct(draw(population, 0, 200, n), num_resamples=300).interval
      ).mean()
      for n in (50, 3000)
    ]
    self.assertLess(2 * widths[1], widths[0])

  def test_many_prompts_give_the_true_density(self):
    population = SyntheticPopulation(NormalGains(0.01, 0.04), copies=0.2)
    true = [population.true_density(m) for m in MARGINS]
    found = correct(draw(population, 0, 500, 5000), num_resamples=100)
    np.testing.assert_allclose(found.corrected, true, atol=0.08)
    self.assertTrue(np.all(found.interval[:, 0] <= true))
    self.assertTrue(np.all(true <= found.interval[:, 1]))

  def test_a_wider_level_is_a_wider_interval(self):
    table = draw(SyntheticPopulation(NormalGains(0.0, 0.04)), 0, 100, 100)
    narrow = correct(table, num_resamples=300, level=0.5).interval
    wide = correct(table, num_resamples=300, level=0.99).interval
    self.assertTrue(np.all(wide[:, 0] < narrow[:, 0]))
    self.assertTrue(np.all(narrow[:, 1] < wide[:, 1]))

  def test_failures_dilute_estimate_and_interval(self):
    table = draw(SyntheticPopulation(NormalGains(0.0, 0.04)), 0, 100, 100)
    none = correct(table, num_resamples=300)
    half = correct(table, num_resamples=300, num_failed=100)
    np.testing.assert_allclose(half.corrected, none.corrected / 2)
    self.assertTrue(np.all(half.interval[:, 1] < none.interval[:, 1]))


class CoverageTest(parameterized.TestCase):
  @parameterized.parameters(0.0, 0.3)
  @pytest.mark.slow
  def test_bias_is_small(self, copies):
    # Of 400 runs: the standard error is about 0.01, the bias that of docs.
    population = SyntheticPopulation(NormalGains(0.0, 0.04), copies=copies)
    true, found, _ = simulate(population, 400)
    np.testing.assert_allclose(found.mean(axis=0), true, atol=0.035)

  @parameterized.parameters(0.0, 0.3)
  @pytest.mark.slow
  def test_intervals_cover(self, copies):
    population = SyntheticPopulation(NormalGains(0.0, 0.04), copies=copies)
    size = {"num_members": 200, "num_prompts": 200}
    _, _, held = simulate(population, 300, num_resamples=200, **size)
    # Three standard errors of 300 runs about 95 %.
    self.assertTrue(np.all(held.mean(axis=0) > 0.912), msg=held.mean(axis=0))
    self.assertTrue(np.all(held.mean(axis=0) < 0.988), msg=held.mean(axis=0))


class NullTest(parameterized.TestCase):
  def null(self, table, num_resamples=400):
    return density_null.sample_null(
      table,
      MARGINS,
      num_resamples=num_resamples,
      rng=np.random.default_rng(0),
    )

  def test_independent_members_give_the_normal_closed_form(self):
    table = np.random.default_rng(0).normal(0.3, 0.5, (500, 100))
    found = self.null(table).mean(axis=0) / 500
    # Of the noise alone: the gain of 0.3 is taken away.
    expected = scipy.stats.norm.sf(MARGINS / 0.05)
    np.testing.assert_allclose(found, expected, atol=0.01)

  def test_a_shared_shift_moves_all_at_once(self):
    shared = np.random.default_rng(0).normal(0, 0.5, 100)
    counts = self.null(np.tile(shared, (50, 1)))
    self.assertContainsSubset(np.unique(counts), [0, 50])
    self.assertAlmostEqual(counts[:, 0].mean() / 50, 0.5, delta=0.1)

  def test_copies_reach_zero_alone(self):
    np.testing.assert_array_equal(
      self.null(np.zeros((9, 20)), 3), [[9, 0, 0]] * 3
    )


class ConfirmedTest(parameterized.TestCase):
  def confirm(self, table, num_splits=300):
    return density_null.measure_confirmed(
      table,
      MARGINS,
      sizes=np.ones(table.shape[1], np.int64),
      num_splits=num_splits,
      rng=np.random.default_rng(0),
    )

  def test_noise_is_confirmed_as_often_as_two_coins(self):
    table = np.random.default_rng(0).normal(0, 0.5, (3000, 100))
    found, repeated = self.confirm(table)
    chance = scipy.stats.norm.sf(MARGINS / (0.5 / np.sqrt(50)))
    # Halves of one table are independent, but for its mean.
    np.testing.assert_allclose(found / 3000, chance**2, atol=0.02)
    np.testing.assert_allclose(repeated, chance, atol=0.03)

  def test_a_worked_case_over_all_splits(self):
    # Of four prompts a member gains one: in no split on both halves. One that
    # gains two does so in four of six splits.
    table = np.array([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    found, repeated = self.confirm(table, 20_000)
    self.assertAlmostEqual(found[0], 3.0)  # None ever falls below the base.
    self.assertAlmostEqual(found[1], 4 / 6, delta=0.02)
    self.assertAlmostEqual(repeated[1], (4 / 6) / (1 / 2 + 5 / 6), delta=0.02)
