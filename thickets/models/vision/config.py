"""What the tower of a vision-language model is made of, and what it is fed.

`fields` reads both from the files that are published with a model.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from thickets.errors import UserError

NUM_CHANNELS = 3  # Red, green and blue.
# The parts of a tower whose weights are stacked along their first axis.
STACKED = ("blocks", "deepstack_merger_list")


@dataclasses.dataclass(frozen=True)
class VisionConfig:
  """The tower of one vision-language model.

  Attributes:
    family: the `model_type` of the whole model, a key of `FAMILIES`.
    width: channels of the vectors between blocks.
    mlp_width: hidden channels of a block's MLP.
    num_blocks: number of blocks.
    num_heads: number of heads of a block's attention.
    out_width: channels of a feature, as many as the text model's width.
    patch: side of a patch, in pixels.
    merge: side of the square of patches that become one token, in patches.
    temporal: how many frames a patch holds; a still image repeats its one.
    window: side of the windows within which most blocks attend, in patches; None
      where all blocks attend over the whole image.
    full_blocks: positions of the blocks that attend over the whole image; read
      only where there are windows.
    deepstack_blocks: positions of the blocks whose outputs become features of
      their own, ascending, each of which is added behind one of the first layers
      of the text model.
    table_side: side of the square of learned positions; None where there is none.
    has_layer_norm: LayerNorm with biases, instead of RMSNorm.
    has_gate: whether the MLP is gated, with SiLU; otherwise it has GELU, as
      approximated by tanh.
    init_std: standard deviation of initial matrices.
  """

  family: str
  width: int
  mlp_width: int
  num_blocks: int
  num_heads: int
  out_width: int
  patch: int
  merge: int
  temporal: int
  window: int | None = None
  full_blocks: tuple[int, ...] = ()
  deepstack_blocks: tuple[int, ...] = ()
  table_side: int | None = None
  has_layer_norm: bool = False
  has_gate: bool = True
  init_std: float = 0.02

  def __post_init__(self):
    if self.width % self.num_heads or self.head_dim % 4:
      raise UserError(
        "hidden_size of vision_config must be num_heads times a multiple of 4,"
        f" for rows and columns turn half a head each, got {self.width} for"
        f" {self.num_heads} heads. Correct config.json."
      )
    if self.window is not None and self.window % self.merge:
      raise UserError(
        f"A window must hold whole tokens of {self.merge} × {self.merge}"
        f" patches, got one of {self.window} × {self.window}."
      )
    for name, blocks in (
      ("fullatt_block_indexes", self.full_blocks),
      ("deepstack_visual_indexes", self.deepstack_blocks),
    ):
      if list(blocks) != sorted(
        {b for b in blocks if 0 <= b < self.num_blocks}
      ):
        raise UserError(
          f"{name} must be distinct and ascending positions of the"
          f" {self.num_blocks} blocks, from 0, got {list(blocks)}. Correct"
          " vision_config in config.json."
        )

  @property
  def head_dim(self) -> int:
    """Channels of one head."""
    return self.width // self.num_heads

  @property
  def patch_width(self) -> int:
    """Values of one patch, all frames and channels together."""
    return NUM_CHANNELS * self.temporal * self.patch**2

  @property
  def is_full(self) -> tuple[bool, ...]:
    """[blocks] whether each block attends over the whole image."""
    return tuple(
      self.window is None or block in self.full_blocks
      for block in range(self.num_blocks)
    )


@dataclasses.dataclass(frozen=True)
class PixelSpec:
  """How a picture becomes patches.

  Attributes:
    patch: side of a patch, in pixels.
    merge: side of the square of patches that become one token, in patches.
    temporal: how often a patch of a still image is repeated.
    min_pixels: smaller pictures are enlarged to about so many pixels.
    max_pixels: larger pictures are shrunk to at most so many pixels.
    mean: the mean that is subtracted of each channel, of values from 0 to 1.
    std: what each channel is then divided by.
  """

  patch: int
  merge: int
  temporal: int
  min_pixels: int
  max_pixels: int
  mean: tuple[float, float, float]
  std: tuple[float, float, float]

  def __post_init__(self):
    if not 1 <= self.min_pixels <= self.max_pixels:
      raise UserError(
        "min_pixels must be from 1 to max_pixels, got"
        f" {self.min_pixels} and {self.max_pixels}. Lower min_pixels, or raise"
        " max_pixels."
      )
    if self.max_pixels < self.factor**2:
      raise UserError(
        f"max_pixels must leave room for one token of {self.factor} ×"
        f" {self.factor} pixels, got {self.max_pixels}. Raise it to"
        f" {self.factor**2} or more."
      )
    if not all(value > 0 for value in self.std):
      raise UserError(
        f"image_std must be positive, got {list(self.std)}. Correct"
        " preprocessor_config.json."
      )

  @property
  def factor(self) -> int:
    """Side of the square of pixels that becomes one token."""
    return self.patch * self.merge

  def describe(self) -> dict[str, Any]:
    """All that decides the patches of a picture, as JSON values."""
    import PIL

    fields = dataclasses.asdict(self)
    lists = {"mean": list(self.mean), "std": list(self.std)}
    return fields | lists | {"rule": RULE, "pillow": PIL.__version__}


RULE = 1  # Of `pixels`; raise it when the same picture gives other patches.


@dataclasses.dataclass(frozen=True)
class VisionModel:
  """What a model has besides its weights to see images.

  Attributes:
    config: its tower.
    pixels: how pictures become patches.
    image_pad: id of the token that stands for one feature of an image.
    vision_start: id of the token before an image.
    vision_end: id of the token behind an image.
    video_pad: id of the token that stands for one feature of a video.
    files: the files about preprocessing that were published with the model, by
      name; they are saved by the same bytes.
  """

  config: VisionConfig
  pixels: PixelSpec
  image_pad: int
  vision_start: int
  vision_end: int
  video_pad: int
  files: Mapping[str, bytes] = dataclasses.field(
    default_factory=dict, hash=False
  )

  @property
  def tokens(self) -> tuple[int, int, int, int]:
    """The ids that no text may hold by itself."""
    return (
      self.vision_start,
      self.vision_end,
      self.image_pad,
      self.video_pad,
    )
