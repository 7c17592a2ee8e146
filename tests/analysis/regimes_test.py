"""Tests of the regime call: worked cases, its borders, and what it refuses."""

import dataclasses
import itertools

from absl.testing import parameterized

from thickets.analysis import regimes
from thickets.analysis.intervals import Estimate
from thickets.analysis.regimes import SigmaFacts, Thresholds
from thickets.errors import UserError


def estimate(value, low, high):
  return Estimate(value, low, high, "prompts and members")


DENSE, RARE = estimate(0.3, 0.1, 0.5), estimate(0.01, 0.0, 0.04)
OPEN = estimate(0.1, 0.0, 0.5)
GAINING, FLAT = estimate(0.05, 0.01, 0.09), estimate(0.0, -0.02, 0.03)
WIDE = estimate(0.02, -0.1, 0.1)


def facts(density=DENSE, gain=GAINING, sigma=0.1, **changes):
  """One sigma at which members are nearly as good as a base at 0.3."""
  return SigmaFacts(
    **{
      "sigma": sigma,
      "member_score": 0.28,
      "member_form": 0.9,
      "changed_frac": 0.2,
      "density": density,
      "gain": gain,
      "joint_density_low": density.low,
      "joint_gain_low": gain.low,
    }
    | changes
  )


def call(*levels, base_score=0.3, margin=0.02, **options):
  known = {"base_form": 0.95, "num_prompts": 200}
  return regimes.call_regime(
    levels, base_score=base_score, margin=margin, **known | options
  )


class OneSigmaTest(parameterized.TestCase):
  @parameterized.parameters(
    (DENSE, GAINING, 0.3, "thicket", "dense and the vote gains"),
    (DENSE, GAINING, 0.95, "thicket", "dense"),
    (RARE, FLAT, 0.3, "needle", "rare here, base below 0.8"),
    (RARE, FLAT, 0.8, "plateau", "base at least 0.8"),
    (DENSE, FLAT, 0.3, "undecided", "not shown to gain"),
    (RARE, GAINING, 0.3, "undecided", "the vote gains, but"),
    (RARE, WIDE, 0.3, "undecided", "a gain of the vote is not excluded"),
    (OPEN, WIDE, 0.3, "undecided", "neither"),
    (OPEN, FLAT, 0.95, "undecided", "neither"),
  )
  def test_worked_cases(self, density, gain, base, regime, reason):
    found = call(
      facts(density, gain, member_score=base - 0.02), base_score=base
    )
    self.assertEqual(found.regime, regime)
    self.assertIn(reason, found.reason)
    self.assertEqual(found.to_json()["margin"], 0.02)

  def test_the_reason_carries_the_numbers(self):
    reason = call(facts()).reason
    self.assertIn("density 0.300 [0.100, 0.500] at margin 0.02", reason)
    self.assertIn("ensemble gain +0.050 [+0.010, +0.090] (flat", reason)
    self.assertIn("at sigma 0.1", reason)

  def test_an_unknown_density_is_undecided(self):
    unknown = estimate(float("nan"), 0.0, 1.0)
    self.assertEqual(call(facts(unknown)).regime, "undecided")

  def test_borders(self):
    for low, regime in ((0.05, "thicket"), (0.0499, "undecided")):
      density = estimate(0.3, low, 0.5)
      self.assertEqual(call(facts(density)).regime, regime)
    for low, regime in ((0.0, "undecided"), (0.001, "thicket")):
      gain = estimate(0.05, low, 0.09)
      self.assertEqual(call(facts(gain=gain)).regime, regime)
    for high, regime in ((0.05, "undecided"), (0.0499, "needle")):
      gain = estimate(0.0, -0.02, high)
      self.assertEqual(call(facts(RARE, gain)).regime, regime)

  @parameterized.parameters(
    ({"min_density": 0.2}, facts(), "undecided"),
    ({"min_gain": 0.02}, facts(), "undecided"),
    ({"flat_gain": 0.02}, facts(RARE, FLAT), "undecided"),
    ({"plateau_frac": 0.8}, facts(RARE, FLAT), "plateau"),
    ({"max_lost_frac": 0.05}, facts(RARE, FLAT), "undecided"),
  )
  def test_thresholds_are_arguments(self, change, level, regime):
    self.assertNotEqual(call(level).regime, regime)
    found = call(level, thresholds=Thresholds(**change))
    self.assertEqual(found.regime, regime)

  def test_the_range_tells_a_plateau(self):
    found = call(facts(RARE, FLAT), score_range=(0.0, 0.32))
    self.assertEqual(found.regime, "plateau")

  def test_wider_intervals_never_make_another_call(self):
    # Less knowledge may withdraw a call, not turn it into a different one.
    bases, widths = (0.1, 0.9), (0.0, 0.03, 0.1)
    for base, density, gain in itertools.product(
      bases, (0.0, 0.04, 0.2), (-0.02, 0.02, 0.06)
    ):
      calls = {
        call(
          facts(
            estimate(density, max(density - a, 0), density + a),
            estimate(gain, gain - b, gain + b),
            member_score=base,
          ),
          base_score=base,
        ).regime
        for a, b in itertools.product(widths, widths)
      }
      self.assertLessEqual(len(calls - {"undecided"}), 1)

  @parameterized.parameters(
    ({"margin": 0.0}, facts(), "margin must be above zero, got 0"),
    ({"base_score": 1.2}, facts(), "base_score must lie within score_range 0"),
    ({}, facts(member_score=-0.1), "member_score must lie within score_range"),
    ({}, facts(estimate(0.6, 0.1, 0.5)), r"density must lie within its .* 0.6"),
    ({}, facts(gain=estimate(0.05, 0.1, 0.0)), "gain must lie within"),
    ({}, facts(joint_gain_low=0.02), "joint_gain_low must not be above"),
    (
      {"score_range": (-float("inf"), 1)},
      facts(),
      "score_range must be finite",
    ),
  )
  def test_bad_facts_are_refused(self, change, level, message):
    with self.assertRaisesRegex(UserError, message):
      call(level, **change)

  def test_each_sigma_is_asked_for_once(self):
    for levels in ((), (facts(), facts())):
      with self.assertRaisesRegex(UserError, "at least one sigma, and each"):
        call(*levels)


DESTRUCTIVE = facts(RARE, estimate(-0.2, -0.25, -0.1), 0.9, member_score=0.1)
INERT = facts(RARE, FLAT, 0.001, changed_frac=0.01)


class SeveralSigmasTest(parameterized.TestCase):
  def test_the_best_sigma_decides(self):
    for others in itertools.permutations([DESTRUCTIVE, INERT, facts(OPEN)]):
      found = call(*others[:2], facts(sigma=0.05), others[2])
      self.assertEqual((found.regime, found.sigma), ("thicket", 0.05))

  @parameterized.parameters(
    ((DESTRUCTIVE,), "at 0.9 members score 0.100 and have lost more than 50%"),
    ((INERT,), "at 0.001 only 1.0% of the members' answers differ"),
    ((DESTRUCTIVE, INERT), "no sigma says anything of the model"),
  )
  def test_a_destructive_or_inert_sigma_is_no_needle(self, levels, reason):
    found = call(*levels)
    self.assertEqual(found.regime, "undecided")
    self.assertIn(reason, found.reason)

  def test_they_are_set_aside_beside_others(self):
    found = call(DESTRUCTIVE, facts(RARE, FLAT), INERT)
    self.assertEqual((found.regime, found.sigma), ("needle", 0.1))
    self.assertEqual({*found.set_aside}, {0.9, 0.001})
    self.assertEqual({*found.to_json()["set_aside"]}, {"0.9", "0.001"})

  def test_a_needle_is_one_at_every_sigma(self):
    needles = [facts(RARE, FLAT, sigma) for sigma in (0.1, 0.2, 0.3)]
    found = call(*needles)
    self.assertEqual(found.regime, "needle")
    self.assertIn("at all 3 sigmas", found.reason)
    for density, gain in ((OPEN, FLAT), (RARE, WIDE), (DENSE, FLAT)):
      found = call(*needles, facts(density, gain, 0.4))
      self.assertEqual((found.regime, found.sigma), ("undecided", 0.4))

  def test_a_gain_where_members_are_destroyed_speaks_against_a_needle(self):
    voting = dataclasses.replace(DESTRUCTIVE, gain=GAINING)
    self.assertEqual(call(voting, facts(RARE, FLAT)).regime, "undecided")

  def test_a_thicket_at_one_of_many_needs_the_joint_intervals(self):
    for joint in ({"joint_gain_low": -0.01}, {"joint_density_low": 0.04}):
      found = call(facts(**joint), facts(OPEN, FLAT, 0.2))
      self.assertEqual(found.regime, "undecided")
      self.assertIn("not beyond chance over 2 sigmas", found.reason)

  @parameterized.parameters(0.0, 0.01)
  def test_a_base_at_the_floor_can_be_a_needle(self, score):
    """As experts would be seen; who is worse is read from the form of answers."""
    level = facts(RARE, FLAT, member_score=score)
    found = call(level, base_score=score)
    self.assertEqual(found.regime, "needle")
    self.assertEqual(call(facts(DENSE), base_score=score).regime, "thicket")
    self.assertEqual(call(facts(OPEN), base_score=score).regime, "undecided")

  @parameterized.parameters(
    ({"base_form": 0.49}, {}, "and answers in the form on 49% of the prompts"),
    ({"base_form": 0.0}, {}, "and answers in the form on 0% of the prompts"),
    ({"num_prompts": 148}, {}, r"148 prompts are too few .*149 are enough"),
    (
      {"num_prompts": 148, "score_range": (0.0, 2.0)},
      {},
      "148 prompts are too few .*299 are enough",
    ),
    (
      {},
      {"member_form": 0.47},
      "members answer in the form on 47% .*lost more",
    ),
    ({}, {"changed_frac": 0.019}, "only 1.9% of the members' answers differ"),
  )
  def test_at_the_floor_a_call_needs_more_than_scores(
    self, options, changes, reason
  ):
    level = facts(RARE, FLAT, member_score=0.0, **changes)
    found = call(level, base_score=0.0, **options)
    self.assertEqual(found.regime, "undecided")
    self.assertRegex(found.reason, reason)
    # Above the floor, the score tells all but what changes no answer.
    if "changed_frac" not in changes:
      self.assertEqual(
        call(facts(RARE, FLAT, **changes), **options).regime, "needle"
      )

  def test_a_large_margin_is_seen_on_few_prompts(self):
    level = facts(RARE, FLAT, member_score=0.0, changed_frac=1.0)
    for margin in (0.7, 1.0):
      found = call(level, base_score=0.0, margin=margin, num_prompts=3)
      self.assertEqual(found.regime, "needle")

  def test_at_the_ceiling_there_is_nothing_to_gain(self):
    found = call(facts(RARE, FLAT, member_score=0.99), base_score=1.0)
    self.assertEqual(found.regime, "plateau")

  def test_the_floor_is_that_of_the_range(self):
    level = facts(RARE, FLAT, member_score=-0.99)
    options = {"base_score": -1.0, "score_range": (-1.0, 1.0)}
    found = call(level, num_prompts=299, **options)
    self.assertEqual(found.regime, "needle")
    found = call(level, base_form=0.0, **options)
    self.assertIn("floor of the score, -1", found.reason)
