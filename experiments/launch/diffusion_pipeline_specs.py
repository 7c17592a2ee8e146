"""What configs of published pipelines have beside those of the model of shapes."""

import collections
import dataclasses
from collections.abc import Sequence

import ml_collections

from experiments.launch.config_checks import (
  Range,
  check_choices,
  check_not_empty,
  check_ranges,
)
from thickets.generation.images.pipeline_subject import Asked, Drawing, Loading
from thickets.models.diffusion import sampling

_DTYPES = ("bfloat16", "float16", "float32")
_SPACINGS = ("", "leading", "trailing", "linspace")
_TEXTS = ("targets", "select_prompts", "judge_prompts")


@dataclasses.dataclass(frozen=True)
class PublishedSpec:
  """A published pipeline, how it draws, and what it is asked for."""

  loading: Loading
  drawing: Drawing
  asked: Asked


def is_published(config: ml_collections.ConfigDict) -> bool:
  """Whether a config is of a published pipeline: those name what scores."""
  model = config.get("model")
  return isinstance(model, ml_collections.ConfigDict) and "scorer" in model


def read_published(config: ml_collections.ConfigDict) -> PublishedSpec:
  """Turns a config that `find_problems` has passed into specs."""
  model, task = config.model, config.task
  return PublishedSpec(
    Loading(
      name=model.name,
      revision=model.revision or None,
      variant=model.variant or None,
      dtype=model.dtype,
      scorer=model.scorer,
      scorer_revision=model.scorer_revision or None,
      scorer_dtype=model.scorer_dtype,
    ),
    Drawing(
      size=(model.height, model.width),
      num_steps=model.num_steps,
      spacing=model.spacing or None,
      guidance=float(model.guidance),
      negative=model.negative[0] if model.negative else None,
      pictures_at_once=model.pictures_at_once or None,
    ),
    Asked(
      target=task.target,
      targets=tuple(task.targets),
      prompts={
        "select": tuple(task.select_prompts),
        "judge": tuple(task.judge_prompts),
      },
    ),
  )


def find_problems(config: ml_collections.ConfigDict) -> list[str]:
  """Every problem of the keys that only published pipelines have.

  Args:
    config: a config whose keys are all there.
  """
  task = config.task
  return [
    *check_ranges(
      config,
      {
        "model.height": Range(1),
        "model.width": Range(1),
        "model.pictures_at_once": Range(0),
      },
    ),
    *check_choices(
      config,
      {
        "model.dtype": _DTYPES,
        "model.scorer_dtype": _DTYPES,
        "model.spacing": _SPACINGS,
        "task.target": tuple(task.targets),
      },
    ),
    *check_not_empty(config, [f"task.{name}" for name in _TEXTS]),
    *_check_texts(config),
    *_check_negative(config),
    *(
      f"task.{split}_prompts must give at least two pictures, got one: no gain"
      " can be told from chance."
      for split in ("select", "judge")
      if len(task[f"{split}_prompts"]) * task[f"num_{split}"] == 1
    ),
  ]


def _check_texts(config: ml_collections.ConfigDict) -> list[str]:
  """Refuses texts that are there twice: they would be one, or have one noise."""
  problems = []
  for name in _TEXTS:
    texts = list(config.task[name])
    if repeated := _find_repeated(texts):
      problems.append(f"task.{name} must be distinct, got {repeated!r} twice.")
    if any(not text.strip() for text in texts):
      problems.append(f"task.{name} must be texts, got an empty one.")
  shared = set(config.task.select_prompts) & set(config.task.judge_prompts)
  if shared:
    problems.append(
      "task.judge_prompts must not be among task.select_prompts, got"
      f" {min(shared)!r} in both: what is chosen by a prompt cannot be judged"
      " by it."
    )
  return problems


def _find_repeated(texts: Sequence[str]) -> str | None:
  counts = collections.Counter(texts)
  return next((text for text in texts if counts[text] > 1), None)


def _check_negative(config: ml_collections.ConfigDict) -> list[str]:
  negative, guidance = config.model.negative, config.model.guidance
  if len(negative) > 1:
    return [
      f"model.negative must hold one text at most, got {tuple(negative)!r}."
    ]
  if negative and not sampling.is_guided(guidance):
    return [
      f"model.negative must be () where model.guidance is at most 1, got"
      f" {tuple(negative)!r} and {guidance:g}: nothing would read it."
    ]
  return []
