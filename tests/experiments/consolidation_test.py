"""Tests of how one model is chosen among candidates."""

from types import SimpleNamespace
from unittest import mock

from absl.testing import parameterized

from experiments.launch import consolidation, finished_randopt
from thickets.analysis import measurement
from thickets.errors import UserError
from thickets.members import BASE


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
    (range(3), 4, "records of all 4 members on select, got d, which lacks 1"),
    (range(4), 3, "ranked the 2 members that ensemble asks for, got 1"),
  )
  def test_a_run_that_lacks_members_is_refused(self, positions, size, message):
    records = {"select": {p: SimpleNamespace(score=0.5) for p in positions}}
    spec = SimpleNamespace(
      population=SimpleNamespace(size=size, sample=lambda: [BASE] * size),
      ensemble=SimpleNamespace(top_k=2, also=(1,)),
    )
    best = {"method": "best member", "search": {}}
    results = {"ledger": [best], "chosen": [{"position": 0}]}
    with (
      mock.patch.object(finished_randopt, "read_results", return_value=results),
      mock.patch.object(
        measurement, "read_records", return_value=({}, records)
      ),
      self.assertRaisesRegex(UserError, f"--run must .*{message}"),
    ):
      consolidation.read_source(spec, "d", [1.0])

  @parameterized.parameters(
    (["x"], "must be numbers"),
    (["0"], "must be above 0"),
    (["nan"], "must be above 0 and finite"),
    (["1", "1.0"], "must differ"),
  )
  def test_wrong_lengths_are_refused(self, words, message):
    with self.assertRaisesRegex(UserError, f"--scales {message}"):
      consolidation.read_scales(words)
