"""How tests start a binary, as a user does."""

import os
import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).parents[2]


def run_binary(name, *arguments):
  """Runs `experiments.NAME` to its end, with as many devices as it chooses."""
  kept = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
  return subprocess.run(
    [sys.executable, "-m", f"experiments.{name}", *arguments],
    cwd=_ROOT,
    env=kept | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )
