"""Distillation: one model out of the voting ensemble of a finished run of RandOpt.

    python -m experiments.distil --config=configs/distil.py:laptop --run=RUN \
        --workdir=DIR

The members that vote answer the prompts of selection. A prompt is hard where the
majority is wrong or unsettled; right responses to hard prompts are kept, and the base is
trained to give them, as a whole or by low-rank adapters; `dev` chooses when to stop. Base, vote and
distilled model are then judged. The same command continues a run that was stopped,
and ends with the same bytes. The directory then holds `model`, which transformers
loads, `adapter` for peft where adapters were trained, `results.json` and a figure;
no model where no step beats the base on `dev`.
"""

from absl import flags

from experiments import launch
from experiments.launch import (
  distil_results,
  distil_run,
  distil_specs,
  finished_randopt,
  next_steps,
)
from thickets.errors import UserError
from thickets.report import ledger_table, trained_table

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.distil --config=configs/distil.py:laptop"
  " --run=runs/randopt_conventions --workdir=runs/distilled",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps checkpoints and a model there, which need a disk."
)
FLAGS.define_grace()
_RUN = flags.DEFINE_string(
  "run",
  None,
  "The directory of a finished run of experiments.randopt.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags, distils, and prints the tables."""
  workdir = FLAGS.workdir
  if not _RUN.value:
    raise UserError("--run must name a run of experiments.randopt, got none.")
  spec = distil_specs.read_distil(FLAGS.config)
  source = finished_randopt.read_spec(_RUN.value, "run")
  launch.start_devices(FLAGS)
  results = distil_run.run(spec, source, _RUN.value, workdir)
  print(trained_table.format_trained(results))
  print(f"\n{distil_results.describe_teaching(results)}\n")
  print(ledger_table.format_ledgers(results["ledger"], results["timing"]))
  if results["chosen"] is None:
    print(f"\nThere is no model. Figures are in {workdir}.")
    return
  commands = next_steps.after_one_model(
    workdir, source.task, max(source.population.sigmas)
  )
  where = f"The model is in {workdir}/model."
  if spec.lora is not None:
    where += f" Its adapter is in {workdir}/adapter."
  print(next_steps.format_ending(where, results["timing"], commands))


if __name__ == "__main__":
  launch.run(main, FLAGS)
