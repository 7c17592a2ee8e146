"""Tests of the interactive charts of densities."""

from absl.testing import parameterized
from report.small_runs import DENSITY_ROW

from thickets.report.html import density_charts


class DensityChartsTest(parameterized.TestCase):
  def test_density(self):
    rows = [DENSITY_ROW | {"margin": 0.05, "plain": 0.2}, DENSITY_ROW]
    chart = density_charts.chart_density(
      {"densities": {"t": {"rows": rows, "level": 0.9}}}
    )
    lines = {t["meta"]["estimate"]: t for t in chart.figures["t"]["data"]}
    plain = lines["plain"]
    self.assertEqual(plain["x"], [2.0, 5.0])  # Points, ascending.
    self.assertEqual(plain["y"], [25.0, 20.0])
    self.assertEqual(plain["error_y"]["array"], [25.0, 30.0])
    self.assertEqual(plain["error_y"]["arrayminus"], [12.5, 7.5])
    self.assertEqual(lines["corrected"]["y"], [])  # Not known, so not drawn.
    for words in (
      *("sigma 0.01", "margin 2 points", "plain density 25.0 % [12.5, 50.0]"),
      *("n = 40 members (3 failed), 50 prompts", "base 50.0 %"),
      "density on these prompts",
    ):
      self.assertIn(words, plain["text"][0].replace("<br>", " "))
    layout = chart.figures["t"]["layout"]
    self.assertIn("90 % intervals", layout["yaxis"]["title"]["text"])
    checked = [c.value for c in chart.boxes if c.checked]
    self.assertEqual(checked, ["plain", "corrected"])
    dashes = {line["line"]["dash"] for line in lines.values()}
    self.assertLen(dashes, 4)

  def test_names_of_runs_are_escaped(self):
    density = {"rows": [DENSITY_ROW], "level": 0.95}
    chart = density_charts.chart_compared_densities(
      {"<a href='x'>": {"densities": {"t": density}}}
    )
    (plain, *_) = chart.figures["t"]["data"]
    self.assertEqual(
      plain["name"], "&lt;a href=&#x27;x&#x27;&gt;, sigma 0.01, plain"
    )
    self.assertNotIn("<a", plain["text"][0])
    self.assertEqual(plain["meta"]["run"], "<a href='x'>")
