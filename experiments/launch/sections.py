"""Sections of a config that several experiments have, as frozen specs."""

import datetime
import json
from typing import Any

import ml_collections

from experiments.launch.config_checks import Range, to_json
from thickets.errors import UserError
from thickets.generation.prompts import Chat
from thickets.generation.specs import (
  AnsweringSpec,
  ComputeSpec,
  ModelSpec,
  SelfConsistencySpec,
  TaskSpec,
)
from thickets.perturbation import Gaussian
from thickets.search.population import PopulationSpec
from thickets.tasks.splits import Sizes

# How the work is laid out changes records no further than rounding.
LAYOUT = tuple(
  f"compute.{name}"
  for name in (
    "devices_per_member",
    "lanes",
    "rows",
    "layers",
    "num_workers",
    "grade_limit_s",
    "features_dir",
  )
)
RANGES = {
  "seed": Range(0, 2**32 - 1),
  "population.sigmas": Range(0),
  "population.chunk": Range(0),
  "decoding.max_new_tokens": Range(0),
  "compute.devices_per_member": Range(1),
  "compute.lanes": Range(0),
  "compute.rows": Range(0),
  "compute.num_workers": Range(0),
  "compute.grade_limit_s": Range(1),
}


def read_population(config: ml_collections.ConfigDict) -> PopulationSpec:
  """The population of a config."""
  settings = config.population
  return PopulationSpec(
    size=settings.size,
    sigmas=tuple(settings.sigmas),
    seed=config.seed,
    design=settings.design,
    kind=Gaussian(settings.include, settings.exclude),
    chunk=settings.chunk or None,
  )


def limit_ensembles(config: ml_collections.ConfigDict) -> dict[str, Range]:
  """The ranges of Ks, which cannot exceed N.

  Where N itself is wrong, K is not judged.
  """
  size = config.population.size
  most = Range(1, size if size > 0 else None, "population.size")
  return {"ensemble.top_k": most, "ensemble.also": most}


def read_model(config: ml_collections.ConfigDict) -> ModelSpec:
  """The model of a config."""
  return ModelSpec(
    config.model.name, config.model.revision or None, config.model.dtype
  )


def read_task(config: ml_collections.ConfigDict) -> TaskSpec:
  """The task of a config."""
  settings = config.task
  return TaskSpec(
    settings.name,
    Sizes(settings.num_select, settings.num_dev, settings.num_judge),
    rules=settings.rules,
    train=settings.train,
    test=settings.test,
    revision=settings.revision or None,
    seed=config.seed,
    chat=read_chat(settings),
  )


def read_chat(settings: ml_collections.ConfigDict) -> Chat:
  """How prompts become text, from the section of a task."""
  date = None
  if settings.chat_date:
    try:
      date = datetime.date.fromisoformat(settings.chat_date)
    except ValueError as error:
      raise UserError(
        "task.chat_date must be a day as 2026-01-31, or empty for that on which"
        f" the run begins, got {settings.chat_date!r}."
      ) from error
  arguments = to_json(settings.chat_arguments)
  try:
    json.dumps(arguments, allow_nan=False)
  except (TypeError, ValueError) as error:
    raise UserError(
      f"task.chat_arguments must be values of JSON, got {arguments} ({error})."
    ) from error
  return Chat(settings.use_chat_template, arguments, date)


def name_chat_keys(section: str) -> dict[str, Any]:
  """Keys that runs of earlier versions lack, with the values they had in effect."""
  return {f"{section}.chat_arguments": {}, f"{section}.chat_date": ""}


def read_consistency(
  config: ml_collections.ConfigDict,
) -> SelfConsistencySpec:
  """How the base is sampled."""
  settings = config.consistency
  return SelfConsistencySpec(
    tuple(settings.temperatures), settings.top_k, settings.top_p
  )


def read_answering(config: ml_collections.ConfigDict) -> AnsweringSpec:
  """How prompts are answered, and on which devices."""
  settings = config.compute
  return AnsweringSpec(
    max_new_tokens=config.decoding.max_new_tokens or None,
    compute=ComputeSpec(
      settings.devices_per_member,
      settings.lanes or None,
      settings.rows or None,
      settings.layers,
      settings.num_workers,
      settings.grade_limit_s,
      settings.features_dir,
    ),
    log_responses=config.log_responses,
  )
