"""Tests of the tables of a report, and of how their numbers are spelt."""

from absl.testing import parameterized
from analysis.randopt_results_test import summarise

from thickets.report import analysis_tables, results_tables, run_kinds, tables
from thickets.report.tables import TextTable


class TablesTest(parameterized.TestCase):
  def test_randopt(self):
    results = summarise()
    accuracies, differences, gains, _ = results_tables.tabulate_randopt(results)
    (row,) = (
      r for r in accuracies.rows if "primary" in r[0] and "vote" in r[0]
    )
    (judged,) = (r for r in results["table"] if r["role"] == "vote-primary")
    self.assertEqual(row[2], f"{100 * judged['judge']['mean']:.1f}")
    low, high = judged["gain"]["low"], judged["gain"]["high"]
    self.assertEqual(row[5], f"[{100 * low:+.1f}, {100 * high:+.1f}]")
    self.assertEqual(row[6], "2, 0")
    self.assertLen(accuracies.rows, len(results["table"]))
    self.assertEqual(
      [row[-1] for row in differences.rows],
      ["prompts", "prompts and members", "prompts"],
    )
    self.assertEqual(gains.rows[1][:3], ("best member", "75.0", "+25.0"))

  def test_zero_has_no_sign_of_its_own(self):
    self.assertEqual(tables.format_percent(-0.0001, sign=True), "+0.0")
    self.assertEqual(tables.format_percent(None), "–")

  def test_an_interval_has_no_sign_of_zero_in_any_format(self):
    self.assertEqual(
      tables.format_interval(-1e-9, 0.13, sign=True), "[+0.0, +13.0]"
    )
    self.assertEqual(tables.format_number(-0.0), "0")

  def test_columns_of_words(self):
    table = TextTable(
      "c", ("a", "b", "c"), (("x", "1", "–"), ("y", "2", "why"))
    )
    self.assertEqual(table.is_text, [True, False, True])

  def test_relative_margins_say_their_ratio(self):
    self.assertEqual(tables.format_margin(0.02, 1.05), "2 (× 1.05)")

  def test_best_members(self):
    points = [
      {"score": s, "gain": 0, "error": 0, "sigma": 0.1, "terms": [[n, 0.1]]}
      for n, s in enumerate([0.1, None, 0.9, 0.9])
    ]
    table = analysis_tables.tabulate_best({"t": {"points": points}}, "slice")
    self.assertEqual([row[1] for row in table.rows], ["2", "3", "0"])

  def test_a_comparison_puts_a_task_side_by_side(self):
    level = {"sigma": 0.1, "num_members": 4, "num_failed": 0, "mean": 0.5}
    task = {"num_prompts": 9, "base": 0.4, "by_sigma": [level | {"best": 0.7}]}
    results = {"relative_norms": {}, "tasks": {"s": task, "w": task}}
    (table,) = run_kinds.compare_results(
      dict.fromkeys(("one", "two"), (run_kinds.KINDS["measure"], results))
    )
    self.assertEqual(table.header[:2], ("task", "run"))
    self.assertEqual(
      [row[:2] for row in table.rows],
      [("s", "one"), ("s", "two"), ("w", "one"), ("w", "two")],
    )
