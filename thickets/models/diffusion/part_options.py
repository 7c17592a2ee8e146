"""The config.json of one part of a pipeline, read as its published class does.

A field that decides what is computed is read; one whose other values are not
supported must have the value that leaves it without effect; any other is refused,
since nobody knows what it would change.
"""

from collections.abc import Collection, Mapping
from typing import Any

from thickets.errors import UserError, nearest
from thickets.models.config_fields import KINDS
from thickets.models.published_classes import Field


def read_fields(
  fields: Mapping[str, Any],
  where: str,
  *,
  known: Mapping[str, Field],
  neutral: Mapping[str, tuple[Any, ...]],
  unread: Collection[str] | None,
) -> dict[str, Any]:
  """Reads the fields that decide what a part computes.

  Args:
    fields: the contents of a config.json, or of a scheduler_config.json.
    where: what the part is called in messages, such as "unet".
    known: the fields that are read, by name.
    neutral: for fields that are not supported, the values without effect, the
      first of which the message names.
    unread: fields that change nothing here; None where any other field does not.

  Returns:
    The values of the known fields, defaults where they are missing.

  Raises:
    UserError: if a field is missing, of another type, not supported or unknown.
  """
  for name, values in neutral.items():
    # By kind as well: true is not 1.
    if name in fields and not any(
      fields[name] == value and type(fields[name]) is type(value)
      for value in values
    ):
      raise UserError(
        f"{where}.{name} must be {_show(values[0])}, got {_show(fields[name])}."
        " Models with another value are not supported."
      )
  if unread is not None:
    _check_known(fields, where, {*known, *neutral, *unread})
  return {
    name: _read_field(name, field, fields, where)
    for name, field in known.items()
  }


def _check_known(
  fields: Mapping[str, Any], where: str, known: Collection[str]
) -> None:
  for name in fields:
    if not name.startswith("_") and name not in known:
      raise UserError(
        f"{where} must have known fields only, got {name}:"
        f" {_show(fields[name])}. Nearest: {nearest(name, known, count=2)}."
      )


def _read_field(
  name: str, field: Field, fields: Mapping[str, Any], where: str
) -> Any:
  """A field's value or default, of the type that its class accepts."""
  value = fields.get(name, field.default)
  if value is None and field.may_be_null:
    return None
  is_right, what = KINDS[field.kind]
  if not is_right(value):
    got = _show(value) if name in fields else "none"
    raise UserError(
      f"{where}.{name} must be {what}, got {got}. Correct its config.json."
    )
  return value


def per_level(
  value: Any, num_levels: int, name: str, where: str
) -> tuple[int, ...]:
  """One positive integer for each level, from a list or one for all of them.

  Raises:
    UserError: if it is neither, or a list of another length.
  """
  values = value if isinstance(value, (list, tuple)) else [value] * num_levels
  is_size, what = KINDS["size"]
  if len(values) != num_levels or not all(map(is_size, values)):
    raise UserError(
      f"{where}.{name} must be {what} for each of the {num_levels} levels of"
      f" block_out_channels, got {_show(value)}. Correct its config.json."
    )
  return tuple(values)


def _show(value: Any) -> str:
  """A value as JSON has it."""
  words = {True: "true", False: "false"}
  if value is None:
    return "null"
  return words[value] if isinstance(value, bool) else repr(value)
