"""What the best members of a measured run reach, and beside what.

    python -m experiments.votes RUN [--top_k=10] [--num_select=50] [--out=DIR]

The run must be one of `experiments.measure`. On each task the prompts of `select`
choose the best members, of each sigma and of all sigmas together; on the prompts of
`dev`, these, the base, random members and the base's own samples are compared.
With --num_select, only the first so many prompts of `select` choose, and the others
join those that judge; self-consistency is then left out, since the base's samples do
not answer these. Writes votes.json and a figure; no model is needed.
"""

import dataclasses

from absl import flags

from experiments import launch
from experiments.launch import measured_runs
from thickets.analysis import measurement, vote_comparisons
from thickets.analysis.measurement import Measurement
from thickets.errors import UserError
from thickets.report import votes_table
from thickets.report.figures import vote_plots
from thickets.runs import json_files

FLAGS = launch.BinaryFlags(
  __doc__, "python -m experiments.votes runs/shipped", arguments="RUN"
)
measured_runs.define_out(FLAGS)
_TOP_K = flags.DEFINE_integer(
  "top_k", 10, "Number of members that vote.", flag_values=FLAGS.values
)
_NUM_SELECT = flags.DEFINE_integer(
  "num_select",
  None,
  "Number of prompts that choose members; by default all of select.",
  flag_values=FLAGS.values,
)


def main(argv: list[str]) -> None:
  """Reads the flags, lets members vote, prints and draws what they reach."""
  workdir = measured_runs.read_workdir(argv, what="run")
  measured = measurement.read_measurement(workdir)
  samples = measurement.read_samples(workdir)
  if _NUM_SELECT.value is not None:
    measured, samples = _choose_by(measured, _NUM_SELECT.value), {}
  found = vote_comparisons.compare_votes(measured, samples, _TOP_K.value)
  described = {
    task: {level: votes.describe() for level, votes in levels.items()}
    for task, levels in found.items()
  }
  out = measured_runs.find_out(FLAGS, [workdir])
  json_files.write_json(
    out / "votes.json",
    {
      "units": "shares of right answers, with 95 % intervals",
      "tasks": described,
    },
  )
  vote_plots.plot_votes(
    out / "figures" / "votes.png",
    measured,
    {task: [*levels.values()][-1] for task, levels in found.items()},
  )
  print(votes_table.format_votes(described))
  print(f"votes.json and figures/votes.png are in {out}.")


def _choose_by(measured: Measurement, num_select: int) -> Measurement:
  """Lets fewer prompts choose; the samples of the base do not answer them."""
  for name, task in measured.tasks.items():
    most = task.num_select
    if not 1 <= num_select <= most:
      raise UserError(
        f"--num_select must be at least 1 and at most {most}, the prompts of select"
        f" of {name}, got {num_select}."
      )
  return dataclasses.replace(
    measured,
    tasks={
      name: dataclasses.replace(task, num_select=num_select)
      for name, task in measured.tasks.items()
    },
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
