"""A tiny text model that reads images, and random features for it to read."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from golden import transformer_cases as cases

from thickets.models import families
from thickets.models.config import LayerKind
from thickets.models.vision.images import Images
from thickets.models.vision.positions import find_positions

VOCAB = 96
IMAGE = 90  # The id that stands for features.
START, END = 91, 92
WIDTH = 32
AXES = {"contiguous": (0, 0, 1, 2), "interleaved": (0, 1, 2, 0)}


@functools.cache
def make_model(axes="contiguous", **changes):
  """(config, params), its rotary frequencies turned by three positions."""
  fields = cases.CASES["qwen2"] | {"vocab_size": VOCAB} | changes
  config = families.parse_config(fields)
  (kind,) = config.kinds
  rope = dataclasses.replace(kind.rope, axes=AXES[axes])
  params = jax.tree.map(jnp.asarray, cases.make_params(fields))
  config = dataclasses.replace(config, kinds=(LayerKind(rope),))
  return config, params


def make_features(grids, *, seed=0, num_deepstack=0):
  """(features [N, D], deepstack [K, N, D] or None) of images behind each other."""
  rng = np.random.default_rng(seed)
  count = sum(rows * columns for rows, columns in grids)
  features = rng.normal(size=(count, WIDTH)).astype(np.float32)
  deepstack = rng.normal(size=(num_deepstack, count, WIDTH))
  return features, deepstack.astype(np.float32) if num_deepstack else None


def make_text(*parts):
  """Token ids of texts (lists) and images (pairs of rows and columns)."""
  tokens = []
  for part in parts:
    is_image = isinstance(part, tuple)
    pads = [IMAGE] * (part[0] * part[1]) if is_image else []
    tokens += [START, *pads, END] if is_image else part
  return tokens


def make_images(texts, grids, features, deepstack=None):
  """The `Images` of texts [B][S] of equal length.

  Args:
    texts: the token ids.
    grids: [B] of each text those of its images, whose features follow each other.
    features: those of all images, in the order of the texts.
    deepstack: the same for the first layers.
  """
  places, positions, start = [], [], 0
  for text, of_text in zip(texts, grids, strict=True):
    is_image = np.asarray(text) == IMAGE
    places.append(np.where(is_image, start + np.cumsum(is_image) - 1, -1))
    positions.append(find_positions(text, of_text, image_token=IMAGE)[0])
    start += int(is_image.sum())
  return Images(
    jnp.asarray(np.stack(places), jnp.int32),
    jnp.asarray(np.stack(positions, axis=1)),
    jnp.asarray(features),
    None if deepstack is None else jnp.asarray(deepstack),
  )
