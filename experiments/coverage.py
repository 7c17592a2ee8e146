"""Simulates how far density estimates are off, and how often intervals hold.

  python -m experiments.coverage --out=docs/results/coverage.json

Draws populations whose true density is known, estimates it, and compares. The
default takes about ten minutes on two idle cores; `--smoke` half a minute. What is
drawn depends on `--seed` and `--runs` alone. The file is written after each
scenario. docs/density.md reads the result.
"""

import concurrent.futures
import functools
import json
import os
import time
from typing import Any

from absl import flags, logging

from experiments import launch
from experiments.launch import measured_runs
from experiments.validation import density_coverage
from experiments.validation.density_coverage import SCENARIOS
from thickets.analysis import density_correction
from thickets.errors import UserError
from thickets.runs import json_files

FLAGS = launch.BinaryFlags(
  __doc__, "python -m experiments.coverage --out=coverage.json --smoke"
)
_OUT = flags.DEFINE_string(
  "out",
  None,
  "The JSON file to write.",
  required=True,
  flag_values=FLAGS.values,
)
_RUNS = flags.DEFINE_integer(
  "runs",
  2000,
  "Simulated runs of a scenario; a quarter outside the assumptions.",
  lower_bound=1,
  flag_values=FLAGS.values,
)
_RESAMPLES = flags.DEFINE_integer(
  "resamples",
  500,
  "Draws of each bootstrap.",
  lower_bound=1,
  flag_values=FLAGS.values,
)
_SEED = flags.DEFINE_integer(
  "seed",
  0,
  "The seed of populations and estimators.",
  flag_values=FLAGS.values,
)
_WORKERS = flags.DEFINE_integer(
  "workers",
  2,
  "The number of processes.",
  lower_bound=1,
  flag_values=FLAGS.values,
)
_SCENARIOS = flags.DEFINE_list(
  "scenarios",
  None,
  "Names of scenarios; all by default.",
  flag_values=FLAGS.values,
)
_SMOKE = flags.DEFINE_bool(
  "smoke",
  False,
  "Whether to try it out with ten runs of each scenario.",
  flag_values=FLAGS.values,
)


def _log(row: dict[str, Any], duration_s: float) -> None:
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


def main(_: list[str]) -> None:
  """Runs the simulations and writes their table."""
  names = _SCENARIOS.value or list(SCENARIOS)
  if unknown := sorted(set(names) - set(SCENARIOS)):
    raise UserError(
      f"--scenarios must be among {', '.join(SCENARIOS)}, got {unknown[0]}."
    )
  num_runs = 10 if _SMOKE.value else _RUNS.value
  # One thread each: the tables are small, and the processes share the cores.
  os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
  result: dict[str, Any] = {
    "command": "python -m experiments.coverage",
    "runs": num_runs,
    "resamples": _RESAMPLES.value,
    "seed": _SEED.value,
    "level": density_coverage.LEVEL,
    "num_steps": density_correction.NUM_STEPS,
    "rows": [],
  }
  draws = {"seed": _SEED.value, "resamples": _RESAMPLES.value}
  path = measured_runs.make_out_file(_OUT.value)
  with concurrent.futures.ProcessPoolExecutor(_WORKERS.value) as pool:
    for name in names:
      begin = time.monotonic()
      scenario, exact = SCENARIOS[name], None
      size = num_runs if scenario.assumed else -(-num_runs // 4)
      simulate = functools.partial(density_coverage.simulate_all, pool)
      runs = simulate(density_coverage.simulate_corrected, name, size, **draws)
      if scenario.is_exact:
        exact = simulate(density_coverage.simulate_exact, name, size, **draws)
      rows = density_coverage.summarise_scenario(name, runs, exact)
      for row in rows:
        _log(row, time.monotonic() - begin)
      result["rows"] += rows
      text = json.dumps(result, indent=1, allow_nan=False)
      json_files.write_text(path, text + "\n")


if __name__ == "__main__":
  launch.run(main, FLAGS)
