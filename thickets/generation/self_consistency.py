"""Self-consistency: the base answers several times, and its answers vote.

It is what RandOpt has to beat: as many responses to each prompt as the ensemble
gives, but all of them of the base, at a temperature above zero.

Reference: Wang et al. (2023), "Self-Consistency Improves Chain of Thought
  Reasoning in Language Models".
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.members import BASE, Member
from thickets.naming import Params
from thickets.runs import directory
from thickets.runs.json_files import JsonObject
from thickets.runs.split_labels import Split
from thickets.search import engine
from thickets.search.answers import read_answers
from thickets.search.evaluator import Batch, Channels, Handle
from thickets.search.teams import Team


class SelfConsistency:
  """Samples responses of the base, as far as the log of a run lacks them.

  Args:
    evaluator: generates the samples; one serves all temperatures, which are data
      to its programs.
    run: the open run directory.
    base: the base's weights.
    batches: the prompts by split.
    group: number of the group of tasks that the prompts are of; None where a run
      has one task.
  """

  def __init__(
    self,
    evaluator: LanguageEvaluator,
    run: directory.Run,
    base: Params,
    batches: Mapping[str, Batch],
    group: int | None = None,
  ):
    self._evaluator = evaluator
    self._run, self._base, self._batches = run, base, batches
    self._group = group

  @property
  def compile_s(self) -> float:
    """Seconds spent on compilation so far."""
    return self._evaluator.compile_s

  def sample(self, split: str, temperature: float, count: int) -> None:
    """Samples `count` responses of the base to each prompt of a split."""
    samples = Samples(self._evaluator, temperature)
    batch = self._batches[split]
    engine.evaluate_members(
      self._run,
      samples,
      self._base,
      name_samples(count),
      batch,
      split=Split(split, self._group, temperature).label,
      width=samples.find_width(self._base, batch, count),
      unit="samples",
    )

  def compare(
    self, split: str, temperatures: Sequence[float], count: int
  ) -> list[JsonObject]:
    """Has the base vote with itself at several temperatures.

    Args:
      split: the name of the prompts.
      temperatures: the temperatures, each above 0.
      count: how many responses to each prompt vote.

    Returns:
      The accuracy of the vote at each temperature, as JSON values.
    """
    rows = []
    for temperature in temperatures:
      self.sample(split, temperature, count)
      answers = read_answers(
        self._run,
        Split(split, self._group, temperature).label,
        range(count),
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
    self, temperatures: Sequence[float], count: int, *, split: str = "dev"
  ) -> tuple[float | None, list[JsonObject]]:
    """Chooses a temperature on `dev`, where there are several.

    Args:
      temperatures: the temperatures to choose from.
      count: how many responses to each prompt vote.
      split: the prompts that choose, where `dev` judges.

    Returns:
      The temperature, None where there is none to choose from, and the table of
      `compare`, empty where there was no choice.
    """
    compared = []
    if len(temperatures) > 1:
      compared = self.compare(split, temperatures, count)
    return choose_temperature(temperatures, compared), compared


def choose_temperature(
  temperatures: Sequence[float], compared: Sequence[Mapping[str, Any]]
) -> float | None:
  """The temperature of the highest accuracy, the lowest of those that tie.

  Args:
    temperatures: the temperatures to choose from.
    compared: what `SelfConsistency.compare` returned for them; nothing where
      there is at most one.

  Returns:
    The temperature, None where there is none to choose from.
  """
  if not compared:
    return temperatures[0] if temperatures else None
  best = min(compared, key=lambda row: (-row["accuracy"], row["temperature"]))
  return best["temperature"]


def name_samples(count: int) -> list[Member]:
  """Names samples of the base for an engine that evaluates members.

  A member of no sigma has the base's weights; its seed numbers the sample.
  """
  return [Member(seed=sample, sigma=0.0) for sample in range(count)]


@dataclasses.dataclass(frozen=True)
class Samples:
  """An `Evaluator` of the base's samples, as `name_samples` names them.

  Attributes:
    evaluator: generates the samples.
    temperature: the temperature of the samples, above zero.
  """

  evaluator: LanguageEvaluator
  temperature: float

  @property
  def team(self) -> Team:
    """The processes that generate samples together."""
    return self.evaluator.team

  @property
  def compile_s(self) -> float:
    """Seconds that the evaluator has spent on compilation so far."""
    return self.evaluator.compile_s

  def place(
    self, base: Params, batch: Batch, num_members: int
  ) -> tuple[Params, Batch]:
    """Puts the base where it will be used; see `LanguageEvaluator.place`."""
    return self.evaluator.place(base, batch, num_members)

  def find_width(self, base: Params, batch: Batch, num_members: int) -> int:
    """Samples to a chunk: as many as there is memory for."""
    rows = self.evaluator.find_rows(base, batch)
    return max(1, min(num_members, rows // len(batch["index"])))

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Batch
  ) -> Handle:
    """Generates all samples at once, and queues the grading."""
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
  """Waits for channels [1, P * Q], and divides them among P samples."""

  handle: Handle
  count: int

  def result(self) -> Channels:
    return {
      name: channel[0].reshape(self.count, -1, *channel.shape[2:])
      for name, channel in self.handle.result().items()
    }
