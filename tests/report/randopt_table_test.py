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
      table[0], "^% of 4 prompts +responses +right +.95 %. +over base"
    )
    for row in results["table"]:
      (line,) = (
        li
        for li in table[1:10]
        if li.startswith(row["name"].replace(" (primary)", " *") + "  ")
      )
      numbers = [f"{100 * row['judge']['mean']:.1f}"]
      if "pass_at_k" in row:
        numbers.append(f"{100 * row['pass_at_k']['mean']:.1f}")
        numbers += [str(row["won"]), str(row["lost"])]
      if "gain" in row:
        numbers.append(f"{100 * row['gain']['mean']:+.1f}")
      low, high = (100 * row["judge"][end] for end in ("low", "high"))
      self.assertIn(f"[{low:.1f}, {high:.1f}]", line)
      self.assertContainsSubset(numbers, line.split())
      self.assertTrue(
        line.endswith(row["judge"]["over"].replace(" and ", ", "))
      )
    self.assertLen({len(line) for line in table[:10]}, 1)  # In columns.
    for expected in (
      r"vote - self-consistency: \+25\.0 \[-55\.1, \+88\.5\] over prompts;"
      r" 2 won, 1 lost",
      r"vote - random members: .* over prompts and members; 1 won, 0 lost",
      r"^best member +75\.0 +\+25\.0 +\[.*\] +25\.0 +\+25\.0 +\[.*\] +prompts",
      r"4 members, 1 failed, mean 50\.0 on 4 prompts of selection; 1 better"
      r" than the base there: 25\.0% \[4\.6%, 69\.9%\]",
      r"the best member has \+25\.0 points where it was chosen \(75\.0 and 50\.0\)"
      r" and \+25\.0 on unseen prompts \(25\.0 and 0\.0\)\.",
      r"chosen on 8 prompts of dev: 0\.7: 37\.5, 1: 25\.0",
      r"^Note!$",
    ):
      self.assertRegex(text, rf"(?m){expected}")

  def test_shows_responses_side_by_side_in_a_line_each(self):
    long = "x" * 300
    pairs = [
      {
        "question": "Which\nis larger?",
        "base": {"response": "\x1b[31m a\n\n b", "right": False},
        "member": {"response": long, "right": True},
      }
    ]
    text = randopt_table.format_randopt_results(
      summarise() | {"examples": pairs}
    )
    *_, head, question, base, member, note = text.splitlines()
    self.assertIn("on the first 1 prompt of judge", head)
    self.assertEqual(question, "  Which is larger?")
    self.assertEqual(
      base, "    base         wrong  \N{REPLACEMENT CHARACTER}[31m a b"
    )
    self.assertRegex(member, "^    best member  right  x{99}…$")
    self.assertEqual(note, "Note!")

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
    self.assertIn("and – on unseen prompts (– and 0.0)", text)
