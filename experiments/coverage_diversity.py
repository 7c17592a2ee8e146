"""Do the intervals of spectral discordance cover what they are for?

    python -m experiments.coverage_diversity --out=coverage_diversity.json
    python -m experiments.coverage_diversity --out=smoke.json --smoke

Draws populations whose D is known and counts how often each interval holds it;
then times the estimators on a large table. A quarter of an hour on one core, a
few seconds with --smoke.
"""

import time

import numpy as np
from absl import flags, logging

from experiments import launch
from experiments.launch import measured_runs
from experiments.validation import discordance_coverage
from experiments.validation.discordance_coverage import Effort
from thickets.runs import json_files

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.coverage_diversity --out=coverage_diversity.json --smoke",
)
_OUT = flags.DEFINE_string(
  "out",
  None,
  "The JSON file to write.",
  required=True,
  flag_values=FLAGS.values,
)
_SMOKE = flags.DEFINE_bool(
  "smoke",
  False,
  "Whether to try it out with few runs.",
  flag_values=FLAGS.values,
)
_RUNS = flags.DEFINE_integer(
  "runs",
  2000,
  "The number of runs for each population.",
  lower_bound=1,
  flag_values=FLAGS.values,
)
_SEED = flags.DEFINE_integer(
  "seed",
  0,
  "The seed of all that is drawn.",
  lower_bound=0,
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Runs the simulations, logs and writes what they found."""
  path = measured_runs.make_out_file(_OUT.value)  # Before hours of work.
  effort = (
    discordance_coverage.SMOKE if _SMOKE.value else Effort(num_runs=_RUNS.value)
  )
  rows = []
  for index, population in enumerate(discordance_coverage.POPULATIONS):
    rng = np.random.default_rng([_SEED.value, index])
    start = time.perf_counter()
    row = discordance_coverage.simulate_discordance(population, rng, effort)
    row["seconds"] = time.perf_counter() - start
    rows.append(row)
    logging.info("%s", row)
  json_files.write_json(
    path,
    {
      "units": "coverage: share of runs, with Wilson's 95 % interval",
      "runs": effort.num_runs,
      "seed": _SEED.value,
      **effort.options,
      "populations": rows,
      "timing": discordance_coverage.time_estimators(effort.timed_members),
    },
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
