"""Tests of the console's table of a RandOpt run on a regression task."""

from absl.testing import parameterized
from analysis.signals_results_test import summarise

from thickets.report import signals_table


class FormatTest(parameterized.TestCase):
  def test_text_holds_the_numbers(self):
    lines = signals_table.format_signals_results(summarise()).splitlines()
    cells = {line[:22].strip(): line[22:].split() for line in lines[1:6]}
    self.assertEqual(lines[0].split()[-3:], ["select", "judge", "s.e."])
    self.assertEqual(
      cells,
      {
        "base": ["9.5", "12.5", "3.5"],
        "population median": ["3", "–", "–"],
        "top-1": ["1", "0.5", "0.5"],
        "ensemble K=2 (primary)": ["–", "0.5", "0.5"],
        "ensemble K=3": ["–", "1.61", "1.17"],
      },
    )
    self.assertLen({len(line) for line in lines[:6]}, 1)  # Aligned.
    text = " ".join(lines[6:])
    self.assertIn("4 members, 1 failed; 3 better than the base", text)
    self.assertIn("75.0% [30.1%, 95.4%]", text)  # SciPy's Wilson interval.
    self.assertIn(
      "select: 7 prompts that chose; judge: 2 drawn independently", text
    )
