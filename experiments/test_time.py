"""One model at test time: one pass, the vote of its samples, and checked samples.

    python -m experiments.test_time --config=configs/test_time.py:laptop --workdir=DIR

Answers the prompts of judging greedily and by samples, at a temperature that `dev`
chooses, and prints what a vote of some of them, the first that gives an answer, and,
where the question itself says what is right, the best of them reach. Any model will
do, so that each method's model can spend as many responses as an ensemble does. The
same command resumes a run that was stopped.
"""

from experiments import launch
from experiments.launch import next_steps, test_time_run, test_time_specs
from thickets.report import ledger_table, test_time_table

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.test_time --config=configs/test_time.py:laptop"
  " --workdir=runs/test_time",
)
FLAGS.define_config()
FLAGS.define_workdir()
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, runs, and prints the tables."""
  workdir = FLAGS.workdir
  spec = test_time_specs.read_test_time(FLAGS.config)
  launch.start_devices(FLAGS)
  results = test_time_run.run(spec, workdir)
  print(test_time_table.format_test_time(results) + "\n")
  print(ledger_table.format_ledgers(results["ledger"], results["timing"]))
  print(
    next_steps.format_ending(
      f"results.json is in {workdir}.", results["timing"], {}
    )
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
