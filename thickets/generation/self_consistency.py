"""Self-consistency: the base answers several times and votes with itself.

The comparison that RandOpt has to bear: as many responses to each prompt as the
ensemble gives, but all of the base, at a temperature above zero.

Reference: Wang et al. (2023), "Self-Consistency Improves Chain of Thought
  Reasoning in Language Models".
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thickets.analysis import randopt_results
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.members import BASE, Member
from thickets.naming import Params
from thickets.runs import directory
from thickets.runs.split_labels import Split
from thickets.search import engine
from thickets.search.evaluator import Batch, Handle


class SelfConsistency:
  """Samples the base on the splits of a run, as far as its log lacks them.

  Args:
    evaluator: that samples; one for all temperatures, which are data to its
      programs.
    folder: the run directory.
    base: the weights.
    batches: prompts by split.

  Attributes:
    evaluator: as given.
  """

  def __init__(
    self,
    evaluator: LanguageEvaluator,
    folder: directory.Run,
    base: Params,
    batches: Mapping[str, Batch],
  ):
    self.evaluator = evaluator
    self._folder, self._base, self._batches = folder, base, batches

  def sample(self, split: str, temperature: float | int, count: int) -> None:
    """Has the base answer a split `count` times."""
    samples = Samples(self.evaluator, temperature)
    batch = self._batches[split]
    engine.evaluate_members(
      self._folder,
      samples,
      self._base,
      name_samples(count),
      batch,
      split=name_split(split, temperature),
      width=samples.find_width(self._base, batch, count),
    )

  def compare(
    self, split: str, temperatures: Sequence[float | int], count: int
  ) -> list[dict[str, Any]]:
    """How the base votes with itself at several temperatures, as JSON values."""
    rows = []
    for temperature in temperatures:
      self.sample(split, temperature, count)
      answers = randopt_results.read_answers(
        self._folder, name_split(split, temperature), range(count)
      )
      rows.append(
        {
          "temperature": float(temperature),
          "k": count,
          "size": answers.lenient.shape[1],
          "accuracy": float(answers.elect()[:, -1].mean()),
        }
      )
    return rows


def choose_temperature(
  temperatures: Sequence[float | int], compared: Sequence[Mapping[str, Any]]
) -> float | int | None:
  """The temperature of the highest accuracy, the lowest of those at a tie.

  Args:
    temperatures: that there are to choose from.
    compared: rows of `SelfConsistency.compare`; none where there is no choice.
  """
  if not compared:
    return temperatures[0] if temperatures else None
  best = min(compared, key=lambda row: (-row["accuracy"], row["temperature"]))
  return best["temperature"]


def name_split(split: str, temperature: float | int) -> str:
  """The label in the log of a split that samples of the base answered."""
  return Split(split, temperature=temperature).label


def name_samples(count: int) -> list[Member]:
  """Names samples of the base for an engine that evaluates members.

  A member of no sigma has the base's weights; its seed numbers the sample.
  """
  return [Member(seed=sample, sigma=0.0) for sample in range(count)]


@dataclasses.dataclass(frozen=True)
class Samples:
  """An `Evaluator` of the base's samples, as `name_samples` names them.

  Attributes:
    evaluator: that samples.
    temperature: of the samples, above zero.
  """

  evaluator: LanguageEvaluator
  temperature: float | int

  def place(
    self, base: Params, batch: Batch, num_members: int
  ) -> tuple[Params, Batch]:
    """As of the evaluator."""
    return self.evaluator.place(base, batch, num_members)

  def find_width(self, base: Params, batch: Batch, count: int) -> int:
    """How many samples are generated at once: as many as memory has rows for."""
    rows = self.evaluator.find_rows(base, batch)
    return max(1, min(count, rows // len(batch["index"])))

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Batch
  ) -> Handle:
    """Generates a sample for each member at once, and queues the grading."""
    if any(member.sigma for member in members):
      raise ValueError(f"A sample must have sigma 0, got {members}.")
    num_prompts, count = len(batch["index"]), len(members)
    tiled = {
      name: np.tile(array, (count,) + (1,) * (array.ndim - 1))
      for name, array in batch.items()
    }
    samples = np.array([member.seed for member in members], np.uint32)
    tiled["sample"] = np.repeat(samples, num_prompts)
    tiled["temperature"] = np.full(
      count * num_prompts, self.temperature, np.float32
    )
    return _Divided(self.evaluator(base, [BASE], tiled), count)


@dataclasses.dataclass(frozen=True)
class _Divided:
  """Waits for one member's channels and divides them among samples."""

  handle: Handle
  count: int

  def result(self):
    return {
      name: channel[0].reshape(self.count, -1, *channel.shape[2:])
      for name, channel in self.handle.result().items()
    }
