"""Do the intervals of spectral discordance cover what they are for?

    python -m experiments.coverage_diversity --output=coverage_diversity.json
    python -m experiments.coverage_diversity --output=quick.json --quick

Draws populations whose D is known and counts how often each interval holds it;
then times the estimators on a large table. A quarter of an hour on one core, a
few seconds with --quick.
"""

import dataclasses
import pathlib
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from absl import app, flags, logging

from thickets.analysis import (
  clusters,
  decomposition,
  discordance_intervals,
  diversity,
  intervals,
  specialists,
)
from thickets.analysis.rank_correlation import Column
from thickets.runs import json_files

_QUANTILES = (0.025, 0.975)


@dataclasses.dataclass(frozen=True)
class Population:
  """Members whose skills share one factor, answering prompts or scored exactly.

  Attributes:
    name: of the population.
    num_members: drawn in each run.
    num_tasks: M.
    shared: share of a skill's variance that all tasks have in common; below
      zero, every other task has it reversed.
    num_prompts: per task, answered right or wrong; 0 for exact scores.
    new_prompts: draw prompts anew in each run, where they stay otherwise.
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
  Population("exact, unrelated", 300, 7, 0.0),
  Population("exact, half shared", 100, 7, 0.5),
  Population("exact, half shared, few", 30, 7, 0.5),
  Population("exact, nearly alike", 100, 3, 0.95),
  Population("exact, opposed", 60, 7, -0.6),
  Population("200 prompts, same", 300, 4, 0.6, 200),
  Population("20 prompts, same", 200, 4, 0.6, 20),
  Population("100 prompts, new", 200, 4, 0.6, 100, True),
  Population("20 prompts, new", 1000, 4, 0.6, 20, True),
)


def main(_) -> None:
  """Runs the simulations, prints and writes what they found."""
  quick, seed = flags.FLAGS.quick, flags.FLAGS.seed
  num_runs = 40 if quick else flags.FLAGS.runs
  options = {"num_resamples": 200 if quick else 1000, "num_splits": 20}
  rows = []
  for index, population in enumerate(POPULATIONS):
    rng = np.random.default_rng([seed, index])
    start = time.perf_counter()
    row = simulate(population, num_runs, rng, options, quick=quick)
    row["seconds"] = time.perf_counter() - start
    rows.append(row)
    logging.info("%s", row)
  json_files.write_json(
    pathlib.Path(flags.FLAGS.output),
    {
      "units": "coverage: share of runs, with Wilson's 95 % interval",
      "runs": num_runs,
      "seed": seed,
      **options,
      "populations": rows,
      "timing": time_estimators(quick=quick),
    },
  )


def simulate(
  population: Population,
  num_runs: int,
  rng: np.random.Generator,
  options: dict[str, int],
  *,
  quick: bool,
) -> dict[str, Any]:
  """Coverage of each interval of one population."""
  prompts = population.draw_prompts(rng)
  truth = _find_truth(population, prompts, rng, quick=quick)
  held: dict[str, list[bool]] = {}
  moved, pushed = [], []
  for run in range(num_runs):
    if population.new_prompts:
      prompts = population.draw_prompts(rng)
    scores = population.draw_scores(prompts, population.num_members, rng)
    got = diversity.measure_discordance(scores, seed=run, **options)
    found = {"interval_new_prompts": got.interval_new_prompts}
    if population.new_prompts:
      # The interval over members alone, for what it is not meant for.
      found["interval, over new prompts"] = got.interval
    else:
      found = {"interval": got.interval}
      found["disattenuated_interval"] = got.disattenuated_interval
      means = [table.mean(axis=1) for table in scores]
      drawn = discordance_intervals.resample_members(
        [Column.sort(column) for column in means], 200, rng
      )
      found["plain percentile"] = tuple(np.quantile(drawn, _QUANTILES))
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
    "coverage": {name: _describe(flags_) for name, flags_ in held.items()},
  }


def _describe(held):
  low, high = intervals.wilson_interval(sum(held), len(held))
  return {
    "share": sum(held) / len(held),
    "low": low,
    "high": high,
    "n": len(held),
  }


def _find_truth(population, prompts, rng, *, quick):
  """D of a neighbourhood too large to be drawn in a run."""
  options = {"num_resamples": 2, "num_splits": 4 if quick else 200}
  if population.new_prompts:
    sets = 40 if quick else 1000
    values = []
    for _ in range(sets):
      prompts = population.draw_prompts(rng)
      scores = population.draw_scores(prompts, 3000, rng)
      table = np.stack([part.mean(axis=1) for part in scores], axis=1)
      values.append(diversity.spectral_discordance(table))
    return {"value": float(np.mean(values))}
  size = 5000 if quick else 50_000
  results = [
    diversity.measure_discordance(
      population.draw_scores(prompts, size, rng), **options
    )
    for _ in range(1 if quick else 4)
  ]
  clean = [result.disattenuated for result in results]
  return {
    "value": float(np.mean([result.value for result in results])),
    "disattenuated": None if None in clean else float(np.mean(clean)),
    "floor": results[0].floor,
  }


def time_estimators(*, quick: bool) -> dict[str, Any]:
  """Seconds and memory of all that is measured on a large table."""
  size = 500 if quick else 5000
  population = Population("timing", size, 7, 0.5, 200)
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
  before = _peak_bytes()
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
    "peak_memory_added_bytes": _peak_bytes() - before,
  }


def _peak_bytes() -> int:
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == "darwin" else peak * 1024


def _define_flags() -> None:
  """Not on import: tests use the simulation, beside other binaries' flags."""
  flags.DEFINE_string("output", None, "JSON file.", required=True)
  flags.DEFINE_boolean("quick", False, "Few runs, to try it out.")
  flags.DEFINE_integer("runs", 2000, "Runs per population.", lower_bound=1)
  flags.DEFINE_integer("seed", 0, "Of everything drawn.", lower_bound=0)


if __name__ == "__main__":
  _define_flags()
  app.run(main)
