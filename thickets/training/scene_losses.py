"""The loss of a vision-language model on pictures with text, tower included."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.models.vision import joined, places, positions, tower
from thickets.models.vision.config import VisionModel
from thickets.models.vision.images import Images
from thickets.models.vision.pixels import Prepared
from thickets.models.vision.places import Inputs
from thickets.naming import Params
from thickets.tasks.scenes import scene
from thickets.training.train import LossFn


def make_loss(config: TransformerConfig, vision: VisionModel) -> LossFn:
  """Makes the weighted mean cross-entropy of texts behind the picture of a scene.

  Args:
    config: shape of the text model.
    vision: its tower.

  Returns:
    A function of (params, batch), where the batch is as `scene_corpora.write_batch`
    gives it. The loss is in nats per token of weight 1.
  """
  read = make_reader(config, vision)

  def loss_fn(params: Any, batch: Any):
    tokens, weights = batch["tokens"], batch["weights"]
    logits = read(params, tokens[:, :-1], batch["patches"])
    losses = optax.softmax_cross_entropy_with_integer_labels(
      logits, tokens[:, 1:]
    )
    return jnp.sum(losses * weights) / jnp.sum(weights)

  return loss_fn


def make_reader(
  config: TransformerConfig, vision: VisionModel
) -> Callable[[Params, Any, Any], Any]:
  """Makes the function that reads texts behind the picture of a scene each.

  Args:
    config: shape of the text model.
    vision: its tower.

  Returns:
    A function of (params, tokens [B, T], patches [B, N, P]) to logits [B, T, V]. Each
    row of tokens begins with `scene_corpora.make_prefix`.
  """
  side = scene.SIZE // vision.pixels.patch
  layout = _lay_out(vision, (side, side))
  merged = side // vision.pixels.merge

  def read(params: Any, tokens: Any, patches: Any):
    run = functools.partial(tower.apply, vision.config, params[joined.VISUAL])
    features, deepstack = jax.vmap(
      lambda shown: run(dataclasses.replace(layout, patches=shown))
    )(patches)
    rows, count, width = features.shape
    is_image = tokens == vision.image_pad
    # The k-th token of a row's picture is the k-th of its features.
    order = jnp.cumsum(is_image, axis=1) - 1 + jnp.arange(rows)[:, None] * count
    images = Images(
      jnp.where(is_image, order, -1),
      _find_positions(vision, (merged, merged), tokens),
      features.reshape(rows * count, width),
      deepstack.swapaxes(0, 1).reshape(-1, rows * count, width),
    )
    text = joined.take_text(params)
    return transformer.apply(config, text, tokens, images)

  return read


def _lay_out(vision: VisionModel, grid: tuple[int, int]) -> Inputs:
  """What the tower is fed besides the patches, the same for all pictures."""
  blank = np.zeros((grid[0] * grid[1], vision.config.patch_width), np.float32)
  return places.make_inputs(
    vision.config,
    Prepared(blank, grid, vision.pixels.merge),
    num_patches=len(blank),
  )


def _find_positions(vision: VisionModel, grid: tuple[int, int], tokens: Any):
  """[3, B, S] positions of rows that all have one picture at the same place."""
  steps = tokens.shape[1]
  start = [vision.video_pad]  # Any token but those of pictures: the beginning.
  shown = [*start, vision.vision_start]
  shown += [vision.image_pad] * (grid[0] * grid[1])
  shown += start * (steps - len(shown))
  found, _ = positions.find_positions(
    shown, [grid], image_token=vision.image_pad
  )
  return jnp.broadcast_to(found[:, None], (3, *tokens.shape))
