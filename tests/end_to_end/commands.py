"""How tests start a binary, as a user does."""

import json
import os
import pathlib
import subprocess
import sys
import time

_ROOT = pathlib.Path(__file__).parents[2]


def run_binary(name, *arguments, num_devices=None):
  """Runs `experiments.NAME` to its end.

  Args:
    name: the binary.
    *arguments: its flags.
    num_devices: how many devices the CPU stands for; None lets the binary choose.
  """
  kept = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
  if num_devices is not None:
    kept["JAX_NUM_CPU_DEVICES"] = str(num_devices)
  return subprocess.run(
    [sys.executable, "-m", f"experiments.{name}", *arguments],
    cwd=_ROOT,
    env=kept | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )


def read_results(workdir):
  """The results.json of a run, without what depends on when it took place."""
  results = json.loads((workdir / "results.json").read_text())
  del results["timing"]
  return results


def kill_binary(name, *arguments, until, delay_s=0.0):
  """Starts `experiments.NAME` on one device, and kills it with SIGKILL.

  Args:
    name: the binary.
    *arguments: its flags.
    until: called again and again; the binary is killed once it returns true.
    delay_s: seconds after that.

  Returns:
    The exit status: -9, or 0 where it ended before.
  """
  process = subprocess.Popen(
    [sys.executable, "-m", f"experiments.{name}", *arguments],
    cwd=_ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  while process.poll() is None and not until():
    time.sleep(0.01)
  time.sleep(delay_s)
  process.kill()
  return process.wait()
