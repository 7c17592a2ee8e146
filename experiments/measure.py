"""Measures a population around one base on several tasks.

    python -m experiments.measure --config=configs/measure.py --workdir=DIR

All members answer the prompts of `select` and `dev` of every task, and so do, if
the config asks for them, the members of a two-dimensional slice. What follows
from the records is computed by `experiments.density`, `landscape`, `scaling` and
`report`. The same command resumes a run that was stopped.
"""

from experiments import launch
from experiments.launch import measuring, next_steps, specs

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.measure --config=configs/measure.py"
  " --workdir=runs/shipped",
)
FLAGS.define_config()
FLAGS.define_workdir()
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, runs, and prints what base and members reached."""
  workdir = FLAGS.workdir
  spec = specs.read_measure(FLAGS.config)
  launch.start_devices(FLAGS)
  results = measuring.run(spec, workdir)
  print(measuring.format_results(results))
  print(
    next_steps.format_ending(
      f"The records are in {workdir}.",
      results["timing"],
      next_steps.after_measure(workdir),
    )
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
