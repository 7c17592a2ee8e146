"""The metadata of one architecture, read key by key until none is left."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from thickets.errors import UserError, shorten
from thickets.models.gguf_files.header import Header

_NUM_SHOWN = 4  # Words of a list that a message shows.
_REQUIRED = object()
_WORDS = {
  bool: "true or false",
  int: "a whole number",
  float: "a number",
  str: "a text",
}


class Values:
  """The values whose keys begin with the name of the architecture.

  What a model computes depends on all of them. `check_all_taken` refuses those
  that nobody asked for.
  """

  def __init__(self, header: Header, prefix: str):
    self._path, self._prefix = header.path, prefix
    self._left = {
      key.removeprefix(f"{prefix}."): value
      for key, value in header.metadata.items()
      if key.startswith(f"{prefix}.")
    }

  def take(self, key: str, kind: type, default: Any = _REQUIRED) -> Any:
    """The value of a key.

    Args:
      key: the key without the architecture's name.
      kind: the type that it must have; `object` for any. A list in which all
        values are equal, one for each layer, counts as that value.
      default: the value where there is none; without it the key is required.

    Raises:
      UserError: if it is missing, or has another type.
    """
    if key not in self._left:
      if default is _REQUIRED:
        raise self.refuse(key, f"be {_WORDS[kind]}", "none")
      return default
    found = self._left.pop(key)
    if kind is object:
      return found
    value = _unite(found)
    if kind is float and type(value) is int:
      value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
      raise self.refuse(key, f"be {_WORDS[kind]}", found)
    # The shortest number of that float32: 1e-06 and not 9.999999974752427e-07.
    return float(str(np.float32(value))) if kind is float else value

  def check_all_taken(
    self, unused: Collection[str], unused_parts: tuple[str, ...]
  ) -> None:
    """Refuses values that nobody asked for, and that ask for something.

    Args:
      unused: keys that may have any value.
      unused_parts: beginnings of keys that may have any value.

    Raises:
      UserError: that names the keys.
    """
    left = sorted(
      f"{self._prefix}.{key}={value!r}"
      for key, value in self._left.items()
      if value and key not in unused and not key.startswith(unused_parts)
    )
    if left:
      raise UserError(
        f"{self._path} must ask only for what is supported, got also"
        f" {shorten(left, _NUM_SHOWN)}. Such models do not load."
      )

  def refuse(self, key: str, rule: str, got: Any) -> UserError:
    """The error that a value is not as it must be."""
    return UserError(
      f"{self._prefix}.{key} must {rule}, got {got!r} ({self._path}). Take"
      " another conversion of the model."
    )


def _unite(value: Any) -> Any:
  """The one value of a list in which all are equal."""
  if isinstance(value, list) and value and value == value[:1] * len(value):
    return value[0]
  return value
