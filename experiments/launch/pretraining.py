"""Pretraining as binaries start it: from a config to a folder with a model."""

import pathlib
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import ml_collections

from configs import pretrain as drills_keys
from configs import pretrain_conventions as conventions_keys
from configs import pretrain_scenes as scenes_keys
from experiments import launch
from thickets.errors import UserError
from thickets.runs import directory, environment, json_files
from thickets.runs.clock import Clock
from thickets.runs.json_files import JsonObject
from thickets.runs.run_config import RunConfig
from thickets.training import (
  corpora,
  pretraining,
  pretraining_spec,
  spec_checks,
)
from thickets.training.convention_corpora import ConventionCorpus
from thickets.training.corpora import CorpusSpec, Frequencies
from thickets.training.pretraining_spec import (
  DevSpec,
  ModelShape,
  OptimizerSpec,
  PretrainingSpec,
)
from thickets.training.scene_corpora import SceneCorpus
from thickets.training.scene_models import SceneShape
from thickets.training.spec_checks import SpecError
from thickets.training.train import Schedule

T = TypeVar("T")


def make_spec(config: ml_collections.ConfigDict) -> PretrainingSpec:
  """Makes the spec of a config, of drills, conventions or scenes.

  Raises:
    UserError: that lists everything wrong with the config.
  """
  reference, make_shape, make_corpus = _find_parts(config)
  launch.refuse(launch.check_keys(config, reference.get_config()))
  problems: list[str] = []

  def collect(make: Callable[..., T], **fields) -> T | None:
    try:
      return make(**fields)
    except SpecError as error:
      problems.extend(error.problems)
      return None

  fields = launch.to_json(config)
  parts = {
    "model": collect(make_shape, **fields["model"]),
    "corpus": collect(make_corpus, **fields["corpus"]),
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


def _find_parts(config: ml_collections.ConfigDict):
  """The config with all keys, and what makes the model's shape and the corpus."""
  corpus = config.get("corpus", {})
  if "kinds" in corpus:
    return scenes_keys, SceneShape, SceneCorpus
  if "tilt" in corpus:
    return conventions_keys, ModelShape, ConventionCorpus
  return drills_keys, ModelShape, _make_drills


def _make_drills(
  families: Frequencies, manners: str, countdown: Frequencies, **numbers: Any
) -> CorpusSpec:
  """Makes the corpus of drills; a SpecError holds everything wrong with it."""
  problems: list[str] = []
  # Another mixture in place of a wrong one, so that the rest is checked as well.
  mixture = corpora.Mixture({"countdown3": 1})
  try:
    mixture = corpora.make_mixture(families, manners, countdown)
  except SpecError as error:
    problems.extend(error.problems)
  try:
    corpus = CorpusSpec(mixture, **numbers)
  except SpecError as error:
    raise SpecError([*problems, *error.problems]) from error
  spec_checks.raise_problems(problems)
  return corpus


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
