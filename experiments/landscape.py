"""Landscapes of a finished run: slices, projections, composites of three tasks.

    python -m experiments.landscape WORKDIR [--composite=TASK,TASK,TASK]

The run must be one of `experiments.measure`. Writes landscape.json and figures; no
model is needed. What projections can show, and what they cannot, is said in
docs/landscape.md.
"""

from absl import flags

from experiments import launch
from experiments.launch import measured_runs
from thickets.analysis import planes
from thickets.report import density_table, saved_analyses

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.landscape runs/shipped --out=results",
  arguments="RUN",
)
measured_runs.define_out(FLAGS)
_COMPOSITE = flags.DEFINE_list(
  "composite",
  [],
  "Three tasks to draw in red, green and blue; by default the first three.",
  flag_values=FLAGS.values,
)


def main(argv: list[str]) -> None:
  """Reads the flags, draws, prints how much of the scores a plane explains."""
  workdir = measured_runs.read_workdir(argv, what="run")
  found = planes.read_planes(workdir)
  out = measured_runs.find_out(FLAGS, [workdir])
  saved_analyses.save_landscapes(out, found, composite=_COMPOSITE.value)
  for task, explained in found.explained.items():
    print(density_table.format_explained(task, explained))
  print(f"landscape.json and figures are in {out}.")


if __name__ == "__main__":
  launch.run(main, FLAGS)
