"""Tests of run directories: another run's is refused, and left as it is."""

import json
import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.members import BASE
from thickets.runs import directory, record_log
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
    """As a run that has begun, with one record."""
    with self.open(config, extendable) as run:
      run.write_header({"base": "a"})
      if run.find("select", 0) is None:
        scores = np.zeros(1)
        run.append("select", [0], [BASE], scores, {"score": scores[:, None]})

  def test_a_start_that_failed_refuses_no_other_config(self):
    with self.assertRaises(ZeroDivisionError), self.open():
      raise ZeroDivisionError
    (self.workdir / ".probe.0f").touch()  # Another start tries a store.
    self.assertTrue(directory.is_new(self.workdir))
    with self.open({"seed": 1}) as run:
      run.write_header({"base": "a", "width": 2})  # Failed in its first chunk.
    with self.open({"seed": 2}) as run:
      self.assertIsNone(run.header)
      run.write_header({"base": "b", "width": 1})
    log = self.workdir / "records" / "process_0000.jsonl"
    self.assertEqual(record_log.read_header(log), {"base": "b", "width": 1})
    config = json.loads((self.workdir / "config.json").read_text())
    self.assertEqual(config["config"], {"seed": 2})

  @parameterized.parameters("base", "checkpoints", "results.json")
  def test_what_another_kind_of_run_has_left_is_not_new(self, name):
    with self.open() as run:
      run.save_config()
    (self.workdir / name).touch()
    with self.assertRaisesRegex(UserError, "config differs: .*seed was 0"):
      self.open_and_close({"seed": 1})

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
