"""Tests of endings: a machine's failure in one line, a bug with its traceback."""

import concurrent.futures
import errno
import os
import pathlib
import tempfile
from unittest import mock

import jax
import numpy as np
import safetensors.numpy
from absl.testing import absltest, parameterized

from experiments import launch
from experiments.launch import ending, failures
from thickets.errors import UserError
from thickets.report.figures import captions, style
from thickets.runs import fsspec_objects, json_files, record_log


def _system_error(number, path=None):
  return OSError(number, os.strerror(number), path)


class DescribeFailureTest(parameterized.TestCase):
  @parameterized.parameters(
    (_system_error(errno.ENOSPC), "must have room .*No space left.*Free"),
    (_system_error(errno.EDQUOT), "must have room .*quota"),
    (_system_error(errno.EFBIG), "must have room .*File too large.*ulimit"),
    (_system_error(errno.EROFS, "/r/x"), "allowed .*Read-only.*/r/x'. Name"),
    (_system_error(errno.EACCES, "/r/x"), "allowed .*denied.*/r/x'. Change"),
    (_system_error(errno.EISDIR, "/r"), "path must .*Is a directory: '/r'"),
    (_system_error(errno.ENOTDIR, "/r"), "path must .*Not a directory: '/r'"),
    (_system_error(errno.ENOENT, "/r"), "path must .*No such file.*: '/r'"),
    (_system_error(errno.EMFILE), "files and pipes .*ulimit -n"),
    (MemoryError("Unable to allocate"), "machine must have memory"),
    (
      jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory: 3 GiB"),
      "devices must have memory .*3 GiB.*Lower population.chunk",
    ),
    (
      ModuleNotFoundError("No module named 'gguf.x'", name="gguf.x"),
      "package gguf must be installed for this, got none. Install",
    ),
    (
      concurrent.futures.BrokenExecutor("A process ended"),
      "worker processes must live",
    ),
    # As safetensors and tensorstore spell it.
    (RuntimeError("I/O error: No space left (os error 28)"), "must have room"),
    (ValueError("Failed to write [os_error_code='27']"), "ulimit -f"),
    (ValueError("failed [OS error 28: ENOSPC No space]"), "must have room"),
  )
  def test_what_the_machine_refuses_has_a_line_with_a_remedy(self, error, line):
    said = failures.describe_failure(error)
    self.assertRegex(said, line)
    self.assertNotIn("Errno", said)
    self.assertEndsWith(said, ".")

  @parameterized.parameters(
    ModuleNotFoundError("No module named 'thickets.x'", name="thickets.x"),
    ModuleNotFoundError(),
    KeyError("x"),
    ValueError("28"),
    AssertionError(),
    OSError("no number"),
    jax.errors.JaxRuntimeError("INVALID_ARGUMENT: shapes"),
  )
  def test_what_may_be_a_bug_has_none(self, error):
    self.assertIsNone(failures.describe_failure(error))


class EndingTest(absltest.TestCase):
  def end(self, error, *argv):
    binary = launch.BinaryFlags("Does nothing.", "python -m experiments.none")
    binary.define_workdir()
    binary.parse(["none", *argv])
    with (
      self.assertRaises(SystemExit) as caught,
      ending.ending_in_one_line(binary),
    ):
      raise error
    return caught.exception.code

  def test_a_users_error_is_the_line(self):
    self.assertEqual(self.end(UserError("x must be 1.")), "error: x must be 1.")

  def test_a_failure_says_where_what_was_finished_is(self):
    folder = self.enterContext(tempfile.TemporaryDirectory())
    # It is said at once, and where no network is left.
    self.enterContext(
      mock.patch.object(fsspec_objects, "connect", side_effect=OSError)
    )
    for begun in (folder, "gs://bucket/x"):
      self.assertRegex(
        self.end(_system_error(errno.ENOSPC), f"--workdir={begun}"),
        f"^error: The disk must .*finished is in {begun}; the same command",
      )
    self.assertNotIn("finished", self.end(_system_error(errno.ENOSPC)))
    # A run that had not begun, for want of a package.
    none = self.end(ModuleNotFoundError(name="x"), f"--workdir={folder}/x")
    self.assertNotIn("finished", none)

  def test_a_failure_before_the_flags_are_read(self):
    binary = launch.BinaryFlags("Does nothing.", "python -m experiments.none")
    binary.define_workdir()
    with self.assertRaises(SystemExit), ending.ending_in_one_line(binary):
      raise _system_error(errno.ENOSPC)

  def test_a_bug_keeps_its_traceback(self):
    binary = launch.BinaryFlags("Does nothing.", "python -m experiments.none")
    with self.assertRaises(KeyError), ending.ending_in_one_line(binary):
      raise KeyError("x")


class FullDiskTest(absltest.TestCase):
  """Files are written whole or not at all, and the error names the file."""

  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def assert_nothing_left(self, path, write):
    """Fails to write to a file below another file, which always fails."""
    (self.folder / "file").touch()
    with self.assertRaises(OSError) as caught:
      write(self.folder / "file" / path)
    self.assertIn("file", failures.describe_failure(caught.exception))

  def test_a_json_file(self):
    self.assert_nothing_left("x.json", lambda p: json_files.write_json(p, {}))

  def test_what_was_half_written_is_removed(self):
    with (
      self.assertRaises(OSError) as caught,
      json_files.replacing(self.folder / "x.json") as temporary,
    ):
      temporary.write_text("half")
      raise _system_error(errno.ENOSPC)
    self.assertEmpty(list(self.folder.iterdir()))
    self.assertIn("x.json", failures.describe_failure(caught.exception))

  def test_a_figure_that_cannot_be_drawn_leaves_no_file(self):
    fig, _ = style.make_panels(1, 1, width=2, height=2)
    caption = captions.Caption(captions.Topic.VOTES, "A vote.")
    fig.savefig = None  # As if drawing failed.
    with self.assertRaises(TypeError):
      style.save_figure(fig, self.folder / "x.png", caption)
    self.assertEmpty(list(self.folder.iterdir()))

  def test_a_record_log_on_a_full_disk_names_its_file(self):
    if not pathlib.Path("/dev/full").exists():
      self.skipTest("This system has no /dev/full.")
    with open("/dev/full", "ab", buffering=0) as full:
      log = record_log.RecordLog(self.folder / "x.jsonl", full, None, 0)
      with self.assertRaises(OSError) as caught:
        log.write_header({})
    self.assertRegex(
      failures.describe_failure(caught.exception), "must have room.*x.jsonl"
    )

  def test_a_library_that_writes_says_it_too(self):
    if not pathlib.Path("/dev/full").exists():
      self.skipTest("This system has no /dev/full.")
    with self.assertRaises(Exception) as caught:
      safetensors.numpy.save_file({"x": np.zeros(9)}, self.folder / "no" / "x")
    self.assertIn("path", failures.describe_failure(caught.exception))


if __name__ == "__main__":
  absltest.main()
