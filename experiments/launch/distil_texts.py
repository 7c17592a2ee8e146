"""The texts that an ensemble teaches: asked for, mined, and written as rows."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from experiments.launch.distil_source import Teachers
from experiments.launch.distil_specs import DistilSpec
from thickets.errors import UserError
from thickets.generation import subject as subject_lib
from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.decoding import Responses
from thickets.generation.grading_workers import Grading
from thickets.generation.self_consistency import SelfConsistency
from thickets.generation.specs import SelfConsistencySpec
from thickets.generation.subject import Subject
from thickets.naming import Params
from thickets.perturbation import perturb
from thickets.runs.directory import Run
from thickets.runs.split_labels import Split
from thickets.search import answers, randopt
from thickets.search.evaluator import Channels
from thickets.search.randopt import Evaluation, Search
from thickets.search.staged import HostFn
from thickets.training import distillation, soft_targets
from thickets.training.distillation import Text
from thickets.training.train import HostBatch


class NothingToTeachError(UserError):
  """No prompt is hard, or none that is has a right response."""


@dataclasses.dataclass(frozen=True)
class KeepTokens:
  """Grades as another does, and keeps the tokens of the responses as a channel.

  Attributes:
    host_fn: the other.
  """

  host_fn: HostFn

  def __call__(
    self, responses: Responses, batch: Mapping[str, np.ndarray]
  ) -> Channels:
    """Maps responses [Q, T] to channels, among them `tokens` [Q, T]."""
    return self.host_fn(responses, batch) | {"tokens": responses.tokens}


def keep_tokens(grading: Grading) -> Grading:
  """Makes what grades in the same place, and keeps the tokens."""
  return dataclasses.replace(grading, host_fn=KeepTokens(grading.host_fn))


def ask_teachers(
  spec: DistilSpec,
  subject: Subject,
  grading: Grading,
  search: Search,
  select: Evaluation,
  teachers: Teachers,
) -> list[Text]:
  """Has the members answer, and chooses what is taught.

  Args:
    spec: what the distillation is asked to do.
    subject: the model and its prompts.
    grading: what grades samples of the base, and keeps their tokens.
    search: the open run, its base and the population of the members.
    select: the prompts, with an evaluator that keeps tokens.
    teachers: the members that teach.

  Raises:
    NothingToTeachError: if no prompt is hard, or none of these has a right response.
  """
  label, positions, is_hard = _ask(
    spec, subject, grading, search, select, teachers
  )
  found = [search.run.channels(label, p) for p in positions]
  correct = np.stack([f["correct"] & f["stopped"] for f in found])
  tokens = _stack_tokens([f["tokens"] for f in found])
  prompts = [row[row != NO_TOKEN].tolist() for row in select.batch["tokens"]]
  texts = distillation.choose_texts(
    prompts, correct, tokens, is_hard, spec.teaching.most
  )
  if not texts:
    raise NothingToTeachError(
      f"The {len(found)} {spec.teaching.teachers} that teach must have a right"
      f" response to a prompt that is hard, got none to {int(is_hard.sum())} hard"
      f" ones of {len(is_hard)} (teaching.mining={spec.teaching.mining!r}): there is"
      " nothing to distil. Change teaching.mining, or give the run more prompts of"
      " select."
    )
  return texts


def write_targets(
  spec: DistilSpec,
  subject: Subject,
  search: Search,
  texts: Sequence[Text],
  teachers: Teachers,
) -> HostBatch:
  """Writes the texts as rows, with what members say of them where that is taught."""
  rows = distillation.write_rows(texts)
  if spec.teaching.targets == "responses":
    return rows

  def rebuild() -> Iterator[Params]:
    for position in teachers.positions:
      member = search.members[position]
      yield perturb(
        search.base.params, member, kind=search.kind, names=search.base.names
      )

  return rows | soft_targets.average_probabilities(
    subject.model.config,
    rebuild(),
    rows,
    kept=spec.teaching.kept,
    batch_size=spec.fitting.batch_size,
  )


def _ask(
  spec: DistilSpec,
  subject: Subject,
  grading: Grading,
  search: Search,
  select: Evaluation,
  teachers: Teachers,
) -> tuple[str, Sequence[int], Bool[np.ndarray, " Q"]]:
  """Has teachers answer; returns where the log holds them, and which prompts are hard.

  The arguments are those of `ask_teachers`.
  """
  k, teaching = len(teachers.positions), spec.teaching
  if num_samples := teaching.count_samples(k):
    _sample_base(spec, subject, grading, search.run, num_samples)
  sampled = Split("select", temperature=teaching.temperature).label
  label, positions = sampled, tuple(range(k))
  if teaching.teachers == "members":
    label, positions = "select", teachers.positions
    randopt.score_members(search, select, positions)
  if teaching.mining == "none":
    return label, positions, np.ones(len(select.batch["index"]), np.bool_)
  asked = (label, positions)
  if teaching.mining == "base":
    asked = (sampled, range(teaching.candidates))
  candidates = answers.read_answers(
    search.run, asked[0], asked[1][: teaching.candidates]
  )
  return label, positions, distillation.find_hard(candidates)


def _stack_tokens(
  parts: Sequence[Int[np.ndarray, "Q _"]],
) -> Int[np.ndarray, "K Q T"]:
  """Stacks the tokens of several responses, which may be of several widths."""
  width = max(part.shape[1] for part in parts)
  return np.stack(
    [
      np.pad(
        part,
        ((0, 0), (0, width - part.shape[1])),
        constant_values=NO_TOKEN,
      )
      for part in parts
    ]
  )


def _sample_base(
  spec: DistilSpec, subject: Subject, grading: Grading, run: Run, count: int
) -> None:
  """Samples the base on `select`, as far as the log lacks it."""
  temperature = spec.teaching.temperature
  consistency = SelfConsistencySpec((temperature,))
  sampler = subject_lib.make_sampler(subject, grading, consistency, spec.seed)
  SelfConsistency(sampler, run, subject.model.params, subject.batches).sample(
    "select", temperature, count
  )
