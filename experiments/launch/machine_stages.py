"""The stages in which a machine is measured: commands, each with its time."""

import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
import time

import ml_collections
from absl import logging

from configs import benchmark_language, benchmark_machine
from experiments.launch.config_checks import (
  Range,
  check_keys,
  check_not_empty,
  check_ranges,
  refuse,
)
from thickets import errors
from thickets.runs import json_files
from thickets.runs.json_files import JsonObject
from thickets.search import targets

# What a kind of stage adds to the command of its shape.
KINDS = {
  "stacked": ("layers=stacked",),
  "apart": ("layers=apart",),
  "beside": ("compare=transformers",),
  "transformers": ("subject=transformers",),
}
# Compiles the same for the machine by its name, and computes on none.
FORETOLD = "foretold"
_END_S = 10.0  # What a command may take to end once it is told to.


@dataclasses.dataclass(frozen=True)
class Stage:
  """One command that measures.

  Attributes:
    shape: a variant of configs/benchmark_language.py.
    kind: one of `KINDS`; or of these after `foretold-`.
    folder: its results and its log.
    arguments: the command line behind `python`.
    bound_s: the most seconds that it may take.
  """

  shape: str
  kind: str
  folder: pathlib.Path
  arguments: tuple[str, ...]
  bound_s: int

  @property
  def name(self) -> str:
    """Its name in messages, and that of its folder."""
    return self.folder.name

  def read(self) -> JsonObject | None:
    """What it measured, None where it is still to be done.

    A stage that was begun twice read some of its programs from the disk: then the
    seconds of compilation are None.
    """
    is_foretold = self.kind.startswith(FORETOLD)
    path = self.folder / ("machines.json" if is_foretold else "benchmark.json")
    if not path.exists():
      return None
    found = json_files.read_json(path)
    if is_foretold:
      return found["rows"][0]
    return found | {"compile_s": None} if self._again.exists() else found

  @property
  def _again(self) -> pathlib.Path:
    """A file that says that the stage was begun twice."""
    return self.folder / "again"

  def begin(self) -> None:
    """Makes its folder, or notes that there was one."""
    if self.folder.exists():
      self._again.touch()
    self.folder.mkdir(exist_ok=True)


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong."""
  refuse(check_keys(config, benchmark_machine.get_config()))
  known = list(benchmark_language.SHAPES)
  problems = [
    *check_not_empty(config, ["shapes"]),
    *check_ranges(
      config,
      {
        "repeats": Range(1),
        **{f"bound_s.{kind}": Range(1) for kind in config.bound_s},
      },
    ),
  ]
  problems += [
    f"shapes must be variants of configs/benchmark_language.py, got {shape!r}."
    f" Nearest: {errors.nearest(shape, known, count=1)}."
    for shape in config.shapes
    if shape not in known
  ]
  problems += [
    f"bound_s.{kind} must have one number for each of {len(config.shapes)}"
    f" shapes, or none, got {tuple(bounds)}."
    for kind, bounds in config.bound_s.items()
    if len(bounds) not in (0, len(config.shapes))
  ]
  if not any(config.bound_s.values()):
    problems.append("bound_s must have a kind of stage to run, got none.")
  refuse(problems)
  if config.target:
    targets.parse(config.target)


def plan(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[Stage]:
  """The stages of a config that was validated, those that take least first."""
  stages = [
    _make(shape, kind, config.bound_s[kind][place], config.repeats, workdir)
    for place, shape in enumerate(config.shapes)
    for kind in KINDS
    if config.bound_s[kind]
  ]
  return sorted(stages, key=lambda stage: stage.bound_s)


def plan_forecasts(
  config: ml_collections.ConfigDict, stages: list[Stage], workdir: pathlib.Path
) -> list[Stage]:
  """A forecast of each stage that lays layers in one way, for a known machine.

  Args:
    config: a config that was validated.
    stages: its stages; what they measured says what machine this is.
    workdir: where they are.
  """
  bounds = config.bound_s[FORETOLD]
  target = config.target or _find_target(stages)
  if not bounds or target is None:
    return []
  found = []
  for stage in stages:
    if stage.kind not in ("stacked", "apart"):
      continue
    folder = workdir / f"{stage.shape}-{FORETOLD}-{stage.kind}"
    arguments = (
      *("-m", "experiments.compile"),
      f"--config=configs/benchmark_language.py:{stage.shape}",
      *(f"--config.{override}" for override in KINDS[stage.kind]),
      f"--target={target}",
      f"--workdir={folder}",
    )
    bound_s = bounds[config.shapes.index(stage.shape)]
    kind = f"{FORETOLD}-{stage.kind}"
    found.append(Stage(stage.shape, kind, folder, arguments, bound_s))
  return sorted(found, key=lambda stage: stage.bound_s)


def run(stage: Stage) -> str | None:
  """Runs a stage to its end or to its bound.

  What it compiled is kept, so that a stage that took too long gets further when it
  is called again.

  Returns:
    Why it has no result; None where it has one.
  """
  stage.begin()
  log = stage.folder / "log.txt"
  logging.info(
    "%s, at most %d s: python %s",
    stage.name,
    stage.bound_s,
    shlex.join(stage.arguments),
  )
  start = time.perf_counter()
  with log.open("wb") as output:
    process = subprocess.Popen(
      [sys.executable, *stage.arguments],
      env=_make_environment(stage),
      stdout=output,
      stderr=subprocess.STDOUT,
    )
    try:
      status = process.wait(stage.bound_s)
    except subprocess.TimeoutExpired:
      return f"took longer than {stage.bound_s} s; its log is {log}."
    finally:  # Also where this process is interrupted.
      _end(process)
  if status:
    return f"failed: {_last_line(log)} Its log is {log}."
  logging.info("%s took %.0f s", stage.name, time.perf_counter() - start)
  return None


def _make(
  shape: str, kind: str, bound_s: int, repeats: int, workdir: pathlib.Path
) -> Stage:
  folder = workdir / f"{shape}-{kind}"
  arguments = (
    *("-m", "experiments.benchmark"),
    f"--config=configs/benchmark_language.py:{shape}",
    f"--workdir={folder}",
    *(f"--config.{override}" for override in KINDS[kind]),
    f"--config.repeats={repeats}",
  )
  return Stage(shape, kind, folder, arguments, bound_s)


def _make_environment(stage: Stage) -> dict[str, str]:
  """That of a stage: what it compiles is kept, and memory left to PyTorch."""
  if stage.kind.startswith(FORETOLD):
    return {**os.environ}
  added = {
    "JAX_COMPILATION_CACHE_DIR": str((stage.folder / "programs").absolute())
  }
  if stage.kind == "transformers":
    added["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
  return {**os.environ, **added}


def _find_target(stages: list[Stage]) -> str | None:
  """What the compiler calls this machine, by what was measured on it."""
  for stage in stages:
    if (figures := stage.read()) is not None:
      environment = figures["environment"]
      for chip in targets.CHIPS.values():
        if chip.platform == "cuda" and chip.title == environment["device_kind"]:
          return f"{chip.name}:{environment['num_devices']}"
  return None


def _end(process: subprocess.Popen[bytes]) -> None:
  """Ends a process that has not ended."""
  if process.poll() is not None:
    return
  process.terminate()
  try:
    process.wait(_END_S)
  except subprocess.TimeoutExpired:
    process.kill()
    process.wait()


def _last_line(log: pathlib.Path) -> str:
  lines = log.read_text("utf-8", errors="replace").split("\n")
  return next((line for line in reversed(lines) if line.strip()), "no word.")
