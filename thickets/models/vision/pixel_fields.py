"""What a preprocessor_config.json says of how pictures become patches."""

from collections.abc import Mapping
from typing import Any

from thickets.errors import UserError
from thickets.models import config_fields
from thickets.models.published_classes import Field
from thickets.models.vision.config import NUM_CHANNELS, PixelSpec, VisionConfig

_SIZE = Field("size", is_required=True)
# What a preprocessor_config.json may say of the steps, all of which are taken.
_STEPS = {
  "do_convert_rgb": (True, None),
  "do_normalize": (True,),
  "do_rescale": (True,),
  "do_resize": (True,),
  "resample": (3,),  # Bicubic.
}


def read_pixels(fields: Mapping[str, Any], config: VisionConfig) -> PixelSpec:
  """Reads a preprocessor_config.json.

  Args:
    fields: its contents.
    config: the tower that is fed.

  Raises:
    UserError: if a field is missing or has another type, patches are not those of
      the tower, or pictures are to be prepared in another way.
  """
  where = "preprocessor_config.json"
  read = {
    name: config_fields.read_field(name, _SIZE, fields, where)
    for name in ("patch_size", "merge_size", "temporal_patch_size")
  }
  for name, must_be in (
    ("patch_size", config.patch),
    ("merge_size", config.merge),
    ("temporal_patch_size", config.temporal),
  ):
    if read[name] != must_be:
      raise UserError(
        f"{name} in {where} must be that of the tower, {must_be}, got"
        f" {read[name]}. Use the file that was published with the weights."
      )
  for name, values in _STEPS.items():
    if name in fields and fields[name] not in values:
      raise UserError(
        f"{name} in {where} must be {values[0]}, got {fields[name]!r}. Other ways"
        " to prepare a picture are not supported."
      )
  factor = fields.get("rescale_factor", 1 / 255)
  if not config_fields.is_number(factor) or abs(factor * 255 - 1) > 1e-6:
    raise UserError(
      f"rescale_factor in {where} must be 1/255, got {factor!r}. Other ways to"
      " prepare a picture are not supported."
    )
  return PixelSpec(
    patch=read["patch_size"],
    merge=read["merge_size"],
    temporal=read["temporal_patch_size"],
    min_pixels=_read_limit(fields, "min_pixels", "shortest_edge", where),
    max_pixels=_read_limit(fields, "max_pixels", "longest_edge", where),
    mean=_read_channels(fields, "image_mean", where),
    std=_read_channels(fields, "image_std", where),
  )


def _read_limit(
  fields: Mapping[str, Any], name: str, edge: str, where: str
) -> int:
  """A number of pixels, by its name or by that of an edge within `size`."""
  size = fields.get("size") or {}
  if not isinstance(size, Mapping):
    size = {}
  found = {
    spelling: value
    for spelling, value in (
      (name, fields.get(name)),
      (f"size.{edge}", size.get(edge)),
      (f"size.{name}", size.get(name)),
    )
    if value is not None
  }
  if not found:
    raise UserError(
      f"{name} in {where} must be a number of pixels, got none, nor size.{edge}."
      " Use the file that was published with the weights."
    )
  for value in found.values():
    if (
      not config_fields.KINDS["size"][0](value) or len(set(found.values())) > 1
    ):
      raise UserError(
        f"{name} in {where} must be one number of pixels, got {found}. Correct"
        " it."
      )
  return next(iter(found.values()))


def _read_channels(
  fields: Mapping[str, Any], name: str, where: str
) -> tuple[float, float, float]:
  values = fields.get(name)
  if (
    not isinstance(values, list)
    or len(values) != NUM_CHANNELS
    or not all(map(config_fields.is_number, values))
  ):
    raise UserError(
      f"{name} in {where} must be three numbers, got {values!r}. Use the file that"
      " was published with the weights."
    )
  red, green, blue = map(float, values)
  return red, green, blue
