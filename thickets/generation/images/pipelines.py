"""From starting noise and text features to pictures, for any denoiser.

A pipeline is a few functions and the arrays of a schedule. What is the same for
all members of a population comes in the batch, with the pictures as the first
axis of every leaf: starting noise, and what the text encoders make of prompts.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

from thickets import noise
from thickets.errors import UserError
from thickets.models.diffusion import sampling
from thickets.models.diffusion.schedule import Schedule
from thickets.naming import Params

# Named arrays [Q, ...] that a prediction depends on, such as `context`.
Conditioning = Mapping[str, Any]
# Maps (params, latents [B, ...], timesteps [B], conditioning) to predictions.
Predict = Callable[[Params, Array, Array, Conditioning], Array]
# A batch: `noise` [Q, ...], `conditioning`, and what scores need.
PictureBatch = Mapping[str, Any]
# Maps (params, pictures [Q, H, W, 3] within 0 and 1, batch) to channels [Q, ...],
# of which `score` is one; of the params it may read what members do not differ in.
ScorePictures = Callable[[Params, Array, PictureBatch], dict[str, Array]]


@dataclasses.dataclass(frozen=True)
class Pipeline:
  """How pictures are made; everything that members share.

  Attributes:
    predict: the denoiser, a function of a member's weights.
    decode: maps (params, latents [Q, ...]) to RGB [Q, H, W, 3] within 0 and 1.
    schedule: the steps.
    guidance: how far predictions go beyond what the text adds; with 1 or less
      the negative prompt is not asked.
    negative: conditioning of the negative prompt, with a first axis of 1.
    pictures_at_once: for how many pictures a device predicts at once, None for all
      of its own; each is two rows where predictions are guided. Fewer take less
      memory, and the weights are read anew for each group.
    decoded_at_once: how many pictures are decoded and scored at once, None for all;
      one for decoders that take gibibytes for each.

  Raises:
    UserError: if guidance is asked for without a negative prompt.
  """

  predict: Predict
  decode: Callable[[Params, Array], Array]
  schedule: Schedule
  guidance: float
  negative: Conditioning | None = None
  pictures_at_once: int | None = None
  decoded_at_once: int | None = None

  def __post_init__(self):
    if sampling.is_guided(self.guidance) and self.negative is None:
      raise UserError(
        "guidance must be at most 1 where there is no negative prompt, got"
        f" {self.guidance:g}. Encode one, if it is the empty one."
      )


def predict_guided(
  pipeline: Pipeline,
  params: Params,
  x: Float[Array, "Q ..."],
  t: Float[Array, ""],
  conditioning: Conditioning,
) -> Float[Array, "Q ..."]:
  """What one member predicts for latents, guided if the pipeline is; float32.

  Args:
    pipeline: how pictures are made.
    params: the member's weights.
    x: [Q, ...] latents, as the denoiser takes them.
    t: [] the timestep.
    conditioning: [Q, ...] what the prompts say.
  """

  def predict(x: Array, conditioning: Conditioning) -> Array:
    negative = None
    if sampling.is_guided(pipeline.guidance):
      negative = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (x.shape[0], *leaf.shape[1:])),
        dict(pipeline.negative or {}),
      )
    predicted = sampling.predict_guided(
      functools.partial(pipeline.predict, params),
      x,
      t,
      conditioning,
      negative,
      pipeline.guidance,
    )
    return predicted.astype(jnp.float32)

  return _map_groups(
    predict, (x, dict(conditioning)), pipeline.pictures_at_once
  )


def _map_groups(
  function: Callable[..., Any], inputs: tuple[Any, ...], at_once: int | None
) -> Any:
  """Applies a function of trees to groups of their rows, one after the other.

  Groups have one size, the least that their number allows; the last row is
  repeated where rows are missing, and what comes of it left out.
  """
  num_rows = jax.tree.leaves(inputs)[0].shape[0]
  num_groups = 1 if at_once is None else -(-num_rows // at_once)
  if num_groups == 1:
    return function(*inputs)
  size = -(-num_rows // num_groups)
  places = np.minimum(np.arange(num_groups * size), num_rows - 1)
  groups = jax.tree.map(
    lambda leaf: leaf[places].reshape(num_groups, size, *leaf.shape[1:]),
    inputs,
  )
  found = lax.map(lambda group: function(*group), groups)
  return jax.tree.map(
    lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:num_rows], found
  )


def draw_latents(
  pipeline: Pipeline, params: Params, batch: PictureBatch
) -> Float[Array, "Q ..."]:
  """Draws the latents of one picture for each starting noise, by one member.

  Args:
    pipeline: how pictures are made.
    params: the member's weights.
    batch: `noise` [Q, ...] of unit spread and `conditioning` [Q, ...].

  Returns:
    [Q, ...] latents without noise, float32.
  """

  def denoise(x: Array, t: Array) -> Array:
    return predict_guided(pipeline, params, x, t, batch["conditioning"])

  return sampling.integrate(pipeline.schedule, denoise, batch["noise"])


def draw_pictures(
  pipeline: Pipeline, params: Params, batch: PictureBatch
) -> Float[Array, "Q H W 3"]:
  """Draws one picture for each starting noise, by one member.

  Args:
    pipeline: how pictures are made.
    params: the member's weights.
    batch: `noise` [Q, ...] of unit spread and `conditioning` [Q, ...].

  Returns:
    [Q, H, W, 3] RGB within 0 and 1, float32.
  """
  latents = draw_latents(pipeline, params, batch)
  return _map_groups(
    functools.partial(pipeline.decode, params),
    (latents,),
    pipeline.decoded_at_once,
  )


def score_latents(
  pipeline: Pipeline,
  score: ScorePictures,
  params: Params,
  latents: Float[Array, "Q ..."],
  batch: PictureBatch,
) -> dict[str, Array]:
  """Decodes latents and scores the pictures.

  Args:
    pipeline: how pictures are made.
    score: scores each picture by itself, whatever others are beside it.
    params: weights of which the decoder and the scores read theirs.
    latents: [Q, ...] without noise.
    batch: what is known of the pictures.

  Returns:
    The channels [Q, ...] of the scores.
  """

  def finish(latents: Array, batch: PictureBatch) -> dict[str, Array]:
    return score(params, pipeline.decode(params, latents), batch)

  return _map_groups(finish, (latents, batch), pipeline.decoded_at_once)


def make_starting_noise(
  seed: int,
  split: str,
  prompts: Sequence[str],
  num_samples: int,
  shape: tuple[int, ...],
) -> Float[np.ndarray, "Q ..."]:
  """Draws the noise that pictures start from, the same for all members.

  The noise of a picture depends on (seed, split, prompt, sample) alone: neither
  the other pictures of a batch nor the device change a bit of it.

  Args:
    seed: root seed of the run, within [0, 2**32).
    split: name of the prompts.
    prompts: the prompts.
    num_samples: pictures of each prompt.
    shape: that of the latents of one picture.

  Returns:
    [Q, ...] standard normal values; the samples of a prompt follow each other.
  """
  draw = jax.jit(noise.gaussian, static_argnums=2)
  return np.stack(
    [
      np.asarray(
        draw(
          np.uint32(seed),
          noise.hash_name(f"starting noise|{split}|{prompt}|{sample}"),
          shape,
        )
      )
      for prompt in prompts
      for sample in range(num_samples)
    ]
  )


def to_bytes(pictures: Float[Array, "Q H W 3"]) -> UInt8[Array, "Q H W 3"]:
  """8-bit RGB of pictures within 0 and 1; halves go to the even number."""
  return jnp.round(255 * pictures).astype(jnp.uint8)
