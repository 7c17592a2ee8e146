"""Evolution strategies on a language model: one model out of many members.

    python -m experiments.evolution --config=configs/evolution.py:laptop --workdir=DIR

Scores a small population around the current weights on the prompts of selection,
moves the weights along the members' noise by their scores, and begins anew. At the
end the base and the last weights are judged on prompts that took no part. The same
command continues a run that was stopped, and ends with the same bytes. The
directory then holds `model`, which transformers loads, `updates.json`, from which
the weights can be made again, `results.json` and a figure.
"""

import dataclasses

import jax

from experiments import launch
from experiments.launch import (
  chat_dates,
  evolution_costs,
  evolution_results,
  evolution_specs,
  next_steps,
)
from experiments.launch.evolution_specs import EvolutionRunSpec
from thickets.errors import UserError
from thickets.generation import subject as subject_lib
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.subject import Subject
from thickets.report import ledger_table, trained_table
from thickets.report.figures import training_plots
from thickets.runs import directory, locations
from thickets.runs.clock import Clock
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.search import randopt
from thickets.training import (
  evolution_run,
  pretraining,
  trained_weights,
  updates_file,
)

_NEEDS_DISK = "It keeps checkpoints and a model there, which need a disk."
FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.evolution --config=configs/evolution.py:laptop"
  " --workdir=runs/evolution",
)
FLAGS.define_config()
FLAGS.define_workdir(needs_disk=_NEEDS_DISK)
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, runs, and prints the tables."""
  workdir = FLAGS.workdir
  spec = evolution_specs.read_evolution(FLAGS.config)
  launch.start_devices(FLAGS)
  results = run(spec, workdir)
  print(trained_table.format_trained(results))
  print(f"\n{evolution_results.describe_steps(results)}\n")
  print(ledger_table.format_ledgers(results["ledger"], results["timing"]))
  print(
    next_steps.format_ending(
      f"The model is in {workdir}/model.",
      results["timing"],
      next_steps.after_one_model(workdir, spec.task, spec.evolution.sigma),
    )
  )


def run(spec: EvolutionRunSpec, workdir: str) -> JsonObject:
  """Runs or resumes one run; returns the contents of results.json."""
  if jax.process_count() > 1:
    raise UserError(
      f"Evolution must be one process, got {jax.process_count()}. Leave out"
      " --distributed."
    )
  clock = Clock()
  directory.check_config(workdir, spec.config)  # Before anything is loaded.
  subject = subject_lib.load_subject(
    *(spec.model, spec.task, spec.answering),
    today=chat_dates.find_today(workdir),
  )
  kind = subject.settle_population(spec.population).kind
  spec = dataclasses.replace(
    spec, evolution=dataclasses.replace(spec.evolution, kind=kind)
  )
  subject.check_kind(kind)
  # All that can fail at once does so before the run directory begins.
  evolution_costs.check_least_budget(spec, subject)
  with subject_lib.start_task_grading(subject) as grading:
    evaluator = subject_lib.make_evaluator(
      subject, grading, kind, moves_weights=True
    )
    subject.check_memory(evaluator)
    with directory.open_run(workdir, spec.config) as run:
      clock.lap("loading_s")
      return _run(spec, subject, evaluator, run, clock)


def _run(
  spec: EvolutionRunSpec,
  subject: Subject,
  evaluator: LanguageEvaluator,
  run: Run,
  clock: Clock,
) -> JsonObject:
  """Moves the weights, judges and saves them, in an open run directory."""
  select = subject.evaluation("select", evaluator)
  dev = None
  if "dev" in subject.batches:
    dev = subject.evaluation("dev", evaluator)
  search = randopt.start_search(
    run,
    subject.base,
    spec.population,
    first=select,
    task=subject.describe(spec.evolution.kind),
    method=spec.evolution.describe(),
  )
  randopt.score_base(search, select)
  evolution_costs.check_budget(spec, subject, run)
  spending = evolution_costs.start_spending(spec, subject, run)
  evolved = evolution_run.evolve(
    search,
    spec.evolution,
    spec.schedule,
    select,
    dev,
    goes_on=spending.goes_on,
  )
  clock.lap("evolution_s")
  num_steps = len(evolved.updates)
  judge = subject.evaluation("judge", evaluator)
  randopt.score_base(search, judge)
  trained_weights.evaluate_weights(run, judge, evolved.weights, num_steps)
  clock.lap("judge_s")
  folder = locations.locate_on_disk(run.workdir, "--workdir", _NEEDS_DISK)
  pretraining.save_model(folder / "model", subject.model, evolved.weights)
  updates = updates_file.describe_updates(
    search.header, evolved.updates, subject.base.source
  )
  run.save_json("updates.json", updates)
  results = evolution_results.summarise(spec, subject, run, evolved.updates)
  results["ledger"] = evolution_costs.read_ledgers(
    spec, subject, run, spending.total(num_steps), num_steps
  )
  training_plots.plot_steps(
    run.workdir / "figures" / "steps.png",
    results["watched"],
    results["populations"],
    task=spec.task.name,
  )
  clock.lap("saving_s")
  return randopt.finish_run(run, results, clock, evaluator.compile_s)


if __name__ == "__main__":
  launch.run(main, FLAGS)
