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


@pytest.mark.slow
class ConventionStudyTest(unittest.TestCase):
  def test_trainings_are_repeated_measured_and_judged(self):
    with tempfile.TemporaryDirectory() as folder:
      workdir = pathlib.Path(folder) / "study"
      arguments = (
        "--config=configs/convention_study.py:smoke",
        f"--workdir={workdir}",
      )
      done = commands.run_binary("convention_study", *arguments)
      self.assertEqual(done.returncode, 0, msg=done.stderr[-5000:])
      found = json.loads((workdir / "smoke.json").read_text(encoding="utf-8"))
      again = commands.run_binary("convention_study", *arguments)
      self.assertEqual(again.returncode, 0, msg=again.stderr[-5000:])
      self.assertNotIn("members/s", again.stderr)  # Nothing is done twice.
      judged = commands.run_binary("convention_claims", str(workdir))
      self.assertEqual(judged.returncode, 0, msg=judged.stderr[-5000:])
      claims = json.loads((workdir / "claims.json").read_text(encoding="utf-8"))
    self.assertEqual([run["seed"] for run in found["runs"]], [0, 1])
    # The stage of the second is chosen by its loss.
    self.assertEqual(["stage" in run for run in found["runs"]], [False, True])
    self.assertEqual(found["chosen"]["tiny-1"]["chosen"]["step"], 12)
    for run in found["runs"]:
      self.assertEqual(run["predicted"].keys(), run["preferences"].keys())
      self.assertEqual(len(run["levels"]["0.014"]["sets"]["first"]["right"]), 5)
    (point,) = claims["smoke"]["points"]
    self.assertIn("2 trainings x 1 population of 8 members", point["n"])
    self.assertEqual(
      point["differences"]["vote - base"]["over"],
      "trainings, populations and prompts",
    )
