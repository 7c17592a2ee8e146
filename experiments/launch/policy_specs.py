"""The door of `experiments.policy_gradient`: its config becomes specs."""

import dataclasses

import ml_collections

from configs import policy_gradient as policy_keys
from experiments.launch import sections
from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_keys,
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
from thickets.runs.run_config import RunConfig
from thickets.training.lora import LoraSpec
from thickets.training.policy_spec import (
  CriticSpec,
  OptimizerSpec,
  PolicySpec,
  RolloutSpec,
)
from thickets.training.step_schedule import StepSchedule

_METHODS = ("grpo", "ppo")


@dataclasses.dataclass(frozen=True)
class PolicyRunSpec:
  """What a run of GRPO or PPO is asked to do.

  Attributes:
    config: the configuration as the run directory keeps it.
    model: which model is the base.
    task: what it is asked.
    answering: how it answers.
    policy: how it learns.
    lora: the adapters that learn; None where all weights do.
    schedule: when weights are saved and watched.
    num_steps: the most steps; None where the budget alone ends the run.
    budget_flops: what all steps may cost; None for no limit.
  """

  config: RunConfig
  model: ModelSpec
  task: TaskSpec
  answering: AnsweringSpec
  policy: PolicySpec
  lora: LoraSpec | None
  schedule: StepSchedule
  num_steps: int | None
  budget_flops: float | None


def read_policy(config: ml_collections.ConfigDict) -> PolicyRunSpec:
  """Checks a config of `experiments.policy_gradient`, and turns it into specs.

  Raises:
    UserError: with everything that is wrong, before any device work.
  """
  refuse(check_keys(config, policy_keys.get_config()))
  refuse(_find_problems(config))
  return PolicyRunSpec(
    config=RunConfig(
      to_json(config),
      extendable=(
        *("policy.num_steps", "policy.save_every", "budget.flops"),
        *("policy.micro_rows", *sections.LAYOUT),
      ),
    ),
    model=sections.read_model(config),
    task=sections.read_task(config),
    answering=sections.read_answering(config),
    policy=_read_policy(config),
    lora=_read_lora(config) if config.lora.rank else None,
    schedule=_read_schedule(config),
    num_steps=config.policy.num_steps or None,
    budget_flops=config.budget.flops or None,
  )


def _read_policy(config: ml_collections.ConfigDict) -> PolicySpec:
  settings = config.policy
  return PolicySpec(
    rollout=_read_rollout(config),
    optimizer=_read_optimizer(config),
    critic=_read_critic(config) if config.method == "ppo" else None,
    num_epochs=settings.num_epochs,
    minibatch=settings.minibatch,
    micro_rows=settings.micro_rows or None,
    clip_low=settings.clip_low,
    clip_high=settings.clip_high,
    divergence=settings.divergence,
    is_scaled=settings.scale_advantages,
  )


def _read_lora(config: ml_collections.ConfigDict) -> LoraSpec:
  return LoraSpec(**dict(config.lora), seed=config.seed)


def _read_rollout(config: ml_collections.ConfigDict) -> RolloutSpec:
  settings = config.rollout
  return RolloutSpec(settings.num_prompts, settings.group, config.seed)


def _read_optimizer(config: ml_collections.ConfigDict) -> OptimizerSpec:
  settings = config.policy
  return OptimizerSpec(
    settings.learning_rate,
    settings.warmup,
    settings.weight_decay,
    settings.clip_norm,
  )


def _read_critic(config: ml_collections.ConfigDict) -> CriticSpec:
  settings = config.critic
  optimizer = OptimizerSpec(
    settings.learning_rate,
    settings.warmup,
    config.policy.weight_decay,
    config.policy.clip_norm,
    section="critic",
  )
  return CriticSpec(optimizer, settings.discount, settings.trace, settings.clip)


def _read_schedule(config: ml_collections.ConfigDict) -> StepSchedule:
  settings = config.policy
  return StepSchedule("policy", settings.save_every, settings.watch_every)


def _find_problems(config: ml_collections.ConfigDict) -> list[str]:
  shared = {
    name: allowed
    for name, allowed in sections.RANGES.items()
    if not name.startswith("population.")
  }
  problems = [
    *check_ranges(
      config,
      {
        **shared,
        "task.num_select": Range(1),
        "task.num_dev": Range(0),
        "task.num_judge": Range(0),
        "policy.num_steps": Range(0),
        "policy.micro_rows": Range(0),
        "lora.rank": Range(0),
        "budget.flops": Range(0),
      },
    ),
    *check_choices(config, {"model.dtype": DTYPES, "method": _METHODS}),
    *collect(sections.read_chat, config.task),
  ]
  if not problems:  # Otherwise the same would be said twice.
    parts = [_read_rollout, _read_optimizer, _read_schedule]
    if config.method == "ppo":
      parts.append(_read_critic)
    if config.lora.rank:
      parts.append(_read_lora)
    found = (one for part in parts for one in collect(part, config))
    problems += dict.fromkeys(found)  # A critic shares some keys of the policy.
  if not problems:  # It is made of the others.
    problems += collect(_read_policy, config)
  if config.policy.num_steps == 0 and config.budget.flops == 0:
    problems.append(
      "policy.num_steps or budget.flops must be above 0, got 0 for both: the run"
      " would never end. Set one of them."
    )
  if config.rollout.num_prompts > config.task.num_select:
    problems.append(
      "rollout.num_prompts must be at most task.num_select="
      f"{config.task.num_select}, got {config.rollout.num_prompts}. Lower it, or"
      " raise task.num_select."
    )
  return problems
