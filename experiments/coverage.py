"""Simulates how far density estimates are off, and how often intervals hold.

  python -m experiments.coverage --out=docs/results/coverage.json

Draws populations whose true density is known, estimates it, and compares. The
default takes about ten minutes on two idle cores; `--smoke` half a minute. What is
drawn depends on `--seed` and `--runs` alone. The file is written after each
scenario. docs/density.md reads the result.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import time
from typing import Any

import numpy as np
from absl import app, flags, logging

from thickets.analysis import density, density_correction, intervals
from thickets.analysis.synthetic import (
  MixedGains,
  NormalGains,
  SkewedGains,
  SyntheticPopulation,
)

_OUT = flags.DEFINE_string("out", None, "JSON file to write.", required=True)
_RUNS = flags.DEFINE_integer(
  "runs",
  2000,
  "Simulated runs of a scenario; a quarter outside the assumptions.",
  lower_bound=1,
)
_RESAMPLES = flags.DEFINE_integer(
  "resamples", 500, "Draws of each bootstrap.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the populations and estimators.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Processes.", lower_bound=1)
_SCENARIOS = flags.DEFINE_list("scenarios", None, "Names; all by default.")
_SMOKE = flags.DEFINE_bool("smoke", False, "Ten runs of each scenario.")

MARGINS = (0.0, 0.02, 0.05)
LEVEL = 0.95
_POOL = 10_000  # Members that stand for a population on given prompts.
_DRAWS = 100  # Runs on the same prompts, where the estimand is about these.


@dataclasses.dataclass(frozen=True)
class Scenario:
  """A population and the size of the table that is drawn from it.

  Attributes:
    population: with its true density.
    about: what is special.
    assumed: margins at which the assumptions of the correction hold.
    num_members: P.
    num_prompts: Q.
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


def _simulate(name: str, seed: int, start: int, stop: int, resamples: int):
  """[R, M, 6] estimates and intervals of runs start .. stop - 1."""
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


def _simulate_exact(
  name: str, seed: int, start: int, stop: int, resamples: int
):
  """[R, M, 2] whether the intervals of plain and confirmed hold their own.

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


def _measure(scores, base_scores, seed: int, num_splits: int):
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


def summarise(
  name: str, runs: np.ndarray, exact: np.ndarray | None
) -> list[dict]:
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
        "coverage": _share((low <= true) & (true <= high)),
        "too_high": _share(true < low),
        "coverage_by_members_alone": _share(
          (plain_low <= true) & (true <= plain_high)
        ),
      }
    )
    if exact is not None:
      rows[-1] |= {
        "plain_coverage": _share(exact[:, m, 0]),
        "confirmed_coverage": _share(exact[:, m, 1]),
      }
  return rows


def _share(held: np.ndarray) -> dict[str, Any]:
  low, high = intervals.wilson_interval(int(held.sum()), len(held))
  return {"share": float(held.mean()), "low": low, "high": high, "n": len(held)}


def _simulate_all(pool, simulate, name: str, num_runs: int, *settings):
  """One array of all runs, simulated in blocks over the processes."""
  blocks = [
    (start, min(start + _DRAWS, num_runs))
    for start in range(0, num_runs, _DRAWS)
  ]
  seed, resamples = settings
  jobs = [pool.submit(simulate, name, seed, *b, resamples) for b in blocks]
  return np.concatenate([job.result() for job in jobs])


def _log(row: dict, duration_s: float) -> None:
  exact = [
    f"{row[key]['share']:.3f}"
    for key in ("plain_coverage", "confirmed_coverage")
    if key in row
  ]
  logging.info(
    "%s | margin %.2f | true %.3f | bias %+.3f (plain %+.3f) | covers %.3f"
    " (members alone %.3f) | exact %s | n=%d | %.0f s",
    row["scenario"],
    row["margin"],
    row["true_density"],
    row["bias"],
    row["plain_bias"],
    row["coverage"]["share"],
    row["coverage_by_members_alone"]["share"],
    ", ".join(exact) or "-",
    row["coverage"]["n"],
    duration_s,
  )


def main(argv) -> None:
  """Runs the simulations and writes their table."""
  if len(argv) > 1:
    raise app.UsageError(f"unknown arguments {argv[1:]}.")
  names = _SCENARIOS.value or list(SCENARIOS)
  if unknown := sorted(set(names) - set(SCENARIOS)):
    raise app.UsageError(
      f"scenarios must be among {', '.join(SCENARIOS)}, got {unknown[0]}."
    )
  num_runs = 10 if _SMOKE.value else _RUNS.value
  # One thread each: the tables are small, and the processes share the cores.
  os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
  result = {
    "command": "python -m experiments.coverage",
    "runs": num_runs,
    "resamples": _RESAMPLES.value,
    "seed": _SEED.value,
    "level": LEVEL,
    "num_steps": density_correction.NUM_STEPS,
    "rows": [],
  }
  settings = (_SEED.value, _RESAMPLES.value)
  path = pathlib.Path(_OUT.value)
  path.parent.mkdir(parents=True, exist_ok=True)
  with concurrent.futures.ProcessPoolExecutor(_WORKERS.value) as pool:
    for name in names:
      begin = time.monotonic()
      scenario, exact = SCENARIOS[name], None
      size = num_runs if scenario.assumed else -(-num_runs // 4)
      runs = _simulate_all(pool, _simulate, name, size, *settings)
      if scenario.is_exact:
        exact = _simulate_all(pool, _simulate_exact, name, size, *settings)
      rows = summarise(name, runs, exact)
      for row in rows:
        _log(row, time.monotonic() - begin)
      result["rows"] += rows
      text = json.dumps(result, indent=1, allow_nan=False)
      path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
  app.run(main)
