"""Tests of `experiments.evolution` as users start it."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
import pytest
from absl.testing import parameterized
from end_to_end import commands

from configs import evolution as config_file
from experiments import evolution as binary
from experiments.launch import evolution_specs
from thickets.errors import UserError
from thickets.models import hub, transformer
from thickets.training import evolution, updates_file

ROOT = pathlib.Path(__file__).parents[2]
_FLAGS = (
  "--config=configs/evolution.py:smoke",
  "--config.evolution.save_every=1",
  "--config.evolution.num_steps=3",
  "--config.population.antithetic=True",
  "--config.population.chunk=2",  # Whatever memory there is.
)


def _read_files(workdir):
  """What a run leaves behind, without the seconds that it took."""
  results = json.loads((workdir / "results.json").read_text())
  del results["timing"]
  paths = [
    *(workdir / "model").iterdir(),
    workdir / "records" / "process_0000.jsonl",
    workdir / "updates.json",
  ]
  return results, {path.name: path.read_bytes() for path in paths}


class RefusalTest(parameterized.TestCase):
  def test_a_budget_below_any_step_leaves_nothing_behind(self):
    workdir = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    config = config_file.get_config("smoke")
    config.update_from_flattened_dict({"budget.flops": 1e5})
    with self.assertRaisesRegex(
      UserError, r"budget.flops must be at least \S+e\+07, .* 4 members and 6"
    ):
      binary.run(evolution_specs.read_evolution(config), str(workdir / "run"))
    self.assertFalse((workdir / "run").exists())


@pytest.mark.slow
class RunTest(parameterized.TestCase):
  def test_killed_at_random_it_ends_with_the_same_bytes(self):
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    whole, killed = folder / "whole", folder / "killed"
    done = commands.run_binary("evolution", *_FLAGS, f"--workdir={whole}")
    self.assertEqual(done.returncode, 0, msg=done.stderr[-3000:])
    self.assertIn("after 3 steps", done.stdout)
    results, files = _read_files(whole)
    log = killed / "records" / "process_0000.jsonl"
    rng = random.Random(0)
    for lines in (3, 8):  # In the first step, and in one behind a checkpoint.
      process = subprocess.Popen(
        [
          *(sys.executable, "-m", "experiments.evolution"),
          *(*_FLAGS, f"--workdir={killed}"),
        ],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"},
        stderr=subprocess.DEVNULL,
      )
      while process.poll() is None and (
        not log.exists() or log.read_bytes().count(b"\n") < lines
      ):
        time.sleep(0.01)
      time.sleep(rng.uniform(0, 0.1))
      process.kill()
      process.wait()
      self.assertIn(process.returncode, (0, -signal.SIGKILL))
    done = commands.run_binary("evolution", *_FLAGS, f"--workdir={killed}")
    self.assertEqual(done.returncode, 0, msg=done.stderr[-3000:])
    self.assertEqual(_read_files(killed), (results, files))
    self.check_ledger(results)
    self.check_provenance(whole)

  def check_ledger(self, results):
    base, method = results["ledger"]
    self.assertEqual(base["search"]["num_responses"], 0)
    self.assertEqual(method["search"]["num_responses"], 3 * 4 * 6)
    self.assertEqual(method["num_steps"], 3)
    self.assertEqual(method["choosing"]["num_responses"], 3 * 6)
    self.assertEqual(method["answer"]["num_responses"], 1)

  def check_provenance(self, workdir):
    """The model is what the updates make of the base, and loads."""
    base = hub.load("shipped/conventions-hidden")
    kind, updates = updates_file.read_updates(
      workdir / "updates.json", base.identity
    )
    self.assertLen(updates, 3)
    names = transformer.tensor_names(base.params)
    jax.tree.map(
      np.testing.assert_array_equal,
      evolution.replay(base.params, updates, kind, names),
      hub.load(workdir / "model").params,
    )
