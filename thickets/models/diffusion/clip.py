"""The towers of CLIP: texts and pictures as vectors, in float32 or half precision.

The text towers of SDXL are CLIP ViT-L/14's and OpenCLIP ViT-bigG/14's; pictures
are scored by the whole of ViT-L/14.

Reference: Radford et al. (2021), arXiv:2103.00020.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from thickets.models.diffusion import operations as ops
from thickets.models.diffusion import weights
from thickets.models.diffusion.clip_config import (
  ScorerConfig,
  TextConfig,
  Tower,
  VisionConfig,
)
from thickets.naming import Params

# Constants that old files hold, and the temperature of training.
UNREAD = r"(^|\.)position_ids$|^logit_scale$"

_TEXT_PREFIX = "text_model."


class TextFeatures(NamedTuple):
  """What a text tower makes of texts.

  Attributes:
    before_last: [Q, T, D] the output of the last layer but one.
    last: [Q, T, D] the output of the last layer, normed.
    pooled: [Q, E] the same at the end of each text, projected where the tower
      projects.
  """

  before_last: Any
  last: Any
  pooled: Any


def describe_text(config: TextConfig) -> Params:
  """The description of a text tower's weights, laid out as published."""
  width = config.tower.width
  described = {
    "text_model": {
      "embeddings": {
        "token_embedding": _table(config.vocab_size, width),
        "position_embedding": _table(config.context, width),
      },
      "encoder": {"layers": _describe_layers(config.tower)},
      **weights.norm("final_layer_norm", width),
    }
  }
  if config.projection_width is not None:
    described |= weights.linear(
      "text_projection", width, config.projection_width, has_bias=False
    )
  return described


def describe_vision(config: VisionConfig) -> Params:
  """The description of an image tower's weights, laid out as published."""
  width = config.tower.width
  num_places = (config.size // config.patch) ** 2 + 1
  return {
    "vision_model": {
      "embeddings": {
        "class_embedding": weights.Weight((width,), spread=width**-0.5),
        **weights.conv(
          "patch_embedding", 3, width, config.patch, has_bias=False
        ),
        "position_embedding": _table(num_places, width),
      },
      **weights.norm(
        "pre_layrnorm", width
      ),  # Spelled so where it is published.
      "encoder": {"layers": _describe_layers(config.tower)},
      **weights.norm("post_layernorm", width),
    },
    **weights.linear(
      "visual_projection", width, config.projection_width, has_bias=False
    ),
  }


def describe_scorer(config: ScorerConfig) -> Params:
  """The description of the weights of both towers."""
  return {**describe_text(config.text), **describe_vision(config.vision)}


def _table(rows: int, width: int) -> weights.Weight:
  """Vectors that are looked up, of about the spread that CLIP begins with."""
  return weights.Weight((rows, width), spread=0.035)


def _describe_layers(tower: Tower) -> Params:
  layer: dict[str, Any] = {"self_attn": {}}
  for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
    layer["self_attn"] |= weights.linear(name, tower.width, tower.width)
  for i in (1, 2):
    layer |= weights.norm(f"layer_norm{i}", tower.width)
  layer["mlp"] = {
    **weights.linear("fc1", tower.width, tower.mlp_width),
    **weights.linear("fc2", tower.mlp_width, tower.width),
  }
  return weights.stack(layer, tower.num_layers)


def spell(name: str) -> Sequence[str]:
  """The keys under which a tensor may be stored.

  A text tower that is published alone has lost the first word of its keys in
  version 5.6 of transformers.
  """
  if name.endswith("class_embedding"):
    return (name,)
  key = weights.publish_name(name)
  if key.startswith(_TEXT_PREFIX):
    return (key, key.removeprefix(_TEXT_PREFIX))
  return (key,)


def read_texts(
  config: TextConfig, params: Params, tokens: Int[Array, "Q T"]
) -> TextFeatures:
  """Runs a text tower.

  Padding is read like text: SDXL and Stable Diffusion attend to all of it.

  Args:
    config: the architecture.
    params: its weights, laid out as `describe_text` says.
    tokens: [Q, T] ids, which begin and end as the tokenizer says.
  """
  tower, model = config.tower, params["text_model"]
  embeddings = model["embeddings"]
  places = embeddings["position_embedding"][: tokens.shape[1]]
  x = embeddings["token_embedding"][tokens] + places[None]
  layers = model["encoder"]["layers"]
  first = jax.tree.map(lambda leaf: leaf[:-1], layers)
  before_last = _run_layers(tower, first, x, is_causal=True)
  last = _run_layer(
    tower,
    jax.tree.map(lambda leaf: leaf[-1], layers),
    before_last,
    is_causal=True,
  )
  last = ops.layer_norm(model, "final_layer_norm", last, eps=tower.norm_eps)
  ends = find_ends(config, tokens)
  pooled = jnp.take_along_axis(last, ends[:, None, None], axis=1)[:, 0]
  if config.projection_width is not None:
    pooled = ops.linear(params, "text_projection", pooled)
  return TextFeatures(before_last, last, pooled)


def find_ends(
  config: TextConfig, tokens: Int[Array, "Q T"]
) -> Int[Array, " Q"]:
  """Where each text ends: the largest id, or the first that ends a text."""
  if config.end_token is None:
    return jnp.argmax(tokens, axis=-1)
  return jnp.argmax(tokens == config.end_token, axis=-1)


def embed_texts(
  config: ScorerConfig, params: Params, tokens: Int[Array, "Q T"]
) -> Float[Array, "Q E"]:
  """Texts as vectors [Q, E] of length one, float32."""
  return _normalise(read_texts(config.text, params, tokens).pooled)


def embed_pictures(
  config: ScorerConfig, params: Params, pixels: Float[Array, "B S S 3"]
) -> Float[Array, "B E"]:
  """Pictures as vectors of length one, float32.

  The products of these with the vectors of texts are the scores.

  Args:
    config: the architecture.
    params: the weights, of which those of the image tower are read.
    pixels: [B, S, S, 3] pictures as `clip_pixels.prepare` makes them.
  """
  vision, model = config.vision, params["vision_model"]
  tower, embeddings = vision.tower, model["embeddings"]
  kernel = embeddings["patch_embedding"]
  patches = _cut(pixels, vision.patch).astype(kernel.dtype)
  flat = {"patch": kernel.reshape(kernel.shape[0], -1)}
  x = ops.linear(flat, "patch", patches)
  first = embeddings["class_embedding"].astype(x.dtype)
  first = jnp.broadcast_to(first[None, None], (x.shape[0], 1, x.shape[2]))
  x = jnp.concatenate([first, x], axis=1)
  x = x + embeddings["position_embedding"].astype(x.dtype)[None]
  x = ops.layer_norm(model, "pre_layrnorm", x, eps=tower.norm_eps)
  x = _run_layers(tower, model["encoder"]["layers"], x, is_causal=False)
  x = ops.layer_norm(model, "post_layernorm", x[:, 0], eps=tower.norm_eps)
  return _normalise(ops.linear(params, "visual_projection", x))


def _cut(pixels: Float[Array, "B S S 3"], patch: int) -> Array:
  """Patches [B, N, 3 · p · p], their channels first as in a kernel."""
  rows, size = pixels.shape[0], pixels.shape[1] // patch
  cut = pixels.reshape(rows, size, patch, size, patch, 3)
  return cut.transpose(0, 1, 3, 5, 2, 4).reshape(rows, size * size, -1)


def _normalise(x: Float[Array, "Q E"]) -> Float[Array, "Q E"]:
  x = x.astype(jnp.float32)
  return x / jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True))


def _run_layers(
  tower: Tower, layers: Params, x: Array, *, is_causal: bool
) -> Array:
  def step(x: Array, layer: Params) -> tuple[Array, None]:
    return _run_layer(tower, layer, x, is_causal=is_causal), None

  return lax.scan(step, x, layers)[0]


def _run_layer(
  tower: Tower, params: Params, x: Array, *, is_causal: bool
) -> Array:
  attn = params["self_attn"]
  y = ops.layer_norm(params, "layer_norm1", x, eps=tower.norm_eps)
  query, key, value = (
    ops.linear(attn, name, y) for name in ("q_proj", "k_proj", "v_proj")
  )
  y = ops.attend(
    query, key, value, num_heads=tower.num_heads, is_causal=is_causal
  )
  x = x + ops.linear(attn, "out_proj", y)
  y = ops.layer_norm(params, "layer_norm2", x, eps=tower.norm_eps)
  y = _activate(tower, ops.linear(params["mlp"], "fc1", y))
  return x + ops.linear(params["mlp"], "fc2", y)


def _activate(tower: Tower, x: Array) -> Array:
  if tower.activation == "quick_gelu":
    return x * jax.nn.sigmoid(np.asarray(1.702, x.dtype) * x)
  return jax.nn.gelu(x, approximate=False)
