#!/usr/bin/env python3
"""Sets up a virtual environment in .venv and runs thickets in it.

    python3 bootstrap.py run      RandOpt on SmolLM2-135M-Instruct, which it
                                  fetches once (98 MB), into runs/smollm2
    python3 bootstrap.py test     the tests
    python3 bootstrap.py benchmark
                                  what this machine's GPU, TPU or processor does
                                  with language models, stage by stage, a row for
                                  each in docs/benchmarks.md; on a GPU at most
                                  24 minutes after the installation

Needs Linux or macOS, Python 3.11 or later, and nothing else. What is installed
already is not installed again; further arguments go to the command behind the
verb.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parent
_VENV = _ROOT / ".venv"
_PYTHON = _VENV / "bin" / "python"
_MARKER = _VENV / "thickets-installed.json"

_CUDA13_DRIVER = 580  # The first that runs programs for CUDA 13.

_PCI_FILES, _GOOGLE = ("vendor", "device"), "0x1ae0"
_TPUS = (
  "0x005e",
  "0x0062",
  "0x0063",
  "0x006f",
  "0x0076",
)  # v4, v5p, v5e, v6e, 7x.

_VERBS = {  # Extras to install, and the arguments of Python.
  "run": (
    "",
    (
      "-m",
      "experiments.randopt",
      "--config=configs/smollm2.py:sentiment-quick",
      "--workdir=runs/smollm2",
    ),
  ),
  "test": ("[test]", ("-m", "pytest", "-m", "not slow")),
}


def main(arguments: list[str]) -> int:
  """Sets up what the verb needs and becomes it, or returns an exit status."""
  if sys.version_info < (3, 11):
    return _fail(
      "Python must be 3.11 or later, got"
      f" {sys.version.split()[0]} ({sys.executable}). Run this file with a newer"
      " one, as in: python3.12 bootstrap.py run"
    )
  verbs = {**_VERBS, "benchmark": ()}
  if not arguments or arguments[0] not in verbs:
    print(__doc__)
    if arguments[:1] in ([], ["-h"], ["--help"]):
      return 0
    return _fail(
      f"the verb must be one of {', '.join(verbs)}, got {arguments[0]!r}."
    )
  extras, command = _VERBS.get(arguments[0]) or plan_benchmark(_find_devices())
  if problem := _install(extras):
    return _fail(problem)
  # In place of this process, so that Ctrl-C reaches the command alone: a parent
  # that waits would kill it a moment later, advice unprinted.
  os.chdir(_ROOT)
  sys.stdout.flush()
  os.execv(_PYTHON, [str(_PYTHON), *command, *arguments[1:]])


def plan_benchmark(devices: str) -> tuple[str, tuple[str, ...]]:
  """Extras to install, and the arguments of Python, for the devices there are.

  Args:
    devices: `cuda13` or `cuda12` by what the driver runs, `tpu`, or `cpu`.
  """
  config = "configs/benchmark_machine.py"
  command = (
    *("-m", "experiments.benchmark_machine"),
    f"--config={config}:cpu" if devices == "cpu" else f"--config={config}",
    "--config.table=docs/benchmarks.md",
    f"--workdir=runs/machine_{devices}",
  )
  if devices == "cpu":
    return "[torch]", command
  # The compilers that foretell are others than those of the devices.
  command = (*command, "--config.bound_s.foretold=()")
  if devices == "cuda13":  # Which PyTorch is built for as well.
    return "[cuda13,torch]", command
  return f"[{devices}]", (*command, "--config.bound_s.transformers=()")


def _find_devices() -> str:
  """What this machine computes with, as `plan_benchmark` calls it."""
  if shutil.which("nvidia-smi"):
    query = ["--query-gpu=driver_version", "--format=csv,noheader"]
    asked = subprocess.run(
      ["nvidia-smi", *query], capture_output=True, text=True, check=False
    )
    version = asked.stdout.strip().partition(".")[0]
    if asked.returncode == 0 and version.isdigit():
      return "cuda13" if int(version) >= _CUDA13_DRIVER else "cuda12"
  for device in pathlib.Path("/sys/bus/pci/devices").glob("*"):
    try:
      ids = [(device / part).read_text().strip() for part in _PCI_FILES]
    except OSError:
      continue
    if ids[0] == _GOOGLE and ids[1] in _TPUS:
      return "tpu"
  return "cpu"


def _install(extras: str) -> str | None:
  """Installs the package with extras, once; returns what went wrong."""
  setup = (_ROOT / "setup.py").read_bytes()
  wanted = {"setup": hashlib.sha256(setup).hexdigest(), "root": str(_ROOT)}
  installed = _read_marker()
  if {k: installed.get(k) for k in wanted} != wanted:
    installed = wanted | {"extras": []}
  if extras in installed["extras"] and _PYTHON.exists():
    return None
  if not _has_pip():
    print(f"Making a virtual environment in {_VENV} …", flush=True)
    if subprocess.call([sys.executable, "-m", "venv", "--clear", str(_VENV)]):
      return (
        "Python could not make a virtual environment. On Debian and Ubuntu:"
        " apt install python3-venv; then run the same command again."
      )
  print("Installing thickets and its dependencies, once …", flush=True)
  pip = [str(_PYTHON), "-m", "pip", "install", "--quiet"]
  if subprocess.call(
    [*pip, "--disable-pip-version-check", "--editable", f"{_ROOT}{extras}"]
  ):
    return "pip could not install the dependencies; its message is above."
  installed["extras"] = sorted({*installed["extras"], extras, ""})
  _MARKER.write_text(json.dumps(installed), encoding="utf-8")
  return None


def _has_pip() -> bool:
  """Whether .venv is whole: an interrupted one has a Python without pip."""
  if not _PYTHON.exists():
    return False
  version = [str(_PYTHON), "-m", "pip", "--version"]
  quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
  return subprocess.call(version, **quiet) == 0


def _read_marker() -> dict:
  try:
    return json.loads(_MARKER.read_text(encoding="utf-8"))
  except (OSError, ValueError):
    return {}


def _fail(message: str) -> int:
  print(f"error: {message}", file=sys.stderr)
  return 1


if __name__ == "__main__":
  try:
    sys.exit(main(sys.argv[1:]))
  except KeyboardInterrupt:
    sys.exit(130)
