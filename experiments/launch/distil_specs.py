"""The door of `experiments.distil`: its config is checked, and becomes specs."""

import dataclasses

import ml_collections

from configs import distil as distil_keys
from experiments.launch.config_checks import (
  Range,
  check_keys,
  check_ranges,
  collect,
  refuse,
  to_json,
)
from thickets.runs.json_files import JsonObject
from thickets.training.distillation import FittingSpec, TeachingSpec
from thickets.training.lora import LoraSpec


@dataclasses.dataclass(frozen=True)
class DistilSpec:
  """What a distillation is asked to do.

  Attributes:
    fields: the configuration as JSON values.
    seed: root of every random choice.
    top_k: how many members teach; None for the K of the run.
    teaching: which responses are taught, and what of them.
    fitting: how weights are fitted to them.
    watch_every: steps between two evaluations on `dev`.
    save_every: steps between two checkpoints.
    lora: the adapters; None where whole weights are trained.
    budget_flops: what responses and steps may cost; None for no limit.
  """

  fields: JsonObject
  seed: int
  top_k: int | None
  teaching: TeachingSpec
  fitting: FittingSpec
  watch_every: int
  save_every: int
  lora: LoraSpec | None
  budget_flops: float | None


def read_distil(config: ml_collections.ConfigDict) -> DistilSpec:
  """Checks a config of `experiments.distil`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  refuse(check_keys(config, distil_keys.get_config()))
  refuse(
    [
      *check_ranges(
        config,
        {
          "seed": Range(0, 2**32 - 1),
          "teaching.top_k": Range(0),
          "fitting.watch_every": Range(1),
          "fitting.save_every": Range(1),
          "lora.rank": Range(0),
          "budget.flops": Range(0),
        },
      ),
      *collect(_read_teaching, config),
      *collect(_read_fitting, config),
      *(collect(_read_lora, config) if config.lora.rank > 0 else ()),
    ]
  )
  return DistilSpec(
    fields=to_json(config),
    seed=config.seed,
    top_k=config.teaching.top_k or None,
    teaching=_read_teaching(config),
    fitting=_read_fitting(config),
    watch_every=config.fitting.watch_every,
    save_every=config.fitting.save_every,
    lora=_read_lora(config) if config.lora.rank else None,
    budget_flops=config.budget.flops or None,
  )


def _read_teaching(config: ml_collections.ConfigDict) -> TeachingSpec:
  settings = dict(config.teaching)
  del settings["top_k"]
  return TeachingSpec(**settings)


def _read_fitting(config: ml_collections.ConfigDict) -> FittingSpec:
  settings = dict(config.fitting)
  del settings["watch_every"], settings["save_every"]
  return FittingSpec(**settings, seed=config.seed)


def _read_lora(config: ml_collections.ConfigDict) -> LoraSpec:
  return LoraSpec(**dict(config.lora), seed=config.seed)
