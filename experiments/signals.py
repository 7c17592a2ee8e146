"""RandOpt on 1-D signals, from pretraining to figures.

    python -m experiments.signals --config=configs/signals.py --workdir=DIR

Pretrains a network to predict the next value, scores a population around it on
the signals of selection, and judges the best members and their mean on others.
The same command resumes a run that was stopped.
"""

from experiments import launch
from experiments.launch import next_steps, signals_run, signals_specs
from thickets.report import signals_table

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.signals --config=configs/signals.py"
  " --workdir=runs/signals",
)
FLAGS.define_config()
FLAGS.define_workdir()
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, runs, and prints the table."""
  workdir = FLAGS.workdir
  spec = signals_specs.read_signals(FLAGS.config)
  launch.start_devices(FLAGS)
  results = signals_run.run(spec, workdir)
  print(signals_table.format_signals_results(results))
  print(
    next_steps.format_ending(
      f"Figures, results.json and experts.json are in {workdir}.",
      results["timing"],
      next_steps.after_signals(workdir),
    )
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
