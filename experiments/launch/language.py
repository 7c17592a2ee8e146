"""What the binaries on language models share: from a config to its parts."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from experiments import launch
from thickets.errors import UserError
from thickets.generation import grading, language_evaluator, prompts
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.grading import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.sampling import GREEDY, Sampling
from thickets.models import hub
from thickets.perturbation import Gaussian
from thickets.runs import record_log
from thickets.search import meshes, population
from thickets.tasks import registry, splits
from thickets.tasks.base import Task
from thickets.tasks.grader import SeveralGraders, TaskGrader

DTYPES = ("bfloat16", "float16", "float32")
SPLITS = ("select", "dev", "judge")


@dataclasses.dataclass(frozen=True)
class Subject:
  """A model, a task, and the prompts that the one reads of the other.

  Attributes:
    model: with its weights.
    task: what it is asked.
    task_name: as the config has it: of the registry, or the path of a file.
    rules: name of the rule set.
    splits: the examples.
    batches: prompts by split; `dev` may be missing.
    decoding: how responses are generated.
    used_chat: whether prompts were rendered by a chat template.
  """

  model: hub.Model
  task: Task
  task_name: str
  rules: str
  splits: splits.Splits
  batches: dict[str, dict[str, np.ndarray]]
  decoding: Decoding
  used_chat: bool

  def describe(self) -> dict[str, Any]:
    """What scores mean, as JSON values, for the header of a run."""
    return {
      "name": self.task_name,
      "version": self.task.version,
      "rules": self.rules,
      "grader": _describe_grader(self.task, self.task_name),
      # By content: a data set's next revision may hold the same rows.
      "data": {name: self.splits.origin[name] for name in SPLITS},
      "prompts": {
        name: record_log.hash_arrays(batch)
        for name, batch in self.batches.items()
      },
      "chat_template": self.used_chat,
      "decoding": self.decoding.describe(),
    }

  def describe_source(self) -> dict[str, Any]:
    """Where base and data can be loaded from, as JSON values."""
    return {
      "data": self.splits.origin,
      "name": self.model.source,
      "revision": self.model.revision,
      "dtype": self.model.dtype.name,
    }


def _describe_grader(task: Task, name: str) -> dict[str, str]:
  """What else grades depend on: libraries, and the file of a user's task."""
  versions = {lib: importlib.metadata.version(lib) for lib in task.libraries}
  if name.endswith(".py"):
    content = pathlib.Path(name).expanduser().read_bytes()
    versions["sha256"] = hashlib.sha256(content).hexdigest()
  return versions


def load_task(
  config: ml_collections.ConfigDict,
) -> tuple[Task, splits.Splits]:
  """Loads the task of a config, and its examples."""
  settings = config.task
  task = registry.load(settings.name)
  task.grader(settings.rules)  # Before data are loaded.
  if task.check is not None:
    task.check()
  examples = splits.load_splits(
    task,
    splits.Sizes(settings.num_select, settings.num_dev, settings.num_judge),
    train=settings.train,
    test=settings.test,
    revision=settings.revision or None,
    seed=config.seed,
  )
  if settings.name.endswith(".py"):  # The package's own are tested.
    TaskGrader(settings.name, settings.rules, examples.examples).try_out()
  return task, examples


def load_subject(config: ml_collections.ConfigDict) -> Subject:
  """Loads data and model, and renders the prompts."""
  return make_subject(config, *load_task(config), load_model(config))


def load_model(config: ml_collections.ConfigDict) -> hub.Model:
  """Loads the model of a config."""
  model = hub.load(
    config.model.name,
    revision=config.model.revision or None,
    dtype=config.model.dtype,
    mesh=make_mesh(config),
  )
  if model.tokenizer is None:
    raise UserError(
      f"model.name must be a model with a tokenizer, got {config.model.name},"
      " which has none. Put the tokenizer's files beside its weights."
    )
  return model


def make_subject(
  config: ml_collections.ConfigDict,
  task: Task,
  examples: splits.Splits,
  model: hub.Model,
  *,
  start: int = 0,
) -> Subject:
  """Renders the prompts of a task for a model.

  Args:
    config: of the run.
    task: the task, as `config.task` names it.
    examples: its examples.
    model: that reads them.
    start: index of the first example, where one grader serves several tasks.
  """
  use_chat = config.task.use_chat_template
  tokens = [
    prompts.render_prompt(model.tokenizer, e.messages, use_chat=use_chat)
    for e in examples.examples
  ]
  batches = {
    name: language_evaluator.make_batch(
      [tokens[i] for i in indices], [start + i for i in indices]
    )
    for name in SPLITS
    if (indices := examples.indices(name))
  }
  subject = Subject(
    model=model,
    task=task,
    task_name=config.task.name,
    rules=config.task.rules,
    splits=examples,
    batches=batches,
    decoding=make_decoding(config, task, model),
    used_chat=use_chat and prompts.has_chat(model.tokenizer),
  )
  for indices in map(examples.indices, SPLITS):
    # Now, and not after hours of search.
    if indices:
      subject.decoding.check_prompts([tokens[i] for i in indices], model.config)
  return subject


def describe_precision(model: hub.Model) -> dict[str, Any]:
  """In which weights and products a model computes, for the header of a run."""
  return {
    "dtype": model.dtype.name,
    "matmul": jax.config.jax_default_matmul_precision,
  }


def make_mesh(config: ml_collections.ConfigDict):
  """The mesh of a config."""
  return meshes.make_mesh(model=config.compute.devices_per_member)


def make_decoding(
  config: ml_collections.ConfigDict,
  task: Task,
  model: hub.Model,
  sampling: Sampling = GREEDY,
) -> Decoding:
  """How responses are generated, with the task's limits by default."""
  return Decoding(
    max_new_tokens=config.decoding.max_new_tokens or task.max_new_tokens,
    sampling=sampling,
    stop_tokens=model.stop_tokens,
    stop_strings=task.stop_strings,
    num_tokens=len(model.tokenizer),
  )


def make_evaluator(
  config: ml_collections.ConfigDict,
  subject: Subject,
  started: Grading,
  *,
  decoding: Decoding | None = None,
  key: Any = None,
) -> LanguageEvaluator:
  """The evaluator of a config.

  Args:
    config: of the run.
    subject: from `load_subject`.
    started: from `start_grading`.
    decoding: the subject's by default.
    key: of the responses, unless greedy.
  """
  decoding = subject.decoding if decoding is None else decoding
  generator = Generator(
    subject.model.config,
    decoding,
    mesh=make_mesh(config),
    batching=Batching(
      lanes=config.compute.lanes or None, rows=config.compute.rows or None
    ),
    detokenize=hub.make_detokenizer(subject.model.tokenizer),
  )
  return LanguageEvaluator(generator, started, kind=make_kind(config), key=key)


def make_kind(config: ml_collections.ConfigDict) -> Gaussian:
  """How noise is drawn."""
  return Gaussian(config.population.include, config.population.exclude)


def start_grading(
  config: ml_collections.ConfigDict, *subjects: Subject
) -> contextlib.AbstractContextManager[Grading]:
  """Starts what grades: worker processes, or a thread for none.

  Args:
    config: of the run.
    *subjects: of one model; indices run through the examples of all.
  """
  graders = [
    TaskGrader(subject.task_name, subject.rules, subject.splits.examples)
    for subject in subjects
  ]
  grader = grading.Grader(
    detokenize=hub.make_detokenizer(subjects[0].model.tokenizer),
    grade=graders[0] if len(graders) == 1 else SeveralGraders(tuple(graders)),
    keep_responses=config.log_responses,
    num_threads=max(subject.task.num_threads for subject in subjects),
  )
  return grading.start_grading(grader, config.compute.num_workers)


def make_key(config: ml_collections.ConfigDict, purpose: int) -> jax.Array:
  """A key of the run's seed for one purpose."""
  return jax.random.fold_in(jax.random.key(config.seed), purpose)


def check_config(
  config: ml_collections.ConfigDict, reference: ml_collections.ConfigDict
) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, reference))
  most = config.population.size if config.population.size > 0 else None
  problems = [
    *launch.check_ranges(
      config,
      {
        "seed": (0, 2**32 - 1),
        "task.num_select": (1, None),
        "task.num_dev": (0, None),
        "task.num_judge": (0, None),
        "population.size": (1, 2**32),
        "population.sigmas": (0, None),
        "population.chunk": (0, None),
        "ensemble.top_k": (1, most),
        "ensemble.also": (1, most),
        "decoding.max_new_tokens": (0, None),
        "consistency.temperatures": (0, None),
        "consistency.top_k": (0, None),
        "consistency.top_p": (0, 1),
        "compute.devices_per_member": (1, None),
        "compute.lanes": (0, None),
        "compute.rows": (0, None),
        "compute.num_workers": (0, None),
      },
    ),
    *launch.check_choices(
      config,
      {"model.dtype": DTYPES, "population.design": population.DESIGNS},
    ),
    *launch.check_not_empty(
      config, ("population.sigmas", "population.include")
    ),
  ]
  temperatures = config.consistency.temperatures
  if any(t == 0 for t in temperatures):
    problems.append(
      "consistency.temperatures must be above 0, got 0: greedy answers are all"
      " the same."
    )
  if config.consistency.top_p == 0:
    problems.append(
      "consistency.top_p must be above 0, got 0: no token is left."
    )
  if len(temperatures) > 1 and not config.task.num_dev:
    problems.append(
      "task.num_dev must be at least 1 to choose among"
      f" {len(temperatures)} consistency.temperatures, got 0. Give dev prompts,"
      " or one temperature."
    )
  launch.refuse(problems)
