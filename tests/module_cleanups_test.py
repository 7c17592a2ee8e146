"""Tests that one file of tests leaves nothing patched for the next."""

import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

ROOT = pathlib.Path(__file__).parents[1]

PATCHES = """
import contextlib, os, unittest

def setUpModule():
  os.environ["LEAKED"] = "by addModuleCleanup"
  unittest.addModuleCleanup(os.environ.pop, "LEAKED")
  leaving = contextlib.ExitStack()
  leaving.callback(os.environ.pop, "ENTERED")
  os.environ["ENTERED"] = "by enterModuleContext"
  unittest.enterModuleContext(leaving)

def test_the_patches_hold_in_their_own_file():
  assert "LEAKED" in os.environ and "ENTERED" in os.environ
"""
FOLLOWS = """
import os

def test_the_patches_are_gone():
  assert "LEAKED" not in os.environ and "ENTERED" not in os.environ
"""


class ModuleCleanupsTest(absltest.TestCase):
  def test_the_next_file_finds_nothing_of_the_one_before(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (folder / "test_1.py").write_text(PATCHES)
    (folder / "test_2.py").write_text(FOLLOWS)
    (folder / "pytest.ini").touch()
    plugins = ["no:xdist", "no:cacheprovider", "tests.module_cleanups"]
    done = subprocess.run(
      [
        *(sys.executable, "-m", "pytest", "-q", str(folder)),
        *(word for plugin in plugins for word in ("-p", plugin)),
      ],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
    )
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
    self.assertIn("2 passed", done.stdout)
