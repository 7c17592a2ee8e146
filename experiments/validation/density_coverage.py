"""Density estimates on populations of known truth: bias, and what intervals hold.

`experiments.coverage` runs it, and docs/density.md reads the result.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.validation.coverage_rate import describe_coverage
from thickets.analysis import density, intervals
from thickets.analysis.density import Density
from thickets.analysis.synthetic import (
  MixedGains,
  NormalGains,
  SkewedGains,
  SyntheticPopulation,
)

MARGINS = (0.0, 0.02, 0.05)
LEVEL = 0.95
_POOL = 10_000  # Members that stand for a population on given prompts.
_DRAWS = 100  # Runs on the same prompts, where the estimand is about these.


@dataclasses.dataclass(frozen=True)
class Scenario:
  """A population and the size of the table that is drawn from it.

  Attributes:
    population: the law that members are drawn from, whose density is known.
    about: what is special about it, in words.
    assumed: margins at which the assumptions of the correction hold.
    num_members: P, members drawn in each run.
    num_prompts: Q, prompts drawn in each run.
    is_exact: whether the exact intervals are simulated too.
  """

  population: SyntheticPopulation
  about: str
  assumed: tuple[float, ...] = MARGINS
  num_members: int = 500
  num_prompts: int = 200
  is_exact: bool = False


_ATOM = MixedGains((0.3, 0.7), (NormalGains(0, 0), NormalGains(0.01, 0.04)))
_TWO = MixedGains(
  (0.75, 0.25), (NormalGains(-0.04, 0.015), NormalGains(0.06, 0.015))
)

SCENARIOS = {
  "normal": Scenario(
    SyntheticPopulation(NormalGains(0.0, 0.04)), "normal gains", is_exact=True
  ),
  "independent": Scenario(
    SyntheticPopulation(NormalGains(-0.03, 0.045), coupling=0.0),
    "the base's luck is its own: the largest shared shift",
    is_exact=True,
  ),
  "coupled": Scenario(
    SyntheticPopulation(NormalGains(0.01, 0.03), luck=0.5, coupling=0.9),
    "members answer much as the base does",
  ),
  "hard": Scenario(
    SyntheticPopulation(NormalGains(0.01, 0.02), base_accuracy=0.12),
    "base at 12 %",
  ),
  "easy": Scenario(
    SyntheticPopulation(NormalGains(0.01, 0.025), base_accuracy=0.85),
    "base at 85 %",
  ),
  "copies": Scenario(
    SyntheticPopulation(NormalGains(0.01, 0.04), copies=0.3),
    "atom at zero gain: 30 % of the members give the base's answers",
    is_exact=True,
  ),
  "few_members": Scenario(
    SyntheticPopulation(NormalGains(0.0, 0.04)), "50 members", num_members=50
  ),
  "rare": Scenario(
    SyntheticPopulation(NormalGains(-0.05, 0.04)), "experts are rare"
  ),
  "tight": Scenario(
    SyntheticPopulation(NormalGains(0.02, 0.025), coupling=0.3),
    "gains no wider than the shared shift",
    (),
  ),
  "few_prompts": Scenario(
    SyntheticPopulation(NormalGains(0.0, 0.04)),
    "40 prompts",
    (),
    num_prompts=40,
  ),
  "answering_atom": Scenario(
    SyntheticPopulation(_ATOM),
    "atom at zero gain: 30 % answer differently and are exactly as good",
    (0.05,),
  ),
  "no_gain": Scenario(
    SyntheticPopulation(NormalGains(0.0, 0.0)), "no member has a true gain", ()
  ),
  "two_humps": Scenario(
    SyntheticPopulation(_TWO), "two separate kinds of members", ()
  ),
  "skewed": Scenario(
    SyntheticPopulation(SkewedGains(-0.04, 0.04), base_accuracy=0.3),
    "exponential gains above -0.04",
    (),
  ),
  "few_carry": Scenario(
    SyntheticPopulation(NormalGains(0.0, 0.02), carrying=0.25, coupling=0.9),
    "a quarter of the prompts carries all of the gain",
    (),
  ),
}


def simulate_corrected(
  name: str, seed: int, start: int, stop: int, resamples: int
) -> np.ndarray:
  """Returns [R, M, 6] estimates and intervals of runs start .. stop - 1."""
  scenario, runs = SCENARIOS[name], []
  for run in range(start, stop):
    rng = np.random.default_rng([seed, run])
    sample = scenario.population.sample(
      rng, scenario.num_members, scenario.num_prompts
    )
    found = density.solution_density(
      sample.scores,
      np.ones(scenario.num_members),
      sample.base_scores,
      margins=MARGINS,
      num_resamples=resamples,
      num_splits=1,
      seed=run,
      level=LEVEL,
    )
    parts = (
      found.corrected[0],
      *found.corrected_interval[0].T,
      found.plain[0],
      *found.plain_interval[0].T,
    )
    runs.append(np.stack(parts, axis=1))
  return np.array(runs)


def simulate_exact(
  name: str, seed: int, start: int, stop: int, resamples: int
) -> np.ndarray:
  """Returns [R, M, 2] whether the intervals of plain and confirmed hold their own.

  Their estimands are about these prompts: a large pool of members is scored on
  them, and the members of a run are drawn from the pool with replacement.
  """
  del resamples  # Exact intervals need none.
  scenario, held = SCENARIOS[name], []
  for block in range(start, stop, _DRAWS):
    rng = np.random.default_rng([seed, block, 1])
    pool = scenario.population.sample(rng, _POOL, scenario.num_prompts)
    truth = _measure(pool.scores, pool.base_scores, 0, num_splits=50)
    truth = (truth.plain[0], truth.confirmed[0])
    for run in range(min(_DRAWS, stop - block)):
      members = rng.integers(0, _POOL, scenario.num_members)
      found = _measure(
        pool.scores[members], pool.base_scores, run + 1, num_splits=50
      )
      ends = (found.plain_interval[0], found.confirmed_interval[0])
      held.append(
        np.stack(
          [
            (end[:, 0] <= true) & (true <= end[:, 1])
            for end, true in zip(ends, truth, strict=True)
          ],
          axis=1,
        )
      )
  return np.array(held)


def _measure(
  scores: np.ndarray, base_scores: np.ndarray, seed: int, num_splits: int
) -> Density:
  return density.solution_density(
    scores,
    np.ones(len(scores)),
    base_scores,
    margins=MARGINS,
    num_resamples=1,
    num_splits=num_splits,
    seed=seed,
    level=LEVEL,
  )


def summarise_scenario(
  name: str, runs: np.ndarray, exact: np.ndarray | None
) -> list[dict[str, Any]]:
  """One row for each margin: bias and coverage, with their own errors."""
  scenario, rows = SCENARIOS[name], []
  for m, margin in enumerate(MARGINS):
    true = scenario.population.true_density(margin)
    corrected, low, high, plain, plain_low, plain_high = runs[:, m].T
    rows.append(
      {
        "scenario": name,
        "about": scenario.about,
        "margin": margin,
        "assumed": margin in scenario.assumed,
        "num_members": scenario.num_members,
        "num_prompts": scenario.num_prompts,
        "true_density": true,
        "bias": float(corrected.mean() - true),
        "bias_se": float(intervals.standard_error(corrected)),
        "sd": float(corrected.std()),
        "plain_bias": float(plain.mean() - true),
        "plain_sd": float(plain.std()),
        "width": float((high - low).mean()),
        "coverage": describe_coverage((low <= true) & (true <= high)),
        "too_high": describe_coverage(true < low),
        "coverage_by_members_alone": describe_coverage(
          (plain_low <= true) & (true <= plain_high)
        ),
      }
    )
    if exact is not None:
      rows[-1] |= {
        "plain_coverage": describe_coverage(exact[:, m, 0]),
        "confirmed_coverage": describe_coverage(exact[:, m, 1]),
      }
  return rows


def simulate_all(
  pool: concurrent.futures.Executor,
  simulate: Callable[[str, int, int, int, int], np.ndarray],
  name: str,
  num_runs: int,
  *,
  seed: int,
  resamples: int,
) -> np.ndarray:
  """Returns one array of all runs, simulated in blocks over the processes.

  Args:
    pool: runs the blocks.
    simulate: `simulate_corrected` or `simulate_exact`.
    name: name of the scenario.
    num_runs: R, number of runs.
    seed: the seed of everything that is drawn.
    resamples: number of draws of each bootstrap.
  """
  blocks = [
    (start, min(start + _DRAWS, num_runs))
    for start in range(0, num_runs, _DRAWS)
  ]
  jobs = [pool.submit(simulate, name, seed, *b, resamples) for b in blocks]
  return np.concatenate([job.result() for job in jobs])
