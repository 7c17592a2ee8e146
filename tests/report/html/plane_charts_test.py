"""Tests of the interactive charts of landscapes."""

import numpy as np
from absl.testing import parameterized
from report.small_runs import MEMBERS

from thickets.analysis import landscape
from thickets.members import Member
from thickets.report.html import plane_charts


class PlaneChartsTest(parameterized.TestCase):
  @parameterized.parameters(True, False)
  def test_plane(self, is_slice):
    scores = np.repeat([[0.2], [0.6], [0.4], [np.nan]], 5, axis=1)
    coordinates = np.array([[0.0, 0], [1, 0], [0, 2], [1, 2]])
    members = [Member((7, 8), (0.3, 0.4)), *MEMBERS[:3]]
    found = landscape.make_landscape(
      "t", members, coordinates, scores, np.full(5, 0.4)
    ).to_json()
    chart = plane_charts.chart_plane({"t": found}, is_slice=is_slice)
    traces = chart.figures["t"]["data"]
    shown = {}
    for trace in traces:
      if trace.get("meta"):
        (member,) = trace["customdata"]
        shown[trace["meta"]["gain"]] = (trace["x"], trace["y"], *member)
    self.assertEqual(
      {sign: values[2:] for sign, values in shown.items()},
      {
        "worse": (0, "7 × 0.3, 8 × 0.4", "0.5", "20.0", "-20.0", "0.0"),
        "better": (1, "10", "0.01", "60.0", "+20.0", "0.0"),
        "as good": (2, "11", "0.02", "40.0", "+0.0", "0.0"),
        "failed": (3, "12", "0.01", "–", "–", "–"),
      },
    )
    self.assertEqual(shown["as good"][:2], ([0.0], [2.0]))
    maps = [trace for trace in traces if trace["type"] == "heatmap"]
    self.assertLen(maps, is_slice)
    if is_slice:  # Rows are y; percent of the base.
      self.assertEqual(maps[0]["z"], [[-50.0, 50.0], [0.0, None]])
    axis = chart.figures["t"]["layout"]["coloraxis"]
    self.assertEqual((axis["cmin"], axis["cmax"]), (-axis["cmax"], 50.0))
    self.assertIn("base 40.0 %", axis["colorbar"]["title"]["text"])
