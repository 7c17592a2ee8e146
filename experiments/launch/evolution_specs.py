"""The door of `experiments.evolution`: its config is checked, and becomes specs."""

import dataclasses

import ml_collections

from configs import evolution as evolution_keys
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
from thickets.generation.specs import (
  DTYPES,
  AnsweringSpec,
  ModelSpec,
  TaskSpec,
)
from thickets.perturbation import Gaussian
from thickets.runs.run_config import RunConfig
from thickets.search.population import PopulationSpec
from thickets.training.evolution import EvolutionSpec
from thickets.training.step_schedule import StepSchedule


@dataclasses.dataclass(frozen=True)
class EvolutionRunSpec:
  """What a run of evolution strategies is asked to do.

  Attributes:
    config: the configuration as the run directory keeps it.
    model: which model is the base.
    task: what it is asked.
    answering: how it answers.
    evolution: how members of a step are drawn, and how far the weights move.
    schedule: when weights are saved and watched.
    chunk: members to a chunk; None finds it from memory.
    num_steps: the most steps; None where the budget alone ends the run.
    budget_flops: what all steps may cost; None for no limit.
  """

  config: RunConfig
  model: ModelSpec
  task: TaskSpec
  answering: AnsweringSpec
  evolution: EvolutionSpec
  schedule: StepSchedule
  chunk: int | None
  num_steps: int | None
  budget_flops: float | None

  @property
  def population(self) -> PopulationSpec:
    """What the log says of the population of each step."""
    evolution = self.evolution
    return PopulationSpec(
      size=evolution.size,
      sigmas=(evolution.sigma,),
      seed=evolution.seed,
      kind=evolution.kind,
      chunk=self.chunk,
    )


def read_evolution(config: ml_collections.ConfigDict) -> EvolutionRunSpec:
  """Checks a config of `experiments.evolution`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  refuse(check_keys(config, evolution_keys.get_config()))
  refuse(_find_problems(config))
  return EvolutionRunSpec(
    config=RunConfig(
      to_json(config),
      extendable=(
        *("evolution.num_steps", "evolution.save_every", "budget.flops"),
        *sections.LAYOUT,
      ),
    ),
    model=sections.read_model(config),
    task=sections.read_task(config),
    answering=sections.read_answering(config),
    evolution=_read_evolution(config),
    schedule=_read_schedule(config),
    chunk=config.population.chunk or None,
    num_steps=config.evolution.num_steps or None,
    budget_flops=config.budget.flops or None,
  )


def _read_evolution(config: ml_collections.ConfigDict) -> EvolutionSpec:
  settings = config.population
  return EvolutionSpec(
    size=settings.size,
    sigma=settings.sigma,
    alpha=config.evolution.alpha,
    seed=config.seed,
    is_antithetic=settings.antithetic,
    kind=Gaussian(settings.include, settings.exclude),
  )


def _read_schedule(config: ml_collections.ConfigDict) -> StepSchedule:
  settings = config.evolution
  return StepSchedule("evolution", settings.save_every, settings.watch_every)


def _find_problems(config: ml_collections.ConfigDict) -> list[str]:
  shared = {
    name: allowed
    for name, allowed in sections.RANGES.items()
    if name != "population.sigmas"
  }
  problems = [
    *check_ranges(
      config,
      {
        **shared,
        "task.num_select": Range(1),
        "task.num_dev": Range(0),
        "task.num_judge": Range(0),
        "evolution.num_steps": Range(0),
        "budget.flops": Range(0),
      },
    ),
    *check_choices(config, {"model.dtype": DTYPES}),
    *check_not_empty(config, ("population.include",)),
    *collect(sections.read_chat, config.task),
  ]
  if not problems:  # Otherwise the same would be said twice.
    problems += collect(_read_evolution, config)
    problems += collect(_read_schedule, config)
  if config.evolution.num_steps == 0 and config.budget.flops == 0:
    problems.append(
      "evolution.num_steps or budget.flops must be above 0, got 0 for both: the"
      " run would never end. Set one of them."
    )
  return problems
