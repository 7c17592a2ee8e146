"""Several tasks around one base: those that decode alike are asked together."""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from thickets.generation import subject as subject_lib
from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.decoding import Decoding
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.questions import Questions, pack_digests
from thickets.generation.specs import AnsweringSpec, TaskSpec
from thickets.generation.subject import Subject
from thickets.models import hub
from thickets.perturbation import Kind
from thickets.runs.json_files import JsonObject

# `judge` is not looked at while a neighbourhood is measured.
_SPLITS = ("select", "dev")


@dataclasses.dataclass(frozen=True)
class TaskGroup:
  """Tasks that decode alike, so that one program answers all their prompts.

  Attributes:
    number: the number of the group, which the names of its splits carry.
    subjects: one subject for each task.
    batches: the prompts of all tasks, one behind the other, by split.
    evaluator: what evaluates members on all of them.
    grading: what grades the responses.
  """

  number: int
  subjects: Sequence[Subject]
  batches: Mapping[str, dict[str, np.ndarray]]
  evaluator: LanguageEvaluator
  grading: Grading

  @property
  def num_tokens(self) -> int:
    """Size of the padded prompts of selection, which memory must hold."""
    return self.batches["select"]["tokens"].size

  def check_memory(self) -> None:
    """Refuses prompts of which not even one fits into memory beside a member.

    Raises:
      UserError: that says how much memory is needed.
    """
    params = self.subjects[0].model.params
    for batch in self.batches.values():
      self.evaluator.find_width(params, batch, 1)

  def describe(self, kind: Kind) -> JsonObject:
    """What scores mean by task, and which rows of a record are a task's."""
    described, start = {}, dict.fromkeys(self.batches, 0)
    for subject in self.subjects:
      rows = {}
      for split in self.batches:
        size = len(subject.batches[split]["index"])
        rows[split] = [start[split], start[split] + size]
        start[split] += size
      described[subject.spec.name] = subject.describe(kind) | {
        "group": self.number,
        "rows": rows,
      }
    return described


def load_subjects(
  model: hub.Model,
  tasks: Sequence[TaskSpec],
  answering: AnsweringSpec,
  *,
  today: datetime.date | None,
) -> list[Subject]:
  """One subject for each task; the indices of their examples do not overlap.

  Args:
    model: the model that is asked.
    tasks: what it is asked.
    answering: how it answers.
    today: the day that prompts say, see `prompts.settle_chat`.
  """
  subjects: list[Subject] = []
  start = 0
  for spec in tasks:
    task, examples = subject_lib.load_examples(spec)
    subject = subject_lib.make_subject(
      model, spec, answering, task, examples, today=today, start=start
    )
    shown = subjects[0].pictures if subjects else None
    if shown is not None and subject.pictures is not None:
      # One evaluator may answer the prompts of several tasks.
      shown.add_all(subject.pictures)
      subject = dataclasses.replace(subject, pictures=shown)
    subjects.append(subject)
    start += len(examples.examples)
  return subjects


@contextlib.contextmanager
def start_groups(
  subjects: Sequence[Subject], kind: Kind
) -> Iterator[list[TaskGroup]]:
  """Groups subjects of one model by how they decode, and starts the grading.

  Args:
    subjects: subjects of one model.
    kind: how the noise of members is drawn.
  """
  by_decoding: dict[Decoding, list[Subject]] = {}
  for subject in subjects:
    by_decoding.setdefault(subject.decoding, []).append(subject)
  with subject_lib.start_task_grading(*subjects) as grading:
    yield [
      TaskGroup(
        number,
        alike,
        {
          split: _join_batches([s.batches[split] for s in alike])
          for split in _SPLITS
          if split in alike[0].batches
        },
        subject_lib.make_evaluator(alike[0], grading, kind),
        grading,
      )
      for number, alike in enumerate(by_decoding.values())
    ]


def describe_groups(groups: Sequence[TaskGroup], kind: Kind) -> JsonObject:
  """What scores mean, by task, for the header of a run.

  Args:
    groups: the groups of the run.
    kind: how the noise of members is drawn.
  """
  return {"tasks": {k: v for g in groups for k, v in g.describe(kind).items()}}


def _join_batches(
  batches: Sequence[Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
  """One batch with the prompts of several, in their order."""
  width = max(batch["tokens"].shape[1] for batch in batches)
  tokens = [
    np.pad(
      batch["tokens"],
      ((0, 0), (0, width - batch["tokens"].shape[1])),
      constant_values=NO_TOKEN,
    )
    for batch in batches
  ]
  indices = [batch["index"] for batch in batches]
  joined = {"tokens": np.concatenate(tokens), "index": np.concatenate(indices)}
  shown = [row for batch in batches for row in Questions.read(batch).shown]
  packed = pack_digests(shown)
  return joined if packed is None else joined | {"pictures": packed}
