"""Iterative RandOpt, beside its control without perturbations.

    python -m experiments.iterate --config=configs/iterate.py:laptop --workdir=DIR

A round searches members around a model, distils their ensemble into it, and hands
the result to the next; an arm ends with a round that `dev` refuses, or where nothing
is left to teach. In the control samples of the model teach in place of members. The
same command continues a run that was stopped. DIR/ARM/round_N holds `randopt` and
`distil` of each round, with its `model`, and DIR/results.json compares all of them on
the prompts of judging.
"""

from experiments import launch
from experiments.launch import iterating, next_steps
from thickets.report import trained_table
from thickets.runs.clock import Clock

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.iterate --config=configs/iterate.py:laptop"
  " --workdir=runs/iterated",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps checkpoints and models there, which need a disk."
)
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, runs all rounds, and prints the table."""
  workdir, config = FLAGS.workdir, FLAGS.config
  iterating.check_config(config)
  launch.start_devices(FLAGS)
  clock = Clock()
  rounds = {arm: iterating.run_arm(config, arm, workdir) for arm in config.arms}
  results = iterating.summarise(rounds, workdir)
  clock.lap("rounds_s")
  print(trained_table.format_trained(results))
  print(f"\n{iterating.describe_rounds(results)}")
  arm = config.arms[0]
  commands = next_steps.after_signals(
    f"{workdir}/{arm}/round_{len(rounds[arm])}/randopt"
  )
  where = f"The models are in {workdir}/ARM/round_N/distil/model."
  print(next_steps.format_ending(where, clock.timing, commands))


if __name__ == "__main__":
  launch.run(main, FLAGS)
