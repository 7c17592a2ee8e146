"""The tensors of GGUF files as weights of a model: one at a time, as float32."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import gguf
import numpy as np

from thickets.errors import UserError, shorten
from thickets.models import checkpoint
from thickets.models.config import TransformerConfig
from thickets.models.gguf_files.architectures import (
  Architecture,
  Place,
  find_place,
)
from thickets.models.gguf_files.header import StoredTensor

_NUM_SHOWN = 4  # Words of a list that a message shows.
# Values that are dequantised at a time: few enough to stay in a core's cache.
# (Whole tensors took more than twice as long, for SmolLM2-135M.)
_STEP = 1 << 18


class GgufWeights:
  """The tensors of a file, checked against a model and read one by one.

  Values have no dtype of their own while they are quantised, so that they are
  always read as float32. The identity of a model is thus the one that its
  dequantised weights have in a directory, stored as float32.

  Attributes:
    names: logical names, sorted.
    num_bytes: bytes of all tensors as they are read.
  """

  def __init__(
    self,
    tensors: Mapping[str, StoredTensor],
    architecture: Architecture,
    config: TransformerConfig,
    *,
    unused: Sequence[str] = (),
  ):
    """Checks the headers of tensors; no values are read.

    Args:
      tensors: the tensors of the file, by their names there.
      architecture: what llama.cpp made of the model.
      config: the architecture of the model.
      unused: names of tensors that are no weights.

    Raises:
      UserError: if a tensor is missing, or not of the model, or has another
        shape.
    """
    self._config = config
    self._shapes = checkpoint.logical_shapes(config)
    num_experts = config.mixture.num_experts if config.mixture else 0
    self._places = {
      name: find_place(architecture, name, tensors, num_experts)
      for name in self._shapes
    }
    self._tensors = tensors
    self._check_names(unused)
    for name, place in self._places.items():
      _check_shape(tensors[place.key], place, self._shapes[name])
    self.names = tuple(self._shapes)
    self.num_bytes = sum(4 * math.prod(s) for s in self._shapes.values())

  def dtype(self, name: str) -> np.dtype:
    """float32, the dtype of every tensor as it is read."""
    del name
    return np.dtype(np.float32)

  def read(self, name: str, out: np.ndarray | None = None) -> np.ndarray:
    """Reads and dequantises one logical tensor, into `out` if given."""
    place, shape = self._places[name], self._shapes[name]
    values = np.empty(shape, np.float32) if out is None else out
    _dequantise(self._tensors[place.key], place, values.reshape(-1))
    if place.is_turned:
      values[...] = _turn_back(values, self._config.head_dim)
    if place.offset:
      values -= np.float32(place.offset)
    return values

  def _check_names(self, unused: Sequence[str]) -> None:
    where = next(iter(self._tensors.values())).path if self._tensors else "it"
    used = {place.key for place in self._places.values()}
    if missing := sorted(used - set(self._tensors)):
      raise UserError(
        f"{where} must have every tensor of a {self._config.family} model, got"
        f" none for {shorten(missing, _NUM_SHOWN)}. Fetch it again, or take"
        " another conversion of the model."
      )
    if unknown := sorted(set(self._tensors) - used - set(unused)):
      raise UserError(
        f"{where} must have the tensors of a {self._config.family} model, got"
        f" also {shorten(unknown, _NUM_SHOWN)}. Models with these are not"
        " supported: take another conversion of the model."
      )


def read_flat(stored: StoredTensor) -> np.ndarray:
  """Reads and dequantises a whole tensor, as a vector of float32."""
  values = np.empty(math.prod(stored.shape), np.float32)
  _dequantise(stored, Place(stored.name), values)
  return values


def _check_shape(
  stored: StoredTensor, place: Place, shape: tuple[int, ...]
) -> None:
  expected = place.whole_shape(shape)
  if stored.shape != expected:
    raise UserError(
      f"{stored.name} ({stored.path}) must have shape {list(expected)} by the"
      f" file's metadata, got {list(stored.shape)}. Fetch the file again, or"
      " take another conversion of the model."
    )


def _dequantise(stored: StoredTensor, place: Place, values: np.ndarray) -> None:
  """Fills a vector with the values of one part of a tensor."""
  if stored.shape[-1] == 0:
    return
  num_bytes = stored.num_bytes // place.num_parts
  start = stored.offset + place.part * num_bytes
  block, block_bytes = gguf.GGML_QUANT_SIZES[stored.kind]
  step = _STEP // block * block_bytes
  done = 0
  with stored.path.open("rb") as file:
    file.seek(start)
    for at in range(0, num_bytes, step):
      piece = file.read(min(step, num_bytes - at))
      if len(piece) < min(step, num_bytes - at):
        raise UserError(
          f"{stored.path} must not change while it is read, got an end within"
          f" {stored.name}. Fetch it again."
        )
      # As one row: the package takes rows in groups of 16, in a Python loop.
      row = np.frombuffer(piece, np.uint8).reshape(1, -1)
      found = gguf.dequantize(row, stored.kind).reshape(-1)
      values[done : done + found.size] = found
      done += found.size


def _turn_back(values: np.ndarray, head_dim: int) -> np.ndarray:
  """Puts the rows of each head half a head apart that lie side by side."""
  heads = values.reshape(-1, head_dim // 2, 2, *values.shape[1:])
  return np.ascontiguousarray(np.swapaxes(heads, 1, 2)).reshape(values.shape)
