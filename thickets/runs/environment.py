"""The machine and the code that a run was made with."""

import contextlib
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax
import numpy as np

from thickets.version import __version__


def library_versions() -> dict[str, str]:
  """The versions that a member's weights and scores may depend on."""
  return {
    "thickets": __version__,
    "jax": jax.__version__,
    "numpy": np.__version__,
    "python": platform.python_version(),
  }


def describe() -> dict[str, Any]:
  """The machine and the code: versions, devices, flags of XLA, commit.

  The flags say, among others, whether the kernels of a GPU add in one order
  (`--xla_gpu_deterministic_ops`), without which two runs may differ in some bits.
  """
  devices = jax.devices()
  return {
    "versions": library_versions(),
    "platform": devices[0].platform,
    "device_kind": devices[0].device_kind,
    "num_devices": len(devices),
    "num_processes": jax.process_count(),
    "xla_flags": os.environ.get("XLA_FLAGS", ""),
    "commit": _git_commit(),
  }


def _git_commit() -> str | None:
  """The commit of the source tree, None outside of one."""
  root = pathlib.Path(__file__).parent
  with contextlib.suppress(OSError, subprocess.SubprocessError):
    done = subprocess.run(
      ["git", "-C", str(root), "describe", "--always", "--dirty"],
      capture_output=True,
      text=True,
      timeout=10,
      check=True,
    )
    return done.stdout.strip()
  return None
