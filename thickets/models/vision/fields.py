"""What the files of a vision-language model say of its parts.

config.json has two layouts. Up to transformers 4.51 the fields of the text model
lie at the top, beside `vision_config`; from 4.52 on they lie in `text_config`, and
some files have them in both places. Both are read alike, as transformers 5 does:
`text_config` where there is one. A field that is missing is never filled in by
the defaults of the class, which are those of other sizes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.errors import UserError
from thickets.models import config_fields
from thickets.models.published_classes import PUBLISHED, Field
from thickets.models.vision.config import (
  NUM_CHANNELS,
  VisionConfig,
)

FAMILIES = ("qwen2_5_vl", "qwen3_vl")

# The parts of a head's frequencies that time, row and column turn, where the file
# does not say: they are part of the published classes, and are refused for heads
# of another size.
_SECTIONS = {"qwen2_5_vl": [16, 24, 24], "qwen3_vl": [24, 20, 20]}
_ROPES = ("rope_scaling", "rope_parameters")
_TYPES = ("type", "rope_type")
# What a file may say at the top and again, otherwise, in `text_config`: which of
# the two transformers reads differs between its versions.
_MAY_DIFFER = (
  "initializer_range",
  "layer_types",
  "max_window_layers",
  "sliding_window",
  "tie_word_embeddings",
)

_TOWER = {
  "hidden_act": Field("text", is_required=True),
  "hidden_size": Field("size", is_required=True),
  "intermediate_size": Field("size", is_required=True),
  "depth": Field("depth", is_required=True),
  "num_heads": Field("size", is_required=True),
  "out_hidden_size": Field("size", is_required=True),
  "patch_size": Field("size", is_required=True),
  "spatial_merge_size": Field("size", is_required=True),
  "temporal_patch_size": Field("size", is_required=True),
  "in_channels": Field("size", is_required=True),
  "initializer_range": Field("number", 0.02),
}
_TOWERS = {
  "qwen2_5_vl": {
    **_TOWER,
    "window_size": Field("size", is_required=True),
    "fullatt_block_indexes": Field("integers", is_required=True),
  },
  "qwen3_vl": {
    **_TOWER,
    "num_position_embeddings": Field("size", is_required=True),
    "deepstack_visual_indexes": Field("integers", is_required=True),
  },
}
_ALIASES = {
  "in_chans": "in_channels",
  "num_attention_heads": "num_heads",
  "num_hidden_layers": "depth",
}
_ACTIVATIONS = {"qwen2_5_vl": "silu", "qwen3_vl": "gelu_pytorch_tanh"}

_TOKENS = (
  "image_token_id",
  "vision_start_token_id",
  "vision_end_token_id",
  "video_token_id",
)


def is_vision(fields: Mapping[str, Any]) -> bool:
  """Whether a config.json is that of a vision-language model that loads."""
  return fields.get("model_type") in FAMILIES


def read_text(fields: Mapping[str, Any]) -> dict[str, Any]:
  """The fields of the text model, as a config.json of its own would have them.

  Args:
    fields: the contents of the config.json of a family of `FAMILIES`.

  Returns:
    Its fields, with `model_type` that of the whole model and
    `tie_word_embeddings` true where either place says so; `mrope_section` is a
    field of its own, and the rotary type "mrope" is called "default".

  Raises:
    UserError: if `text_config` is no object, or says something else than the top
      does.
  """
  family = fields["model_type"]
  top = {
    name: value
    for name, value in fields.items()
    if name not in ("text_config", "vision_config")
  }
  nested = fields.get("text_config")
  if nested is not None and not isinstance(nested, Mapping):
    raise UserError(
      f"text_config must be an object of fields, got {nested!r}. Correct"
      " config.json."
    )
  top = _take_sections(top, family)
  text = top if nested is None else _take_sections(nested, family)
  if nested is not None:
    _check_same(top, text, family)
    tied = "tie_word_embeddings"
    if tied in top:
      text[tied] = top[tied] or text.get(tied, False)
    for name in ("eos_token_id", "bos_token_id", "pad_token_id"):
      if text.get(name) is None and name in top:
        text[name] = top[name]
  return {**text, "model_type": family}


def _take_sections(fields: Mapping[str, Any], family: str) -> dict[str, Any]:
  """The fields with M-RoPE's own taken out of the rotary parameters."""
  taken = dict(fields)
  for spelling in _ROPES:
    rope = fields.get(spelling)
    if not isinstance(rope, Mapping):
      continue
    rope = dict(rope)
    for name in _TYPES:
      if rope.get(name) == "mrope":
        rope[name] = "default"
    # An older "type" stands beside a newer "rope_type" in some files.
    for name in ("mrope_section", "mrope_interleaved"):
      if name not in rope:
        continue
      value = rope.pop(name)
      if taken.setdefault(name, value) != value:
        raise UserError(
          f"{name} must be given once, got {taken[name]!r} and {value!r}. Remove"
          " the wrong one."
        )
    taken[spelling] = rope
  if taken.get("mrope_interleaved", family == "qwen3_vl") is not (
    family == "qwen3_vl"
  ):
    raise UserError(
      f"mrope_interleaved must be {family == 'qwen3_vl'} for {family}, got"
      f" {taken['mrope_interleaved']!r}. Correct config.json."
    )
  return taken


def _check_same(
  top: Mapping[str, Any], text: Mapping[str, Any], family: str
) -> None:
  """Refuses fields of the text model that differ between the two places."""
  names = {*PUBLISHED[family].fields, "rope_theta", "mrope_section"}
  pairs = [
    (name, top[name], text[name])
    for name in sorted(names.difference(_MAY_DIFFER))
    if top.get(name) is not None and text.get(name) is not None
  ]
  thetas = [_find_theta(part) for part in (top, text)]
  if None not in thetas:
    pairs.append(("rope_theta", *thetas))
  for name, outer, inner in pairs:
    if outer != inner:
      raise UserError(
        f"{name} must be the same at the top of config.json and in text_config,"
        f" got {outer!r} and {inner!r}. Remove the wrong one."
      )


def _find_theta(fields: Mapping[str, Any]) -> Any:
  for rope in (*(fields.get(name) for name in _ROPES), fields):
    if isinstance(rope, Mapping) and "rope_theta" in rope:
      return rope["rope_theta"]
  return None


def find_axes(
  family: str, sections: Sequence[int] | None, head_dim: int
) -> tuple[int, ...]:
  """Which of a token's positions (time 0, row 1, column 2) turns each frequency.

  Qwen2.5-VL has one part of the frequencies after the other; Qwen3-VL takes turns
  until rows and columns have had theirs, and time has the rest.

  Args:
    family: a key of `FAMILIES`.
    sections: how many frequencies time, row and column turn; None for what the
      published models have.
    head_dim: channels of a head, two for each frequency.

  Raises:
    UserError: if they are not three counts that sum to head_dim / 2.
  """
  parts = _SECTIONS[family] if sections is None else list(sections)
  is_split = len(parts) == 3 and min(parts) >= 0
  if not is_split or sum(parts) != head_dim // 2:
    raise UserError(
      "mrope_section must be three counts that sum to half of head_dim,"
      f" {head_dim // 2}, got {parts}"
      f"{', the default of the class' if sections is None else ''}. Correct"
      " config.json."
    )
  if family == "qwen2_5_vl":
    return tuple(axis for axis in range(3) for _ in range(parts[axis]))
  axes = [0] * (head_dim // 2)
  for axis in (1, 2):
    places = range(axis, 3 * parts[axis], 3)
    if places and places[-1] >= len(axes):
      raise UserError(
        "mrope_section must leave every third frequency to each of time, row and"
        f" column, got {parts}. Correct config.json."
      )
    for place in places:
      axes[place] = axis
  return tuple(axes)


def read_tower(fields: Mapping[str, Any], text_width: int) -> VisionConfig:
  """Reads `vision_config`.

  Args:
    fields: the contents of the config.json of a family of `FAMILIES`.
    text_width: channels of the text model, which features must have too.

  Raises:
    UserError: if a field is missing or has another type, or what it asks for is
      not supported.
  """
  family = fields["model_type"]
  tower = fields.get("vision_config")
  if not isinstance(tower, Mapping):
    raise UserError(
      f"config.json of a {family} model must have a vision_config, got {tower!r}."
      " Use the one that was published with the weights."
    )
  read = _read(_merge_aliases(tower), _TOWERS[family], "vision_config")
  _check_tower(family, tower, read, text_width)
  side, window = None, None
  if family == "qwen3_vl":
    side = math.isqrt(read["num_position_embeddings"])
    if side**2 != read["num_position_embeddings"]:
      raise UserError(
        "num_position_embeddings must be a square number, got"
        f" {read['num_position_embeddings']}. Correct vision_config."
      )
  else:  # As the class has it, windows hold whole tokens.
    merge, patch = read["spatial_merge_size"], read["patch_size"]
    window = read["window_size"] // merge // patch * merge
    if window == 0:
      raise UserError(
        f"window_size must be at least one token of {merge * patch} pixels, got"
        f" {read['window_size']}. Correct vision_config."
      )
  return VisionConfig(
    family=family,
    width=read["hidden_size"],
    mlp_width=read["intermediate_size"],
    num_blocks=read["depth"],
    num_heads=read["num_heads"],
    out_width=read["out_hidden_size"],
    patch=read["patch_size"],
    merge=read["spatial_merge_size"],
    temporal=read["temporal_patch_size"],
    window=window,
    full_blocks=tuple(sorted(read.get("fullatt_block_indexes", ()))),
    deepstack_blocks=tuple(read.get("deepstack_visual_indexes", ())),
    table_side=side,
    has_layer_norm=family == "qwen3_vl",
    has_gate=family == "qwen2_5_vl",
    init_std=read["initializer_range"],
  )


def _check_tower(
  family: str,
  tower: Mapping[str, Any],
  read: Mapping[str, Any],
  text_width: int,
) -> None:
  """Refuses towers that are not computed here as they are published."""
  rope = tower.get("rope_parameters") or {}
  for name, value, must_be in (
    ("hidden_act", read["hidden_act"], _ACTIVATIONS[family]),
    ("in_channels", read["in_channels"], NUM_CHANNELS),
    ("out_hidden_size", read["out_hidden_size"], text_width),
    ("rope_theta", rope.get("rope_theta", 10_000.0), 10_000.0),
    ("rope_type", rope.get("rope_type", "axial"), "axial"),
  ):
    if value != must_be:
      raise UserError(
        f"{name} in vision_config of a {family} model must be {must_be!r}, got"
        f" {value!r}. Correct config.json."
      )


def _merge_aliases(fields: Mapping[str, Any]) -> dict[str, Any]:
  merged = {k: v for k, v in fields.items() if k not in _ALIASES}
  for alias, name in _ALIASES.items():
    if (
      alias in fields
      and merged.setdefault(name, fields[alias]) != (fields[alias])
    ):
      raise UserError(
        f"{name} and {alias} must agree, as they are one field, got"
        f" {merged[name]!r} and {fields[alias]!r}. Remove the wrong one."
      )
  return merged


def _read(
  fields: Mapping[str, Any], known: Mapping[str, Field], where: str
) -> dict[str, Any]:
  return {
    name: config_fields.read_field(name, field, fields, where)
    for name, field in known.items()
  }


def read_tokens(
  fields: Mapping[str, Any], vocab_size: int
) -> tuple[int, int, int, int]:
  """The ids of image_pad, vision_start, vision_end and video_pad.

  Raises:
    UserError: if one is missing, none of the vocabulary, or two are the same.
  """
  ids = []
  for name in _TOKENS:
    value = config_fields.read_field(
      name,
      Field("integer", is_required=True),
      fields,
      str(fields["model_type"]),
    )
    if not 0 <= value < vocab_size or value in ids:
      raise UserError(
        f"{name} must be an id of its own among {vocab_size} tokens, got {value}."
        " Correct config.json."
      )
    ids.append(value)
  image_pad, start, end, video_pad = ids
  return image_pad, start, end, video_pad
