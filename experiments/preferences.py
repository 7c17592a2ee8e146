"""Measures log-odds of two answers around a model, and what first order predicts.

    python -m experiments.preferences --config=configs/preferences.py --workdir=DIR

Base and members read the prompts of one task, whose answer is one of two words; their
scores are the log-odds of the right word. Writes preferences.json and a figure of the
answers that members turn beside those that first order predicts. The same command
resumes a run that was stopped.
"""

import pathlib

from experiments import launch
from experiments.launch import preferring
from thickets.analysis import choice_predictions
from thickets.report import claims_table
from thickets.report.figures import choice_plots

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.preferences --config=configs/preferences.py"
  " --workdir=runs/preferences",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="Its preferences and its figure are written to a disk."
)
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, measures, draws and prints the verdicts."""
  workdir = FLAGS.workdir
  spec = preferring.read_preferences(FLAGS.config)
  launch.start_devices(FLAGS)
  found = preferring.run(spec, workdir)
  choice_plots.plot_choices(
    pathlib.Path(workdir) / "figures" / "preferences.png",
    choice_predictions.compare_levels(found),
    choice_predictions.say_what(found),
  )
  print(
    claims_table.format_claims(
      choice_predictions.say_what(found),
      choice_predictions.judge_levels(found),
    )
  )
  for sigma, share in choice_predictions.count_right(found).items():
    low, high = 100 * share.low, 100 * share.high
    print(
      f"sigma {sigma}: {100 * share.value:.0f} % [{low:.0f}, {high:.0f}] of members"
      " prefer the right word more often than the base does"
    )
  print(f"preferences.json and figures/preferences.png are in {workdir}.")


if __name__ == "__main__":
  launch.run(main, FLAGS)
