"""Tests of the share of a vote's gain that a model keeps."""

import numpy as np
from absl.testing import parameterized

from thickets.analysis import recovered_gain


def _flags(*counts):
  """Flags in runs: so many wrong, then so many right, and so on."""
  return np.repeat(np.arange(len(counts)) % 2 == 1, counts)


BASE = _flags(160, 40)
VOTE = _flags(100, 100)


class RecoveredGainTest(parameterized.TestCase):
  @parameterized.parameters(
    (VOTE, 1.0),
    (BASE, 0.0),
    (_flags(124, 76), 0.6),
    (_flags(70, 130), 1.5),
    (_flags(190, 10), -0.5),
  )
  def test_the_share_is_the_ratio_of_the_gains(self, model, expected):
    found = recovered_gain.measure_recovered(BASE, VOTE, model)
    self.assertAlmostEqual(found["share"], expected)
    self.assertLessEqual(found["low"], expected)
    self.assertGreaterEqual(found["high"], expected)
    self.assertEqual(found["vote_gain"]["mean"], 0.3)
    self.assertEqual(found["over"], "prompts")

  def test_a_model_that_answers_as_the_vote_does_has_all_of_it(self):
    found = recovered_gain.measure_recovered(BASE, VOTE, VOTE)
    self.assertEqual((found["low"], found["high"]), (1.0, 1.0))

  def test_the_interval_holds_the_truth_as_often_as_it_says(self):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(60):
      base = rng.random(200) < 0.2
      vote = base | (rng.random(200) < 0.3)
      model = base | (vote & (rng.random(200) < 0.8))
      found = recovered_gain.measure_recovered(base, vote, model)
      held += found["low"] <= 0.8 <= found["high"]
    # 57 are expected, with a standard error of 1.7.
    self.assertBetween(held, 51, 60)

  def test_a_vote_that_gains_nothing_has_no_share(self):
    model = _flags(124, 76)
    found = recovered_gain.measure_recovered(BASE, _flags(158, 42), model)
    self.assertIsNone(found["share"])
    self.assertLess(found["vote_gain"]["low"], 0)

  def test_groups_are_drawn_whole(self):
    groups = np.arange(200) // 10
    model = _flags(124, 76)
    alone = recovered_gain.measure_recovered(BASE, VOTE, model)
    found = recovered_gain.measure_recovered(BASE, VOTE, model, groups)
    self.assertEqual(found["over"], "groups of prompts")
    self.assertGreater(
      found["high"] - found["low"], 2 * (alone["high"] - alone["low"])
    )
