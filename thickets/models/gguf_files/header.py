"""The header of a GGUF file: its metadata, and where its tensors lie.

It is read here, and not by the reader of the `gguf` package: that one makes two
arrays of each token of a vocabulary (more than twenty times as slow, for 49 152
tokens), and takes what it finds behind the end of a truncated file for empty.

Reference: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import dataclasses
import functools
import mmap
import pathlib
import struct
from collections.abc import Mapping
from typing import Any

import gguf
import numpy as np

from thickets.errors import UserError
from thickets.models import foreign_files

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_DIMENSIONS = 4
_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {  # The codes of `struct`, by the number of the type.
  0: "B",
  1: "b",
  2: "H",
  3: "h",
  4: "I",
  5: "i",
  6: "f",
  _BOOL: "B",
  10: "Q",
  11: "q",
  12: "d",
}


@dataclasses.dataclass(frozen=True)
class StoredTensor:
  """One tensor of a file, whose values were not read.

  Attributes:
    path: the file.
    name: its name there.
    shape: its shape, the axis whose values lie together last.
    kind: how its values are stored.
    offset: the position of its first byte in the file.
    num_bytes: how many bytes it has.
  """

  path: pathlib.Path
  name: str
  shape: tuple[int, ...]
  kind: gguf.GGMLQuantizationType
  offset: int
  num_bytes: int


@dataclasses.dataclass(frozen=True)
class Header:
  """What a file says before the values of its tensors.

  Attributes:
    path: the file.
    metadata: values by key; arrays are lists.
    tensors: the tensors by name.
  """

  path: pathlib.Path
  metadata: Mapping[str, Any]
  tensors: Mapping[str, StoredTensor]


def read_header(path: pathlib.Path) -> Header:
  """Reads the header of a file, and checks that its tensors lie within it.

  Raises:
    UserError: if it is not a GGUF file, has a version, a byte order or a type
      that is not read, or is truncated.
  """
  with path.open("rb") as file:
    size = file.seek(0, 2)
    if size == 0:
      raise foreign_files.explain(path, "a whole GGUF file", "none")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
      return _Cursor(path, view, size).read()


class _Cursor:
  """Reads values one after the other, never behind the end of the file."""

  def __init__(self, path: pathlib.Path, view: mmap.mmap, size: int):
    self._path, self._view, self._size = path, view, size
    self._at = 0

  def read(self) -> Header:
    self._check_kind()
    num_tensors, num_values = self._unpack("QQ")
    metadata = {}
    for _ in range(num_values):
      key = self._string()
      if key in metadata:
        raise _broken(self._path, f"has the key {key!r} twice")
      metadata[key] = self._value(*self._unpack("I"))
    listed = [self._tensor() for _ in range(num_tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
      raise _broken(self._path, f"has general.alignment {alignment!r}")
    start = -(-self._at // alignment) * alignment
    tensors, expected = {}, 0
    for name, shape, kind, offset in listed:
      if name in tensors:
        raise _broken(self._path, f"has the tensor {name!r} twice")
      tensors[name] = self._place(name, shape, kind, start + offset)
      # One after the other, as llama.cpp demands: no two share bytes, and a type
      # or a shape that was changed is seen by its length.
      if offset != expected:
        raise _broken(
          self._path,
          f"has its tensor {name!r} at offset {offset} where the one before it"
          f" leads to {expected}",
        )
      expected += -(-tensors[name].num_bytes // alignment) * alignment
    return Header(self._path, metadata, tensors)

  def _check_kind(self) -> None:
    if self._view[:4] != MAGIC:
      begin = bytes(self._view[:4])
      raise foreign_files.explain(
        self._path,
        "a whole GGUF file",
        f"one of {self._size} bytes that begins with {begin!r}",
      )
    self._at = 4
    (version,) = self._unpack("I")
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in _VERSIONS and swapped in _VERSIONS:
      raise UserError(
        f"{self._path} must be a little-endian GGUF file, got a big-endian one."
        " Convert it with gguf-convert-endian of the gguf package."
      )
    if version not in _VERSIONS:
      raise UserError(
        f"{self._path} must be a GGUF file of version"
        f" {' or '.join(map(str, _VERSIONS))}, got version {version}. Convert"
        " the model again with a current llama.cpp."
      )

  def _take(self, num_bytes: int) -> int:
    """Moves forward, and returns the position before."""
    at = self._at
    if num_bytes > self._size - at:
      raise _broken(
        self._path,
        f"has {self._size} bytes where its header needs {at + num_bytes}",
      )
    self._at += num_bytes
    return at

  def _unpack(self, codes: str) -> tuple[Any, ...]:
    layout = f"<{codes}"
    return struct.unpack_from(
      layout, self._view, self._take(struct.calcsize(layout))
    )

  def _string(self) -> str:
    (length,) = self._unpack("Q")
    at = self._take(length)
    try:
      return self._view[at : at + length].decode("utf-8")
    except UnicodeDecodeError as error:
      raise _broken(
        self._path, f"has a text that is not UTF-8 ({error.reason})"
      ) from error

  def _value(self, kind: int) -> Any:
    if kind == _STRING:
      return self._string()
    if kind == _ARRAY:
      return self._array()
    if kind not in _SCALARS:
      raise _broken(self._path, f"has a value of the unknown type {kind}")
    (value,) = self._unpack(_SCALARS[kind])
    return bool(value) if kind == _BOOL else value

  def _array(self) -> list[Any]:
    kind, count = self._unpack("IQ")
    if kind in _SCALARS:
      code = _SCALARS[kind]
      # Not by `_unpack`: a layout of a wild count would itself fill the memory.
      at = self._take(count * struct.calcsize(f"<{code}"))
      values = struct.unpack_from(f"<{count}{code}", self._view, at)
      return [bool(v) for v in values] if kind == _BOOL else list(values)
    if kind != _STRING:
      raise _broken(self._path, f"has an array of the unknown type {kind}")
    return [self._string() for _ in range(count)]

  def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
    name = self._string()
    (num_dimensions,) = self._unpack("I")
    if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
      raise _broken(self._path, f"gives {name!r} {num_dimensions} dimensions")
    shape = self._unpack(f"{num_dimensions}Q")[::-1]
    kind, offset = self._unpack("IQ")
    return name, shape, kind, offset

  def _place(
    self, name: str, shape: tuple[int, ...], number: int, offset: int
  ) -> StoredTensor:
    kind = _find_kind(self._path, name, number)
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    num_values = 1
    for size in shape:
      num_values *= size
    if shape[-1] % block:
      raise _broken(
        self._path,
        f"stores {name!r} of shape {list(shape)} as {kind.name}, whose blocks"
        f" have {block} values",
      )
    num_bytes = num_values // block * block_bytes
    if offset + num_bytes > self._size:
      raise _broken(
        self._path,
        f"has {self._size} bytes where its tensor {name!r} ends at byte"
        f" {offset + num_bytes}",
      )
    return StoredTensor(self._path, name, shape, kind, offset, num_bytes)


def _find_kind(
  path: pathlib.Path, name: str, number: int
) -> gguf.GGMLQuantizationType:
  """The type of a tensor's values; refuses those that cannot be read."""
  kinds = {int(kind): kind for kind in gguf.GGMLQuantizationType}
  kind = kinds.get(number)
  if kind is None or not _is_readable(kind):
    known = [kind.name for kind in kinds.values() if _is_readable(kind)]
    got = f"the unknown type {number}" if kind is None else kind.name
    raise UserError(
      f"{path} must store its tensors as {', '.join(known[:-1])} or"
      f" {known[-1]}, got {got} for {name!r}. Take another quantisation of the"
      " model, or update the gguf package."
    )
  return kind


@functools.cache
def _is_readable(kind: gguf.GGMLQuantizationType) -> bool:
  """Whether the package turns the type into numbers; it has no list of them."""
  if kind.name[0] in "IF" and kind.name[1:].isdigit():
    return kind.name in ("F32", "F16")  # Others hold no weights.
  block = np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)
  try:
    gguf.dequantize(block, kind)
  except NotImplementedError:
    return False
  return True


def _broken(path: pathlib.Path, what: str) -> UserError:
  return UserError(
    f"{path} must be a whole GGUF file, got one that {what}. Fetch it again."
  )
