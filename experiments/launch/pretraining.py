"""Pretraining as binaries start it: from a config to a folder with a model."""

import pathlib
from collections.abc import Callable
from typing import TypeVar

import jax
import ml_collections

from configs import pretrain as reference
from experiments import launch
from thickets.errors import UserError
from thickets.runs import directory, environment, json_files
from thickets.runs.clock import Clock
from thickets.runs.json_files import JsonObject
from thickets.runs.run_config import RunConfig
from thickets.training import corpora, pretraining, pretraining_spec
from thickets.training.pretraining_spec import (
  DevSpec,
  ModelShape,
  OptimizerSpec,
  PretrainingSpec,
)
from thickets.training.spec_checks import SpecError
from thickets.training.train import Schedule

T = TypeVar("T")


def make_spec(config: ml_collections.ConfigDict) -> PretrainingSpec:
  """Makes the spec of a config.

  Raises:
    UserError: that lists everything wrong with the config.
  """
  launch.refuse(launch.check_keys(config, reference.get_config()))
  problems: list[str] = []

  def collect(make: Callable[..., T], **fields) -> T | None:
    try:
      return make(**fields)
    except SpecError as error:
      problems.extend(error.problems)
      return None

  fields = launch.to_json(config)
  corpus = fields["corpus"]
  mixture = collect(
    corpora.make_mixture,
    families=corpus.pop("families"),
    manners=corpus.pop("manners"),
    countdown=corpus.pop("countdown"),
  )
  # Another mixture in place of a wrong one, so that the rest is checked as well.
  any_mixture = mixture or corpora.Mixture({"countdown3": 1})
  parts = {
    "model": collect(ModelShape, **fields["model"]),
    "corpus": collect(corpora.CorpusSpec, mixture=any_mixture, **corpus),
    "optimizer": collect(OptimizerSpec, **fields["optimizer"]),
    "schedule": collect(
      Schedule,
      **fields["schedule"] | {"stages": tuple(config.schedule.stages)},
    ),
    "dev": collect(DevSpec, **fields["dev"]),
  }
  problems += pretraining_spec.check_seed(config.seed)
  if parts["optimizer"] and parts["schedule"]:
    problems += pretraining_spec.check_warmup(
      parts["optimizer"], parts["schedule"]
    )
  launch.refuse(problems)
  return PretrainingSpec(seed=config.seed, **parts)


def run_pretraining(
  spec: PretrainingSpec, config: JsonObject, workdir: str | pathlib.Path
) -> JsonObject:
  """Pretrains, or continues a pretraining that was stopped.

  Args:
    spec: what to train.
    config: the config that the spec was made from, as JSON values; a folder
      that holds the run of another config is refused.
    workdir: folder of the run.

  Returns:
    The contents of results.json.

  Raises:
    UserError: if the folder cannot be used, or the training diverges.
  """
  if jax.process_count() > 1:
    raise UserError(
      f"Pretraining must be one process, got {jax.process_count()}. Leave out"
      " --distributed."
    )
  clock = Clock()
  folder = directory.make_workdir(workdir)
  run_config = RunConfig(config)
  run_config.check(folder)
  # What can fail at once does so before the run begins.
  model = pretraining.make_initial_model(spec)
  measure = pretraining.make_measure(spec, model)
  run_config.save(folder, environment.describe())
  params = pretraining.pretrain_language_model(spec, model, folder, measure)
  clock.lap("training_s")
  pretraining.save_model(folder / "model", model, params)
  results = {"dev": measure(params), "timing": clock.timing}
  json_files.write_json(folder / "results.json", results)
  return results
