"""What changes with size and training, from a finished ladder.

    python -m experiments.scaling LADDER [--out=DIR]

LADDER is a directory that `experiments.ladder` made. Writes ladder.json and figures: density,
discordance and gains at every size and stage, and the paper's claims as trends
with intervals. No model is needed.
"""

import os

from absl import flags

from experiments import launch
from experiments.launch import estimator_flags, measured_runs
from thickets.analysis import claims, scaling
from thickets.errors import UserError
from thickets.report import ladder_table
from thickets.report.figures import scaling_plots
from thickets.runs import json_files

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.scaling runs/ladder --out=results",
  arguments="LADDER",
)
measured_runs.define_out(FLAGS)
estimator_flags.define_estimator_flags(FLAGS)
_TOP_K = flags.DEFINE_integer(
  "top_k",
  16,
  "Number of members in an ensemble.",
  flag_values=FLAGS.values,
)
_MEASURED = flags.DEFINE_string(
  "measured",
  "measure",
  "Folder of each rung that holds its measurements: measure or final.",
  flag_values=FLAGS.values,
)
_MANNERS = flags.DEFINE_list(
  "manners",
  [],
  "Two rungs to compare that differ in the diversity of their text alone, such as"
  " w96,w96-one.",
  flag_values=FLAGS.values,
)


def main(argv: list[str]) -> None:
  """Reads the flags, measures, prints the claims."""
  workdir = measured_runs.read_workdir(argv, what="ladder")
  if len(_MANNERS.value) not in (0, 2):
    raise UserError(f"--manners must name two rungs, got {_MANNERS.value}.")
  if _TOP_K.value < 1:
    raise UserError(f"--top_k must be at least 1, got {_TOP_K.value}.")
  settings = estimator_flags.read_settings(FLAGS)
  points = scaling.read_ladder(
    workdir, settings, top_k=_TOP_K.value, measured=_MEASURED.value
  )
  compared = (
    claims.compare_manners(points, *_MANNERS.value) if _MANNERS.value else []
  )
  out = measured_runs.find_out(FLAGS, [workdir])
  results = {
    "units": "densities, accuracies and gains are shares; 95 % intervals",
    "margin": settings.margin,
    "top_k": _TOP_K.value,
    "claims": claims.fit_claims(points),
    "manners": compared,
    "points": [point.to_json() for point in points],
  }
  json_files.write_json(out / "ladder.json", results)
  scaling_plots.plot_ladder(out / "figures" / "ladder.png", points)
  if compared:
    scaling_plots.plot_manners(
      out / "figures" / "manners.png", points, *_MANNERS.value
    )
  print(ladder_table.format_points(points))
  print(ladder_table.format_claims(results["claims"]))
  print(f"ladder.json and figures are in {os.fspath(out)}.")


if __name__ == "__main__":
  launch.run(main, FLAGS)
