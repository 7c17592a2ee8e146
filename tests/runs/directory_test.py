"""Tests of run directories: another run's is refused, and left as it is."""

import json
import pathlib
import tempfile

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.runs import directory
from thickets.runs.run_config import RunConfig

CONFIG = {"population": {"size": 10, "sigmas": [0.1]}, "seed": 0}


class OpenRunTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.workdir = pathlib.Path(folder.name) / "run"

  def open(self, config=None, extendable=()):
    fields = CONFIG if config is None else config
    return directory.open_run(self.workdir, RunConfig(fields, extendable))

  def open_and_close(self, config=None, extendable=()):
    with self.open(config, extendable):
      pass

  def test_another_config_is_refused_by_key_and_values(self):
    self.open_and_close()
    changed = {"population": {"size": 20, "sigmas": [0.2]}, "seed": 0}
    with self.assertRaisesRegex(
      UserError,
      r"config differs: population\.sigmas was \[0\.1\], now \[0\.2\]\. Choose",
    ):
      self.open_and_close(changed, extendable=["population.size"])

  def test_extendable_keys_may_change(self):
    self.open_and_close()
    larger = {"population": {"size": 20, "sigmas": [0.1]}, "seed": 0}
    path = self.workdir / "config.json"
    before = path.read_bytes()
    with self.open(larger, extendable=["population.size"]) as run:
      # Not before the records, too, are found to mean the same.
      self.assertEqual(path.read_bytes(), before)
      run.write_header({"base": "a"})
    self.assertEqual(json.loads(path.read_text())["config"], larger)

  def test_a_refused_config_leaves_the_old_one(self):
    self.open_and_close()
    before = (self.workdir / "config.json").read_bytes()
    with self.assertRaises(UserError):
      self.open_and_close({"seed": 1})
    self.assertEqual((self.workdir / "config.json").read_bytes(), before)

  @parameterized.parameters("", "{", "[]", "{}", "null", "\xff")
  def test_a_corrupt_config_is_refused_by_path(self, text):
    self.open_and_close()
    path = self.workdir / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with self.assertRaisesRegex(UserError, rf"{path} is corrupt"):
      self.open_and_close()

  def test_a_run_in_use_is_refused(self):
    with self.open(), self.assertRaisesRegex(UserError, "is in use"):
      self.open_and_close()

  @parameterized.parameters("run", "run/below", "/proc")
  def test_a_workdir_that_cannot_be_written_is_refused(self, path):
    self.workdir.touch()  # A file. Root may write into any other directory,
    path = self.workdir.parent / path  # except for those of the kernel.
    with self.assertRaisesRegex(
      UserError, rf"workdir must be a directory that can be written, got {path}"
    ):
      directory.make_workdir(path)
