"""The UNet of Stable Diffusion and SDXL: predicts the noise in latents.

`describe` says what weights there are, `apply` computes with them. Levels go from
the finest to the coarsest and back; what a level computes on the way down is
joined to what it gets on the way up.

Reference: Rombach et al. (2022), arXiv:2112.10752; Podell et al. (2023),
arXiv:2307.01952; the layout of weights is that of diffusers.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from thickets.models.diffusion import operations as ops
from thickets.models.diffusion import resnet, weights
from thickets.models.diffusion.unet_config import UNetConfig
from thickets.naming import Params

# The GroupNorm before transformer blocks has it, whatever the config says.
_TRANSFORMER_EPS = 1e-6
_MLP_RATIO = 4

# What a prediction depends on beside latents and time: `context` [B, T, D], and
# where the config adds them `pooled` [B, P] and `time_ids` [B, 6].
Conditioning = Mapping[str, Any]


def describe(config: UNetConfig) -> Params:
  """The description of the weights, laid out as published."""
  widths, time_width = config.widths, config.time_width
  described = {
    **weights.conv("conv_in", config.in_channels, widths[0]),
    "time_embedding": _describe_mlp(widths[0], time_width),
    "down_blocks": {},
    "mid_block": {
      "resnets": {
        str(i): _describe_resnet(config, widths[-1], widths[-1])
        for i in range(2)
      },
      "attentions": {"0": _describe_transformer(config, len(widths) - 1)},
    },
    "up_blocks": {},
    **weights.norm("conv_norm_out", widths[0]),
    **weights.conv("conv_out", widths[0], config.out_channels),
  }
  if config.added is not None:
    added = config.added
    inputs = added.pooled_width + added.num_ids * added.time_width
    described["add_embedding"] = _describe_mlp(inputs, time_width)
  for i, (level, inputs) in enumerate(_down_inputs(config)):
    block = _describe_block(config, level, inputs, config.down_attends[i])
    if i < len(widths) - 1:
      block["downsamplers"] = {
        "0": weights.conv("conv", widths[level], widths[level])
      }
    described["down_blocks"][str(i)] = block
  for i, (level, inputs) in enumerate(_up_inputs(config)):
    block = _describe_block(config, level, inputs, config.up_attends[i])
    if i < len(widths) - 1:
      block["upsamplers"] = {
        "0": weights.conv("conv", widths[level], widths[level])
      }
    described["up_blocks"][str(i)] = block
  return described


def _down_inputs(config: UNetConfig) -> Iterator[tuple[int, list[int]]]:
  """(Level, channels that come into each of its residual blocks), downwards."""
  last = config.widths[0]
  for level, width in enumerate(config.widths):
    yield level, [last] + [width] * (config.num_resnets - 1)
    last = width


def _up_inputs(config: UNetConfig) -> Iterator[tuple[int, list[int]]]:
  """The same upwards: what comes from below, and what was kept on the way down."""
  kept = [config.widths[0]]
  for level, width in enumerate(config.widths):
    kept += [width] * config.num_resnets
    if level < len(config.widths) - 1:
      kept.append(width)
  last = config.widths[-1]
  for level in reversed(range(len(config.widths))):
    inputs = []
    for _ in range(config.num_resnets + 1):
      inputs.append(last + kept.pop())
      last = config.widths[level]
    yield level, inputs


def _describe_block(
  config: UNetConfig, level: int, inputs: list[int], attends: bool
) -> dict[str, Any]:
  """The residual blocks of a level, and its transformers."""
  block = {
    "resnets": {
      str(i): _describe_resnet(config, channels, config.widths[level])
      for i, channels in enumerate(inputs)
    }
  }
  if attends:
    block["attentions"] = {
      str(i): _describe_transformer(config, level) for i in range(len(inputs))
    }
  return block


def _describe_resnet(
  config: UNetConfig, inputs: int, width: int
) -> dict[str, Any]:
  return resnet.describe(inputs, width, time_width=config.time_width)


def _describe_transformer(config: UNetConfig, level: int) -> dict[str, Any]:
  width = config.widths[level]
  block = {"attn1": _describe_attention(width, width)}
  block["attn2"] = _describe_attention(width, config.context_width)
  for i in (1, 2, 3):
    block |= weights.norm(f"norm{i}", width)
  inner = _MLP_RATIO * width
  block["ff"] = {
    "net": {
      "0": weights.linear("proj", width, 2 * inner),
      **weights.linear("2", inner, width),
    }
  }
  described = weights.norm("norm", width)
  for name in ("proj_in", "proj_out"):
    described |= (
      weights.linear(name, width, width)
      if config.has_linear_projection
      else weights.conv(name, width, width, 1)
    )
  described["transformer_blocks"] = weights.stack(block, config.depths[level])
  return described


def _describe_attention(width: int, context_width: int) -> dict[str, Any]:
  return {
    **weights.linear("to_q", width, width, has_bias=False),
    **weights.linear("to_k", context_width, width, has_bias=False),
    **weights.linear("to_v", context_width, width, has_bias=False),
    "to_out": weights.linear("0", width, width),
  }


def _describe_mlp(inputs: int, width: int) -> dict[str, Any]:
  return {
    **weights.linear("linear_1", inputs, width),
    **weights.linear("linear_2", width, width),
  }


def apply(
  config: UNetConfig,
  params: Params,
  x: Float[Array, "B H W C"],
  t: Float[Array, " B"],
  conditioning: Conditioning,
) -> Float[Array, "B H W _"]:
  """Predicts the noise (or velocity) in latents.

  Convolutions and products are computed in the dtype of `conv_in`; what is
  predicted is float32.

  Args:
    config: the architecture.
    params: its weights, laid out as `describe` says.
    x: [B, H, W, C] latents, scaled as the schedule says; any height and width.
    t: [B] timesteps, float32, not necessarily whole.
    conditioning: `context` [B, T, D] text features and, where `config.added`,
      `pooled` [B, P] and `time_ids` [B, 6].
  """
  dtype = params["conv_in"].dtype
  emb = jax.nn.silu(_embed_time(config, params, t, conditioning, dtype))
  context = conditioning["context"].astype(dtype)
  x = ops.conv(params, "conv_in", x.astype(dtype))
  kept = [x]
  for i in range(len(config.widths)):
    block = params["down_blocks"][str(i)]
    for j in range(config.num_resnets):
      x = _run_pair(config, block, str(j), i, x, emb, context)
      kept.append(x)
    if "downsamplers" in block:
      x = ops.conv(block["downsamplers"]["0"], "conv", x, stride=2)
      kept.append(x)
  middle, last = params["mid_block"], len(config.widths) - 1
  x = _run_pair(config, middle, "0", last, x, emb, context)
  x = _run_resnet(config, middle["resnets"]["1"], x, emb)
  for i in range(len(config.widths)):
    block = params["up_blocks"][str(i)]
    for j in range(config.num_resnets + 1):
      x = jnp.concatenate([x, kept.pop()], axis=-1)
      x = _run_pair(config, block, str(j), last - i, x, emb, context)
    if "upsamplers" in block:
      # Halving an odd size rounds up, so that twice the half may be too large.
      x = ops.upsample(x, *kept[-1].shape[1:3])
      x = ops.conv(block["upsamplers"]["0"], "conv", x)
  x = jax.nn.silu(_group_norm(config, params, "conv_norm_out", x))
  return ops.conv(params, "conv_out", x).astype(jnp.float32)


def _embed_time(
  config: UNetConfig,
  params: Params,
  t: Array,
  conditioning: Conditioning,
  dtype: Any,
) -> Array:
  """The embedding of time, and of what SDXL adds to it: [B, 4 × width]."""
  sines = ops.sinusoid(t, config.widths[0]).astype(dtype)
  emb = _run_mlp(params["time_embedding"], sines)
  if config.added is None:
    return emb
  ids = ops.sinusoid(conditioning["time_ids"], config.added.time_width)
  pooled = conditioning["pooled"].astype(dtype)
  ids = ids.reshape(ids.shape[0], -1).astype(dtype)
  added = jnp.concatenate([pooled, ids], axis=-1)
  return emb + _run_mlp(params["add_embedding"], added)


def _run_mlp(params: Params, x: Array) -> Array:
  x = jax.nn.silu(ops.linear(params, "linear_1", x))
  return ops.linear(params, "linear_2", x)


def _run_pair(
  config: UNetConfig,
  block: Params,
  index: str,
  level: int,
  x: Array,
  emb: Array,
  context: Array,
) -> Array:
  """A residual block, and the transformer behind it if there is one."""
  x = _run_resnet(config, block["resnets"][index], x, emb)
  if "attentions" not in block:
    return x
  return run_transformer(config, block["attentions"][index], level, x, context)


def _run_resnet(
  config: UNetConfig, params: Params, x: Array, emb: Array
) -> Array:
  return resnet.run(
    params, x, emb, num_groups=config.num_groups, eps=config.norm_eps
  )


def run_transformer(
  config: UNetConfig,
  params: Params,
  level: int,
  x: Float[Array, "B H W C"],
  context: Float[Array, "B T D"],
) -> Float[Array, "B H W C"]:
  """Lets all places attend to each other and to the text.

  Args:
    config: the architecture.
    params: the weights of one transformer, its blocks stacked.
    level: the level that it is of.
    x: [B, H, W, C] activations.
    context: [B, T, D] text features, padding included, in the dtype of `x`.
  """
  y = _group_norm(config, params, "norm", x, eps=_TRANSFORMER_EPS)
  y = _project(params, "proj_in", y.reshape(x.shape[0], -1, x.shape[-1]))
  num_heads = config.num_heads[level]

  def step(y: Array, block: Params) -> tuple[Array, None]:
    for norm, attn in (("norm1", "attn1"), ("norm2", "attn2")):
      normed = ops.layer_norm(block, norm, y)
      seen = normed if attn == "attn1" else context
      y = y + _run_attention(config, block[attn], num_heads, normed, seen)
    return y + _run_mlp_with_gate(block["ff"]["net"], block, y), None

  blocks = params["transformer_blocks"]
  if config.depths[level] == 1:
    y, _ = step(y, jax.tree.map(lambda leaf: leaf[0], blocks))
  else:
    y, _ = lax.scan(step, y, blocks)
  return _project(params, "proj_out", y).reshape(x.shape) + x


def _project(params: Params, name: str, x: Array) -> Array:
  """A matrix, or a 1×1 convolution, which is one."""
  weight = params[name].reshape(params[name].shape[:2])
  return ops.linear({**params, name: weight}, name, x)


def _run_attention(
  config: UNetConfig, params: Params, num_heads: int, x: Array, seen: Array
) -> Array:
  mixed = ops.attend(
    ops.linear(params, "to_q", x),
    ops.linear(params, "to_k", seen),
    ops.linear(params, "to_v", seen),
    num_heads=num_heads,
    is_wide=config.is_attention_wide,
  )
  return ops.linear(params["to_out"], "0", mixed)


def _run_mlp_with_gate(net: Params, block: Params, x: Array) -> Array:
  """The second half of the wide layer, through the exact GELU, gates the first."""
  wide = ops.linear(net["0"], "proj", ops.layer_norm(block, "norm3", x))
  value, gate = jnp.split(wide, 2, axis=-1)
  return ops.linear(net, "2", value * jax.nn.gelu(gate, approximate=False))


def _group_norm(
  config: UNetConfig,
  params: Params,
  name: str,
  x: Array,
  *,
  eps: float | None = None,
) -> Array:
  eps = config.norm_eps if eps is None else eps
  return ops.group_norm(params, name, x, num_groups=config.num_groups, eps=eps)
