"""A UNet of one level on pictures of one pixel, which can be computed by hand."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized
from golden import diffusion_cases as cases

from thickets.models.diffusion import part_files, unet, unet_config, weights

# It attends in its middle alone, and is of SDXL's kind.
_CONFIG = unet_config.parse_config(
  {
    **cases.SHAPES,
    "block_out_channels": [4],
    "norm_num_groups": 2,
    # As large as the activations, so that no norm can have another.
    "norm_eps": 1.0,
    "cross_attention_dim": 4,
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
    "attention_head_dim": 1,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 6 * 4 + 4,
  }
)
_apply = jax.jit(
  functools.partial(unet.apply, _CONFIG), compiler_options=unoptimised.OPTIONS
)


def _fill(silenced="$^"):
  """Random weights as bfloat16; those with such a name are zero."""
  description = unet.describe(_CONFIG)
  shapes = weights.list_names(description)

  def read(name):
    values = cases.randomise(weights.publish_name(name), shapes[name])
    values = values * (not re.search(silenced, name))
    # One pixel meets the middle of a kernel alone.
    return 3 * values if values.shape[2:] == (3, 3) else values

  return part_files.fill(description, read, jnp.bfloat16)


def _predict(params, x, t=0.0, time_ids=(0,) * 6):
  """Predictions [3, 3] for rows [3, 3], their times and their time ids."""
  conditioning = {
    "context": np.ones((3, 2, 4), np.float32),
    "pooled": np.ones((3, 4), np.float32),
    "time_ids": np.broadcast_to(np.float32(time_ids), (3, 6)),
  }
  t = np.broadcast_to(np.float32(t), 3)
  return np.asarray(_apply(params, x[:, None, None], t, conditioning))[:, 0, 0]


def _apply_by_hand(params, x):
  """Predictions [B, 3] for pictures of one pixel, without time and transformers."""

  def conv(params, name, x):
    kernel = params[name]
    middle = kernel.shape[-1] // 2  # The rest of the kernel sees the border.
    return x @ kernel[:, :, middle, middle].T + params[f"{name}_bias"]

  def activate(params, name, x):
    groups = x.reshape(len(x), 2, -1)
    groups = groups - groups.mean(-1, keepdims=True)
    square = np.mean(groups**2, -1, keepdims=True)
    normed = (groups / np.sqrt(square + 1.0)).reshape(x.shape)
    normed = normed * params[name] + params[f"{name}_bias"]
    return normed / (1 + np.exp(-normed))

  def run(params, x):
    y = conv(params, "conv1", activate(params, "norm1", x))
    y = conv(params, "conv2", activate(params, "norm2", y))
    is_joined = "conv_shortcut" in params
    return (conv(params, "conv_shortcut", x) if is_joined else x) + y

  down, middle, up = (
    block["resnets"]
    for block in (
      params["down_blocks"]["0"],
      params["mid_block"],
      params["up_blocks"]["0"],
    )
  )
  first = conv(params, "conv_in", x)
  second = run(down["0"], first)
  x = run(middle["1"], run(middle["0"], second))
  x = run(up["0"], np.concatenate([x, second], axis=-1))
  x = run(up["1"], np.concatenate([x, first], axis=-1))
  return conv(params, "conv_out", activate(params, "conv_norm_out", x))


class OneLevelTest(parameterized.TestCase):
  def test_half_weights_tell_neighbouring_times_and_sizes_apart(self):
    # Rounded to bfloat16, both times are 1000 and all sizes 1024.
    predicted = _predict(
      _fill(),
      np.ones((3, 3), np.float32),
      t=[998, 999, 998],
      time_ids=[[1023] * 6, [1023] * 6, [1024] * 6],
    )
    for row in (1, 2):
      self.assertGreater(np.abs(predicted[row] - predicted[0]).max(), 0.01)

  def test_every_norm_outside_transformers_has_the_epsilon_of_the_config(self):
    # Neither transformers nor time add anything to what is computed by hand.
    params = _fill(silenced="proj_out|time_emb_proj")
    x = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    expected = _apply_by_hand(
      jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params), x
    )
    error = np.abs(_predict(params, x) - expected).max()
    self.assertLess(error, 0.05 * expected.std())
