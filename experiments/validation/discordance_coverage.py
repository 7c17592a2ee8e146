"""Spectral discordance on populations of known D: bias, and what intervals hold.

`experiments.coverage_diversity` runs it, and docs/diversity.md reads the result.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from experiments.validation.coverage_rate import describe_coverage
from thickets.analysis import (
  clusters,
  decomposition,
  discordance_intervals,
  diversity,
  specialists,
)
from thickets.analysis.rank_correlation import Column
from thickets.runs import process_memory

_QUANTILES = (0.025, 0.975)


@dataclasses.dataclass(frozen=True)
class Effort:
  """How much is drawn; more makes the results more exact, and takes longer.

  Attributes:
    num_runs: simulated runs of each population.
    num_resamples: draws of each bootstrap of a run.
    num_splits: halvings of the prompts of a run.
    truth_sets: sets of new prompts behind a true D over new prompts.
    truth_members: members behind a true D on given prompts.
    truth_repeats: how often as many members are drawn, and averaged.
    truth_splits: halvings of the prompts behind a true D without noise.
    timed_members: members of the table on which the estimators are timed.
  """

  num_runs: int = 2000
  num_resamples: int = 1000
  num_splits: int = 20
  truth_sets: int = 1000
  truth_members: int = 50_000
  truth_repeats: int = 4
  truth_splits: int = 200
  timed_members: int = 5000

  @property
  def options(self) -> dict[str, Any]:
    """What a run asks of `diversity.measure_discordance`."""
    return {
      "num_resamples": self.num_resamples,
      "num_splits": self.num_splits,
    }


SMOKE = Effort(
  num_runs=40,
  num_resamples=200,
  truth_sets=40,
  truth_members=5000,
  truth_repeats=1,
  truth_splits=4,
  timed_members=500,
)


@dataclasses.dataclass(frozen=True)
class FactorPopulation:
  """Members whose skills share one factor, answering prompts or scored exactly.

  Attributes:
    name: what the population is called in the results.
    num_members: P, members drawn in each run.
    num_tasks: M, tasks that all of them are scored on.
    shared: share of a skill's variance that all tasks have in common; below
      zero, every other task has it reversed.
    num_prompts: prompts of each task, answered right or wrong; 0 for exact scores.
    new_prompts: whether prompts are drawn anew in each run; otherwise all runs
      are on the same ones.
  """

  name: str
  num_members: int
  num_tasks: int
  shared: float
  num_prompts: int = 0
  new_prompts: bool = False

  def draw_prompts(self, rng: np.random.Generator) -> list[np.ndarray]:
    """Per task and prompt: the logit, and what two sides of a skill add."""
    size = (3, max(1, self.num_prompts))
    scale = np.array([[1.5], [0.4], [0.8]])
    shift = np.array([[-0.3], [0.8], [0.0]])
    return [
      shift + scale * rng.normal(size=size) for _ in range(self.num_tasks)
    ]

  def draw_scores(
    self,
    prompts: list[np.ndarray],
    num_members: int,
    rng: np.random.Generator,
  ) -> list[np.ndarray]:
    """Scores of members drawn anew, [P, Q] per task."""
    factor = rng.normal(size=num_members) * np.sqrt(abs(self.shared))
    scores = []
    for task, (logit, first, second) in enumerate(prompts):
      sign = -1.0 if self.shared < 0 and task % 2 else 1.0
      own = rng.normal(size=num_members) * np.sqrt(1 - abs(self.shared))
      skill = sign * factor + own
      if not self.num_prompts:
        scores.append(skill[:, None])
        continue
      # A second side of the skill, which prompts ask for in differing degree.
      side = rng.normal(size=num_members)
      chance = scipy.special.expit(
        logit + np.outer(skill, first) + np.outer(side, second)
      )
      scores.append((rng.random(chance.shape) < chance).astype(np.float64))
    return scores


POPULATIONS = (
  FactorPopulation("exact, unrelated", 300, 7, 0.0),
  FactorPopulation("exact, half shared", 100, 7, 0.5),
  FactorPopulation("exact, half shared, few", 30, 7, 0.5),
  FactorPopulation("exact, nearly alike", 100, 3, 0.95),
  FactorPopulation("exact, opposed", 60, 7, -0.6),
  FactorPopulation("200 prompts, same", 300, 4, 0.6, 200),
  FactorPopulation("20 prompts, same", 200, 4, 0.6, 20),
  FactorPopulation("100 prompts, new", 200, 4, 0.6, 100, True),
  FactorPopulation("20 prompts, new", 1000, 4, 0.6, 20, True),
)


def simulate_discordance(
  population: FactorPopulation, rng: np.random.Generator, effort: Effort
) -> dict[str, Any]:
  """Returns the bias of D and the coverage of each interval, as JSON values."""
  prompts = population.draw_prompts(rng)
  truth = _find_truth(population, prompts, rng, effort)
  held: dict[str, list[bool]] = {}
  moved, pushed = [], []
  for run in range(effort.num_runs):
    if population.new_prompts:
      prompts = population.draw_prompts(rng)
    scores = population.draw_scores(prompts, population.num_members, rng)
    got = diversity.measure_discordance(scores, seed=run, **effort.options)
    found: dict[str, tuple[float, float] | None] = {}
    if population.new_prompts:
      found["interval_new_prompts"] = got.interval_new_prompts
      # The interval over members alone, for what it is not meant for.
      found["interval, over new prompts"] = got.interval
    else:
      found["interval"] = got.interval
      found["disattenuated_interval"] = got.disattenuated_interval
      means = [table.mean(axis=1) for table in scores]
      drawn = discordance_intervals.resample_members(
        [Column.sort(column) for column in means], 200, rng
      )
      low, high = np.quantile(drawn, _QUANTILES)
      found["plain percentile"] = (float(low), float(high))
      pushed.append(float(drawn.mean()) - got.value)
    moved.append(got.value - truth["value"])
    for name, ends in found.items():
      if ends is not None:
        aim = truth["disattenuated" if "disatt" in name else "value"]
        held.setdefault(name, []).append(bool(ends[0] <= aim <= ends[1]))
  return {
    **dataclasses.asdict(population),
    "truth": truth,
    "bias": float(np.mean(moved)),
    "standard_deviation": float(np.std(moved)),
    "shift_of_resamples": float(np.mean(pushed)) if pushed else None,
    "coverage": {name: describe_coverage(runs) for name, runs in held.items()},
  }


def _find_truth(
  population: FactorPopulation,
  prompts: list[np.ndarray],
  rng: np.random.Generator,
  effort: Effort,
) -> dict[str, Any]:
  """D of a neighbourhood too large to be drawn in a run."""
  if population.new_prompts:
    values = []
    for _ in range(effort.truth_sets):
      prompts = population.draw_prompts(rng)
      scores = population.draw_scores(prompts, 3000, rng)
      table = np.stack([part.mean(axis=1) for part in scores], axis=1)
      values.append(diversity.spectral_discordance(table))
    return {"value": float(np.mean(values))}
  results = [
    diversity.measure_discordance(
      population.draw_scores(prompts, effort.truth_members, rng),
      num_resamples=2,
      num_splits=effort.truth_splits,
    )
    for _ in range(effort.truth_repeats)
  ]
  clean = [
    result.disattenuated
    for result in results
    if result.disattenuated is not None
  ]
  return {
    "value": float(np.mean([result.value for result in results])),
    "disattenuated": float(np.mean(clean))
    if len(clean) == len(results)
    else None,
    "floor": results[0].floor,
  }


def time_estimators(size: int) -> dict[str, Any]:
  """Returns seconds and memory of all that is measured on a table of members.

  Args:
    size: number of members.
  """
  population = FactorPopulation("timing", size, 7, 0.5, 200)
  rng = np.random.default_rng(0)
  scores = population.draw_scores(population.draw_prompts(rng), size, rng)
  means = np.stack([table.mean(axis=1) for table in scores], axis=1)
  names = [f"task {task}" for task in range(7)]
  right = [table > 0 for table in scores]
  steps: dict[str, Callable[[], Any]] = {
    "measure_discordance": lambda: diversity.measure_discordance(scores),
    "embed_members": lambda: clusters.embed_members(means, names=names),
    "topk_overlap": lambda: specialists.topk_overlap(means, 50, names=names),
    "specialist_table": lambda: specialists.specialist_table(
      means, means.mean(axis=0), margin=0.02, names=names
    ),
    "decompose": lambda: decomposition.decompose(
      right[0][0], right[0][0], right[0], name="members"
    ).to_json(),
  }
  before = process_memory.peak_host_bytes()
  seconds = {}
  for name, step in steps.items():
    start = time.perf_counter()
    step()
    seconds[name] = time.perf_counter() - start
  return {
    "num_members": size,
    "num_tasks": 7,
    "num_prompts": 200,
    "num_resamples": 1000,
    "seconds": seconds,
    "peak_memory_added_bytes": process_memory.peak_host_bytes() - before,
  }
