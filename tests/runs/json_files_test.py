"""Tests of JSON files: whole or not at all, and how two contents differ."""

import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized

from thickets.runs import json_files


class WriteTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.path = pathlib.Path(folder.name) / "results.json"
    json_files.write_json(self.path, {"mse": 0.25})

  @parameterized.parameters(float("nan"), float("inf"), object())
  def test_json_is_written_whole_or_not_at_all(self, value):
    before = self.path.read_bytes()
    with self.assertRaises((ValueError, TypeError)):
      json_files.write_json(self.path, {"mse": 0.5, "se": value})
    self.assertEqual(self.path.read_bytes(), before)

  def test_json_never_replaces_a_file_by_a_part(self):
    with (
      mock.patch.object(pathlib.Path, "replace", side_effect=OSError),
      self.assertRaises(OSError),  # As if killed before the last step.
    ):
      json_files.write_json(self.path, {"mse": 0.5})
    self.assertEqual(json_files.read_json(self.path), {"mse": 0.25})


class DifferencesTest(parameterized.TestCase):
  @parameterized.parameters(
    ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}, []),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b was 1, now 2"]),
    ({"a": {"b": 1}}, {"a": 3}, ["a was {'b': 1}, now 3"]),
    ({"a": 1}, {}, ["a was 1, now 'absent'"]),
    ({}, {"a": None}, ["a was 'absent', now None"]),
    ({"a": [1, 2]}, {"a": [2, 1]}, ["a was [1, 2], now [2, 1]"]),
    ({"a": True}, {"a": 1}, ["a was True, now 1"]),  # Equal in Python.
    # Of long lists, such as the hashes of all pictures, the first that differs.
    (
      {"a": [*range(20)]},
      {"a": [*range(7), 70, 80, *range(9, 21)]},
      [
        "a had 20 entries, now 21; a[7] was 7, now 70, the first of 2 entries that"
        " differ"
      ],
    ),
    (
      {"a": [*range(20)]},
      {"a": [*range(19)]},
      ["a had 20 entries, now 19"],
    ),
    ({"a": 1, "b": [2]}, {"a": 1.0, "b": [2.0]}, []),  # The same numbers.
    (
      {"a": 1, "b": 2},
      {"b": 3, "c": 4, "a": 0},
      ["a was 1, now 0", "b was 2, now 3", "c was 'absent', now 4"],
    ),
  )
  def test_worked_cases(self, old, new, expected):
    found = json_files.find_differences(old, new)
    self.assertEqual(list(map(str, found)), expected)
