"""Tests of measuring as users start it: runs, kills, analysis, landscapes.

The smoke variant on the shipped model, and what the other binaries make of it.
"""

import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from absl.testing import parameterized

from configs import measure as settings
from experiments.launch import specs
from thickets.analysis import measurement, planes
from thickets.errors import UserError
from thickets.runs import record_log

ROOT = pathlib.Path(__file__).parents[2]
TASKS = ("drills/sorting", "drills/maximum")
NUM_MEMBERS, NUM_PROMPTS = 12, 10
SPLITS = {"select, group 0", "dev, group 0", "slice, group 0"}
_FOLDERS = []


def _start(program, *flags):
  kept = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
  return subprocess.Popen(
    [sys.executable, "-m", f"experiments.{program}", *flags],
    cwd=ROOT,
    env=kept | {"JAX_PLATFORMS": "cpu"},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _start_run(workdir, *overrides):
  return _start(
    "measure",
    "--config=configs/measure.py:smoke",
    f"--workdir={workdir}",
    *(f"--config.{override}" for override in overrides),
  )


def _finish(process):
  out, errors = process.communicate(timeout=600)
  return subprocess.CompletedProcess(
    process.args, process.returncode, out, errors
  )


@functools.cache
def _unbroken_run():
  """The workdir of a run that nothing disturbed, analysed."""
  folder = tempfile.TemporaryDirectory()
  _FOLDERS.append(folder)  # Removed when the interpreter ends.
  workdir = pathlib.Path(folder.name) / "unbroken"
  for start in (
    lambda: _start_run(workdir),
    lambda: _start("density", str(workdir), "--resamples=50"),
  ):
    done = _finish(start())
    assert done.returncode == 0, done.stderr
    workdir.with_name("printed").write_text(done.stdout)
  return workdir


def _log(workdir):
  return workdir / "records" / "process_0000.jsonl"


def _count(workdir):
  return (
    len([*record_log.read_log(_log(workdir))]) if _log(workdir).exists() else 0
  )


def _read(workdir, name):
  return json.loads((workdir / name).read_text(encoding="utf-8"))


class _MeasureTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def run_well(self, process):
    done = _finish(process)
    self.assertEqual(done.returncode, 0, msg=done.stderr[-5000:])
    return done

  def assert_refused(self, process, message):
    done = _finish(process)
    self.assertEqual(done.returncode, 1, msg=done.stderr[-5000:])
    self.assertRegex(done.stderr, f"(?m)^error: .*{message}")


@pytest.mark.slow
class RunTest(_MeasureTestCase):
  def test_killed_and_continued_it_is_the_same_density(self):
    whole, broken = _unbroken_run(), self.folder / "broken"
    for count in (1, 15):  # Of 2 bases, 24 answers and 9 of the slice.
      process = _start_run(broken, "population.chunk=2")
      while process.poll() is None and _count(broken) < count:
        time.sleep(0.01)
      process.kill()
      process.communicate()
      self.assertEqual(process.returncode, -signal.SIGKILL)
      self.assertFalse((broken / "results.json").exists())
    with _log(broken).open("ab") as file:
      file.write(b'{"split": "sel')  # As a kill in the middle of a line.
    self.run_well(_start_run(broken, "population.chunk=2"))
    self.run_well(_start("density", str(broken), "--resamples=50"))
    ours, theirs = (_read(w, "density.json") for w in (broken, whole))
    self.assertEqual(ours | {"name": ""}, theirs | {"name": ""})
    ours, theirs = (_read(w, "results.json") for w in (broken, whole))
    self.assertEqual(ours["tasks"], theirs["tasks"])
    self.assertEqual(
      *(_read(w, planes.PROJECTION)["coordinates"] for w in (broken, whole))
    )

  def test_the_log_holds_what_was_asked_for(self):
    workdir = _unbroken_run()
    found = list(record_log.read_log(_log(workdir)))
    self.assertEqual({record.split for record in found}, SPLITS)
    self.assertLen(found, 2 * (NUM_MEMBERS + 1) + 9)
    measured = measurement.read_measurement(workdir)
    self.assertEqual(tuple(measured.tasks), TASKS)
    results = _read(workdir, "results.json")
    for name, task in measured.tasks.items():
      self.assertEqual(task.scores.shape, (NUM_MEMBERS, 2 * NUM_PROMPTS))
      self.assertEqual(task.num_select, NUM_PROMPTS)
      self.assertAlmostEqual(
        results["tasks"][name]["base"], task.base_scores.mean()
      )
      (level,) = results["tasks"][name]["by_sigma"]
      self.assertEqual((level["num_members"], level["num_failed"]), (12, 0))
      self.assertAlmostEqual(level["best"], task.scores.mean(axis=1).max())
    # The middle of the slice is the base.
    members, tasks = measurement.read_slice(workdir)
    self.assertEqual([s for _, s in members[4].terms], [0.0, 0.0])
    for task in tasks.values():
      np.testing.assert_array_equal(task.scores[4], task.base_scores)
      np.testing.assert_array_equal(task.members.vote[4], task.base.vote[0])

  def test_a_larger_population_keeps_its_first_members(self):
    workdir = self.folder / "run"
    shutil.copytree(_unbroken_run(), workdir)
    before = _log(workdir).read_bytes()
    self.run_well(_start_run(workdir, "population.size=14"))
    self.assertStartsWith(_log(workdir).read_bytes(), before)
    found = measurement.read_measurement(workdir)
    self.assertLen(found.members, 14)
    self.assertLen(_read(workdir, planes.PROJECTION)["coordinates"], 14)


@pytest.mark.slow
class AnalysisTest(_MeasureTestCase):
  def test_density_writes_numbers_and_figures(self):
    workdir = _unbroken_run()
    content = _read(workdir, "density.json")
    self.assertEqual(tuple(content["densities"]), TASKS)
    names = {path.name for path in (workdir / "figures").iterdir()}
    self.assertContainsSubset({"density.png", "density_by_sigma.png"}, names)
    printed = workdir.with_name("printed").read_text()
    for task in TASKS:
      self.assertIn(task, printed)
    self.assertIn("density.json and figures are in", printed)

  def test_landscapes_of_both_kinds(self):
    workdir, out = _unbroken_run(), self.folder / "out"
    done = self.run_well(_start("landscape", str(workdir), f"--out={out}"))
    self.assertEqual(done.stdout.count("the plane explains"), 2)
    content = _read(out, "landscape.json")
    for kind, size in (("projections", 12), ("slices", 9)):
      self.assertEqual(tuple(content[kind]), TASKS)
      for found in content[kind].values():
        self.assertLen(found["points"], size)
    names = {path.name for path in (out / "figures").iterdir()}
    self.assertContainsSubset(
      {
        "projection_drills_sorting.png",
        "projection_drills_maximum.png",
        "slice_drills_sorting.png",
        "slice_drills_maximum.png",
      },
      names,
    )

  def test_what_cannot_be_analysed_is_refused(self):
    workdir = str(_unbroken_run())
    for program, flags, message in (
      ("density", (), "Name the directory of a run, got none"),
      ("density", ("nowhere",), "nowhere must be the directory of a run"),
      ("density", (workdir, "--margins=0,x"), "--margins must be numbers"),
      ("density", (workdir, "--margins=0,3"), "drills/sorting: .*3"),
      ("density", (workdir, workdir), "different tasks, got drills/sorting"),
      ("density", (str(self.folder),), "records/.*jsonl; it has none"),
      ("landscape", (workdir, workdir), "Name one run, got 2"),
      (
        "landscape",
        (workdir, "--composite=drills/sorting,drills/maximum"),
        "composite must name three tasks, got 2",
      ),
    ):
      out = f"--out={self.folder / 'out'}"
      self.assert_refused(_start(program, *flags, out), message)


class ValidateTest(parameterized.TestCase):
  """Before any device work."""

  @parameterized.parameters("", "smoke")
  def test_the_variants_pass(self, variant):
    specs.read_measure(settings.get_config(variant))

  @parameterized.parameters(
    ("slice.resolution", 4, "odd number of at least 3, .* got 4"),
    ("slice.resolution", 1, "odd number of at least 3, .* got 1"),
    ("tasks.names", ("a", "a"), "tasks.names must differ"),
    ("tasks.names", (), "tasks.names must hold at least one"),
    ("tasks.num_select", 0, "tasks.num_select must be at least 1"),
    ("population.unit", "absolut", "unit must be one of .*absolute"),
    ("population.size", 1, "population.size must be at least 2"),
  )
  def test_what_is_wrong_is_refused(self, key, value, message):
    config = settings.get_config()
    with config.unlocked():
      config.update_from_flattened_dict({key: value})
    with self.assertRaisesRegex(UserError, message):
      specs.read_measure(config)

  def test_a_plane_can_be_added_to_a_run_that_has_none(self):
    """As `experiments.landscape` advises."""
    self.assertContainsSubset(
      {"project", "slice.resolution", "slice.extent"},
      set(specs.read_measure(settings.get_config()).config.extendable),
    )
