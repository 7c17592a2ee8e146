"""The architecture of the UNets of Stable Diffusion 1.5, 2.1, XL and XL Turbo.

All are `UNet2DConditionModel` of diffusers, which has more options than these
models use; the others are refused by name.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from thickets.errors import UserError
from thickets.models.diffusion import part_options
from thickets.models.published_classes import Field

_WHERE = "unet"
_NULL_OR_FALSE = (None, False)
_KNOWN = {
  "in_channels": Field("size", 4),
  "out_channels": Field("size", 4),
  "block_out_channels": Field("integers", [320, 640, 1280, 1280]),
  "down_block_types": Field(
    "list", ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
  ),
  "up_block_types": Field("list", ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3),
  "layers_per_block": Field("size", 2),
  "norm_num_groups": Field("size", 32),
  "norm_eps": Field("amount", 1e-5),
  "cross_attention_dim": Field("size", 1280),
  "use_linear_projection": Field("flag", False),
  "upcast_attention": Field("flag", False, may_be_null=True),
  "addition_embed_type": Field("text", None, may_be_null=True),
  "addition_time_embed_dim": Field("size", None, may_be_null=True),
  "projection_class_embeddings_input_dim": Field(
    "size", None, may_be_null=True
  ),
}
# One value for all levels, or one for each: read by `part_options.per_level`.
_PER_LEVEL = {"attention_head_dim": 8, "transformer_layers_per_block": 1}
_NEUTRAL = {
  "act_fn": ("silu", "swish"),
  "attention_type": ("default",),
  "center_input_sample": (False,),
  "class_embed_type": (None,),
  "class_embeddings_concat": _NULL_OR_FALSE[::-1],
  "conv_in_kernel": (3,),
  "conv_out_kernel": (3,),
  "cross_attention_norm": (None,),
  "downsample_padding": (1,),
  "dropout": (0.0, 0),
  "dual_cross_attention": (False,),
  "encoder_hid_dim": (None,),
  "encoder_hid_dim_type": (None,),
  "flip_sin_to_cos": (True,),
  "freq_shift": (0,),
  "mid_block_only_cross_attention": _NULL_OR_FALSE,
  "mid_block_scale_factor": (1, 1.0),
  "mid_block_type": ("UNetMidBlock2DCrossAttn",),
  "num_attention_heads": (None,),
  "num_class_embeds": (None,),
  "only_cross_attention": (False,),
  "resnet_out_scale_factor": (1.0, 1),
  "resnet_skip_time_act": (False,),
  "resnet_time_scale_shift": ("default",),
  "reverse_transformer_layers_per_block": (None,),
  "time_cond_proj_dim": (None,),
  "time_embedding_act_fn": (None,),
  "time_embedding_dim": (None,),
  "time_embedding_type": ("positional",),
  "timestep_post_act": (None,),
}
_UNREAD = {"sample_size", "addition_embed_type_num_heads", *_PER_LEVEL}
_BLOCKS = {
  "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
  "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}


@dataclasses.dataclass(frozen=True)
class AddedConfig:
  """What SDXL adds to the time embedding.

  Attributes:
    time_width: width of the sinusoid of each of the time ids.
    num_ids: how many time ids there are, 6 in SDXL.
    pooled_width: width of the pooled text embedding.
  """

  time_width: int
  num_ids: int
  pooled_width: int


@dataclasses.dataclass(frozen=True)
class UNetConfig:
  """The architecture of one UNet; levels go from the finest to the coarsest.

  Attributes:
    in_channels: channels of the latents.
    out_channels: channels of the prediction.
    widths: channels of each level.
    down_attends: which levels attend to the text on the way down.
    up_attends: which levels do on the way up, the coarsest first.
    num_resnets: residual blocks of each level on the way down; one more on the
      way up.
    depths: transformer blocks of each transformer, by level.
    num_heads: attention heads, by level.
    context_width: width of the text features.
    has_linear_projection: whether transformers project by matrices, not by 1×1
      convolutions.
    num_groups: groups of GroupNorm.
    norm_eps: epsilon of GroupNorm, except in transformers.
    is_attention_wide: whether queries and keys are cast to float32.
    added: what is added to the time embedding, None in SD 1.5 and 2.1.
  """

  in_channels: int
  out_channels: int
  widths: tuple[int, ...]
  down_attends: tuple[bool, ...]
  up_attends: tuple[bool, ...]
  num_resnets: int
  depths: tuple[int, ...]
  num_heads: tuple[int, ...]
  context_width: int
  has_linear_projection: bool
  num_groups: int
  norm_eps: float
  is_attention_wide: bool
  added: AddedConfig | None

  @property
  def time_width(self) -> int:
    """Width of the time embedding."""
    return 4 * self.widths[0]


def parse_config(fields: Mapping[str, Any]) -> UNetConfig:
  """Reads the config.json of a UNet.

  Args:
    fields: its contents.

  Raises:
    UserError: if an option is not supported, or the sizes do not fit.
  """
  read = part_options.read_fields(
    fields, _WHERE, known=_KNOWN, neutral=_NEUTRAL, unread=_UNREAD
  )
  num_levels = len(read["block_out_channels"])
  widths = part_options.per_level(
    read["block_out_channels"], num_levels, "block_out_channels", _WHERE
  )
  if not widths:
    raise UserError("unet.block_out_channels must have a level, got [].")
  sizes = {
    name: part_options.per_level(
      fields.get(name, default), num_levels, name, _WHERE
    )
    for name, default in _PER_LEVEL.items()
  }
  attends = {
    name: _read_blocks(name, read[name], num_levels) for name in _BLOCKS
  }
  config = UNetConfig(
    in_channels=read["in_channels"],
    out_channels=read["out_channels"],
    widths=widths,
    down_attends=attends["down_block_types"],
    up_attends=attends["up_block_types"],
    num_resnets=read["layers_per_block"],
    depths=sizes["transformer_layers_per_block"],
    # The published name says size, but the class takes it for a number of heads.
    num_heads=sizes["attention_head_dim"],
    context_width=read["cross_attention_dim"],
    has_linear_projection=read["use_linear_projection"],
    num_groups=read["norm_num_groups"],
    norm_eps=float(read["norm_eps"]),
    is_attention_wide=bool(read["upcast_attention"]),
    added=_read_added(read),
  )
  _check_widths(config)
  return config


def _read_blocks(
  name: str, kinds: list[Any], num_levels: int
) -> tuple[bool, ...]:
  """Which levels attend, from the names of their classes."""
  plain, attending = _BLOCKS[name]
  for kind in kinds:
    if kind not in (plain, attending):
      raise UserError(
        f"unet.{name} must list {plain} and {attending} alone, got {kind!r}."
        " Models with other blocks are not supported."
      )
  if len(kinds) != num_levels:
    raise UserError(
      f"unet.{name} must have one block for each of the {num_levels} levels of"
      f" block_out_channels, got {len(kinds)}. Correct its config.json."
    )
  return tuple(kind == attending for kind in kinds)


def _read_added(read: Mapping[str, Any]) -> AddedConfig | None:
  """What is added to the time embedding."""
  kind = read["addition_embed_type"]
  if kind is None:
    return None
  if kind != "text_time":
    raise UserError(
      f"unet.addition_embed_type must be text_time or null, got {kind!r}. Models"
      " with another value are not supported."
    )
  width, total = (
    read["addition_time_embed_dim"],
    read["projection_class_embeddings_input_dim"],
  )
  num_ids = 6  # Height and width, of the picture, the crop and the target.
  if width is None or total is None or width % 2 or total <= num_ids * width:
    raise UserError(
      "unet.projection_class_embeddings_input_dim must exceed"
      f" {num_ids} × addition_time_embed_dim, an even number, where"
      f" addition_embed_type is text_time, got {total} and {width}. Correct its"
      " config.json."
    )
  return AddedConfig(width, num_ids, total - num_ids * width)


def _check_widths(config: UNetConfig) -> None:
  """Refuses widths that groups or heads do not divide."""
  attending = {
    level
    for level, attends in enumerate(
      zip(config.down_attends, config.up_attends[::-1], strict=True)
    )
    if any(attends)
  } | {len(config.widths) - 1}  # The middle attends.
  for level, (width, heads) in enumerate(
    zip(config.widths, config.num_heads, strict=True)
  ):
    if width % config.num_groups:
      raise UserError(
        f"unet.block_out_channels must be multiples of norm_num_groups, got"
        f" {width} for {config.num_groups}."
      )
    if level in attending and width % heads:
      raise UserError(
        "unet.attention_head_dim, which is the number of heads, must divide the"
        f" channels of its level, got {heads} for {width}."
      )
  if config.widths[0] % 2:
    raise UserError(
      "unet.block_out_channels must begin with an even number, got"
      f" {config.widths[0]}."
    )
