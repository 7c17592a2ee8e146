"""Tests of the console's table of a RandOpt run on a language task."""

import numpy as np
from absl.testing import parameterized
from analysis.randopt_results_test import (
  FAILED,
  JUDGED,
  SECOND,
  stack,
  summarise,
)

from thickets.analysis.randopt_results import JudgedAnswers
from thickets.report import randopt_table


class FormatTest(parameterized.TestCase):
  def test_holds_the_numbers(self):
    results = summarise()
    text = randopt_table.format_randopt_results(results)
    table = text.splitlines()
    self.assertRegex(
      table[0], "^% of 4 prompts +responses +score, select +score, judge +right"
    )
    for row in results["table"]:
      (line,) = (li for li in table if li.startswith(row["name"] + "  "))
      numbers = [f"{100 * row['judge']['mean']:.1f}"]
      numbers += [
        f"{100 * row[f]:.1f}"
        for f in ("select_score", "judge_score")
        if f in row
      ]
      if "gain" in row:
        numbers.append(f"{100 * row['gain']['mean']:+.1f}")
      low, high = (100 * row["judge"][end] for end in ("low", "high"))
      self.assertIn(f"[{low:.1f}, {high:.1f}]", line)
      self.assertContainsSubset(numbers, line.split())
    # In columns; the base has nothing in the last.
    self.assertLen({len(line) for line in table[1:10]} - {len(table[1])}, 1)
    for expected in (
      r"vote - self-consistency: \+25\.0 \[-55\.1, \+88\.5\]",
      r"4 members, 1 failed, mean 50\.0 on 4 prompts of selection; 1 better"
      r" than the base there: 25\.0% \[4\.6%, 69\.9%\]",
      r"best member was selected with a score of 75\.0 and reaches 25\.0 on unseen",
      r"chosen on 8 prompts of dev: 0\.7: 37\.5, 1: 25\.0",
      r"^Note!$",
    ):
      self.assertRegex(text, rf"(?m){expected}")

  def test_without_self_consistency(self):
    judged = JudgedAnswers(JUDGED.base, JUDGED.chosen, JUDGED.random)
    results = summarise(judged=judged, dev=(), note="")
    text = randopt_table.format_randopt_results(results)
    self.assertNotIn("self-consistency", text)
    self.assertNotIn("dev", text)

  def test_a_member_that_failed_has_a_dash(self):
    scores = np.array([np.nan, np.nan, 0.75, 0.25])
    judged = JudgedAnswers(
      JUDGED.base, stack(FAILED, SECOND), stack(FAILED, FAILED)
    )
    results = summarise(scores, judged, positions=(2, 3))
    text = randopt_table.format_randopt_results(results)
    self.assertIn("reaches – on", text)
