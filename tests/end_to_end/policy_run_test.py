"""Tests of `experiments.policy_gradient` as users start it."""

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
import pytest
from absl.testing import parameterized
from end_to_end import commands

from configs import policy_gradient as config_file
from experiments.launch import policy_gradient_run, policy_specs
from thickets.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
_FLAGS = (
  "--config=configs/policy_gradient.py:ppo-smoke",
  "--config.policy.save_every=2",
  "--config.policy.watch_every=1",
  "--config.policy.num_steps=5",
  "--config.policy.divergence=0.01",
)


def _read_spec(variant, **changes):
  config = config_file.get_config(variant)
  config.update_from_flattened_dict(changes)
  return policy_specs.read_policy(config)


def _read_files(workdir):
  """What a run leaves behind, without the seconds that it took."""
  results = json.loads((workdir / "results.json").read_text())
  del results["timing"]
  paths = [
    *(workdir / "model").iterdir(),
    workdir / "records" / "process_0000.jsonl",
  ]
  return results, {path.name: path.read_bytes() for path in paths}


class RefusalTest(parameterized.TestCase):
  def test_a_budget_below_any_step_leaves_nothing_behind(self):
    workdir = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    spec = _read_spec("smoke", **{"budget.flops": 1e5})
    with self.assertRaisesRegex(
      UserError, r"budget.flops must be at least \S+e\+0\d, .* 4 prompts and 3"
    ):
      policy_gradient_run.run(spec, str(workdir / "run"))
    self.assertFalse((workdir / "run").exists())


@pytest.mark.slow
class RunTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)
    # Adam counts its steps in int32.
    self.enter_context(jax.numpy_dtype_promotion("standard"))

  def run_to_its_end(self, workdir, *flags):
    done = commands.run_binary(
      "policy_gradient", *flags, f"--workdir={workdir}"
    )
    self.assertEqual(done.returncode, 0, msg=done.stderr[-3000:])
    return done.stdout

  def test_killed_at_random_it_ends_with_the_same_bytes(self):
    whole, killed = self.folder / "whole", self.folder / "killed"
    self.assertIn("after 5 steps", self.run_to_its_end(whole, *_FLAGS))
    log = killed / "records" / "process_0000.jsonl"
    rng = random.Random(0)
    # As many devices as the others have, since their number changes rounding.
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    del environment["JAX_NUM_CPU_DEVICES"]
    for lines in (3, 8):  # In the first step, and in one behind a checkpoint.
      process = subprocess.Popen(
        [
          *(sys.executable, "-m", "experiments.policy_gradient"),
          *(*_FLAGS, f"--workdir={killed}"),
        ],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
      )
      while process.poll() is None and (
        not log.exists() or log.read_bytes().count(b"\n") < lines
      ):
        time.sleep(0.001)
      time.sleep(rng.uniform(0, 0.02))
      process.kill()
      process.wait()
      self.assertIn(process.returncode, (0, -signal.SIGKILL))
    self.run_to_its_end(killed, *_FLAGS)
    results, files = _read_files(whole)
    self.assertEqual(_read_files(killed), (results, files))
    base, method = results["ledger"]
    self.assertEqual(base["search"]["num_responses"], 0)
    self.assertEqual(method["search"]["num_responses"], 5 * 4 * 3)
    self.assertEqual(method["choosing"]["num_responses"], 6 * 6)
    self.assertEqual(method["num_steps"], 5)
    self.assertLess(results["mismatch"]["largest"], 1e-4)

  def test_a_budget_ends_it_and_more_of_it_goes_on(self):
    workdir = self.folder / "run"
    flags = {
      "policy.num_steps": 0,
      "policy.learning_rate": 1e-4,
      "lora.rank": 2,
    }
    with self.assertRaisesRegex(
      UserError, "a step of 4 prompts .* with responses of [5-7]"
    ):
      policy_gradient_run.run(
        _read_spec("smoke", **flags, **{"budget.flops": 1e8}), workdir
      )
    results = {
      budget: policy_gradient_run.run(
        _read_spec("smoke", **flags, **{"budget.flops": budget}), workdir
      )
      for budget in (3e8, 6e8)
    }
    for budget, found in results.items():
      spent = found["ledger"][1]["search"]["flops"]
      self.assertLessEqual(spent, budget)
      self.assertGreater(spent, budget - 1.5e8)
    self.assertTrue((workdir / "adapter" / "adapter_config.json").exists())
    first, second = results.values()
    self.assertEqual(first["steps"], second["steps"][: first["num_steps"]])
