"""Pretrains a ladder of models and measures each of its stages.

    python -m experiments.ladder --config=configs/ladder.py --workdir=DIR [--rung=w96]

Below the workdir each rung has a folder, with its pretraining in `pretrain` and
one measurement for each stage, as in `measure/000250`. What is finished is not
done again, so rungs may run side by side, and the same command continues.
`experiments.scaling` says what follows.
"""

import pathlib

import jax
import ml_collections
from absl import flags, logging

from experiments import launch
from experiments.launch import measuring, next_steps, pretraining
from experiments.launch.specs import read_measure
from thickets import errors
from thickets.errors import UserError
from thickets.runs import directory, json_files
from thickets.runs.clock import Clock
from thickets.runs.run_config import RunConfig
from thickets.training import stage_losses
from thickets.training.pretraining import stage_path
from thickets.training.pretraining_spec import PretrainingSpec

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.ladder --config=configs/ladder.py"
  " --workdir=runs/ladder",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps models, metrics and compiled programs there, which need a disk."
)
FLAGS.define_cluster()
FLAGS.define_grace()
_RUNG = flags.DEFINE_string(
  "rung",
  None,
  "The only rung to climb; all by default.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags, trains, measures."""
  workdir = FLAGS.workdir
  config = FLAGS.config
  specs = make_specs(config)
  rungs = _choose_rungs(config, _RUNG.value)
  launch.start_devices(FLAGS)
  clock = Clock()
  # The stages of a rung share their programs.
  jax.config.update(
    "jax_compilation_cache_dir", str(pathlib.Path(workdir) / "cache")
  )
  for name in rungs:
    climb(config, name, specs[name], workdir)
  clock.lap("climbing_s")
  print(
    next_steps.format_ending(
      f"The measurements are in {workdir}.",
      clock.timing,
      next_steps.after_ladder(workdir),
    )
  )


def make_specs(
  config: ml_collections.ConfigDict,
) -> dict[str, PretrainingSpec]:
  """Makes the pretraining of each rung.

  Raises:
    UserError: for what is wrong with any rung, or with the measurement.
  """
  for key in ("rungs", "pretrain", "measure", "folder", "last_stage_only"):
    if key not in config:
      raise UserError(f"{key} is missing from the config.")
  read_measure(config.measure)  # Before any training.
  return {
    name: pretraining.make_spec(make_pretrain(config, name))
    for name in config.rungs
  }


def climb(
  config: ml_collections.ConfigDict,
  name: str,
  spec: PretrainingSpec,
  workdir: str,
) -> None:
  """Pretrains one rung, and measures its stages.

  Args:
    config: the ladder.
    name: key of the rung in `config.rungs`.
    spec: the pretraining of the rung.
    workdir: folder of all rungs.
  """
  folder = directory.make_workdir(workdir) / name
  fields = launch.to_json(make_pretrain(config, name))
  if not (folder / "pretrain" / "results.json").exists():
    pretraining.run_pretraining(spec, fields, folder / "pretrain")
  else:
    RunConfig(fields).check(folder / "pretrain")
  if not (folder / "stages.json").exists():
    losses = stage_losses.measure_losses(spec, folder / "pretrain")
    stages = {
      "manners": config.rungs[name].manners,
      "stages": losses.pop("stages"),
    }
    json_files.write_json(folder / "stages.json", losses | stages)
  stages = spec.schedule.stages
  for step in stages[-1:] if config.last_stage_only else stages:
    where = folder / config.folder / f"{step:06d}"
    if not (where / "results.json").exists():
      logging.info("%s after %d steps", name, step)
      settings = _make_measure(config, folder, step)
      measuring.run(read_measure(settings), str(where))


def make_pretrain(
  config: ml_collections.ConfigDict, name: str
) -> ml_collections.ConfigDict:
  """The config of one rung's pretraining."""
  rung = config.rungs[name]
  settings = config.pretrain.copy_and_resolve_references()
  with settings.unlocked():
    for key in ("width", "mlp_width", "num_layers"):
      settings.model[key] = rung[key]
    settings.optimizer.learning_rate = rung.learning_rate
    settings.schedule.num_steps = rung.num_steps
    settings.schedule.stages = tuple(rung.stages)
    settings.corpus.manners = rung.manners
  return settings


def _make_measure(config, folder, step) -> ml_collections.ConfigDict:
  settings = config.measure.copy_and_resolve_references()
  with settings.unlocked():
    settings.model.name = str(stage_path(folder / "pretrain", step))
  return settings


def _choose_rungs(config, only) -> list[str]:
  if only is None:
    return list(config.rungs)
  if only not in config.rungs:
    raise UserError(
      f"--rung must be one of {list(config.rungs)}, got {only!r}. Nearest:"
      f" {errors.nearest(only, list(config.rungs), count=1)}."
    )
  return [only]


if __name__ == "__main__":
  launch.run(main, FLAGS)
