"""Tests of the density estimators: closed forms, laws and refusals."""

import dataclasses
import json
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import scipy.stats
from absl.testing import parameterized

from thickets.analysis import density, density_correction, density_inputs
from thickets.analysis.synthetic import NormalGains, SyntheticPopulation
from thickets.errors import UserError

MARGINS = (0.0, 0.02, 0.05)


def draw(num_members=60, num_prompts=40, seed=0, **settings):
  """Scores, sigmas and base scores of a small population."""
  population = SyntheticPopulation(NormalGains(0.0, 0.05), **settings)
  sample = population.sample(
    np.random.default_rng(seed), num_members, num_prompts
  )
  return sample.scores, np.ones(num_members), sample.base_scores


def measure(scores, sigmas, base_scores, **settings):
  settings = {"num_resamples": 100, "num_splits": 20} | settings
  return density.solution_density(scores, sigmas, base_scores, **settings)


def assert_same(first, second, **tolerance):
  for field in dataclasses.fields(density.Density):
    np.testing.assert_allclose(
      getattr(first, field.name),
      getattr(second, field.name),
      err_msg=field.name,
      **tolerance,
    )


class PlainTest(parameterized.TestCase):
  def test_worked_case(self):
    base = np.array([1.0, 0.0, 0.0, 0.0])
    scores = np.array(
      [
        [1, 1, 1, 0],  # Gains 0.5.
        [1, 1, 0, 0],  # Gains 0.25.
        [0, 1, 0, 0],  # A tie: gains 0.
        [0, 0, 0, 0],  # Loses 0.25.
        [1, 1, 1, np.nan],  # Failed.
      ]
    )
    found = measure(scores, np.ones(5), base, margins=(0.25, 0.5))
    np.testing.assert_array_equal(found.margins, [0, 0.25, 0.5])
    np.testing.assert_allclose(found.plain, [[0.6, 0.4, 0.2]])
    # Of all members, failed ones too.
    for name in ("plain", "confirmed"):
      share = getattr(found, name)[0]
      ends = density_correction.exact_interval(5 * share, 5, 0.95)
      np.testing.assert_allclose(getattr(found, f"{name}_interval")[0], ends)
    self.assertEqual(found.num_members.tolist(), [5])
    self.assertEqual(found.num_failed.tolist(), [1])
    self.assertEqual((found.num_prompts, found.base_score), (4, 0.25))

  @hypothesis.given(st.integers(0, 30), st.sampled_from([0.5, 0.95, 0.99]))
  def test_interval_is_that_of_scipy(self, successes, level):
    scores = np.zeros((30, 4))
    scores[:successes, 0] = 1.0
    found = measure(
      scores, np.ones(30), np.zeros(4), margins=(0.25,), level=level,
      num_resamples=1, num_splits=1,
    )  # fmt: skip
    expected = scipy.stats.binomtest(successes, 30).proportion_ci(level)
    np.testing.assert_allclose(found.plain_interval[0, 1], expected, atol=1e-9)

  def test_rounding_does_not_lose_a_tie(self):
    # (0.7 + 0.1) / 2 - (0.3 + 0.3) / 2 is 0.1 only up to rounding.
    scores = np.tile([0.7, 0.1], (3, 1))
    found = measure(scores, np.ones(3), np.full(2, 0.3), margins=(0.1,))
    np.testing.assert_array_equal(found.plain[0], 1.0)
    np.testing.assert_array_equal(found.corrected[0], 1.0)


class AtomsTest(parameterized.TestCase):
  def test_copies_of_the_base_reach_zero_alone(self):
    _, sigmas, base = draw()
    found = measure(np.tile(base, (60, 1)), sigmas, base)
    for name in ("plain", "confirmed", "corrected", "null"):
      np.testing.assert_array_equal(getattr(found, name), [[1, 0, 0]])
    # What was not drawn is not known: three in sixty might be otherwise.
    low, high = scipy.stats.binomtest(60, 60).proportion_ci()
    np.testing.assert_allclose(found.corrected_interval[0, 0], [low, high])
    np.testing.assert_allclose(
      found.corrected_interval[0, 1], [1 - high, 1 - low]
    )
    self.assertEqual(found.shared_sd[0], 0.0)
    self.assertTrue(math.isnan(found.repeated[0, 1]))

  @parameterized.parameters(0.15, -0.15)
  def test_equal_members_stand_or_fall_together(self, gain):
    # Forty prompts, 6 of which all members gain (lose): certain at a margin of
    # zero but for the prompts, and then all of them or none.
    base = np.r_[np.zeros(20), np.ones(20)]
    member = base.copy()
    member[:6] = 1.0
    if gain < 0:
      base, member = member, base
    found = measure(np.tile(member, (50, 1)), np.ones(50), base)
    np.testing.assert_array_equal(found.plain[0], float(gain > 0))
    np.testing.assert_array_equal(found.corrected[0], float(gain > 0))
    self.assertGreater(found.shared_sd[0], 0.05)
    self.assertLess(found.noise_sd[0], 1e-6)

  def test_the_interval_of_equal_members_is_open_near_the_margin(self):
    base, member = np.zeros(40), np.zeros(40)
    member[:2] = 1.0  # Gains 0.05, with a standard error of 0.035.
    scores = np.tile(member, (50, 1))
    found = measure(scores, np.ones(50), base, margins=(0.04,))
    np.testing.assert_array_equal(found.corrected_interval[0, 1], [0, 1])

  def test_all_failed(self):
    scores, sigmas, base = draw()
    scores[:, 3] = np.nan
    found = measure(scores, sigmas, base)
    for name in ("plain", "confirmed", "corrected", "null"):
      np.testing.assert_array_equal(getattr(found, name), 0.0)
    self.assertEqual(found.num_failed.tolist(), [60])

  def test_a_single_member_that_moves_may_be_an_expert_or_not(self):
    _, sigmas, base = draw()
    scores = np.tile(base, (60, 1))
    scores[0] = 1.0
    found = measure(scores, sigmas, base)
    np.testing.assert_allclose(found.corrected, [[1, 1 / 60, 1 / 60]])
    one = scipy.stats.beta.ppf(
      0.975, 2, 59
    )  # Clopper and Pearson's for 1 of 60.
    nearly_all = scipy.stats.beta.ppf(0.025, 59, 2)
    np.testing.assert_allclose(
      found.corrected_interval, [[[nearly_all, 1], [0, one], [0, one]]]
    )

  def test_copies_beside_failures_have_an_interval_over_members(self):
    _, sigmas, base = draw()
    scores = np.tile(base, (60, 1))
    scores[:20, 0] = np.nan
    found = measure(scores, sigmas, base)
    np.testing.assert_allclose(found.corrected[0, 0], 40 / 60)
    low, high = found.corrected_interval[0, 0]
    self.assertBetween(low, 0.5, 0.6)
    self.assertBetween(high, 0.75, 0.85)

  def test_two_members_that_move_among_many_copies(self):
    # Resamples in which neither is drawn count for nothing, and are no NaN.
    _, sigmas, base = draw()
    scores = np.tile(base, (60, 1))
    scores[0, :20] = 1.0
    scores[1, 5:9] = 0.0
    found = measure(scores, sigmas, base)
    self.assertTrue(np.isfinite(found.corrected_interval).all())
    self.assertLess(found.corrected[0, 1], 0.1)


class LawsTest(parameterized.TestCase):
  @hypothesis.settings(max_examples=15)
  @hypothesis.given(st.integers(0, 10**6), st.sampled_from([0.0, 0.4, 1.0]))
  def test_no_density_grows_with_the_margin(self, seed, copies):
    scores, sigmas, base = draw(20, 12, seed, copies=copies)
    scores[:2, 0] = np.nan
    found = measure(
      scores,
      sigmas,
      base,
      margins=np.linspace(0, 0.4, 9).tolist(),
      num_resamples=20,
    )
    for name in ("plain", "confirmed", "corrected", "null"):
      values = getattr(found, name)[0]
      self.assertTrue(np.all(np.diff(values) <= 1e-6), msg=name)
      low, high = getattr(found, f"{name}_interval")[0].T
      self.assertTrue(np.all((low >= 0) & (high <= 1) & (low <= high)))
      if name != "null" and np.isfinite(values).all():
        self.assertTrue(np.all((low <= values) & (values <= high)), msg=name)

  def test_order_of_members_and_prompts_does_not_matter(self):
    scores, sigmas, base = draw(copies=0.2)
    scores[4, 4] = np.nan
    rng = np.random.default_rng(1)
    members, prompts = rng.permutation(60), rng.permutation(40)
    settings = {"num_resamples": 4000, "num_splits": 2000}
    first = measure(scores, sigmas, base, **settings)
    second = measure(
      scores[members][:, prompts], sigmas[members], base[prompts], **settings
    )
    # Exactly, but for what is drawn: other draws, the same distribution.
    for name in ("plain", "corrected", "noise_sd", "shared_sd", "gain_sd"):
      np.testing.assert_allclose(
        getattr(first, name), getattr(second, name), rtol=1e-9
      )
    assert_same(first, second, atol=0.03)

  def test_groups_are_measured_one_by_one(self):
    scores, _, base = draw()
    sigmas = np.where(np.arange(60) % 3 == 0, 0.2, 0.1)
    both = measure(scores, sigmas, base)
    np.testing.assert_array_equal(both.sigmas, [0.1, 0.2])
    np.testing.assert_array_equal(both.num_members, [40, 20])
    for s, sigma in enumerate(both.sigmas):
      chosen = sigmas == sigma
      alone = measure(scores[chosen], sigmas[chosen], base)
      for name in ("plain", "confirmed", "corrected_interval", "null"):
        np.testing.assert_array_equal(
          getattr(both, name)[s], getattr(alone, name)[0]
        )

  def test_a_ratio_is_a_margin_in_other_words(self):
    scores, sigmas, base = draw()
    score = float(base.mean())
    found = measure(
      scores, sigmas, base, margins=(0.1 * score,), ratios=(1.1, 0.9)
    )
    np.testing.assert_allclose(
      found.margins, [0, 0.1 * score, -0.1 * score, 0.1 * score]
    )
    np.testing.assert_array_equal(found.ratios, [np.nan, np.nan, 0.9, 1.1])
    for name in ("plain", "confirmed", "null"):
      values = getattr(found, name)[0]
      self.assertEqual(values[1], values[3])
      self.assertGreater(values[2], values[0])
    np.testing.assert_allclose(found.corrected[0, 1], found.corrected[0, 3])

  def test_scaling_the_scores_scales_the_margins(self):
    scores, sigmas, base = draw()
    one = measure(scores, sigmas, base, margins=(0.02, 0.05))
    ten = measure(
      10 * scores - 5, sigmas, 10 * base - 5, margins=(0.2, 0.5),
      score_range=(-5, 5),
    )  # fmt: skip
    for name in ("plain", "confirmed", "corrected", "corrected_interval"):
      np.testing.assert_allclose(
        getattr(one, name), getattr(ten, name), atol=1e-4, err_msg=name
      )
    np.testing.assert_allclose(10 * one.gain_sd, ten.gain_sd)

  def test_numbers_depend_on_table_and_seed_alone(self):
    table = draw()
    assert_same(measure(*table), measure(*table), rtol=0)
    other = measure(*table, seed=1)
    self.assertFalse(
      np.array_equal(measure(*table).null_interval, other.null_interval)
    )
    np.testing.assert_array_equal(measure(*table).plain, other.plain)


class RecordTest(parameterized.TestCase):
  def test_rows_and_json_are_plain_and_complete(self):
    scores, _, base = draw()
    sigmas = np.repeat([0.1, 0.2], 30)
    found = measure(scores, sigmas, base, ratios=(1.05,))
    rows = found.rows()
    self.assertLen(rows, 2 * 4)
    self.assertEqual([row["sigma"] for row in rows], [0.1] * 4 + [0.2] * 4)
    self.assertEqual(rows[5]["plain"], found.plain[1, 1])
    self.assertEqual(
      [rows[5]["corrected_low"], rows[5]["corrected_high"]],
      found.corrected_interval[1, 1].tolist(),
    )
    self.assertIsNone(rows[0]["ratio"])
    self.assertEqual(rows[3]["ratio"], 1.05)
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    self.assertEqual(written["rows"], rows)
    self.assertIn("on new prompts", written["estimands"]["corrected"])
    self.assertEqual(written["by_sigma"][1]["gain_sd"], found.gain_sd[1])

  def test_zero_is_reported_beside_any_margins(self):
    self.assertEqual(measure(*draw(), margins=()).margins.tolist(), [0.0])


class RefusalTest(parameterized.TestCase):
  @parameterized.parameters(
    (
      {"rows": 1},
      "at least two members and two prompts, got a table of 1 x 40",
    ),
    ({"columns": 1}, "got a table of 60 x 1"),
    ({"base_scores": np.full(40, np.nan)}, "missing or has failed.* got 40 of"),
    ({"sigmas": np.r_[np.ones(59), np.nan]}, r"finite.* got nan \(member 59\)"),
    ({"scores": np.full((60, 40), 1.5)}, "scores must lie within .* got 1.5"),
    (
      {"scores": np.full((60, 40), np.inf)},
      "scores must lie within .* got inf",
    ),
    ({"base_scores": np.full(40, -1.0)}, "base_scores must lie .* got -1"),
    ({"score_range": (1.0, 0.0)}, "score_range must grow, got 1 to 0"),
    ({"margins": (-0.01,)}, "margins must lie within 0 .* got -0.01"),
    ({"margins": (1.5,)}, "score's range 1, got 1.5"),
    ({"margins": (float("nan"),)}, "margins must lie .* got nan"),
    ({"ratios": (9.0,)}, "ratios must give margins within .* got 9"),
    ({"ratios": (-1.0,)}, "ratios must give margins .* got -1"),
    (
      {"ratios": (1.1,), "base_scores": np.zeros(40)},
      "ratios must be of a base with a positive score, got a base score of 0",
    ),
    ({"num_resamples": 0}, "num_resamples and num_splits must be at least 1"),
    ({"level": 1.0}, "level must be within 0 and 1, got 1"),
  )
  def test_bad_input_is_refused(self, change, message):
    scores, sigmas, base = draw()
    rows, columns = change.pop("rows", 60), change.pop("columns", 40)
    table = {
      "scores": scores[:rows, :columns],
      "sigmas": sigmas[:rows],
      "base_scores": base[:columns],
    }
    with self.assertRaisesRegex(UserError, message):
      measure(**(table | change))

  @parameterized.parameters(
    ((60,), (5,), "base_scores must hold .* got 5 for 40"),
    ((3,), (40,), "sigmas must hold .* got 3 for 60 rows"),
  )
  def test_shapes_that_do_not_fit_are_refused(self, sigmas, base, message):
    # Beneath the annotations, which are checked in tests alone.
    with self.assertRaisesRegex(UserError, message):
      density_inputs.check_tables(
        np.zeros((60, 40)), np.ones(sigmas), np.zeros(base), (0, 1)
      )
