"""Tests of the pretraining binary as users start it: runs, kills, refusals."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import pytest

from thickets.models import hub

_ROOT = pathlib.Path(__file__).parents[2]
_STEPS = 40  # Of the smoke variant, which saves after 20.


def _command(workdir, *overrides):
  return [
    *(sys.executable, "-m", "experiments.pretrain"),
    *("--config=configs/pretrain.py:smoke", f"--workdir={workdir}"),
    *(f"--config.{override}" for override in overrides),
  ]


def _settings():
  """Where it runs: as a user, without the tests' own devices."""
  kept = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
  return {
    "cwd": _ROOT,
    "env": kept | {"JAX_PLATFORMS": "cpu"},
    "stdout": subprocess.PIPE,
    "stderr": subprocess.PIPE,
    "text": True,
  }


def _run(workdir, *overrides):
  return subprocess.run(
    _command(workdir, *overrides), timeout=600, check=False, **_settings()
  )


@pytest.mark.slow
class PretrainTest(unittest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)

  def run_well(self, workdir):
    done = _run(workdir)
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    return done

  def test_killed_and_continued_it_ends_with_the_same_model(self):
    whole, broken = self.folder / "whole", self.folder / "broken"
    printed = self.run_well(whole).stdout
    self.assertIn("held-out exercises", printed)
    moments = (
      lambda: (broken / "config.json").exists(),
      lambda: any((broken / "checkpoints").glob("20*")),  # While saving.
      lambda: (broken / "checkpoints" / "20").exists(),
    )
    for moment in moments:
      process = subprocess.Popen(_command(broken), **_settings())
      while process.poll() is None and not moment():
        time.sleep(0.001)
      process.kill()
      _, errors = process.communicate()
      self.assertEqual(process.returncode, -signal.SIGKILL, msg=errors)
      self.assertFalse((broken / "model").exists())
    self.run_well(broken)
    names = sorted(path.name for path in (whole / "model").iterdir())
    self.assertIn("model.safetensors", names)
    for name in names:
      self.assertEqual(
        (broken / "model" / name).read_bytes(),
        (whole / "model" / name).read_bytes(),
        msg=name,
      )
    found = [
      json.loads((workdir / "results.json").read_text(encoding="utf-8"))["dev"]
      for workdir in (whole, broken)
    ]
    self.assertEqual(*found)
    self.assertEqual(hub.load(whole / "model").params["norm"].shape, (32,))
    events = list((broken / "metrics").glob("events.*"))
    self.assertTrue(any(path.stat().st_size for path in events))
    # Once more it changes nothing.
    self.run_well(broken)
    for name in names:
      self.assertEqual(
        (broken / "model" / name).read_bytes(),
        (whole / "model" / name).read_bytes(),
      )

  def test_what_is_wrong_is_said_in_one_line(self):
    for override, message in (
      ("schedule.num_steps=0", "schedule.num_steps must be at least 1, got 0"),
      ("model.num_kv_heads=3", "must be a multiple of num_key_value_heads"),
      ("model.activation=rel", "model.activation must be one of .* relu"),
    ):
      done = _run(self.folder / "run", override)
      lines = done.stderr.strip().splitlines()
      self.assertEqual(done.returncode, 1, msg=done.stderr)
      self.assertRegex(lines[0], "^error: ")
      self.assertRegex(done.stderr, message)
      self.assertFalse((self.folder / "run").exists())
