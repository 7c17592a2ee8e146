"""Measures a machine stage by stage, each within a stated time.

    python3 bootstrap.py benchmark
    python -m experiments.benchmark_machine --workdir=DIR \
      --config=configs/benchmark_machine.py:smoke

Every stage is a command in a process of its own, which is logged: members of one
shape with layers stacked or apart, the same prompts through transformers, and what
experiments.compile foretells of the machine, to compare with. Where one fails or takes too long, the others go on, and the same command makes up for it.
Prints a table. Where the config names a page, the rows of each shape are added to
it once all its stages are done.
"""

import pathlib

import ml_collections

from experiments import launch
from experiments.launch import machine_stages
from experiments.launch.machine_stages import Stage
from thickets.errors import UserError
from thickets.report import machine_table
from thickets.runs import clock, directory, json_files

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.benchmark_machine"
  " --config=configs/benchmark_machine.py:smoke --workdir=runs/machine",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It measures this machine, and starts other commands there."
)


def main(_: list[str]) -> None:
  """Reads the flags, runs what is missing, prints.

  Raises:
    UserError: if stages are missing still.
  """
  workdir_name, config = FLAGS.workdir, FLAGS.config
  machine_stages.validate(config)
  workdir = directory.make_workdir(workdir_name)
  stages = machine_stages.plan(config, workdir)
  problems = _run(stages)
  forecasts = machine_stages.plan_forecasts(config, stages, workdir)
  problems += _run(forecasts)
  stages += forecasts
  rows = {shape: _make_rows(shape, stages) for shape in config.shapes}
  shown = [row for found in rows.values() for row in found]
  print(machine_table.write_markdown(shown), end="", flush=True)
  if config.table:
    _add_to_page(config, rows, stages, workdir)
  if problems:
    raise UserError(
      f"All stages must end, got {len(problems)} of {len(stages)} that did not:"
      f" {' '.join(problems)} The same command makes up for them; without"
      " --config.bound_s.KIND, as in --config.bound_s.transformers='()', stages of"
      " a kind are left out."
    )


def _run(stages: list[Stage]) -> list[str]:
  """Runs what is missing; returns what is missing still, and why."""
  return [
    f"{stage.name} {problem}"
    for stage in stages
    if stage.read() is None and (problem := machine_stages.run(stage))
  ]


def _make_rows(shape: str, stages: list[Stage]) -> list[tuple[str, ...]]:
  """The rows of a shape, as far as they were measured."""
  found = {
    stage.kind: figures
    for stage in stages
    if stage.shape == shape and (figures := stage.read()) is not None
  }
  theirs = found.pop("transformers", {})
  return [
    machine_table.make_row(
      shape,
      figures["config"]["layers"],
      figures,
      theirs.get("transformers_s"),
      found.get(f"{machine_stages.FORETOLD}-{kind}"),
      clock.today(),
    )
    for kind, figures in found.items()
    if not kind.startswith(machine_stages.FORETOLD)
  ]


def _add_to_page(
  config: ml_collections.ConfigDict,
  rows: dict[str, list[tuple[str, ...]]],
  stages: list[Stage],
  workdir: pathlib.Path,
) -> None:
  """Adds the rows of each shape that is done to the page, once.

  Where further kinds of stages are done later, the rows stand there once more.
  """
  path = workdir / "machine.json"
  added = json_files.read_json(path)["added"] if path.exists() else {}
  for shape in config.shapes:
    asked = [stage for stage in stages if stage.shape == shape]
    is_done = all(stage.read() is not None for stage in asked)
    kinds = {stage.kind for stage in asked}
    if is_done and not kinds <= {*added.get(shape, ())}:
      machine_table.append_rows(pathlib.Path(config.table), rows[shape])
      added[shape] = sorted(kinds)
      json_files.write_json(path, {"table": config.table, "added": added})


if __name__ == "__main__":
  launch.run(main, FLAGS)
