"""The machine and the code that a run was made with."""

import contextlib
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
  """The machine and the code: versions, devices, commit."""
  devices = jax.devices()
  return {
    "versions": library_versions(),
    "platform": devices[0].platform,
    "device_kind": devices[0].device_kind,
    "num_devices": len(devices),
    "num_processes": jax.process_count(),
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
