#!/usr/bin/env python3
"""Sets up a virtual environment in .venv and runs thickets in it.

    python3 bootstrap.py run      RandOpt on SmolLM2-135M-Instruct, which it
                                  fetches once (98 MB), into runs/smollm2
    python3 bootstrap.py test     the tests

Needs Linux or macOS, Python 3.11 or later, and nothing else. What is installed
already is not installed again; further arguments go to the command behind the
verb.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parent
_VENV = _ROOT / ".venv"
_PYTHON = _VENV / "bin" / "python"
_MARKER = _VENV / "thickets-installed.json"

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
  if not arguments or arguments[0] not in _VERBS:
    print(__doc__)
    if arguments[:1] in ([], ["-h"], ["--help"]):
      return 0
    return _fail(f"the verb must be run or test, got {arguments[0]!r}.")
  extras, command = _VERBS[arguments[0]]
  if problem := _install(extras):
    return _fail(problem)
  # In place of this process, so that Ctrl-C reaches the command alone: a parent
  # that waits would kill it a moment later, advice unprinted.
  os.chdir(_ROOT)
  sys.stdout.flush()
  os.execv(_PYTHON, [str(_PYTHON), *command, *arguments[1:]])


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
