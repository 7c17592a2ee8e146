"""What a training by policy gradients is asked to do, as frozen records."""

import dataclasses
from typing import Any

import numpy as np

from thickets.training import spec_checks

_TINY = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True)
class RolloutSpec:
  """What is sampled before each update.

  Attributes:
    num_prompts: B, prompts of a step.
    group: G, responses to each of them.
    seed: root seed of prompts and responses, within [0, 2**32).

  Raises:
    SpecError: if a value is out of range.
  """

  num_prompts: int
  group: int
  seed: int

  def __post_init__(self):
    spec_checks.raise_problems(
      [
        *spec_checks.check_range("rollout.num_prompts", self.num_prompts, 1),
        *spec_checks.check_range("rollout.group", self.group, 1),
        *spec_checks.check_range("seed", self.seed, 0, 2**32 - 1),
      ]
    )

  @property
  def num_rows(self) -> int:
    """R, the roll-outs of a step."""
    return self.num_prompts * self.group


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
  """How weights follow their gradients: AdamW at a constant rate.

  Attributes:
    learning_rate: the rate at which every step behind the warm-up learns.
    warmup: updates in which the rate rises linearly to that; 0 for none.
    weight_decay: decay of all weights, times the learning rate.
    clip_norm: the largest norm of the gradients of all weights together.
    section: the section of a config that holds rate and warm-up, for messages; decay
      and norm are those of the policy for a critic as well.

  Raises:
    SpecError: if a value is out of range.
  """

  learning_rate: float
  warmup: int = 0
  weight_decay: float = 0.0
  clip_norm: float = 1.0
  section: str = "policy"

  def __post_init__(self):
    name = self.section
    spec_checks.raise_problems(
      [
        *spec_checks.check_range(
          f"{name}.learning_rate", self.learning_rate, _TINY, 1e3
        ),
        *spec_checks.check_range(f"{name}.warmup", self.warmup, 0),
        *spec_checks.check_range("policy.weight_decay", self.weight_decay, 0),
        *spec_checks.check_range("policy.clip_norm", self.clip_norm, _TINY),
      ]
    )


@dataclasses.dataclass(frozen=True)
class CriticSpec:
  """The critic of PPO: a second model that expects what a response will earn.

  Attributes:
    optimizer: how its weights move.
    discount: gamma of the advantages, in [0, 1].
    trace: lambda of the advantages, in [0, 1].
    clip: how far a value counts from that at the time of the roll-outs.

  Raises:
    SpecError: if a value is out of range.
  """

  optimizer: OptimizerSpec
  discount: float = 1.0
  trace: float = 1.0
  clip: float = 0.5

  def __post_init__(self):
    spec_checks.raise_problems(
      [
        *spec_checks.check_range("critic.discount", self.discount, 0, 1),
        *spec_checks.check_range("critic.trace", self.trace, 0, 1),
        *spec_checks.check_range("critic.clip", self.clip, _TINY),
      ]
    )


@dataclasses.dataclass(frozen=True)
class PolicySpec:
  """GRPO, or PPO where there is a critic.

  Attributes:
    rollout: what is sampled before each update.
    optimizer: how the weights move.
    critic: the critic of PPO; None for GRPO, which compares the responses of a
      group instead.
    num_epochs: how often each roll-out is learnt from.
    minibatch: prompts of an update, with all their responses; divides those of a
      step.
    micro_rows: roll-outs whose gradients are computed at once; None for all of an
      update. It divides their number, and saves memory.
    clip_low: the ratio of probabilities counts no lower than 1 - clip_low, ...
    clip_high: ... and no higher than 1 + clip_high.
    divergence: weight of the divergence from the base; 0 for none.
    is_scaled: whether GRPO divides advantages by the standard deviation of their
      group.

  Raises:
    SpecError: if a value is out of range.
  """

  rollout: RolloutSpec
  optimizer: OptimizerSpec
  critic: CriticSpec | None = None
  num_epochs: int = 1
  minibatch: int = 1
  micro_rows: int | None = None
  clip_low: float = 0.2
  clip_high: float = 0.2
  divergence: float = 0.0
  is_scaled: bool = True

  def __post_init__(self):
    problems = [
      *spec_checks.check_range("policy.num_epochs", self.num_epochs, 1),
      *spec_checks.check_range("policy.minibatch", self.minibatch, 1),
      *spec_checks.check_range("policy.clip_low", self.clip_low, _TINY, 1),
      *spec_checks.check_range("policy.clip_high", self.clip_high, _TINY),
      *spec_checks.check_range("policy.divergence", self.divergence, 0),
    ]
    if self.critic is None and self.rollout.group < 2:
      problems.append(
        "rollout.group must be at least 2 for grpo, which compares the responses"
        f" to one prompt with each other, got {self.rollout.group}. Raise it, or"
        " set method=ppo."
      )
    if not problems:
      problems += self._find_indivisible()
    spec_checks.raise_problems(problems)

  def _find_indivisible(self) -> list[str]:
    found = []
    if self.rollout.num_prompts % self.minibatch:
      found.append(
        "policy.minibatch must divide rollout.num_prompts="
        f"{self.rollout.num_prompts}, got {self.minibatch}."
      )
    if self.micro_rows is not None and (
      self.micro_rows < 1 or self.num_update_rows % self.micro_rows
    ):
      found.append(
        "policy.micro_rows must divide the roll-outs of an update"
        f" ({self.num_update_rows}), or be 0 for all of them, got"
        f" {self.micro_rows}."
      )
    return found

  @property
  def method(self) -> str:
    """Its name in tables and ledgers."""
    return "grpo" if self.critic is None else "ppo"

  @property
  def num_update_rows(self) -> int:
    """Roll-outs of an update."""
    return self.minibatch * self.rollout.group

  @property
  def num_updates(self) -> int:
    """Updates of a step."""
    return self.num_epochs * (self.rollout.num_prompts // self.minibatch)

  @property
  def has_reference(self) -> bool:
    """Whether the base reads every roll-out as well."""
    return self.divergence > 0

  def describe(self) -> dict[str, Any]:
    """What the weights after a step depend on, as JSON values."""
    fields = dataclasses.asdict(self)
    del fields["micro_rows"]  # How the work is laid out.
    return {"name": self.method, **fields}
