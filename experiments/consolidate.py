"""One model out of a finished run of RandOpt, without training.

    python -m experiments.consolidate --run=runs/countdown_tiny --workdir=DIR

The candidates are the mean of the weights of the best K members, for each K of the
run, and one step along the noise of all members, weighted by their scores, of
several lengths. `dev` chooses, and keeps the base where no candidate scores higher.
The choice and the base are then judged. The directory holds `results.json`,
`updates.json` with the terms of the choice, and `model`, which transformers loads;
the last two only where a candidate is chosen.
"""

import dataclasses

from absl import flags

from experiments import launch
from experiments.launch import (
  chat_dates,
  consolidation,
  consolidation_run,
  finished_randopt,
  next_steps,
)
from experiments.launch.consolidation import Source
from experiments.launch.specs import RandOptSpec
from thickets.errors import UserError
from thickets.generation import subject as subject_lib
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.subject import Subject
from thickets.report import ledger_table, trained_table
from thickets.runs import directory
from thickets.runs.clock import Clock
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.search import randopt
from thickets.training import pretraining

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.consolidate --run=runs/countdown_tiny"
  " --workdir=runs/consolidated",
)
FLAGS.define_workdir(needs_disk="It keeps a model there, which needs a disk.")
_RUN = flags.DEFINE_string(
  "run",
  None,
  "The directory of a finished run of experiments.randopt.",
  flag_values=FLAGS.values,
)
_SCALES = flags.DEFINE_list(
  "scales",
  ["0.25", "0.5", "1", "2"],
  "Lengths of the weighted step; 1 is as far from the base as a member.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags, consolidates, and prints the tables."""
  workdir = FLAGS.workdir
  if not _RUN.value:
    raise UserError("--run must name a run of experiments.randopt, got none.")
  scales = consolidation.read_scales(_SCALES.value)
  spec = finished_randopt.read_spec(_RUN.value, "run")
  launch.configure_jax()
  results = run(spec, _RUN.value, scales, workdir)
  print(consolidation.format_candidates(results))
  print(trained_table.format_trained(results) + "\n")
  print(ledger_table.format_ledgers(results["ledger"], results["timing"]))
  if results["chosen"] is None:
    print(f"\nNo candidate beats the base on dev. Figures are in {workdir}.")
    return
  sigma = max(spec.population.sigmas)
  commands = next_steps.after_one_model(workdir, spec.task, sigma)
  where = f"The model is in {workdir}/model."
  print(next_steps.format_ending(where, results["timing"], commands))


def run(
  spec: RandOptSpec, source: str, scales: list[float], workdir: str
) -> JsonObject:
  """Consolidates, or goes on; returns the contents of results.json."""
  clock = Clock()
  found = consolidation.read_source(spec, source, scales)
  config = found.make_config(spec)
  directory.check_config(workdir, config)
  subject = subject_lib.load_subject(
    *(spec.model, spec.task, spec.answering),
    today=chat_dates.find_today(source),
  )
  spec = dataclasses.replace(
    spec, population=subject.settle_population(spec.population)
  )
  if "dev" not in subject.batches:
    raise UserError(
      f"--run must name a run with prompts of dev, which choose, got {source}."
      " Make it with a task.num_dev above 0."
    )
  with subject_lib.start_task_grading(subject) as grading:
    evaluator = subject_lib.make_evaluator(
      subject, grading, spec.population.kind
    )
    subject.check_memory(evaluator)
    with directory.open_run(workdir, config) as opened:
      clock.lap("loading_s")
      return _run(spec, subject, evaluator, found, opened, clock)


def _run(
  spec: RandOptSpec,
  subject: Subject,
  evaluator: LanguageEvaluator,
  source: Source,
  run: Run,
  clock: Clock,
) -> JsonObject:
  """Lets dev choose, judges the choice and saves it, in an open run directory."""
  consolidated = consolidation_run.consolidate(
    run,
    subject,
    subject.evaluation("dev", evaluator),
    subject.evaluation("judge", evaluator),
    spec.population,
    source.candidates,
  )
  clock.lap("judge_s")
  if consolidated.weights is not None:
    pretraining.save_model(
      run.workdir / "model", subject.model, consolidated.weights
    )
  results = consolidation_run.summarise(run, subject, source, consolidated)
  return randopt.finish_run(run, results, clock, evaluator.compile_s)


if __name__ == "__main__":
  launch.run(main, FLAGS)
