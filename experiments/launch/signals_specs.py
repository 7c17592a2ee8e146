"""The door of the 1-D runs: a config is checked, and becomes frozen specs."""

import dataclasses

import ml_collections

from configs import signals as signals_keys
from experiments.launch import sections
from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_keys,
  check_not_empty,
  check_ranges,
  refuse,
  to_json,
)
from thickets.errors import UserError
from thickets.models import mlp
from thickets.runs.run_config import RunConfig
from thickets.search.population import DESIGNS, PopulationSpec
from thickets.search.selection import EnsembleSpec
from thickets.tasks import signals
from thickets.training.signals_pretraining import SignalsPretraining


@dataclasses.dataclass(frozen=True)
class SignalsTask:
  """What the network must predict.

  Attributes:
    family: the signals, a key of `signals.SIGNAL_FAMILIES`.
    context: values that are given.
    horizon: values to predict.
    num_select: signals that choose members.
    num_judge: signals that judge the choice.

  Raises:
    UserError: if the family is not known, or a number is below one.
  """

  family: str
  context: int
  horizon: int
  num_select: int
  num_judge: int

  def __post_init__(self):
    known = sorted(signals.SIGNAL_FAMILIES)
    if self.family not in known:
      raise UserError(
        f"task.family must be one of {known}, got {self.family!r}."
      )
    for name in ("context", "horizon", "num_select", "num_judge"):
      if getattr(self, name) < 1:
        raise UserError(
          f"task.{name} must be at least 1, got {getattr(self, name)}."
        )

  @property
  def is_single(self) -> bool:
    """Whether all signals are copies of one."""
    return signals.is_single(self.family)

  @property
  def note(self) -> str:
    """What a reader of the table must know; "" for nothing."""
    if not self.is_single:
      return ""
    return (
      f"{self.family} is a single signal: judging repeats the selection, and"
      " what is uncertain is the spread over seeds"
    )


@dataclasses.dataclass(frozen=True)
class SignalsSpec:
  """What a RandOpt run on 1-D signals is asked to do.

  Attributes:
    config: the configuration as the run directory keeps it.
    seed: root of every random choice.
    model: the network.
    pretraining: how it is pretrained.
    task: what it must predict.
    population: which members there are.
    ensemble: how many of the best are averaged.
    populations: smaller populations for the curve.
  """

  config: RunConfig
  seed: int
  model: mlp.MLP
  pretraining: SignalsPretraining
  task: SignalsTask
  population: PopulationSpec
  ensemble: EnsembleSpec
  populations: tuple[int, ...]


def read_signals(config: ml_collections.ConfigDict) -> SignalsSpec:
  """Checks a config of `experiments.signals`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  refuse(check_keys(config, signals_keys.get_config()))
  refuse(_find_problems(config))
  return SignalsSpec(
    config=RunConfig(
      to_json(config),
      # The reported K is not among them: it is chosen before judging is seen.
      extendable=("population.size", "ensemble.also", "ensemble.populations"),
    ),
    seed=config.seed,
    model=mlp.make_mlp(**config.model),
    pretraining=SignalsPretraining(**config.pretraining),
    task=SignalsTask(**config.task),
    population=sections.read_population(config),
    ensemble=EnsembleSpec(config.ensemble.top_k, tuple(config.ensemble.also)),
    populations=tuple(config.ensemble.populations),
  )


def _find_problems(config) -> list[str]:
  return [
    *check_ranges(
      config,
      {
        "seed": Range(0, 2**32 - 1),
        "model.width": Range(1),
        "model.depth": Range(2),
        "pretraining.num_steps": Range(0),
        "pretraining.batch_size": Range(1),
        "pretraining.learning_rate": Range(0),
        "task.context": Range(1),
        "task.horizon": Range(1),
        "task.num_select": Range(1),
        "task.num_judge": Range(1),
        "population.size": Range(1, 2**32),
        "population.sigmas": Range(0),
        "population.chunk": Range(0),
        **sections.limit_ensembles(config),
        "ensemble.populations": Range(1),
      },
    ),
    *check_choices(
      config,
      {
        "model.init": mlp.INITIALISERS,
        "pretraining.family": signals.SIGNAL_FAMILIES,
        "task.family": signals.SIGNAL_FAMILIES,
        "population.design": DESIGNS,
      },
    ),
    *check_not_empty(config, ("population.sigmas", "population.include")),
  ]
