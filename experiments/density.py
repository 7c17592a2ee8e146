"""Density, diversity, votes and regimes of finished runs, from their records.

    python -m experiments.density WORKDIR [WORKDIR ...] [--out=DIR]

Several runs must measure different tasks of one base with the same members.
Writes density.json and figures; no model is needed.
"""

from experiments import launch
from experiments.launch import estimator_flags, measured_runs
from thickets.analysis import neighbourhood
from thickets.report import density_table, saved_analyses

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.density runs/shipped --out=results",
  arguments="RUN ...",
)
measured_runs.define_out(FLAGS)
estimator_flags.define_estimator_flags(FLAGS)


def main(argv: list[str]) -> None:
  """Reads the flags, measures, writes the results and prints the tables."""
  settings = estimator_flags.read_settings(FLAGS)
  workdirs = measured_runs.read_workdirs(argv)
  measured = measured_runs.read_as_one(workdirs)
  out = measured_runs.find_out(FLAGS, workdirs)
  found = neighbourhood.analyse(measured, settings)
  saved_analyses.save_neighbourhood(out, found)
  print(density_table.format_analysis(found))
  print(f"density.json and figures are in {out}.")


if __name__ == "__main__":
  launch.run(main, FLAGS)
