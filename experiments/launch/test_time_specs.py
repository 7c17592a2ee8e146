"""The door of `experiments.test_time`: its config is checked, and becomes specs."""

import dataclasses

import ml_collections

from configs import test_time as test_time_keys
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
  SelfConsistencySpec,
  TaskSpec,
)
from thickets.runs.run_config import RunConfig


@dataclasses.dataclass(frozen=True)
class TestTimeSpec:
  """How one model is asked at test time.

  Attributes:
    config: the configuration as the run directory keeps it.
    seed: root of every random choice.
    model: the model.
    task: what it is asked.
    answering: how it answers.
    consistency: how it is sampled, at one temperature at least.
    num_samples: samples of each prompt of judge.
    counts: how many of them vote, in ascending order, all of them last.
  """

  config: RunConfig
  seed: int
  model: ModelSpec
  task: TaskSpec
  answering: AnsweringSpec
  consistency: SelfConsistencySpec
  num_samples: int
  counts: tuple[int, ...]


def read_test_time(config: ml_collections.ConfigDict) -> TestTimeSpec:
  """Checks a config of `experiments.test_time`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  refuse(check_keys(config, test_time_keys.get_config()))
  refuse(_find_problems(config))
  votes = config.votes
  return TestTimeSpec(
    config=RunConfig(
      to_json(config),
      extendable=("votes.count", "votes.also", *sections.LAYOUT),
    ),
    seed=config.seed,
    model=sections.read_model(config),
    task=sections.read_task(config),
    answering=sections.read_answering(config),
    consistency=sections.read_consistency(config),
    num_samples=votes.count,
    counts=tuple(sorted({*votes.also, votes.count})),
  )


def _find_problems(config: ml_collections.ConfigDict) -> list[str]:
  ranges = {
    name: allowed
    for name, allowed in sections.RANGES.items()
    if not name.startswith("population.")
  }
  count = config.votes.count
  most = count if count > 0 else None
  problems = [
    *check_ranges(
      config,
      {
        **ranges,
        "task.num_select": Range(1),
        "task.num_dev": Range(0),
        "task.num_judge": Range(0),
        "votes.count": Range(1),
        "votes.also": Range(1, most, "votes.count"),
      },
    ),
    *check_choices(config, {"model.dtype": DTYPES}),
    *check_not_empty(config, ("consistency.temperatures",)),
    *collect(sections.read_chat, config.task),
    *collect(sections.read_consistency, config),
  ]
  temperatures = config.consistency.temperatures
  if len(temperatures) > 1 and not config.task.num_dev:
    problems.append(
      "task.num_dev must be at least 1 to choose among"
      f" {len(temperatures)} consistency.temperatures, got 0. Give dev prompts,"
      " or one temperature."
    )
  return problems
