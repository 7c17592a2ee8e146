"""Tests of data files and data sets: the same rows, and errors that say where."""

import csv
import importlib.util
import json
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

import huggingface_hub
import hypothesis
import hypothesis.strategies as st
from absl.testing import parameterized
from huggingface_hub import constants

from thickets.errors import UserError
from thickets.tasks import data
from thickets.tasks.base import Source

HAS_PYARROW = importlib.util.find_spec("pyarrow") is not None
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# What splits lines for Python's `splitlines` and not for these formats; quotes
# and breaks as csv and JSON escape them.
HARD = 'a\u2028b\u0085c\x0bd\x0ce "f", g\ttab é 漢 \U0001f600'
ROWS = [
  {"question": HARD, "answer": "1"},
  {"question": "two\nlines\r\nand\rmore", "answer": ""},
  {"question": "plain", "answer": "2"},
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


class _TablesTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def write(self, name, content):
    path = self.folder / name
    path.write_bytes(
      content if isinstance(content, bytes) else content.encode("utf-8")
    )
    return path

  def write_rows(self, suffix, rows, *, is_ascii=True):
    """Writes rows with the standard writer of a format."""
    path = self.folder / f"data{suffix}"
    if suffix == ".parquet":
      import pyarrow
      from pyarrow import parquet

      parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif suffix == ".csv":
      with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
      dump = lambda row: json.dumps(row, ensure_ascii=is_ascii)  # noqa: E731
      text = dump(rows) if suffix == ".json" else "\n".join(map(dump, rows))
      path.write_text(text, encoding="utf-8", newline="")
    return path

  def assert_refused(self, path, message):
    with self.assertRaisesRegex(UserError, message) as caught:
      data.read_file(path)
    self.assertIn(str(path), str(caught.exception))


class ReadFileTest(_TablesTestCase):
  @parameterized.parameters(".json", ".jsonl", ".csv")
  def test_all_formats_hold_the_same_rows(self, suffix):
    for is_ascii in (True, False):
      path = self.write_rows(suffix, ROWS, is_ascii=is_ascii)
      table = data.read_file(path)
      self.assertEqual(list(table.rows), ROWS)
      self.assertEqual(table.origin, str(path))

  @unittest.skipUnless(HAS_PYARROW, "pyarrow is an extra")
  def test_parquet_holds_them_too(self):
    table = data.read_file(self.write_rows(".parquet", ROWS))
    self.assertEqual(list(table.rows), ROWS)
    self.assertRegex(table.place(2), r"data\.parquet, row 2$")
    self.assert_refused(
      self.write("torn.parquet", b"PAR1torn"), "must be a whole parquet file"
    )

  @hypothesis.given(st.lists(TEXTS, min_size=1, max_size=5))
  def test_csv_keeps_every_text_that_its_writer_quotes(self, texts):
    hypothesis.assume(all(text.strip() for text in texts))
    rows = [{"text": text, "number": str(i)} for i, text in enumerate(texts)]
    path = self.write_rows(".csv", rows)
    self.assertEqual(list(data.read_file(path).rows), rows)

  def test_json_values_keep_their_types(self):
    rows = [{"a": [1, 2.5, None], "b": {"c": True}}, {"a": "x", "b": {}}]
    for suffix in (".json", ".jsonl"):
      found = data.read_file(self.write_rows(suffix, rows)).rows
      self.assertEqual(list(found), rows)

  @parameterized.parameters(".json", ".jsonl", ".csv")
  def test_a_byte_order_mark_is_no_content(self, suffix):
    path = self.write_rows(suffix, ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    self.assertEqual(list(data.read_file(path).rows), ROWS)

  def test_empty_lines_are_skipped_but_counted(self):
    path = self.write("data.jsonl", '\n{"a": 1}\r\n   \n\n{"a": 2}')
    table = data.read_file(path)
    self.assertEqual(list(table.rows), [{"a": 1}, {"a": 2}])
    self.assertEqual(table.place(0), f"{path}, line 2")
    self.assertEqual(table.place(1), f"{path}, line 5")

  def test_the_revision_is_of_the_content(self):
    first = data.read_file(self.write("a.jsonl", '{"a": 1}'))
    same = data.read_file(self.write("b.jsonl", '{"a": 1}'))
    other = data.read_file(self.write("c.jsonl", '{"a": 2}'))
    self.assertEqual(first.revision, same.revision)
    self.assertNotEqual(first.revision, other.revision)
    self.assertStartsWith(first.revision, "sha256:")

  @parameterized.parameters(
    ("a.jsonl", '{"a": 1}\n\n{"a": \n', r"got '\{\"a\": ' \(.*, line 3\)"),
    ("a.jsonl", '{"a": 1}\n[1, 2]\n', r"object with fields.*, line 2\)"),
    ("a.jsonl", "null\n", r"object with fields.*, line 1\)"),
    ("a.json", '[{"a": 1}, "b"]', r"object with fields, got .b. .*, row 1\)"),
    ("a.json", '{"a": 1}', "must hold a list of objects, got dict"),
    ("a.json", '[{"a": 1}', r"must be a whole json file.*line 1"),
    ("a.json", "[" * 100_000, "must be a whole json file"),
    ("a.csv", "a,b\n1,2\n3\n", r"the 2 columns .*, line 3\)"),
    ("a.csv", "a,b\n1,2,3\n", r"the 2 columns .*, line 2\)"),
    ("a.csv", 'a,b\n1,2\n"3,4\n', r"as csv writes it.*, line 3\)"),
    ("a.csv", 'a,b\n"1"x,2\n', r"as csv writes it.*, line 2\)"),
  )
  def test_a_malformed_row_is_named(self, name, content, message):
    self.assert_refused(self.write(name, content), message)

  @parameterized.parameters(
    ("a.json", ""), ("a.jsonl", "\n \n"), ("a.csv", "a,b\n"), ("a.csv", "")
  )
  def test_a_file_without_rows_is_refused(self, name, content):
    self.assert_refused(
      self.write(name, content), "must hold rows|must be a whole"
    )

  @parameterized.parameters(".json", ".jsonl", ".csv")
  def test_other_encodings_are_refused(self, suffix):
    path = self.write(f"a{suffix}", '[{"a": "é"}]'.encode("latin-1"))
    self.assert_refused(path, "must be UTF-8.*0xe9.*Convert it")

  @parameterized.parameters("a.txt", "a", "a.jsonl.gz", "a.JSONL")
  def test_other_kinds_are_refused(self, name):
    self.assert_refused(
      self.write(name, "{}"), r"must end in \.json, \.jsonl, \.csv, \.parquet"
    )

  def test_a_path_that_cannot_be_read_is_refused(self):
    self.assert_refused(self.folder / "none.jsonl", "No such file")
    (self.folder / "folder.json").mkdir()
    self.assert_refused(self.folder / "folder.json", "Is a directory")

  def test_parquet_without_its_library_names_the_extra(self):
    path = self.write("a.parquet", b"PAR1")
    absent = {"pyarrow": None, "pyarrow.parquet": None}
    with mock.patch.dict(sys.modules, absent):
      self.assert_refused(path, r"pyarrow, which is not installed.*\.\[tasks\]")


class LoadSourceTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.load = mock.Mock()
    self.load.return_value.to_list.return_value = ROWS
    # Before sys.modules is patched: what is imported later would be forgotten.
    self.info = self.enter_context(
      mock.patch.object(huggingface_hub.HfApi, "dataset_info")
    )
    library = types.SimpleNamespace(load_dataset=self.load)
    self.enter_context(mock.patch.dict(sys.modules, {"datasets": library}))
    self.info.return_value.sha = COMMIT
    self._set_offline(False)

  def _set_offline(self, is_offline):
    self.enter_context(
      mock.patch.object(constants, "HF_HUB_OFFLINE", is_offline)
    )

  @parameterized.parameters(None, "main", "v1.0")
  def test_what_is_loaded_and_recorded_is_the_commit(self, revision):
    table = data.load_source(Source("org/data", "main", "train"), revision)
    self.assertEqual(self.info.call_args.args, ("org/data",))
    self.assertEqual(self.info.call_args.kwargs["revision"], revision)
    self.load.assert_called_once_with(
      "org/data", "main", split="train", revision=COMMIT
    )
    self.assertEqual(table.revision, COMMIT)
    self.assertEqual(table.origin, "org/data:main:train")
    self.assertEqual(list(table.rows), ROWS)
    self.assertEqual(table.place(2), "org/data:main:train, row 2")

  def test_a_single_file_of_a_repository(self):
    table = data.load_source(Source("org/data", None, "train", "x.jsonl"))
    self.load.assert_called_once_with(
      "org/data", None, split="train", revision=COMMIT, data_files="x.jsonl"
    )
    self.assertEqual(table.origin, "org/data:x.jsonl:train")

  @parameterized.parameters((None, "cached"), ("v1.0", "v1.0"))
  def test_offline_nothing_is_asked(self, revision, recorded):
    self._set_offline(True)
    table = data.load_source(Source("org/data"), revision)
    self.info.assert_not_called()
    self.assertEqual(self.load.call_args.kwargs["revision"], revision)
    self.assertEqual(table.revision, recorded)

  @parameterized.parameters("info", "load")
  def test_a_hub_that_cannot_be_reached_names_the_remedy(self, which):
    getattr(self, which).side_effect = OSError("Connection refused")
    with self.assertRaisesRegex(
      UserError,
      "hub must be reachable to load 'org/data'.*Connection refused.*Pass a"
      " file, or set HF_HUB_OFFLINE=1 if the data set is in the cache",
    ):
      data.load_source(Source("org/data"))

  def test_what_the_hub_refuses_is_said_of_a_data_set(self):
    response = mock.Mock(headers={}, status_code=404)
    self.info.side_effect = huggingface_hub.errors.RepositoryNotFoundError(
      "not found", response=response
    )
    with self.assertRaisesRegex(
      UserError, "A data set must be a file or the id.*'org/none'"
    ):
      data.load_source(Source("org/none"))
    self.load.assert_not_called()

  def test_without_the_library_it_names_the_extra(self):
    with (
      mock.patch.dict(sys.modules, {"datasets": None}),
      self.assertRaisesRegex(
        UserError, r"library datasets.*\.\[tasks\].*task\.train and task\.test"
      ),
    ):
      data.load_source(Source("org/data"))
    self.info.assert_not_called()
