"""Tests of predicted and measured shares of members that turn an answer."""

import json
import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from thickets.analysis import choice_predictions
from thickets.errors import UserError

SIGMAS = (0.001, 0.004)


def _found(stretch=1.0, *, num_members=60, num_prompts=40):
  """Members that move as first order says, times a factor, apart by prompt."""
  rng = np.random.default_rng(0)
  base = rng.normal(size=num_prompts)
  norms = rng.uniform(100, 500, size=num_prompts)
  return {
    "model": "package:some-model",
    "task": "questions/parity",
    "answers": ["even", "odd"],
    "begin": "It is",
    "groups": None,
    "base": base.tolist(),
    "gradient_norms": norms.tolist(),
    "relative_norms": {str(sigma): 10 * sigma for sigma in SIGMAS},
    "members": {
      str(sigma): (
        base
        + stretch * sigma * norms * rng.normal(size=(num_members, num_prompts))
      ).tolist()
      for sigma in SIGMAS
    },
  }


class PredictionsTest(parameterized.TestCase):
  def test_where_first_order_holds_it_is_shown(self):
    found = _found()
    for level, claim in zip(
      choice_predictions.compare_levels(found),
      choice_predictions.judge_levels(found),
      strict=True,
    ):
      self.assertEqual(claim.verdict, "shown")
      self.assertLess(abs(level.turned.value), 0.05)
      self.assertAlmostEqual(level.spread, 1, delta=0.1)
      np.testing.assert_allclose(level.measured, level.predicted, atol=0.25)
      json.dumps(level.to_json(), allow_nan=False)
    # More noise turns more answers, and less than a half.
    first, last = choice_predictions.compare_levels(found)
    self.assertLess(first.predicted_turned, last.predicted_turned)
    self.assertLess(last.predicted_turned, 0.5)

  def test_where_members_move_much_further_it_is_refuted(self):
    found = _found(stretch=20.0)
    first, _ = choice_predictions.judge_levels(found)
    self.assertEqual(first.verdict, "refuted")
    self.assertGreater(first.found.value, 0.1)
    (level, _) = choice_predictions.compare_levels(found)
    self.assertAlmostEqual(level.spread, 20, delta=2)

  def test_few_members_show_nothing(self):
    (claim, _) = choice_predictions.judge_levels(_found(num_members=2))
    self.assertEqual(claim.verdict, "not shown")

  def test_members_that_failed_are_said(self):
    found = _found() | {"num_failed": {"0.001": 3, "0.004": 0}}
    first, last = choice_predictions.judge_levels(found)
    self.assertIn("60 members (3 more failed), 40 prompts", first.n)
    self.assertIn("60 members, 40 prompts", last.n)

  def test_a_member_of_more_right_words_counts(self):
    found = _found() | {
      "base": [1.0, -1.0],
      "members": {"0.001": [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [2.0, 2.0]]},
    }
    share = choice_predictions.count_right(found)["0.001"]
    self.assertEqual(share.value, 0.5)

  def test_what_is_not_there_is_refused(self):
    with tempfile.TemporaryDirectory() as folder:
      with self.assertRaisesRegex(UserError, "of experiments.preferences"):
        choice_predictions.read_preferences(folder)
      (pathlib.Path(folder) / "preferences.json").write_text(
        json.dumps(_found()), encoding="utf-8"
      )
      self.assertEqual(
        choice_predictions.say_what(
          choice_predictions.read_preferences(folder)
        ),
        "package:some-model, questions/parity: even or odd behind “It is”",
      )
