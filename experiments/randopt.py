"""RandOpt on a language model: search, select, vote, and an honest table.

    python -m experiments.randopt --config=configs/countdown_tiny.py --workdir=DIR

Scores a population of members around a pretrained model on the prompts of
selection, and judges three votes on prompts that took no part in choosing
anything: that of the best members, that of random ones, and that of the base
with itself. The same command resumes a run that was stopped; with --check, which
only this command has, it says what the run would do, and how long that may take.
"""

from experiments import launch
from experiments.launch import checking, next_steps, randopt_run, specs
from thickets.report import ledger_table, randopt_table

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.randopt --config=configs/countdown_tiny.py"
  " --workdir=runs/countdown_tiny",
)
FLAGS.define_config()
FLAGS.define_workdir()
FLAGS.define_cluster()
FLAGS.define_grace()
FLAGS.define_check()


def main(_: list[str]) -> None:
  """Reads the flags, runs, and prints the table."""
  workdir = FLAGS.workdir
  spec = specs.read_randopt(FLAGS.config)
  launch.start_devices(FLAGS)
  if FLAGS.is_check:
    for line in checking.check_randopt(spec, workdir):
      print(line, flush=True)
    return
  results = randopt_run.run(spec, workdir)
  print(randopt_table.format_randopt_results(results))
  print(
    "\n" + ledger_table.format_ledgers(results["ledger"], results["timing"])
  )
  print(next_steps.end_randopt(workdir, spec.task.name, results["timing"]))


if __name__ == "__main__":
  launch.run(main, FLAGS)
