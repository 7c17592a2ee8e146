"""What draws and how it is scored: one record for all kinds of models.

A subject brings together a base, a pipeline, and what is measured on pictures.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thickets import naming
from thickets.generation.images import pipelines
from thickets.generation.images.pipelines import (
  Conditioning,
  Pipeline,
  ScorePictures,
)
from thickets.naming import Names, Params
from thickets.runs import packed_arrays
from thickets.runs.json_files import JsonObject


@dataclasses.dataclass(frozen=True)
class PictureSubject:
  """A model that draws, and what its pictures are asked for.

  Attributes:
    params: the base, of which members differ in `unet` alone.
    names: logical names of its tensors.
    pipeline: how pictures are made.
    encode: what prompts are to the denoiser, [Q, ...] by name, in NumPy.
    add_labels: what scores need to know of prompts, [Q, ...] by name.
    latent_shape: shape of the latents of one picture.
    targets: what pictures can be scored for; channel `targets` has one column for
      each.
    prompts: the prompts by split: `select`, `dev` and `judge`.
    select: scores pictures where members are chosen.
    judge: scores pictures where they are judged; the same channels and more.
    source: where the base comes from, as JSON values.
    judging: what judges pictures, as JSON values; part of what records mean.
    why_not_finite: why the base may draw pictures that are not finite, and what to
      do, for the message that refuses it.
  """

  params: Params
  names: Names
  pipeline: Pipeline
  encode: Callable[[Sequence[str]], Conditioning]
  add_labels: Callable[[Sequence[str]], Mapping[str, np.ndarray]]
  latent_shape: tuple[int, ...]
  targets: tuple[str, ...]
  prompts: Mapping[str, tuple[str, ...]]
  select: ScorePictures
  judge: ScorePictures
  source: JsonObject
  judging: JsonObject
  why_not_finite: str


def make_batch(
  subject: PictureSubject, split: str, num_samples: int, *, seed: int
) -> dict[str, Any]:
  """Encodes the prompts of a split, and draws their starting noise.

  Args:
    subject: the model and its prompts.
    split: name of the prompts.
    num_samples: pictures of each prompt.
    seed: root seed of the run.

  Returns:
    The batch, every leaf [Q, ...]: the samples of a prompt follow each other.
  """
  prompts = subject.prompts[split]

  def repeat(leaf: Any) -> np.ndarray:
    return np.repeat(np.asarray(leaf), num_samples, axis=0)

  noise = pipelines.make_starting_noise(
    seed, split, prompts, num_samples, subject.latent_shape
  )
  return {
    "noise": noise,
    "conditioning": {
      name: repeat(leaf) for name, leaf in subject.encode(prompts).items()
    },
    "labels": {
      name: repeat(leaf) for name, leaf in subject.add_labels(prompts).items()
    },
  }


def describe_batches(batches: Mapping[str, Mapping[str, Any]]) -> JsonObject:
  """Sizes and hashes of batches, for the header of a run."""
  return {
    split: packed_arrays.hash_arrays(dict(naming.named_leaves(dict(batch))))
    for split, batch in batches.items()
  }
