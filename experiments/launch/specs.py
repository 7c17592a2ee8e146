"""The door: a config is checked, and becomes frozen specs, once."""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any

import ml_collections

from configs import measure as measure_keys
from configs import randopt as randopt_keys
from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_keys,
  check_not_empty,
  check_ranges,
  collect,
  refuse,
  to_json,
)
from thickets.errors import UserError
from thickets.generation.prompts import Chat
from thickets.generation.specs import (
  DTYPES,
  AnsweringSpec,
  ComputeSpec,
  ModelSpec,
  SelfConsistencySpec,
  TaskSpec,
)
from thickets.perturbation import Gaussian
from thickets.runs.run_config import RunConfig
from thickets.search.population import DESIGNS, PopulationSpec
from thickets.search.selection import EnsembleSpec
from thickets.tasks.splits import Sizes

UNITS = ("absolute", "relative")
# How the work is laid out changes records no further than rounding.
_LAYOUT = tuple(
  f"compute.{name}"
  for name in (
    "devices_per_member",
    "lanes",
    "rows",
    "num_workers",
    "grade_limit_s",
  )
)
_LANGUAGE_RANGES = {
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


@dataclasses.dataclass(frozen=True)
class RandOptSpec:
  """What a RandOpt run on a language model is asked to do.

  Attributes:
    config: the configuration as the run directory keeps it.
    seed: root of every random choice.
    model: which model is the base.
    task: what it is asked.
    answering: how it answers.
    population: which members there are.
    ensemble: how many of the best vote.
    consistency: how the base is sampled to vote with itself.
  """

  config: RunConfig
  seed: int
  model: ModelSpec
  task: TaskSpec
  answering: AnsweringSpec
  population: PopulationSpec
  ensemble: EnsembleSpec
  consistency: SelfConsistencySpec


@dataclasses.dataclass(frozen=True)
class SliceSpec:
  """A square grid of two-term members around the base.

  Attributes:
    resolution: cells along a side, odd; 0 for no slice.
    extent: how far it reaches from the base, in sigma.

  Raises:
    UserError: if the base is not in the middle, or the grid has no size.
  """

  resolution: int
  extent: float

  def __post_init__(self):
    size = self.resolution
    if size and (size < 3 or size % 2 == 0):
      # Now, and not after hours of members.
      raise UserError(
        "slice.resolution must be 0 for none, or an odd number of at least 3, so"
        f" that the base is in the middle, got {size}."
      )
    if size and not self.extent > 0:
      raise UserError(f"slice.extent must be above 0, got {self.extent}.")


@dataclasses.dataclass(frozen=True)
class MeasureSpec:
  """What a measurement of a neighbourhood is asked to do.

  Attributes:
    config: the configuration as the run directory keeps it.
    seed: root of every random choice.
    model: which model is the base.
    tasks: what it is asked, one task after the other.
    answering: how it answers.
    population: which members there are; its sigmas in `unit`.
    unit: what sigmas are given in: "absolute", the weights' own units, or
      "relative", the root mean square of the perturbed weights.
    slice: the grid that is measured as well.
    project: whether members are projected on a random plane.
    samples: how often the base is sampled on each prompt of select and dev; 0
      for not at all.
    consistency: how it is sampled; select chooses among several temperatures.

  Raises:
    UserError: if there is no task, one stands there twice, the unit is not
      known, or there are samples without a temperature.
  """

  config: RunConfig
  seed: int
  model: ModelSpec
  tasks: tuple[TaskSpec, ...]
  answering: AnsweringSpec
  population: PopulationSpec
  unit: str
  slice: SliceSpec
  project: bool
  samples: int
  consistency: SelfConsistencySpec

  def __post_init__(self):
    if self.samples and not self.consistency.temperatures:
      raise UserError(
        "consistency.temperatures must hold at least one item where there are"
        f" {self.samples} consistency.samples, got none."
      )
    names = [task.name for task in self.tasks]
    if not names:
      raise UserError("tasks.names must hold at least one item, got none.")
    if len(set(names)) < len(names):
      raise UserError(f"tasks.names must differ, got {tuple(names)}.")
    if self.unit not in UNITS:
      raise UserError(
        f"population.unit must be one of {sorted(UNITS)}, got {self.unit!r}."
      )


def read_randopt(config: ml_collections.ConfigDict) -> RandOptSpec:
  """Checks a config of `experiments.randopt`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  refuse(check_keys(config, randopt_keys.get_config()))
  refuse(_find_randopt_problems(config))
  return RandOptSpec(
    config=RunConfig(
      to_json(config),
      # The reported K is not among them: it is chosen before judging is seen.
      extendable=("population.size", "ensemble.also", *_LAYOUT),
      later=_name_chat_keys("task"),
    ),
    seed=config.seed,
    model=_read_model(config),
    task=TaskSpec(
      config.task.name,
      Sizes(config.task.num_select, config.task.num_dev, config.task.num_judge),
      rules=config.task.rules,
      train=config.task.train,
      test=config.task.test,
      revision=config.task.revision or None,
      seed=config.seed,
      chat=_read_chat(config.task),
    ),
    answering=_read_answering(config),
    population=read_population(config),
    ensemble=EnsembleSpec(config.ensemble.top_k, tuple(config.ensemble.also)),
    consistency=_read_consistency(config),
  )


def read_stored_randopt(fields: Mapping[str, Any]) -> RandOptSpec:
  """Turns the stored config of a run of `experiments.randopt` into specs.

  Keys of how the work is laid out, on which no record depends, may be newer than
  the run, and so may those of the chat: the keys that it lacks have the values of
  the config file. The config of the specs is the stored one.

  Args:
    fields: the config as the run directory keeps it.

  Raises:
    UserError: with everything that is wrong.
  """
  config = ml_collections.ConfigDict(fields)
  reference = randopt_keys.get_config()
  for name in (*_LAYOUT, *_name_chat_keys("task")):
    section, _, key = name.partition(".")
    stored = config.get(section)
    if isinstance(stored, ml_collections.ConfigDict) and key not in stored:
      stored[key] = reference[section][key]
  return dataclasses.replace(read_randopt(config), config=RunConfig(fields))


def read_measure(config: ml_collections.ConfigDict) -> MeasureSpec:
  """Checks a config of `experiments.measure`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  refuse(check_keys(config, measure_keys.get_config()))
  refuse(_find_measure_problems(config))
  settings = config.tasks
  return MeasureSpec(
    config=RunConfig(
      to_json(config),
      extendable=(
        "population.size",
        # What is measured beside the population, and can be added to it later.
        "project",
        "slice.resolution",
        "slice.extent",
        *_LAYOUT,
      ),
      later=_name_chat_keys("tasks")
      | {
        f"consistency.{name}": value
        for name, value in to_json(
          measure_keys.get_config().consistency
        ).items()
      },
    ),
    seed=config.seed,
    model=_read_model(config),
    tasks=tuple(
      TaskSpec(
        name,
        # One of `judge` is set aside and asked by nobody; 0 would be the rest.
        Sizes(settings.num_select, settings.num_dev, 1),
        rules=settings.rules,
        seed=config.seed,
        chat=_read_chat(settings),
      )
      for name in settings.names
    ),
    answering=_read_answering(config),
    population=read_population(config),
    unit=config.population.unit,
    slice=_read_slice(config),
    project=config.project,
    samples=config.consistency.samples,
    consistency=_read_consistency(config),
  )


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


def _read_model(config) -> ModelSpec:
  return ModelSpec(
    config.model.name, config.model.revision or None, config.model.dtype
  )


def _read_chat(settings) -> Chat:
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


def _name_chat_keys(section: str) -> dict[str, Any]:
  """Keys that runs of earlier versions lack, with the values they had in effect."""
  return {f"{section}.chat_arguments": {}, f"{section}.chat_date": ""}


def _read_consistency(config) -> SelfConsistencySpec:
  settings = config.consistency
  return SelfConsistencySpec(
    tuple(settings.temperatures), settings.top_k, settings.top_p
  )


def _read_slice(config) -> SliceSpec:
  return SliceSpec(config.slice.resolution, config.slice.extent)


def _read_answering(config) -> AnsweringSpec:
  settings = config.compute
  return AnsweringSpec(
    max_new_tokens=config.decoding.max_new_tokens or None,
    compute=ComputeSpec(
      settings.devices_per_member,
      settings.lanes or None,
      settings.rows or None,
      settings.num_workers,
      settings.grade_limit_s,
    ),
    log_responses=config.log_responses,
  )


def _find_randopt_problems(config) -> list[str]:
  problems = [
    *check_ranges(
      config,
      {
        **_LANGUAGE_RANGES,
        "task.num_select": Range(1),
        "task.num_dev": Range(0),
        "task.num_judge": Range(0),
        "population.size": Range(1, 2**32),
        **limit_ensembles(config),
      },
    ),
    *check_choices(
      config, {"model.dtype": DTYPES, "population.design": DESIGNS}
    ),
    *check_not_empty(config, ("population.sigmas", "population.include")),
  ]
  problems += collect(_read_consistency, config)
  problems += collect(_read_chat, config.task)
  temperatures = config.consistency.temperatures
  if len(temperatures) > 1 and not config.task.num_dev:
    problems.append(
      "task.num_dev must be at least 1 to choose among"
      f" {len(temperatures)} consistency.temperatures, got 0. Give dev prompts,"
      " or one temperature."
    )
  return problems


def _find_measure_problems(config) -> list[str]:
  problems = [
    *check_ranges(
      config,
      {
        **_LANGUAGE_RANGES,
        "tasks.num_select": Range(1),
        "tasks.num_dev": Range(0),
        "population.size": Range(2, 2**32),
        "consistency.samples": Range(0),
      },
    ),
    *check_choices(
      config,
      {
        "model.dtype": DTYPES,
        "population.design": DESIGNS,
        "population.unit": UNITS,
      },
    ),
    *check_not_empty(
      config, ("tasks.names", "population.sigmas", "population.include")
    ),
  ]
  if len(set(config.tasks.names)) < len(config.tasks.names):
    problems.append(f"tasks.names must differ, got {config.tasks.names}.")
  problems += collect(_read_chat, config.tasks)
  problems += collect(_read_consistency, config)
  return problems + collect(_read_slice, config)
