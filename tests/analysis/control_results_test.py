"""Tests of what controls of pictures say: paired, over pictures, of the same prompts."""

import numpy as np
from absl.testing import absltest

from thickets.analysis import control_results
from thickets.report import controls_table
from thickets.runs.directory import BASE_POSITION

# Right answers of base (-1) and members to four prompts of judge; controls are of
# the first, third and fourth.
RIGHT = {
  "judge": {BASE_POSITION: "1011", 4: "1110", 2: "0110", 7: "1000"},
  "no_picture": {BASE_POSITION: "100", 4: "000", 2: "010", 7: "010"},
  "anothers_picture": {BASE_POSITION: "011", 4: "111", 2: "111", 7: "111"},
}


class Source:
  def channels(self, split, position):
    right = np.array([letter == "1" for letter in RIGHT[split][position]])
    return {
      "score": right.astype(float),
      "correct": right,
      "lenient": right,
      "format": right,
      "vote": np.where(right, "right", "wrong"),
    }


def _summarise(groups=None):
  return control_results.summarise_controls(
    Source(),
    ["no_picture", "anothers_picture"],
    (0, 2, 3),
    [4, 2, 7],
    groups=groups,
  )


class ControlResultsTest(absltest.TestCase):
  def test_worked(self):
    found = _summarise()
    self.assertEqual((found["num_prompts"], found["num_groups"]), (3, 3))
    base, best, vote = found["rows"]
    self.assertEqual(vote["name"], "vote, K=3")
    for row, own, blind, other in (
      (base, 3, 1, 2),
      (best, 2, 0, 3),
      (vote, 2, 1, 3),  # Two of three members have each of these right.
    ):
      controls = row["controls"]
      self.assertAlmostEqual(row["own"]["mean"], own / 3)
      for name, right in (("no_picture", blind), ("anothers_picture", other)):
        self.assertAlmostEqual(controls[name]["right"]["mean"], right / 3)
        self.assertAlmostEqual(
          controls[name]["loss"]["mean"], (own - right) / 3
        )

  def test_questions_about_one_picture_are_a_group(self):
    found = _summarise(["a", "b", "a", "c"])
    self.assertEqual(found["num_groups"], 2)
    self.assertEqual(found["rows"][0]["own"]["over"], "groups of prompts")

  def test_tables(self):
    results = {"controls": _summarise() | {"left_out": {"x": "a reason."}}}
    text = "\n".join(controls_table.format_controls(results))
    self.assertIn("no picture", text)
    self.assertIn("another's picture", text)
    self.assertIn("Not asked with x: a reason.", text)
    (table,) = controls_table.tabulate_controls(results)
    self.assertLen(table.rows, 3)
    self.assertEqual({*map(len, table.rows)}, {len(table.header)})
    self.assertEqual(controls_table.format_controls({}), [])
    self.assertEqual(controls_table.tabulate_controls({}), [])


if __name__ == "__main__":
  absltest.main()
