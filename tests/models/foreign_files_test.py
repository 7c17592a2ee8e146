"""Tests of files that are not what their names say, each in one line."""

import json
import pathlib
import shutil
import tempfile
from unittest import mock

from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.models import foreign_files, hub, hub_files

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
FOREIGN = (
  (POINTER, "a pointer of Git LFS. Run `git lfs pull`"),
  (b"# xet version 0\n", "a pointer of Xet storage"),
  (b"\n<!DOCTYPE html><html>", "a page of HTML"),
  (b"<HTML>", "a page of HTML"),
  (b"", "an empty file"),
  (bytes(100), "a file of zeros"),
  (b"PK\x03\x04" + bytes(100), "a zip archive"),
  (b"GGUF" + bytes(100), "a GGUF file"),
)


class ForeignFilesTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.saved = pathlib.Path(folder.name) / "model"
    hub.save(cls.saved, cases.make_model(tokenizer=cases.make_tokenizer()))

  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.directory = pathlib.Path(folder) / "a model, ünder \u2603"
    shutil.copytree(self.saved, self.directory)

  def _assert_refused(self, message):
    with self.assertRaisesRegex(UserError, message) as caught:
      hub.load(self.directory)
    self.assertNotIn("\n", str(caught.exception))

  def test_a_directory_with_spaces_and_unicode_loads(self):
    self.assertEqual(hub.load(self.directory).source, str(self.directory))

  @parameterized.product(
    file=("model.safetensors", "config.json", "tokenizer.json"),
    foreign=FOREIGN,
  )
  def test_the_file_is_named_and_what_it_is(self, file, foreign):
    content, message = foreign
    (self.directory / file).write_bytes(content)
    self._assert_refused(f"{file} must be .*, got {message}")

  @parameterized.parameters(
    ("generation_config.json", POINTER, "a pointer of Git LFS"),
    ("config.json", b"\xef\xbb\xbf{}", "without the mark"),
    ("config.json", "{}".encode("utf-16"), "text in UTF-16"),
    ("config.json", b"{} // made by hand", "Extra data"),
    ("config.json", b'{"a": "\xff"}', "got 'utf-8' codec"),
  )
  def test_text_that_is_no_json(self, file, content, message):
    (self.directory / file).write_bytes(content)
    self._assert_refused(f"{file} must be JSON.*{message}")

  @parameterized.parameters(
    ('"vocab_size": 98', "vocab_size must be given once, got 97 and 98"),
    ('"rms_norm_eps": NaN', "rms_norm_eps must be a number, got NaN"),
    ('"nested": [{"a": NaN}]', "a must be a number, got NaN"),
  )
  def test_json_that_readers_disagree_about(self, entry, message):
    path = self.directory / "config.json"
    text = path.read_text().rstrip().removesuffix("}")
    if "NaN" in entry:
      text = text.replace('"rms_norm_eps": 1e-05,', "")
    path.write_text(f"{text}, {entry}}}")
    self._assert_refused(f"config.json: {message}")
    path.write_text(f'{text}, "vocab_size": 97, "rms_norm_eps": 1e-05}}')
    hub.load(self.directory)

  @parameterized.parameters(
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "generation_config.json",
  )
  def test_a_link_to_nothing_is_no_missing_file(self, file):
    path = self.directory / file
    path.unlink(missing_ok=True)
    path.symlink_to(self.directory / "blob")
    self._assert_refused(f"{file} must be .*, got a link to .*blob, which does")

  @parameterized.parameters("model.safetensors", "config.json")
  def test_a_directory_is_no_file(self, file):
    (self.directory / file).unlink()
    (self.directory / file).mkdir()
    self._assert_refused(f"{file} must be a file that can be read")

  def test_weights_that_must_not_be_read(self):
    """Whose reader says that there is no such file."""
    path = self.directory / "model.safetensors"
    reason = FileNotFoundError(2, "No such file or directory")
    with mock.patch.object(
      pathlib.Path, "open", side_effect=PermissionError(13, "Permission denied")
    ):
      error = foreign_files.explain(path, "a whole file", reason)
    self.assertIn("can be read, got: Permission denied.", str(error))
    missing = foreign_files.explain(path / "none", "a whole file", reason)
    self.assertIn("can be read, got: Not a directory.", str(missing))

  def test_a_file_that_must_not_be_read(self):
    refusal = PermissionError(13, "Permission denied")
    self.enter_context(
      mock.patch.object(pathlib.Path, "read_text", side_effect=refusal)
    )
    self._assert_refused("config.json must be .* got: Permission denied")

  def test_links_are_followed_as_in_the_cache_of_the_hub(self):
    snapshot = self.directory.parent / "models--a--b" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for path in self.directory.iterdir():
      (snapshot / path.name).symlink_to(path)
    identity = hub.load(self.directory).identity
    self.assertEqual(hub.load(snapshot).identity, identity)
    with self.assertRaisesRegex(UserError, r"Name one of .*snapshots/0123\."):
      hub.load(snapshot.parents[1])
    with self.assertRaisesRegex(UserError, r"Name one of .*models--a--b/snap"):
      hub.load(snapshot.parent)

  def test_the_merges_of_a_tokenizer_do_not_count_beside_its_own_file(self):
    (self.directory / "merges.txt").write_bytes(POINTER)
    hub.load(self.directory)
    (self.directory / "tokenizer.json").unlink()
    self._assert_refused("merges.txt must be a tokenizer's file, got a pointer")

  def test_read_json_returns_the_object(self):
    path = self.directory / "x.json"
    self.assertIsNone(hub_files.read_json(path))
    path.write_text(json.dumps({"a": [1, {"b": None}]}))
    self.assertEqual(hub_files.read_json(path), {"a": [1, {"b": None}]})
