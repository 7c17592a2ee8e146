"""The decoder of the autoencoder: from latents to pictures.

It computes in float32 whatever its weights are held in. In half precision its
activations grow beyond 65504, and pictures come out black.

Reference: Rombach et al. (2022), arXiv:2112.10752.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from thickets.errors import UserError
from thickets.models.diffusion import operations as ops
from thickets.models.diffusion import part_options, resnet, weights
from thickets.models.published_classes import Field
from thickets.naming import Params

# Tensors that only the encoder has: pictures are drawn here, never read.
UNREAD = r"^(encoder|quant_conv)\."

_WHERE = "vae"
_NUM_COLOURS = 3  # Red, green and blue.
_EPS = 1e-6  # Of every GroupNorm of the decoder.
_KNOWN = {
  "latent_channels": Field("size", 4),
  "block_out_channels": Field("integers", [64]),
  "layers_per_block": Field("size", 1),
  "norm_num_groups": Field("size", 32),
  # Without a default: .18215 in place of .13025 washes out colours.
  "scaling_factor": Field("divisor"),
  "up_block_types": Field("list", ["UpDecoderBlock2D"]),
}
_NEUTRAL = {
  "act_fn": ("silu", "swish"),
  "latents_mean": (None,),
  "latents_std": (None,),
  "mid_block_add_attention": (True,),
  "out_channels": (_NUM_COLOURS,),
  "shift_factor": (None,),
  "use_post_quant_conv": (True,),
}
_UNREAD_FIELDS = {
  "down_block_types",
  "force_upcast",  # It is float32 always.
  "in_channels",
  "sample_size",
  "use_quant_conv",
}
# What older files call the layers of the attention.
_OLD_NAMES = {
  "to_q": "query",
  "to_k": "key",
  "to_v": "value",
  "to_out.0": "proj_attn",
}


@dataclasses.dataclass(frozen=True)
class VAEConfig:
  """The architecture of one decoder; levels go from the finest to the coarsest.

  Attributes:
    latent_channels: channels of the latents.
    widths: channels of each level.
    num_resnets: residual blocks of each level.
    num_groups: groups of GroupNorm.
    scale: what latents were multiplied with for the denoiser.
  """

  latent_channels: int
  widths: tuple[int, ...]
  num_resnets: int
  num_groups: int
  scale: float

  @property
  def factor(self) -> int:
    """How many pixels of a side one latent stands for."""
    return 2 ** (len(self.widths) - 1)


def parse_config(fields: Mapping[str, Any]) -> VAEConfig:
  """Reads the config.json of an AutoencoderKL.

  Raises:
    UserError: if an option is not supported, the scaling factor is missing, or
      the sizes do not fit.
  """
  read = part_options.read_fields(
    fields, _WHERE, known=_KNOWN, neutral=_NEUTRAL, unread=_UNREAD_FIELDS
  )
  widths = tuple(read["block_out_channels"])
  kinds = read["up_block_types"]
  if not widths or set(kinds) != {"UpDecoderBlock2D"}:
    raise UserError(
      "vae.up_block_types must list UpDecoderBlock2D alone, for one level or"
      f" more, got {kinds}. Models with other blocks are not supported."
    )
  if len(kinds) != len(widths):
    raise UserError(
      f"vae.up_block_types must have one block for each of the {len(widths)}"
      f" levels of block_out_channels, got {len(kinds)}."
    )
  for width in widths:
    if width < 1 or width % read["norm_num_groups"]:
      raise UserError(
        "vae.block_out_channels must be multiples of norm_num_groups, got"
        f" {width} for {read['norm_num_groups']}."
      )
  return VAEConfig(
    latent_channels=read["latent_channels"],
    widths=widths,
    num_resnets=read["layers_per_block"] + 1,
    num_groups=read["norm_num_groups"],
    scale=float(read["scaling_factor"]),
  )


def describe(config: VAEConfig) -> Params:
  """The description of the decoder's weights, laid out as published."""
  latents, coarsest = config.latent_channels, config.widths[-1]
  attention: dict[str, Any] = weights.norm("group_norm", coarsest)
  for name in ("to_q", "to_k", "to_v"):
    attention |= weights.linear(name, coarsest, coarsest)
  attention["to_out"] = weights.linear("0", coarsest, coarsest)
  middle = resnet.describe(coarsest, coarsest)
  blocks, last = {}, coarsest
  for i, width in enumerate(reversed(config.widths)):
    inputs = [last] + [width] * (config.num_resnets - 1)
    block = {
      "resnets": {
        str(j): resnet.describe(channels, width)
        for j, channels in enumerate(inputs)
      }
    }
    if i < len(config.widths) - 1:
      block["upsamplers"] = {"0": weights.conv("conv", width, width)}
    blocks[str(i)], last = block, width
  decoder = {
    **weights.conv("conv_in", latents, coarsest),
    "mid_block": {
      "resnets": {"0": middle, "1": middle},
      "attentions": {"0": attention},
    },
    "up_blocks": blocks,
    **weights.norm("conv_norm_out", config.widths[0]),
    **weights.conv("conv_out", config.widths[0], _NUM_COLOURS),
  }
  return {
    **weights.conv("post_quant_conv", latents, latents, 1),
    "decoder": decoder,
  }


def spell(name: str) -> Sequence[str]:
  """The keys under which a tensor may be stored: today's, and that of old files."""
  keys = [weights.publish_name(name)]
  if ".attentions." in name:
    for new, old in _OLD_NAMES.items():
      if f".{new}." in keys[0]:
        keys.append(keys[0].replace(f".{new}.", f".{old}."))
  return keys


def decode(
  config: VAEConfig, params: Params, latents: Float[Array, "B h w c"]
) -> Float[Array, "B H W C"]:
  """Draws pictures, in float32.

  Args:
    config: the architecture.
    params: its weights, laid out as `describe` says, in any dtype.
    latents: [B, h, w, c] latents as the denoiser leaves them.

  Returns:
    [B, H, W, C] pictures, RGB from 0 to 1; NaN where the latents are not finite.
  """
  x = decode_raw(config, params, latents)
  return jnp.clip(x / 2 + 0.5, 0.0, 1.0)


def decode_raw(
  config: VAEConfig, params: Params, latents: Float[Array, "B h w c"]
) -> Float[Array, "B H W C"]:
  """Pictures whose colours go from -1 to 1, and a little beyond."""
  decoder = params["decoder"]
  x = latents.astype(jnp.float32) / config.scale
  x = ops.conv(params, "post_quant_conv", x)
  x = ops.conv(decoder, "conv_in", x)
  middle = decoder["mid_block"]
  x = _run_resnet(config, middle["resnets"]["0"], x)
  x = attend(config, middle["attentions"]["0"], x)
  x = _run_resnet(config, middle["resnets"]["1"], x)
  for i in range(len(config.widths)):
    block = decoder["up_blocks"][str(i)]
    for j in range(config.num_resnets):
      x = _run_resnet(config, block["resnets"][str(j)], x)
    if "upsamplers" in block:
      x = ops.upsample(x, 2 * x.shape[1], 2 * x.shape[2])
      x = ops.conv(block["upsamplers"]["0"], "conv", x)
  x = _group_norm(config, decoder, "conv_norm_out", x)
  return ops.conv(decoder, "conv_out", jax.nn.silu(x))


def attend(
  config: VAEConfig, params: Params, x: Float[Array, "B h w C"]
) -> Float[Array, "B h w C"]:
  """Lets all places attend to each other, by one head."""
  y = _group_norm(config, params, "group_norm", x)
  y = y.reshape(x.shape[0], -1, x.shape[-1])
  query, key, value = (
    ops.linear(params, name, y) for name in ("to_q", "to_k", "to_v")
  )
  y = ops.attend(query, key, value, num_heads=1)
  return x + ops.linear(params["to_out"], "0", y).reshape(x.shape)


def _run_resnet(config: VAEConfig, params: Params, x: Array) -> Array:
  return resnet.run(params, x, num_groups=config.num_groups, eps=_EPS)


def _group_norm(
  config: VAEConfig, params: Params, name: str, x: Array
) -> Array:
  return ops.group_norm(params, name, x, num_groups=config.num_groups, eps=_EPS)
