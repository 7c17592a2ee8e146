"""A model and the task that it is asked, ready to answer.

From specs to the evaluations of a search: data are loaded, prompts rendered, and
grading started.
"""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from thickets import naming
from thickets.errors import UserError
from thickets.generation import (
  language_evaluator,
  prompts,
  task_grading,
  towers,
)
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.pictures import PictureStore
from thickets.generation.prompts import Chat
from thickets.generation.sampling import GREEDY, Sampling
from thickets.generation.specs import (
  AnsweringSpec,
  ComputeSpec,
  ModelSpec,
  SelfConsistencySpec,
  TaskSpec,
)
from thickets.models import hub, tokenizer_files, transformer
from thickets.models.layout import LAYOUTS
from thickets.perturbation import Gaussian, Kind, find_participants
from thickets.runs import packed_arrays
from thickets.runs.json_files import JsonObject
from thickets.search import meshes
from thickets.search.population import PopulationSpec
from thickets.search.randopt import Base, Evaluation, describe_precision
from thickets.tasks import registry, splits
from thickets.tasks.base import Task
from thickets.tasks.grader import TaskGrader

PROMPT_SPLITS = ("select", "dev", "judge")
_SAMPLES = 0  # The purpose of a key: responses of self-consistency.


@dataclasses.dataclass(frozen=True)
class Subject:
  """A model, a task, and the prompts that the model reads.

  Attributes:
    model: the model with its weights.
    spec: what the model is asked.
    answering: how it answers.
    task: the task that the spec names.
    splits: its examples.
    batches: the prompts by split; `dev` may be missing.
    decoding: how responses are generated.
    chat: how the prompts became text.
    pictures: the pictures of the prompts, for a vision-language model; None for a
      text model.
  """

  model: hub.Model
  spec: TaskSpec
  answering: AnsweringSpec
  task: Task
  splits: splits.Splits
  batches: dict[str, dict[str, np.ndarray]]
  decoding: Decoding
  chat: Chat
  pictures: PictureStore | None = None

  @property
  def base(self) -> Base:
    """The model as the base of a search."""
    # What the weights of a GGUF file were dequantised from.
    gguf = self.model.gguf_file
    return Base(
      self.model.params,
      precision=describe_precision(self.model.dtype.name),
      names=transformer.tensor_names(self.model.params),
      identity=self.model.identity,
      source={
        "data": self.splits.origin,
        "name": self.model.source,
        "revision": self.model.revision,
        "dtype": self.model.dtype.name,
        **({} if gguf is None else {"gguf_file": dict(gguf)}),
      },
    )

  @property
  def why_not_finite(self) -> str:
    """Why a score of the base can only be not finite, and what to do."""
    return (
      f"its logits are not finite with model.dtype={self.model.dtype.name}."
      " Choose another dtype and a new --workdir"
    )

  @property
  def grader(self) -> TaskGrader:
    """What grades the responses."""
    return TaskGrader(self.spec.name, self.spec.rules, self.splits.examples)

  def describe(self, kind: Kind | None = None) -> JsonObject:
    """What scores mean, as JSON values, for the header of a run.

    The kind of noise says how often a tower reads pictures; None where weights
    are not drawn, but trained.
    """
    shown: JsonObject = {}
    if any("pictures" in batch for batch in self.batches.values()):
      assert self.pictures is not None  # Or they would have been refused.
      tower = towers.describe_tower(self.base, kind) if kind else {}
      shown = {"pictures": self.pictures.describe() | tower}
    return {
      "name": self.spec.name,
      "version": self.task.version,
      "rules": self.spec.rules,
      "grader": task_grading.describe_grader(self.task, self.spec),
      # By content: a data set's next revision may hold the same rows.
      "data": {name: self.splits.origin[name] for name in PROMPT_SPLITS},
      "prompts": {
        name: packed_arrays.hash_arrays(batch)
        for name, batch in self.batches.items()
      },
      **self.chat.describe(),
      **shown,
      "decoding": self.decoding.describe(),
    }

  def settle_population(self, population: PopulationSpec) -> PopulationSpec:
    """The population, with its kind as `towers.settle_kind` has it."""
    if self.pictures is None:
      return population
    kind = towers.settle_kind(population.kind)
    return dataclasses.replace(population, kind=kind)

  def check_kind(self, kind: Kind) -> None:
    """Refuses a kind of noise whose patterns match none of the weights.

    Raises:
      UserError: that names the pattern, and the nearest names.
    """
    base = self.base
    find_participants(kind, naming.named_leaves(base.params, base.names))

  def check_memory(self, evaluator: LanguageEvaluator) -> None:
    """Refuses prompts of which not even one fits into memory beside a member.

    Raises:
      UserError: that says how much memory is needed.
    """
    for batch in self.batches.values():
      evaluator.find_width(self.model.params, batch, 1)

  def evaluation(self, split: str, evaluator: LanguageEvaluator) -> Evaluation:
    """One split of the prompts, and what answers it."""
    return Evaluation(
      split,
      evaluator,
      self.batches[split],
      why_not_finite=self.why_not_finite,
    )

  def describe_baseline(self) -> str:
    """What answers without reading the question reach; "" if it is not known."""
    return self.task.describe_baseline(self.splits.select, self.splits.judge)


def load_subject(
  model: ModelSpec,
  task: TaskSpec,
  answering: AnsweringSpec,
  *,
  today: datetime.date | None,
) -> Subject:
  """Loads data and model, and renders the prompts.

  Args:
    model: the model that reads them.
    task: what the model is asked.
    answering: how it answers.
    today: the day that prompts say, see `prompts.settle_chat`.

  Raises:
    UserError: if a part cannot be loaded, or a prompt cannot be continued.
  """
  # Data first: it is the quicker of the two to fail.
  loaded = load_examples(task)
  return make_subject(
    load_model(model, answering.compute), task, answering, *loaded, today=today
  )


def load_examples(spec: TaskSpec) -> tuple[Task, splits.Splits]:
  """Loads a task and its examples.

  Raises:
    UserError: if it is unknown, or its data are not there.
  """
  task = registry.load_task(spec.name)
  task.grader(spec.rules)  # Before data are loaded.
  if task.check is not None:
    task.check()
  examples = splits.load_splits(
    task,
    spec.sizes,
    train=spec.train,
    test=spec.test,
    revision=spec.revision,
    seed=spec.seed,
  )
  return task, examples


def load_model(spec: ModelSpec, compute: ComputeSpec) -> hub.Model:
  """Loads a model that has a tokenizer, laid out on the mesh.

  Raises:
    UserError: if it cannot be loaded, or has no tokenizer.
  """
  model = hub.load(
    spec.name,
    revision=spec.revision,
    dtype=spec.dtype,
    mesh=spread_over(compute),
  )
  if model.tokenizer is None:
    raise UserError(
      f"model.name must be a model with a tokenizer, got {spec.name}, which has"
      " none. Put the tokenizer's files beside its weights."
    )
  return model


def make_subject(
  model: hub.Model,
  spec: TaskSpec,
  answering: AnsweringSpec,
  task: Task,
  examples: splits.Splits,
  *,
  today: datetime.date | None,
  start: int = 0,
) -> Subject:
  """Renders the prompts of a task for a model.

  Args:
    model: the model that reads them.
    spec: what the model is asked.
    answering: how it answers.
    task: the task that `spec` names.
    examples: its examples.
    today: the day that prompts say, see `prompts.settle_chat`.
    start: index of the first example, where one grader serves several tasks.

  Raises:
    UserError: if a prompt cannot be continued.
  """
  owner = f"{model.source}, task {spec.name}"
  asked = examples.examples
  tokenizer, vision = model.tokenizer, model.vision
  chat = prompts.settle_chat(
    tokenizer, asked, spec.chat, today=today, owner=owner, vision=vision
  )
  pictures = vision and PictureStore(vision, answering.compute.features_dir)
  rendered = prompts.render_examples(
    tokenizer, asked, chat, owner=owner, pictures=pictures
  )
  indices = {name: list(examples.indices(name)) for name in PROMPT_SPLITS}
  # With the task's limits by default.
  decoding = Decoding.for_model(
    model,
    answering.max_new_tokens or task.max_new_tokens,
    stop_strings=task.stop_strings,
  )
  for chosen in indices.values():
    # Now, and not after hours of search.
    if chosen:
      decoding.check_prompts([rendered[i].tokens for i in chosen], model.config)
  return Subject(
    model=model,
    spec=spec,
    answering=answering,
    task=task,
    splits=examples,
    batches={
      name: language_evaluator.make_batch(
        [rendered[i].tokens for i in chosen],
        [start + i for i in chosen],
        [rendered[i].digests for i in chosen],
      )
      for name, chosen in indices.items()
      if chosen
    },
    decoding=decoding,
    chat=chat,
    pictures=pictures,
  )


def spread_over(compute: ComputeSpec) -> Mesh:
  """The mesh that members are spread over."""
  return meshes.make_mesh(model=compute.devices_per_member)


@contextlib.contextmanager
def start_task_grading(*subjects: Subject) -> Iterator[Grading]:
  """Starts what grades the responses: worker processes, or a thread.

  Args:
    *subjects: subjects of one model; indices run through the examples of all.

  Raises:
    UserError: if a user's own grader fails when it is tried out.
  """
  first = subjects[0]
  compute = first.answering.compute
  with task_grading.start_task_graders(
    [subject.grader for subject in subjects],
    detokenize=tokenizer_files.make_detokenizer(first.model.tokenizer),
    num_threads=max(subject.task.num_threads for subject in subjects),
    num_workers=compute.num_workers,
    limit_s=compute.grade_limit_s,
    keep_responses=first.answering.log_responses,
  ) as started:
    yield started


def make_evaluator(
  subject: Subject,
  started: Grading,
  kind: Kind,
  sampling: Sampling = GREEDY,
  key: PRNGKeyArray | None = None,
  *,
  moves_weights: bool = False,
) -> LanguageEvaluator:
  """Makes what evaluates members on a subject's prompts.

  Args:
    subject: the model and its task.
    started: what grades, as `start_task_grading` yields it.
    kind: how the noise of members is drawn.
    sampling: how tokens are chosen.
    key: the key of the responses, unless they are greedy.
    moves_weights: whether the run moves the weights step by step.
  """
  compute = subject.answering.compute
  generator = Generator(
    subject.model.config,
    dataclasses.replace(subject.decoding, sampling=sampling),
    mesh=spread_over(compute),
    batching=Batching(lanes=compute.lanes, rows=compute.rows),
    layout=LAYOUTS[compute.layers],
    detokenize=tokenizer_files.make_detokenizer(subject.model.tokenizer),
  )
  return LanguageEvaluator(
    generator,
    started,
    kind=kind,
    key=key,
    moves_weights=moves_weights,
    pictures=subject.pictures,
  )


def make_sampler(
  subject: Subject,
  started: Grading,
  consistency: SelfConsistencySpec,
  seed: int,
) -> LanguageEvaluator:
  """Makes what samples the base, at temperatures that the batch says.

  Args:
    subject: the model and its task.
    started: what grades, from `start_task_grading`.
    consistency: how tokens are drawn.
    seed: the root seed of the run.
  """
  return make_evaluator(
    subject,
    started,
    # The base has no noise, of whatever kind; its tower is not moved.
    Gaussian() if subject.pictures is None else towers.settle_kind(Gaussian()),
    Sampling(1.0, consistency.top_k, consistency.top_p),
    jax.random.fold_in(jax.random.key(seed), _SAMPLES),
  )
