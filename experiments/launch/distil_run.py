"""One distillation, from a finished run to results: what distil and iterate run."""

import dataclasses
import pathlib
from collections.abc import Sequence

from experiments.launch import (
  chat_dates,
  distil_costs,
  distil_results,
  distil_source,
  distil_texts,
)
from experiments.launch.distil_source import Teachers
from experiments.launch.distil_specs import DistilSpec
from experiments.launch.specs import RandOptSpec
from thickets.generation import subject as subject_lib
from thickets.generation import towers
from thickets.generation.grading_workers import Grading
from thickets.generation.ledger import Cost
from thickets.generation.subject import Subject
from thickets.report.figures import training_plots
from thickets.runs import directory
from thickets.runs.clock import Clock
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.search import randopt
from thickets.training import (
  distillation_run,
  peft_export,
  pretraining,
  soft_targets,
  train,
  trained_weights,
)
from thickets.training.distillation import Text
from thickets.training.distillation_run import Distilled, Trainable
from thickets.training.train import LossFn


@dataclasses.dataclass(frozen=True)
class Distillation:
  """All that a distillation works with.

  Attributes:
    spec: what it is asked to do.
    source: what the run of the teachers was asked to do.
    subject: the model, and the prompts of that run.
    teachers: the members that teach.
    grading: what grades the responses.
  """

  spec: DistilSpec
  source: RandOptSpec
  subject: Subject
  teachers: Teachers
  grading: Grading


def run(
  spec: DistilSpec, source: RandOptSpec, source_dir: str, workdir: str
) -> JsonObject:
  """Distils, or goes on; returns the contents of results.json.

  Args:
    spec: what the distillation is asked to do.
    source: what the run of the teachers was asked to do.
    source_dir: its directory.
    workdir: the directory of the distillation.

  Raises:
    UserError: if the run or the settings are wrong; then nothing is written.
  """
  clock = Clock()
  teachers = distil_source.read_teachers(spec, source, source_dir)
  config = teachers.make_config(spec, source)
  directory.check_config(workdir, config)  # Before anything is loaded.
  subject = subject_lib.load_subject(
    *(source.model, source.task, source.answering),
    today=chat_dates.find_today(source_dir),
  )
  # All that can fail at once does so before the run directory begins.
  towers.refuse_tower(subject.model, "experiments.distil")
  teachers.check_task(subject)
  if spec.lora is not None:
    peft_export.check(spec.lora, subject.model)
  distil_costs.check_least_budget(spec, subject, len(teachers.positions))
  with subject_lib.start_task_grading(subject) as grading:
    parts = Distillation(spec, source, subject, teachers, grading)
    with directory.open_run(workdir, config) as opened:
      clock.lap("loading_s")
      return _distil(parts, opened, clock)


def _distil(parts: Distillation, run: Run, clock: Clock) -> JsonObject:
  """Asks, fits, judges and saves; returns the contents of results.json."""
  spec, subject, teachers = parts.spec, parts.subject, parts.teachers
  population = parts.source.population
  grading = distil_texts.keep_tokens(parts.grading)
  evaluator = subject_lib.make_evaluator(subject, grading, population.kind)
  subject.check_memory(evaluator)
  select, dev, judge = (
    subject.evaluation(split, evaluator) for split in ("select", "dev", "judge")
  )
  search = randopt.start_search(
    run, subject.base, population, first=select, task=subject.describe()
  )
  texts = distil_texts.ask_teachers(
    spec, subject, grading, search, select, teachers
  )
  teaching = distil_costs.count_teaching(spec, subject, run, teachers)
  teaching += distil_costs.count_reading(
    spec, subject, texts, len(teachers.positions)
  )
  num_steps = distil_costs.count_steps(spec, subject, texts, teaching)
  rows = distil_texts.write_targets(spec, subject, search, texts, teachers)
  clock.lap("teaching_s")
  randopt.score_base(search, dev)
  schedule = train.Schedule(num_steps, spec.save_every, spec.watch_every)
  distilled = distillation_run.fit(
    run,
    Trainable(subject, spec.lora),
    dev,
    rows,
    _make_loss(parts),
    spec.fitting,
    schedule,
  )
  clock.lap("fitting_s")
  randopt.score_base(search, judge)
  if distilled.weights is not None and distilled.chosen is not None:
    trained_weights.evaluate_weights(
      run, judge, distilled.weights, distilled.chosen
    )
  clock.lap("judge_s")
  _save(parts, run, distilled)
  watched = distillation_run.list_watched(schedule)
  results = _summarise(parts, run, texts, teaching, watched, distilled.chosen)
  clock.lap("saving_s")
  return randopt.finish_run(run, results, clock, evaluator.compile_s)


def _make_loss(parts: Distillation) -> LossFn:
  """The loss of whole weights on rows of the kind that is taught."""
  config = parts.subject.model.config
  if parts.spec.teaching.targets == "probabilities":
    return soft_targets.make_soft_loss(config)
  return train.make_loss(config)


def _summarise(
  parts: Distillation,
  run: Run,
  texts: Sequence[Text],
  teaching: Cost,
  watched: Sequence[int],
  chosen: int | None,
) -> JsonObject:
  """Compares what was distilled with base and vote, with its costs; draws the figure.

  Args:
    parts: all that the distillation worked with.
    run: the open run directory, with all records.
    texts: what was taught.
    teaching: what asking the teachers has cost.
    watched: the numbers of steps after which dev was asked.
    chosen: the number of steps that was chosen; None for the base.
  """
  spec, subject, teachers = parts.spec, parts.subject, parts.teachers
  results = distil_results.summarise(
    spec, subject, run, teachers, texts, watched=watched, chosen=chosen
  )
  num_steps = watched[-1]
  steps = [
    distil_costs.count_step(spec.fitting, subject, texts, step)
    for step in range(num_steps)
  ]
  results["ledger"] = distil_costs.read_ledgers(
    spec,
    subject,
    run,
    teachers,
    training=teaching + sum(steps, Cost()),
    num_steps=num_steps,
    watched=watched,
    chosen=chosen,
  )
  training_plots.plot_stages(
    run.workdir / "figures" / "stages.png",
    results["watched"],
    chosen=chosen,
    task=subject.task.name,
  )
  return results


def _save(parts: Distillation, run: Run, distilled: Distilled) -> None:
  """Writes the model, and the adapters where there are any."""
  if distilled.weights is None:
    return
  folder = pathlib.Path(str(run.workdir))
  model = parts.subject.model
  pretraining.save_model(folder / "model", model, distilled.weights)
  if parts.spec.lora is not None:
    peft_export.save(
      folder / "adapter", parts.spec.lora, model, distilled.adapters
    )
