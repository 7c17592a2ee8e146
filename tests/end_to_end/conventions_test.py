"""Tests of the comparison of conventions, as users start it."""

import json
import pathlib
import tempfile
import unittest

import pytest
from end_to_end import commands

from thickets.report.figures import captions

_COLUMNS = ("hidden", "one", "stated")


def _run(workdir, *overrides):
  return commands.run_binary(
    "conventions",
    "--config=configs/conventions.py:smoke",
    f"--workdir={workdir}",
    *(f"--config.{override}" for override in overrides),
  )


@pytest.mark.slow
class ConventionsTest(unittest.TestCase):
  def test_three_columns_one_figure_one_line_for_each_call(self):
    with tempfile.TemporaryDirectory() as folder:
      workdir = pathlib.Path(folder) / "run"
      first = _run(workdir)
      self.assertEqual(first.returncode, 0, msg=first.stderr[-5000:])
      again = _run(workdir)  # Nothing is measured twice.
      self.assertEqual(again.returncode, 0, msg=again.stderr[-5000:])
      self.assertNotIn("members/s", again.stderr)
      path = workdir / "results.json"
      results = json.loads(path.read_text(encoding="utf-8"))
      caption = captions.read_caption(workdir / "figures" / "regimes.png")
    tables = [done.stdout.split("results.json")[0] for done in (first, again)]
    self.assertEqual(*tables)
    assert caption is not None
    self.assertIn("Every dot is one member", caption.text)
    self.assertEqual(tuple(results["columns"]), _COLUMNS)
    for name, column in results["columns"].items():
      suffix = "/stated" if name == "stated" else ""
      (votes,) = column["votes"].values()
      for convention in ("right", "left"):
        task = f"conventions/turning/{convention}{suffix}"
        call = column["regimes"][task]
        self.assertIn(f"{task}: {call['regime']} (", tables[0])
        self.assertIn("self-consistency", tables[0])
        self.assertIn(
          "vote - self-consistency", votes["tasks"][task]["differences"]
        )
        # Both conventions together hold what either holds.
        if name != "stated":
          both = votes["tasks"][task]
          self.assertGreaterEqual(
            both["either"]["base"]["mean"], both["right"]["base"]["mean"]
          )

  def test_what_is_wrong_is_said_before_anything_runs(self):
    with tempfile.TemporaryDirectory() as folder:
      done = _run(pathlib.Path(folder) / "run", "families=('dats',)")
      self.assertEqual(done.returncode, 1, msg=done.stderr)
      self.assertRegex(
        done.stderr, "error: family must be one of .*Nearest: dates"
      )
      self.assertFalse((pathlib.Path(folder) / "run").exists())
