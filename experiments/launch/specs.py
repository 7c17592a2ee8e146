"""The door: a config is checked, and becomes frozen specs, once."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections

from configs import measure as measure_keys
from configs import randopt as randopt_keys
from experiments.launch import sections
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
from thickets.generation.specs import (
  DTYPES,
  AnsweringSpec,
  ModelSpec,
  SelfConsistencySpec,
  TaskSpec,
)
from thickets.runs.run_config import RunConfig
from thickets.search.population import DESIGNS, PopulationSpec
from thickets.search.selection import EnsembleSpec
from thickets.tasks.splits import Sizes

UNITS = ("absolute", "relative")


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
      extendable=("population.size", "ensemble.also", *sections.LAYOUT),
      later=sections.name_chat_keys("task"),
    ),
    seed=config.seed,
    model=sections.read_model(config),
    task=sections.read_task(config),
    answering=sections.read_answering(config),
    population=sections.read_population(config),
    ensemble=EnsembleSpec(config.ensemble.top_k, tuple(config.ensemble.also)),
    consistency=sections.read_consistency(config),
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
  for name in (*sections.LAYOUT, *sections.name_chat_keys("task")):
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
        *sections.LAYOUT,
      ),
      later=sections.name_chat_keys("tasks")
      | {
        f"consistency.{name}": value
        for name, value in to_json(
          measure_keys.get_config().consistency
        ).items()
      },
    ),
    seed=config.seed,
    model=sections.read_model(config),
    tasks=tuple(
      TaskSpec(
        name,
        # One of `judge` is set aside and asked by nobody; 0 would be the rest.
        Sizes(settings.num_select, settings.num_dev, 1),
        rules=settings.rules,
        seed=config.seed,
        chat=sections.read_chat(settings),
      )
      for name in settings.names
    ),
    answering=sections.read_answering(config),
    population=sections.read_population(config),
    unit=config.population.unit,
    slice=_read_slice(config),
    project=config.project,
    samples=config.consistency.samples,
    consistency=sections.read_consistency(config),
  )


def _read_slice(config) -> SliceSpec:
  return SliceSpec(config.slice.resolution, config.slice.extent)


def _find_randopt_problems(config) -> list[str]:
  problems = [
    *check_ranges(
      config,
      {
        **sections.RANGES,
        "task.num_select": Range(1),
        "task.num_dev": Range(0),
        "task.num_judge": Range(0),
        "population.size": Range(1, 2**32),
        **sections.limit_ensembles(config),
      },
    ),
    *check_choices(
      config, {"model.dtype": DTYPES, "population.design": DESIGNS}
    ),
    *check_not_empty(config, ("population.sigmas", "population.include")),
  ]
  problems += collect(sections.read_consistency, config)
  problems += collect(sections.read_chat, config.task)
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
        **sections.RANGES,
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
  problems += collect(sections.read_chat, config.tasks)
  problems += collect(sections.read_consistency, config)
  return problems + collect(_read_slice, config)
