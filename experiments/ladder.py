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
import numpy as np
from absl import flags, logging

from experiments import launch, measure, pretrain
from thickets import errors
from thickets.errors import UserError
from thickets.models import byte_tokenizer, hub
from thickets.runs import directory
from thickets.training import train

_RUNG = flags.DEFINE_string("rung", None, "The only rung to climb.")
_LOSS_BATCHES = 32


def main(_) -> None:
  """Reads the flags, trains, measures."""
  with launch.ending_well():
    config = launch.read_config()
    validate(config)
    rungs = _choose_rungs(config, _RUNG.value)
    launch.start_devices()
    # The stages of a rung share their programs.
    jax.config.update(
      "jax_compilation_cache_dir",
      str(pathlib.Path(launch.WORKDIR.value) / "cache"),
    )
    for name in rungs:
      climb(config, name, launch.WORKDIR.value)
    print(f"The measurements are in {launch.WORKDIR.value}.")


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises a UserError for what is wrong with any rung, before device work."""
  for key in ("rungs", "pretrain", "measure", "folder", "last_stage_only"):
    if key not in config:
      raise UserError(f"{key} is missing from the config.")
  measure.validate(config.measure)
  for name in config.rungs:
    pretrain.validate(make_pretrain(config, name))


def climb(config: ml_collections.ConfigDict, name: str, workdir: str) -> None:
  """Pretrains one rung, and measures its stages."""
  folder = directory.make_workdir(workdir) / name
  settings = make_pretrain(config, name)
  if not (folder / "pretrain" / "results.json").exists():
    pretrain.run(settings, str(folder / "pretrain"))
  else:
    directory.check_config(folder / "pretrain", launch.to_json(settings))
  if not (folder / "stages.json").exists():
    _measure_losses(settings, folder)
  stages = settings.schedule.stages
  for step in stages[-1:] if config.last_stage_only else stages:
    where = folder / config.folder / f"{step:06d}"
    if not (where / "results.json").exists():
      logging.info("%s after %d steps", name, step)
      measure.run(_make_measure(config, folder, step), str(where))


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
    settings.model.name = str(pretrain.name_stage(folder / "pretrain", step))
  return settings


def _measure_losses(settings, folder: pathlib.Path) -> None:
  """Losses of the stages on text that no training has drawn."""
  tokenizer = byte_tokenizer.make_tokenizer()
  texts = pretrain.make_corpus(settings, tokenizer, seed=settings.seed + 1)
  batches = [texts.batch(step) for step in range(_LOSS_BATCHES)]
  stages, loss_fn = {}, None
  for step in settings.schedule.stages:
    model = hub.load(str(pretrain.name_stage(folder / "pretrain", step)))
    loss_fn = loss_fn or jax.jit(train.make_loss(model.config))
    losses = [float(loss_fn(model.params, batch)) for batch in batches]
    stages[str(step)] = {
      "loss": float(np.mean(losses)),
      "standard_error": float(np.std(losses, ddof=1) / len(losses) ** 0.5),
    }
  directory.write_json(
    folder / "stages.json",
    {
      "units": "nats per token of an answer; of a question as the corpus weighs",
      "num_tokens": _LOSS_BATCHES
      * settings.corpus.rows
      * settings.corpus.length,
      "num_weights": sum(leaf.size for leaf in jax.tree.leaves(model.params)),
      "manners": settings.corpus.manners,
      "stages": stages,
    },
  )


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
  launch.run(main)
