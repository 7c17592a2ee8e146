"""A run on pictures from end to end: controls in its table, and graded anew."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import pytest

pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).parents[2]


def _run(module, *flags):
  done = subprocess.run(
    [sys.executable, "-m", f"experiments.{module}", *flags],
    cwd=_ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return done.stdout


class VisionRunTest(unittest.TestCase):
  def test_a_run_says_how_much_it_uses_its_pictures(self):
    with tempfile.TemporaryDirectory() as folder:
      workdir = pathlib.Path(folder) / "run"
      out = _run(
        "randopt", "--config=configs/vision.py:smoke", f"--workdir={workdir}"
      )
      self.assertIn("Controls of pictures:", out)
      self.assertTrue((workdir / "figures" / "questions.png").exists())
      results = json.loads((workdir / "results.json").read_text())
      rows = results["controls"]["rows"]
      self.assertEqual([row["role"] for row in rows], ["base", "best", "vote"])
      out = _run("regrade", f"--workdir={workdir}", "--rules=either")
      self.assertIn("Controls of pictures:", out)
      graded = json.loads((workdir / "results_either.json").read_text())
      for before, after in zip(rows, graded["controls"]["rows"], strict=True):
        self.assertLessEqual(before["own"]["mean"], after["own"]["mean"])

  def test_binaries_leave_the_tower_alone_where_no_pattern_speaks_of_it(self):
    with tempfile.TemporaryDirectory() as folder:
      randopt, other = (pathlib.Path(folder) / name for name in ("run", "one"))
      _run(
        "randopt",
        "--config=configs/vision.py:smoke",
        "--config.population.exclude=()",
        "--config.task.num_judge=7",
        f"--workdir={randopt}",
      )
      _run(
        "consolidate", f"--run={randopt}", "--scales=1", f"--workdir={other}"
      )
      for workdir in (randopt, other):
        log = (workdir / "records" / "process_0000.jsonl").read_text()
        self.assertIn('"tower": "once for all members"', log)
        self.assertRegex(log, r'"exclude": \["visual')
