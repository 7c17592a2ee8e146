"""Tests of the regime call: worked cases, its borders, and what it refuses."""

import itertools

from absl.testing import parameterized

from thickets.analysis import regimes
from thickets.errors import UserError

FACTS = {
  "base_score": 0.3,
  "margin": 0.02,
  "density": 0.3,
  "density_interval": (0.1, 0.5),
  "ensemble_gain": 0.05,
  "ensemble_interval": (0.01, 0.09),
}
RARE = {"density": 0.01, "density_interval": (0.0, 0.04)}
FLAT = {"ensemble_gain": 0.0, "ensemble_interval": (-0.02, 0.03)}
OPEN = {"density": 0.1, "density_interval": (0.0, 0.5)}


class RegimesTest(parameterized.TestCase):
  @parameterized.parameters(
    ({}, "thicket", "dense and the vote gains"),
    ({"base_score": 0.95}, "thicket", "dense"),
    (RARE | FLAT, "needle", "rare, base below 0.8"),
    (RARE | FLAT | {"base_score": 0.8}, "plateau", "base at least 0.8"),
    (FLAT, "undecided", "not shown to gain"),
    (RARE, "undecided", "the vote gains, but"),
    (
      RARE | {"ensemble_interval": (-0.1, 0.1)},
      "undecided",
      "a gain of the vote is not excluded",
    ),
    (OPEN, "undecided", "neither"),
    (OPEN | FLAT | {"base_score": 0.95}, "undecided", "neither"),
  )
  def test_worked_cases(self, facts, regime, reason):
    call = regimes.call_regime(**(FACTS | facts))
    self.assertEqual(call.regime, regime)
    self.assertIn(reason, call.reason)
    self.assertEqual(call.to_json()["margin"], 0.02)

  def test_the_reason_carries_the_numbers(self):
    reason = regimes.call_regime(**FACTS).reason
    self.assertIn("density 0.300 [0.100, 0.500] at margin 0.02", reason)
    self.assertIn("ensemble gain +0.050 [+0.010, +0.090] (flat", reason)

  def test_an_unknown_density_is_undecided(self):
    unknown = {"density": float("nan"), "density_interval": (0.0, 1.0)}
    self.assertEqual(
      regimes.call_regime(**(FACTS | unknown)).regime, "undecided"
    )

  def test_borders(self):
    for low, regime in ((0.05, "thicket"), (0.0499, "undecided")):
      facts = FACTS | {"density_interval": (low, 0.5)}
      self.assertEqual(regimes.call_regime(**facts).regime, regime)
    for low, regime in ((0.0, "undecided"), (0.001, "thicket")):
      facts = FACTS | {"ensemble_interval": (low, 0.09)}
      self.assertEqual(regimes.call_regime(**facts).regime, regime)
    for high, regime in ((0.05, "undecided"), (0.0499, "needle")):
      facts = FACTS | RARE | FLAT | {"ensemble_interval": (-0.02, high)}
      self.assertEqual(regimes.call_regime(**facts).regime, regime)

  def test_thresholds_are_arguments(self):
    changes = (
      ({}, {"min_density": 0.2}, "undecided"),
      ({}, {"min_gain": 0.02}, "undecided"),
      (RARE | FLAT, {"flat_gain": 0.02}, "undecided"),
      (RARE | FLAT, {"plateau_frac": 0.8}, "plateau"),
      (RARE | FLAT, {"score_range": (0.0, 0.32)}, "plateau"),
    )
    for facts, change, regime in changes:
      facts = FACTS | facts
      self.assertNotEqual(regimes.call_regime(**facts).regime, regime)
      self.assertEqual(regimes.call_regime(**facts, **change).regime, regime)

  def test_wider_intervals_never_make_another_call(self):
    # Less knowledge may withdraw a call, not turn it into a different one.
    bases, widths = (0.1, 0.9), (0.0, 0.03, 0.1)
    for base, density, gain in itertools.product(
      bases, (0.0, 0.04, 0.2), (-0.02, 0.02, 0.06)
    ):
      calls = {
        regimes.call_regime(
          base_score=base,
          margin=0.02,
          density=density,
          density_interval=(max(density - a, 0), density + a),
          ensemble_gain=gain,
          ensemble_interval=(gain - b, gain + b),
        ).regime
        for a, b in itertools.product(widths, widths)
      }
      self.assertLessEqual(len(calls - {"undecided"}), 1)

  @parameterized.parameters(
    ({"margin": 0.0}, "margin must be above zero, got 0"),
    ({"base_score": 1.2}, "base_score must lie within score_range 0 to 1"),
    ({"density": 0.6}, r"density must lie within its interval, got 0.6 in"),
    ({"ensemble_interval": (0.1, 0.0)}, "ensemble_gain must lie within"),
    ({"score_range": (-float("inf"), 1)}, "score_range must be finite"),
  )
  def test_bad_facts_are_refused(self, change, message):
    with self.assertRaisesRegex(UserError, message):
      regimes.call_regime(**(FACTS | change))
