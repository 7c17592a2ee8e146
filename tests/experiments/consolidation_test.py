"""Tests of how one model is chosen among candidates."""

from absl.testing import parameterized

from experiments.launch import consolidation
from thickets.errors import UserError


def _watched(*scores):
  right = {"mean": 0.5, "low": 0.25, "high": 0.75, "over": "prompts"}
  names = ["base", *(f"candidate {n}" for n in range(1, len(scores)))]
  return [
    {"name": name, "score": score, "right": right}
    for name, score in zip(names, scores, strict=True)
  ]


class ConsolidationTest(parameterized.TestCase):
  @parameterized.parameters(
    ((0.5, 0.4, 0.7, 0.7), 1),  # The first of equals.
    ((0.5, 0.5, 0.4), None),  # As good as the base is not enough.
    ((0.5, None, 0.6), 1),  # A candidate that failed cannot be chosen.
    ((0.5, None, None), None),
  )
  def test_dev_is_a_gate(self, scores, expected):
    found = consolidation.choose_candidate(_watched(*scores))
    self.assertEqual(found, expected)

  def test_the_choice_is_marked(self):
    lines = consolidation.format_candidates(
      {"watched": _watched(0.5, 0.75, None), "chosen": "candidate 1"}
    ).splitlines()
    self.assertRegex(
      lines[2], r"^candidate 1 +0\.75 +50\.0 +\[25.0, 75.0\] +\*$"
    )
    self.assertRegex(lines[3], r"^candidate 2 +– +50\.0 +\[25.0, 75.0\]$")

  @parameterized.parameters(
    (["x"], "must be numbers"),
    (["0"], "must be above 0"),
    (["nan"], "must be above 0 and finite"),
    (["1", "1.0"], "must differ"),
  )
  def test_wrong_lengths_are_refused(self, words, message):
    with self.assertRaisesRegex(UserError, f"--scales {message}"):
      consolidation.read_scales(words)
