"""Tests of the signals binary as users start it: runs, kills, resumes, errors."""

import contextlib
import functools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from absl.testing import parameterized

from configs import signals as signals_config
from experiments.launch import signals_specs
from thickets.errors import UserError
from thickets.models import mlp
from thickets.runs import base_checkpoint, experts, record_log
from thickets.tasks import signals

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
  "model.depth=3",  # Less to compile.
  "pretraining.num_steps=50",
  "task.num_judge=8",
  "task.num_select=8",
  "population.size=42",
  "population.chunk=4",
)


def _command(workdir, *overrides, config="configs/signals.py:smoke", flags=()):
  return [
    *(sys.executable, "-m", "experiments.signals"),
    f"--config={config}",
    *([f"--workdir={workdir}"] if workdir else []),
    *(f"--config.{override}" for override in overrides),
    *flags,
  ]


def _environment(num_devices=None):
  """That of a user: the tests' own devices are taken out."""
  kept = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
  if num_devices:
    kept["JAX_NUM_CPU_DEVICES"] = str(num_devices)
  return kept | {"JAX_PLATFORMS": "cpu"}


def _run(workdir, *overrides, num_devices=None, **kwargs):
  return subprocess.run(
    _command(workdir, *overrides, **kwargs),
    cwd=ROOT,
    env=_environment(num_devices),
    capture_output=True,
    text=True,
    timeout=300,
  )


def _start(workdir, *overrides, **kwargs):
  return subprocess.Popen(
    _command(workdir, *overrides, **kwargs),
    cwd=ROOT,
    env=_environment(),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _experts(workdir):
  return (workdir / "experts.json").read_bytes()


def _results(workdir):
  """What a run found, without the seconds it took."""
  results = json.loads((workdir / "results.json").read_text())
  del results["timing"]
  return results


def _log(workdir):
  return workdir / "records" / "process_0000.jsonl"


def _size(path):
  return path.stat().st_size if path.exists() else 0


class _EndToEndTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.workdir = pathlib.Path(folder.name) / "run"

  def run_well(self, *args, **kwargs):
    done = _run(*args, **kwargs)
    self.assertEqual(done.returncode, 0, msg=done.stderr)
    return done

  def assert_same(self, workdir, other):
    self.assertEqual(_experts(workdir), _experts(other))
    self.assertEqual(_results(workdir), _results(other))

  def assert_refused(self, done, message):
    """One line, no traceback, and a status that scripts can see."""
    lines = [
      line
      for line in done.stderr.splitlines()
      if not re.match(r"\d\d:\d\d:\d\d ", line)  # Logged on the way.
    ]
    self.assertLen(lines, 1, msg=done.stderr)
    self.assertRegex(lines[0], f"^error: .*{message}")
    self.assertEqual((done.returncode, done.stdout), (1, ""))


class RunTest(_EndToEndTestCase):
  @pytest.mark.slow
  def test_a_run_leaves_all_it_found_and_repeating_it_changes_nothing(self):
    first = self.run_well(self.workdir, *SMALL)
    self.check_table(first.stdout)
    self.check_figures()
    self.check_experts()
    experts_before, results = _experts(self.workdir), _results(self.workdir)
    log = _log(self.workdir).read_bytes()

    second = self.run_well(self.workdir, *SMALL)
    took = re.compile(" This took .*")
    self.assertEqual(took.sub("", second.stdout), took.sub("", first.stdout))
    self.assertEqual(_experts(self.workdir), experts_before)
    self.assertEqual(_results(self.workdir), results)
    self.assertEqual(_log(self.workdir).read_bytes(), log)

  def check_table(self, printed):
    """Every row of results.json is printed, with its numbers."""
    table = {row["name"]: row for row in _results(self.workdir)["table"]}
    self.assertContainsSubset(
      ("base", "population median", "top-1", "ensemble K=5 (primary)"), table
    )
    for name, row in table.items():
      (line,) = [li for li in printed.splitlines() if li.startswith(name + " ")]
      for field in ("select_mse", "judge_mse"):
        if field in row:
          self.assertIn(f"{row[field]:.3g}", line.split())

  def check_figures(self):
    for name in ("roll_outs", "bars", "histogram", "curves"):
      path = self.workdir / "figures" / f"{name}.png"
      self.assertGreater(np.ptp(matplotlib.image.imread(path)), 0, msg=name)

  def check_experts(self):
    """The files alone suffice to rebuild the best member and find its score."""
    config = json.loads((self.workdir / "config.json").read_text())["config"]
    model, task = mlp.make_mlp(**config["model"]), config["task"]
    initial = model.init(jax.random.key(0), jnp.zeros((1, task["context"])))
    base = base_checkpoint.load_base(self.workdir, initial["params"])
    found = experts.load_experts(self.workdir / "experts.json", base)
    self.assertLen(found.members, 10)  # The largest ensemble of the config.
    splits = signals.sample_splits(
      jax.random.split(jax.random.key(config["seed"]))[1],
      task["family"],
      {"select": task["num_select"]},
      context=task["context"],
      horizon=task["horizon"],
    )
    outputs = signals.score_roll_out(
      lambda params, windows: model.apply({"params": params}, windows),
      found.rebuild(base, 0),
      splits["select"],
    )
    np.testing.assert_allclose(
      outputs["score"].mean(), found.scores[0], rtol=1e-4
    )


class MisuseTest(_EndToEndTestCase):
  @parameterized.parameters(
    ({"population.size": 0}, r"population\.size must be at least 1, got 0"),
    ({"ensemble.top_k": 65}, r"top_k must be at most 64 \(population\.size\)"),
    ({"population.sigmas": (-1.0,)}, r"sigmas must be at least 0, got -1"),
    ({"population.sigmas": (float("nan"),)}, r"sigmas must be finite, got nan"),
    ({"population.sigmas": ()}, r"sigmas must hold at least one item"),
    (
      {"task.family": "sinusoids"},
      r"family must be one .* Nearest: sinusoid\.",
    ),
    ({"model.init": "xaver"}, r"init must be one of .* Nearest: xavier\."),
    (
      {"population.size": 0, "task.horizon": 0},
      r"(?s)problems:.*task\.horizon must be .*population\.size must be",
    ),
  )
  def test_values_are_checked_before_anything_starts(self, overrides, message):
    config = signals_config.get_config("smoke")
    config.update_from_flattened_dict(overrides)
    with self.assertRaisesRegex(UserError, message):
      signals_specs.read_signals(config)

  @pytest.mark.slow
  def test_an_unknown_key_names_the_nearest(self):
    done = _run(self.workdir, "population.sise=3")
    self.assert_refused(
      done, r"no key 'population\.sise'\. Nearest: --config\.population\.size\."
    )
    self.assertFalse(self.workdir.exists())

  def test_a_value_out_of_range_leaves_nothing_behind(self):
    done = _run(self.workdir, "population.size=0")
    self.assertFalse(self.workdir.exists())
    # Two problems, since K is then larger than N: a line for each.
    self.assertIn("population.size must be at least 1, got 0", done.stderr)
    self.assertNotIn("Traceback", done.stderr)
    self.assertEqual((done.returncode, done.stdout), (1, ""))

  @pytest.mark.slow
  def test_a_workdir_that_cannot_be_written(self):
    self.workdir.touch()
    done = _run(self.workdir / "below")
    self.assert_refused(done, "workdir must be a directory that can be written")

  @pytest.mark.slow
  def test_no_workdir(self):
    self.assert_refused(_run(None), "--workdir must name")

  @parameterized.parameters(
    ("configs/none.py", r"configs/none\.py"),
    ("configs/signals.py:smokes", r"variant must be smoke or nothing"),
  )
  @pytest.mark.slow  # Below, or the cases that absl makes would lack it.
  def test_a_config_that_does_not_load(self, config, message):
    self.assert_refused(_run(self.workdir, config=config), message)
    self.assertFalse(self.workdir.exists())

  @pytest.mark.slow
  def test_a_workdir_that_holds_another_run_or_a_corrupt_one(self):
    shutil.copytree(_unbroken_run(), self.workdir)
    before = _experts(self.workdir)
    done = _run(self.workdir, *SMALL, "seed=1")
    self.assert_refused(done, r"seed was 0, now 1.*Choose another workdir")
    lines = _log(self.workdir).read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"select", b"sElect")
    _log(self.workdir).write_bytes(b"".join(lines))
    done = _run(self.workdir, *SMALL)
    self.assert_refused(done, r"process_0000\.jsonl is corrupt: line 4")
    self.assertEqual(_experts(self.workdir), before)


@pytest.mark.slow
class ResumeTest(_EndToEndTestCase):
  def test_killed_again_and_again_it_ends_with_the_same_files(self):
    """Kills it in every stage, at moments of the record log drawn at random."""
    rng = random.Random(0)
    end = _log(_unbroken_run()).stat().st_size
    log, base = _log(self.workdir), self.workdir / "base"
    moments = [
      lambda: (self.workdir / "config.json").exists(),  # Pretraining.
      lambda: any(self.workdir.glob("base*")),  # Saving the base.
      base.exists,  # Before the first record.
      # Scoring takes the first three quarters of the log, judging the rest.
      *(
        functools.partial(lambda size: _size(log) > size, share * end)
        for share in sorted(rng.uniform(0.01, 0.98) for _ in range(5))
      ),
      lambda: (self.workdir / "experts.json").exists(),
      lambda: (self.workdir / "figures" / "bars.png").exists(),
    ]
    stages = set()
    for moment in moments:
      process = _start(self.workdir, *SMALL)
      while process.poll() is None and not moment():
        time.sleep(0.001)
      process.kill()
      _, errors = process.communicate()
      self.assertEqual(process.returncode, -signal.SIGKILL, msg=errors)
      self.assertFalse((self.workdir / "results.json").exists())
      stages.add(self.stage())
    self.assertEqual(
      stages, {"pretraining", "scoring", "judging"}, msg="Kill elsewhere."
    )
    self.run_well(self.workdir, *SMALL)
    self.assert_same(self.workdir, _unbroken_run())

  def stage(self):
    if not (self.workdir / "base").exists():
      return "pretraining"
    splits = {
      record.split for record in record_log.read_log(_log(self.workdir))
    }
    return "judging" if "judge" in splits else "scoring"

  def test_interrupted_it_says_how_to_go_on(self):
    process = _start(self.workdir, *SMALL)
    while process.poll() is None and _size(_log(self.workdir)) < 5000:
      time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    self.assertEqual(process.returncode, 130, msg=errors)
    self.assertIn(
      f"Interrupted. What was finished is in {self.workdir}; the same command"
      " continues it.",
      errors,
    )
    self.assertNotIn("Traceback", errors)
    self.assertEqual(self.stage(), "scoring")
    self.run_well(self.workdir, *SMALL)
    self.assert_same(self.workdir, _unbroken_run())

  def test_a_population_grown_later_is_the_same(self):
    grown = ("population.size=64",)
    shutil.copytree(_unbroken_run(), self.workdir)
    self.run_well(self.workdir, *SMALL, *grown)
    other = self.workdir.with_name("other")
    self.run_well(other, *SMALL, *grown)
    self.assert_same(self.workdir, other)


@pytest.mark.slow
class DevicesTest(_EndToEndTestCase):
  def scores(self, workdir):
    """By split and position, of all processes."""
    return {
      (record.split, record.position): record.score
      for path in (workdir / "records").iterdir()
      for record in record_log.read_log(path)
    }

  @parameterized.parameters(1, 2, 8)
  def test_devices_change_scores_by_rounding_alone(self, num_devices):
    self.run_well(self.workdir, *SMALL, num_devices=num_devices)
    got, expected = self.scores(self.workdir), self.scores(_unbroken_run())
    self.assertEqual(got.keys(), expected.keys())
    np.testing.assert_allclose(
      [got[key] for key in expected], list(expected.values()), rtol=1e-5
    )
    here, there = map(
      json.loads, map(_experts, (self.workdir, _unbroken_run()))
    )
    for member, other in zip(here["members"], there["members"], strict=True):
      self.assertEqual(member | {"score": 0}, other | {"score": 0})

  def test_two_processes_are_one_run(self):
    with contextlib.closing(socket.socket()) as free:
      free.bind(("localhost", 0))
      port = free.getsockname()[1]
    processes = [
      _start(
        self.workdir,
        *SMALL,
        flags=(
          "--distributed",
          f"--coordinator=localhost:{port}",
          "--num_processes=2",
          f"--process_id={index}",
        ),
      )
      for index in range(2)
    ]
    for process in processes:
      _, errors = process.communicate(timeout=300)
      self.assertEqual(process.returncode, 0, msg=errors[-5000:])
    first, second = (
      {(record.split, record.position) for record in record_log.read_log(path)}
      for path in (self.workdir / "records").iterdir()
    )
    self.assertEmpty(first & second)  # Each took its share and no more.
    self.assertGreater(min(len(first), len(second)), 15)
    self.assertEqual(_experts(self.workdir), _experts(_unbroken_run()))


@functools.cache
def _unbroken_run():
  """The workdir of a run that nothing disturbed, for comparison."""
  folder = tempfile.TemporaryDirectory()
  _FOLDERS.append(folder)  # Removed when the interpreter ends.
  workdir = pathlib.Path(folder.name) / "run"
  done = _run(workdir, *SMALL)
  assert done.returncode == 0, done.stderr
  return workdir


_FOLDERS = []
