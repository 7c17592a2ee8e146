"""The architecture of CLIP's towers, and of what scores pictures with them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from thickets.errors import UserError
from thickets.models.diffusion import part_options
from thickets.models.published_classes import Field

ACTIVATIONS = ("quick_gelu", "gelu")
# The id that configs gave for the end of a text, whatever it was, before 2023:
# with it the end is where the largest id is.
_OLD_EOS = 2

_TOWER = {
  "hidden_size": Field("size"),
  "intermediate_size": Field("size"),
  "num_hidden_layers": Field("depth"),
  "num_attention_heads": Field("size"),
  "hidden_act": Field("text", "quick_gelu"),
  "layer_norm_eps": Field("amount", 1e-5),
}
_TEXT = {
  **_TOWER,
  "vocab_size": Field("size", 49408),
  "max_position_embeddings": Field("size", 77),
  "projection_dim": Field("size", 512),
  "eos_token_id": Field("count", 49407),
}
_TEXT_DEFAULTS = {
  "hidden_size": 512,
  "intermediate_size": 2048,
  "num_hidden_layers": 12,
  "num_attention_heads": 8,
}
_VISION = {
  **_TOWER,
  "image_size": Field("size", 224),
  "patch_size": Field("size", 32),
  "projection_dim": Field("size", 512),
}
_VISION_DEFAULTS = {
  "hidden_size": 768,
  "intermediate_size": 3072,
  "num_hidden_layers": 12,
  "num_attention_heads": 12,
}
_NEUTRAL = {"attention_dropout": (0.0, 0), "num_channels": (3,)}


@dataclasses.dataclass(frozen=True)
class Tower:
  """The layers of a text or image tower.

  Attributes:
    width: width of the vectors.
    mlp_width: width inside the feed-forward part.
    num_layers: how many layers there are.
    num_heads: attention heads.
    activation: quick_gelu or gelu, the exact one.
    norm_eps: epsilon of LayerNorm.
  """

  width: int
  mlp_width: int
  num_layers: int
  num_heads: int
  activation: str
  norm_eps: float


@dataclasses.dataclass(frozen=True)
class TextConfig:
  """A text tower.

  Attributes:
    tower: its layers.
    vocab_size: how many tokens there are.
    context: how many tokens a text has, its padding included.
    projection_width: width of projected texts, None where nothing projects.
    end_token: the id that ends a text; None where that is the largest id.
  """

  tower: Tower
  vocab_size: int
  context: int
  projection_width: int | None
  end_token: int | None


@dataclasses.dataclass(frozen=True)
class VisionConfig:
  """An image tower.

  Attributes:
    tower: its layers.
    size: pixels of a side of its pictures.
    patch: pixels of a side of a patch.
    projection_width: width of projected pictures.
  """

  tower: Tower
  size: int
  patch: int
  projection_width: int


@dataclasses.dataclass(frozen=True)
class ScorerConfig:
  """Two towers that map texts and pictures to one space."""

  text: TextConfig
  vision: VisionConfig


def parse_text_config(
  fields: Mapping[str, Any], where: str, *, is_projected: bool
) -> TextConfig:
  """Reads the config.json of a text tower.

  Args:
    fields: its contents.
    where: what the part is called in messages, such as "text_encoder_2".
    is_projected: whether its class projects the end of a text.

  Raises:
    UserError: if an option is not supported, or the sizes do not fit.
  """
  read = part_options.read_fields(
    {**_TEXT_DEFAULTS, **fields},
    where,
    known=_TEXT,
    neutral=_NEUTRAL,
    unread=None,
  )
  end_token = read["eos_token_id"]
  return TextConfig(
    tower=_make_tower(read, where),
    vocab_size=read["vocab_size"],
    context=read["max_position_embeddings"],
    projection_width=read["projection_dim"] if is_projected else None,
    end_token=None if end_token == _OLD_EOS else end_token,
  )


def parse_scorer_config(fields: Mapping[str, Any]) -> ScorerConfig:
  """Reads the config.json of a whole CLIP model, such as ViT-L/14.

  Raises:
    UserError: if it is none, an option is not supported, or the sizes do not
      fit.
  """
  if fields.get("model_type") != "clip":
    raise UserError(
      "The model that scores pictures must be of type clip, got"
      f" {fields.get('model_type')!r}. Name one such as"
      " openai/clip-vit-large-patch14."
    )
  texts, visions = (
    # Old files have a second spelling that wins, as in transformers.
    {**_read_object(fields, name), **_read_object(fields, f"{name}_dict")}
    for name in ("text_config", "vision_config")
  )
  width = fields.get("projection_dim", 512)
  text = parse_text_config(
    {**texts, "projection_dim": width}, "clip.text_config", is_projected=True
  )
  where = "clip.vision_config"
  read = part_options.read_fields(
    {**_VISION_DEFAULTS, **visions, "projection_dim": width},
    where,
    known=_VISION,
    neutral=_NEUTRAL,
    unread=None,
  )
  if read["image_size"] % read["patch_size"]:
    raise UserError(
      f"{where}.image_size must be a multiple of patch_size, got"
      f" {read['image_size']} and {read['patch_size']}."
    )
  return ScorerConfig(
    text,
    VisionConfig(
      tower=_make_tower(read, where),
      size=read["image_size"],
      patch=read["patch_size"],
      projection_width=read["projection_dim"],
    ),
  )


def _read_object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
  """Reads the config of one tower; where it is missing or null, it is empty."""
  found = fields.get(name) or {}
  if not isinstance(found, dict):
    raise UserError(
      f"clip.{name} must be a JSON object, got {found!r}. Correct its"
      " config.json."
    )
  return found


def _make_tower(read: Mapping[str, Any], where: str) -> Tower:
  if read["hidden_act"] not in ACTIVATIONS:
    raise UserError(
      f"{where}.hidden_act must be one of {list(ACTIVATIONS)}, got"
      f" {read['hidden_act']!r}. Others are not supported."
    )
  if read["hidden_size"] % read["num_attention_heads"]:
    raise UserError(
      f"{where}.hidden_size must be a multiple of num_attention_heads, got"
      f" {read['hidden_size']} and {read['num_attention_heads']}."
    )
  return Tower(
    width=read["hidden_size"],
    mlp_width=read["intermediate_size"],
    num_layers=read["num_hidden_layers"],
    num_heads=read["num_attention_heads"],
    activation=read["hidden_act"],
    norm_eps=float(read["layer_norm_eps"]),
  )
