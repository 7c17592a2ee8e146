"""Tests of what a training has come to, on answers made by hand."""

import numpy as np
from absl.testing import parameterized

from thickets.analysis import intervals, trained_results
from thickets.report import trained_table
from thickets.search.answers import Answers

BASE = np.array([1, 1, 0, 0, 0, 0, 0, 0], bool)
AFTER = np.array([1, 0, 1, 1, 1, 0, 0, 0], bool)


def _answers(right, score=None):
  right = right[None]
  return Answers(
    score=right.astype(np.float64) if score is None else score,
    correct=right & (np.arange(8) < 3),
    lenient=right,
    format=right,
    vote=right.astype(str),
  )


class TrainedResultsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    models = {"base": _answers(BASE), "after 4 steps": _answers(AFTER)}
    self.results = trained_results.summarise_trained(models)

  def test_the_gain_is_paired_by_prompt(self):
    base, after = self.results["table"]
    self.assertNotIn("gain", base)
    low, high = intervals.paired_interval(AFTER.astype(float) - BASE)
    self.assertEqual(
      after["gain"],
      {"mean": 0.25, "low": low, "high": high, "over": "prompts"},
    )
    self.assertEqual((after["won"], after["lost"]), (3, 1))
    self.assertEqual((after["judge"]["mean"], after["strict"]), (4 / 8, 2 / 8))

  def test_the_table_has_a_row_for_each(self):
    header, base, after = trained_table.format_trained(
      self.results
    ).splitlines()
    self.assertStartsWith(header, "% of 8 prompts")
    self.assertRegex(base, r"^base +25\.0 +\[.*\] +25\.0 +– +– +– +prompts$")
    self.assertRegex(
      after, r"^after 4 steps +50\.0 .* 25\.0 +\+25\.0 +\[-.*\] +3 +1 +prompts$"
    )

  def test_failures_are_counted_and_left_out(self):
    found = trained_results.describe_populations(
      np.array([[0.5, np.nan, 1.0], [0.25, 0.25, 0.25]])
    )
    self.assertEqual(
      found[0],
      {"step": 1, "mean": 0.75, "lowest": 0.5, "highest": 1.0, "num_failed": 1},
    )
    failed = _answers(BASE, np.full((1, 8), np.nan))
    watched = trained_results.describe_watched({0: _answers(BASE), 3: failed})
    self.assertEqual([row["step"] for row in watched], [0, 3])
    self.assertEqual([row["score"] for row in watched], [0.25, None])
