"""The small model of shapes: the UNet of SDXL in a tiny config, and its words.

Weights are one tree, {"unet": ..., "words": ...}; pictures are their own latents,
scaled to -1 and 1.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from thickets.models.diffusion import (
  schedule,
  unet,
  unet_config,
  weights,
  words,
)
from thickets.models.diffusion.schedule import ScheduleConfig
from thickets.models.diffusion.unet_config import UNetConfig
from thickets.naming import Params

_CONTEXT_WIDTH = 32
# As a file of diffusers has it: 559,131 weights in 208 tensors.
UNET_FIELDS: Mapping[str, Any] = {
  "_class_name": "UNet2DConditionModel",
  "sample_size": 16,
  "in_channels": 3,
  "out_channels": 3,
  "block_out_channels": [24, 48],
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
  "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
  "layers_per_block": 1,
  "transformer_layers_per_block": 1,
  "attention_head_dim": [1, 3],
  "cross_attention_dim": _CONTEXT_WIDTH,
  "norm_num_groups": 8,
  "use_linear_projection": True,
}
# Those of SDXL's file that are read.
SCHEDULER_FIELDS: Mapping[str, Any] = {
  "_class_name": "EulerDiscreteScheduler",
  "num_train_timesteps": 1000,
  "beta_start": 0.00085,
  "beta_end": 0.012,
  "beta_schedule": "scaled_linear",
  "prediction_type": "epsilon",
  "timestep_spacing": "leading",
  "steps_offset": 1,
}


@dataclasses.dataclass(frozen=True)
class ShapesModel:
  """The architecture of the small model.

  Attributes:
    unet: its denoiser.
    schedule: what it is trained with.
    num_words: words of its captions, padding included.
    num_tokens: tokens of a caption.
  """

  unet: UNetConfig
  schedule: ScheduleConfig
  num_words: int
  num_tokens: int


def make_model(num_words: int, num_tokens: int) -> ShapesModel:
  """The model for captions of so many words and tokens."""
  return ShapesModel(
    unet=unet_config.parse_config(UNET_FIELDS),
    schedule=schedule.parse_config(SCHEDULER_FIELDS),
    num_words=num_words,
    num_tokens=num_tokens,
  )


def describe(model: ShapesModel) -> Params:
  """The description of all weights."""
  return {
    "unet": unet.describe(model.unet),
    "words": words.describe(
      model.num_words, model.num_tokens, model.unet.context_width
    ),
  }


def init(model: ShapesModel, key: PRNGKeyArray) -> Params:
  """Random weights, from which a training starts."""
  return weights.init(describe(model), key)


def predict(
  model: ShapesModel,
  params: Params,
  x: Float[Array, "B H W 3"],
  t: Float[Array, " B"],
  conditioning: unet.Conditioning,
) -> Float[Array, "B H W 3"]:
  """Predicts the noise in pictures; see `unet.apply`."""
  return unet.apply(model.unet, params["unet"], x, t, conditioning)


def decode(x: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
  """RGB within 0 and 1 of latents, which are pictures within -1 and 1."""
  return jnp.clip(x / 2 + 0.5, 0.0, 1.0)


def encode_pictures(pictures: Float[Array, "B H W 3"]) -> jax.Array:
  """Latents of pictures, the inverse of `decode`."""
  return 2 * jnp.asarray(pictures) - 1
