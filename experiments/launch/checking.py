"""What `randopt --check` says: data, patterns, grader, memory and time, no run.

Nothing is written to the run directory. Everything that a run checks before its
directory begins is checked here as well, by the same functions.
"""

import dataclasses
import math
import os
import pathlib
import time
from collections.abc import Iterator

from experiments.launch import chat_dates
from experiments.launch.specs import RandOptSpec
from thickets.errors import UserError
from thickets.generation import subject as subject_lib
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.subject import Subject
from thickets.perturbation import describe_kind
from thickets.runs import directory, locations, record_files, record_log
from thickets.runs.locations import Location
from thickets.search import engine
from thickets.search.progress import format_duration


def check_randopt(spec: RandOptSpec, workdir: str) -> Iterator[str]:
  """Checks a run of `experiments.randopt`, and yields what it finds by line.

  Raises:
    UserError: for what the run itself would refuse.
  """
  directory.check_config(workdir, spec.config)
  yield _describe_workdir(locations.locate(workdir))
  subject = subject_lib.load_subject(
    spec.model,
    spec.task,
    spec.answering,
    today=chat_dates.find_today(workdir),
  )
  sizes = {name: len(b["index"]) for name, b in subject.batches.items()}
  yield f"Prompts: {', '.join(f'{n} {size}' for n, size in sizes.items())}."
  base = subject.base
  spec = dataclasses.replace(
    spec, population=subject.settle_population(spec.population)
  )
  found = describe_kind(base.params, spec.population.kind, base.names)
  yield (
    f"Patterns: they match {found['num_perturbed_tensors']} of"
    f" {found['num_tensors']} tensors, {found['num_perturbed_weights']:,} of"
    f" {found['num_weights']:,} weights."
  )
  with subject_lib.start_task_grading(subject) as grading:
    yield from _try_grader(subject, grading)
    evaluator = subject_lib.make_evaluator(
      subject, grading, spec.population.kind
    )
    subject.check_memory(evaluator)
    yield from _time_chunk(spec, subject, evaluator)
  yield "The run can begin. Nothing was written."


def _describe_workdir(path: Location) -> str:
  if isinstance(path, pathlib.Path):  # `check_config` has tried the others.
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
      raise UserError(
        f"workdir must be a directory that can be written, got {path}. Choose"
        " another with --workdir."
      )
  if directory.is_new(path):
    return f"Directory: {path} is new."
  num_records = sum(
    1 for log in record_files.list_logs(path) for _ in record_log.read_log(log)
  )
  return f"Directory: {path} holds a run of {num_records} records to continue."


def _try_grader(subject: Subject, grading: Grading) -> Iterator[str]:
  """Grades the reference of the first example, and an empty response."""
  index, reference = subject.grader.list_trials()[0]
  texts = {"the reference": reference, "an empty response": ""}
  graded = grading.grade_texts([index] * len(texts), [*texts.values()])
  for row, (name, text) in enumerate(texts.items()):
    verdict = "right" if graded["lenient"][row] else "not right"
    if not row and not graded["lenient"][row]:
      verdict += " (of some tasks it is no answer, but what answers must meet)"
    vote = str(graded["vote"][row])
    yield (
      f"Grader: {name} {text[:40]!r} of the example"
      f" {subject.splits.examples[index].id} is {verdict}, scores"
      f" {graded['score'][row]:g}, and"
      + (f" votes {vote!r}." if vote else " has no vote.")
    )


def _time_chunk(
  spec: RandOptSpec, subject: Subject, evaluator: LanguageEvaluator
) -> Iterator[str]:
  """Evaluates one chunk on the prompts of selection twice, and extrapolates."""
  params, batch = subject.model.params, subject.batches["select"]
  size = spec.population.size
  width = spec.population.chunk or evaluator.find_width(params, batch, size)
  yield (
    f"Memory: {min(width, size)} members make a chunk, and"
    f" {evaluator.find_rows(params, batch)} prompts of the base fit at once."
  )
  members = spec.population.sample()[:width]
  seconds = []
  for _ in range(2):  # The first time compiles.
    start = time.perf_counter()
    chunks = engine.stream_chunks(
      evaluator, params, members, batch, width=len(members)
    )
    for _ in chunks:
      pass
    seconds.append(time.perf_counter() - start)
  responses_per_s = len(members) * len(batch["index"]) / seconds[1]
  count = _count_responses(spec, subject)
  compile_s = max(0.0, seconds[0] - seconds[1])
  yield (
    f"Time: {count:,} responses at {responses_per_s:.3g} a second, as one chunk"
    f" on select was timed, take about"
    f" {format_duration(math.ceil(count / responses_per_s))}; each of up to"
    f" {1 + len(subject.batches)} programs compiles for about"
    f" {format_duration(math.ceil(compile_s))}. Responses to judge may be longer"
    " or shorter."
  )


def _count_responses(spec: RandOptSpec, subject: Subject) -> int:
  """Responses of a whole run: members, random members, and the base's samples."""
  sizes = {name: len(b["index"]) for name, b in subject.batches.items()}
  num_chosen = spec.ensemble.largest
  temperatures = spec.consistency.temperatures
  judged = 2 * num_chosen + (num_chosen if temperatures else 0)
  compared = (
    len(temperatures) * spec.ensemble.top_k if len(temperatures) > 1 else 0
  )
  return (
    (1 + spec.population.size) * sizes["select"]
    + compared * sizes.get("dev", 0)
    + (1 + judged) * sizes["judge"]
  )
