"""Self-consistency: the base answers several times and votes with itself.

The comparison that RandOpt has to bear: as many responses to each prompt as the
ensemble gives, but all of the base, at a temperature above zero.

Reference: Wang et al. (2023), "Self-Consistency Improves Chain of Thought
  Reasoning in Language Models".
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from thickets.language import LanguageEvaluator
from thickets.naming import Params
from thickets.perturb import BASE, Member
from thickets.population import Batch, Handle


def name_samples(count: int) -> list[Member]:
  """Names samples of the base for an engine that evaluates members.

  A member of no sigma has the base's weights; its seed numbers the sample.
  """
  return [Member(seed=sample, sigma=0.0) for sample in range(count)]


@dataclasses.dataclass(frozen=True)
class Samples:
  """An `Evaluator` of the base's samples, as `name_samples` names them.

  Attributes:
    evaluator: that samples; one for all temperatures compiles once.
    temperature: of the samples, above zero.
  """

  evaluator: LanguageEvaluator
  temperature: float | int

  def place(
    self, base: Params, batch: Batch, num_members: int
  ) -> tuple[Params, Batch]:
    """As of the evaluator."""
    return self.evaluator.place(base, batch, num_members)

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Batch
  ) -> Handle:
    """Generates a sample for each member, and queues the grading."""
    num_prompts = len(batch["index"])
    temperature = np.full(num_prompts, self.temperature, np.float32)
    handles = []
    for member in members:
      if member.sigma:
        raise ValueError(f"A sample must have sigma 0, got {member}.")
      sample = np.full(num_prompts, member.seed, np.uint32)
      fields = {"sample": sample, "temperature": temperature}
      handles.append(self.evaluator(base, [BASE], batch | fields))
    return _Joined(handles)


@dataclasses.dataclass(frozen=True)
class _Joined:
  """Waits for chunks of one member each."""

  handles: Sequence[Any]

  def result(self):
    parts = [handle.result() for handle in self.handles]
    return {
      name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
