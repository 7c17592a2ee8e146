"""One RandOpt run on a language task: what randopt and sweep both run."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from experiments.launch import chat_dates, randopt_ledger
from experiments.launch.specs import RandOptSpec
from thickets.analysis import control_results, randopt_results
from thickets.generation import (
  control_batches,
  shown_questions,
  side_by_side,
)
from thickets.generation import subject as subject_lib
from thickets.generation.control_batches import ControlBatches
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.self_consistency import SelfConsistency
from thickets.generation.subject import Subject
from thickets.report.figures import picture_plots, randopt_plots
from thickets.runs import directory
from thickets.runs.clock import Clock
from thickets.runs.directory import Run
from thickets.runs.json_files import JsonObject
from thickets.search import randopt, selection
from thickets.search.randopt import Search


def run(spec: RandOptSpec, workdir: str) -> JsonObject:
  """Runs or resumes one experiment; returns the contents of results.json."""
  clock = Clock()
  directory.check_config(workdir, spec.config)  # Before anything is loaded.
  asked = (spec.model, spec.task, spec.answering)
  subject = subject_lib.load_subject(
    *asked, today=chat_dates.find_today(workdir)
  )
  spec = dataclasses.replace(
    spec, population=subject.settle_population(spec.population)
  )
  subject.check_kind(spec.population.kind)
  controls = control_batches.make_control_batches(subject)
  # All that can fail at once does so before the run directory begins.
  with subject_lib.start_task_grading(subject) as grading:
    evaluator = subject_lib.make_evaluator(
      subject, grading, spec.population.kind
    )
    subject.check_memory(evaluator)
    with directory.open_run(workdir, spec.config) as run:
      clock.lap("loading_s")
      return _run(spec, subject, controls, grading, evaluator, run, clock)


def _run(
  spec: RandOptSpec,
  subject: Subject,
  controls: ControlBatches | None,
  grading: Grading,
  evaluator: LanguageEvaluator,
  run: Run,
  clock: Clock,
) -> JsonObject:
  """Searches, selects, votes and judges in an open run directory."""
  select = subject.evaluation("select", evaluator)
  search = randopt.start_search(
    run,
    subject.base,
    spec.population,
    first=select,
    task=subject.describe(spec.population.kind),
  )
  scores = randopt.score_members(search, select)
  clock.lap("select_s")
  chosen = selection.select_ensemble(scores, spec.ensemble)
  randopt.save_experts(search, chosen, scores, primary_k=spec.ensemble.top_k)
  consistency = SelfConsistency(
    subject_lib.make_sampler(subject, grading, spec.consistency, spec.seed),
    run,
    subject.model.params,
    subject.batches,
  )
  temperature, dev = consistency.choose_temperature(
    spec.consistency.temperatures, spec.ensemble.top_k
  )
  clock.lap("dev_s")
  # The first members as well, as they were drawn, whatever they scored.
  answering = sorted({*range(len(chosen)), *map(int, chosen)})
  randopt.score_members(
    search, subject.evaluation("judge", evaluator), answering
  )
  clock.lap("judge_s")
  if controls is not None:
    for control in controls.evaluations(evaluator):
      voting = chosen[: spec.ensemble.top_k].tolist()
      randopt.score_members(search, control, voting)
    clock.lap("controls_s")
  if temperature is not None:
    consistency.sample("judge", temperature, len(chosen))
  clock.lap("consistency_s")
  results = _summarise(spec, subject, search, scores, chosen, temperature, dev)
  if controls is not None:
    results |= _show_pictures(spec, subject, controls, run, chosen)
  randopt_plots.draw_randopt(run.workdir, search.members, scores, results)
  clock.lap("figures_s")
  return randopt.finish_run(
    run, results, clock, evaluator.compile_s + consistency.compile_s
  )


def _summarise(
  spec: RandOptSpec,
  subject: Subject,
  search: Search,
  scores: Float[np.ndarray, " P"],
  chosen: Int[np.ndarray, " K"],
  temperature: float | None,
  dev: Sequence[JsonObject],
) -> JsonObject:
  """Compares what the log holds of [P] scored members and [K] chosen positions."""
  run, splits = search.run, subject.splits
  judge_groups = splits.groups("judge")
  pairs = side_by_side.read_pairs(run, "judge", splits.judge, int(chosen[0]))
  return randopt_results.summarise_randopt(
    search.members,
    scores,
    randopt_results.read_select(run, chosen, splits.groups("select")),
    chosen.tolist(),
    randopt_results.read_judged(run, chosen, temperature, judge_groups),
    top_k=spec.ensemble.also,
    primary_k=spec.ensemble.top_k,
    dev=dev,
    note=subject.describe_baseline(),
  ) | {
    "data": splits.origin,
    "examples": pairs,
    "ledger": randopt_ledger.read_ledgers(
      search, subject, spec, chosen.tolist(), temperature
    ),
  }


def _show_pictures(
  spec: RandOptSpec,
  subject: Subject,
  controls: ControlBatches,
  run: Run,
  chosen: Int[np.ndarray, " K"],
) -> JsonObject:
  """Draws questions beside their pictures, and compares answers with the controls."""
  voting = chosen[: spec.ensemble.top_k].tolist()
  judge = subject.splits.judge
  picture_plots.draw_questions(
    run.workdir,
    shown_questions.read_questions(run, "judge", judge, voting),
  )
  found = control_results.summarise_controls(
    run,
    [*controls.batches],
    controls.controls.asked,
    voting,
    groups=subject.splits.groups("judge"),
  )
  return {"controls": found | {"left_out": dict(controls.controls.left_out)}}
