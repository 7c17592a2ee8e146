"""Published weights in files: read one tensor at a time, and written in shards.

Tensors stay NumPy arrays.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from thickets import naming
from thickets.errors import UserError, shorten
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.models.published_names import Place, find_place
from thickets.naming import Params

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_NUM_SHOWN = 4  # Words of a list that a message shows.

_DTYPES = {
  "BF16": np.dtype(jnp.bfloat16),
  "F16": np.dtype(np.float16),
  "F32": np.dtype(np.float32),
}

# Constants that old versions of the published classes stored.
_BUFFER = re.compile(r"(^|\.)(attn\.(bias|masked_bias)|rotary_emb\.inv_freq)$")


def logical_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
  """The shapes of all logical tensors of a model, by name, sorted."""
  template = transformer.abstract_params(config, jnp.float32)
  names = transformer.tensor_names(template)
  shapes = {}
  for pattern, leaf in naming.named_leaves(template, names):
    for name in naming.slice_names(pattern, leaf).reshape(-1):
      shapes[str(name)] = leaf.shape[pattern.count("{}") :]
  return dict(sorted(shapes.items()))


@dataclasses.dataclass(frozen=True)
class _Stored:
  """A tensor in a file: its header, not its data."""

  file: str
  key: str
  shape: tuple[int, ...]
  dtype: str


# Where a part of a published tensor lies in it, and where it lies in our weights:
# the leaf, and the index of the slice.
_Part = tuple[Place, Any, tuple[int, ...]]


class Checkpoint:
  """The weights of a directory, checked against a model and read one by one.

  Attributes:
    names: logical names, sorted.
    num_bytes: bytes of all tensors as stored.
  """

  def __init__(self, directory: pathlib.Path, config: TransformerConfig):
    """Opens the files and checks their headers; no weights are read.

    Args:
      directory: a directory with `model.safetensors`, or with shards and their
        index.
      config: the architecture of the model that the weights are for.

    Raises:
      UserError: if a file, a shard or a tensor is missing, or a tensor is not
        of the model, or has another shape or a dtype that is not supported.
    """
    self._files = _open_files(directory)
    self._shapes = logical_shapes(config)
    stored = _read_headers(self._files)
    places = {name: find_place(config.family, name) for name in self._shapes}
    self._places = {}
    used = set()
    missing = []
    for name, place in places.items():
      key = _find_key(place.key, stored)
      if key is None:
        missing.append(f"{place.key} (our {name})")
        continue
      used.add(key)
      _check_tensor(stored[key], place.published_shape(self._shapes[name]))
      self._places[name] = (place, stored[key])
    if missing:
      raise UserError(
        f"The weights in {directory} must have every tensor of the model, got"
        f" none for {shorten(missing, _NUM_SHOWN)}. Fetch the files again, or"
        " correct config.json."
      )
    self._check_unused(config, stored, used)
    self.names = tuple(self._shapes)
    self.num_bytes = sum(
      self.dtype(name).itemsize * math.prod(self._shapes[name])
      for name in self.names
    )

  def dtype(self, name: str) -> np.dtype:
    """The dtype that a logical tensor is stored in."""
    return _DTYPES[self._places[name][1].dtype]

  def read(self, name: str) -> np.ndarray:
    """Reads one logical tensor, as stored."""
    place, stored = self._places[name]
    return place.take(self._files[stored.file].get_tensor(stored.key))

  def _check_unused(
    self,
    config: TransformerConfig,
    stored: Mapping[str, _Stored],
    used: set[str],
  ) -> None:
    """Refuses tensors that are not of the model."""
    unknown = []
    for key in sorted(set(stored) - used):
      if key == "lm_head.weight" and config.is_tied:
        self._check_head(stored[key])
      elif not _BUFFER.search(key):
        unknown.append(f"{key} {stored[key].shape} ({stored[key].file})")
    if unknown:
      raise UserError(
        f"Weights must be those of a {config.family} model, got unexpected"
        f" {shorten(unknown, _NUM_SHOWN)}. Correct config.json, or remove them."
      )

  def _check_head(self, head: _Stored) -> None:
    """Refuses a head that a tied model would silently replace."""
    embedding = self._places["embed_tokens"][1]
    same = (head.shape, head.dtype) == (embedding.shape, embedding.dtype)
    if not same or not np.array_equal(
      self._files[head.file].get_tensor(head.key), self.read("embed_tokens")
    ):
      raise UserError(
        f"{head.key} ({head.file}) must equal {embedding.key} where"
        " tie_word_embeddings is true, got other values. Set"
        " tie_word_embeddings to false in config.json, or remove the tensor."
      )


def write_weights(
  directory: pathlib.Path,
  config: TransformerConfig,
  params: Params,
  *,
  max_shard_bytes: float,
) -> None:
  """Writes weights as `transformers` reads them, holding one shard at a time.

  Args:
    directory: an existing directory.
    config: the architecture of the model.
    params: its weights; each tensor is stored in the dtype that it has.
    max_shard_bytes: how many bytes a file has at most; a larger tensor has its
      own.
  """
  import safetensors.numpy

  pieces = _group_by_key(config, params)
  shards = _plan_shards(pieces, max_shard_bytes)
  weight_map, total = {}, 0
  for i, keys in enumerate(shards):
    file = WEIGHTS_FILE
    if len(shards) > 1:
      file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
    tensors = {key: _publish(pieces[key]) for key in keys}
    safetensors.numpy.save_file(
      tensors, directory / file, metadata={"format": "pt"}
    )
    # The library lets only the owner read them; a server may be another user.
    umask = os.umask(0)
    os.umask(umask)
    (directory / file).chmod(0o666 & ~umask)
    weight_map |= dict.fromkeys(keys, file)
    total += sum(tensor.nbytes for tensor in tensors.values())
  if len(shards) > 1:
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    (directory / INDEX_FILE).write_text(text, encoding="utf-8")


def _group_by_key(
  config: TransformerConfig, params: Params
) -> dict[str, list[_Part]]:
  """The (place, leaf, index) of the parts of each published tensor, in order."""
  names = transformer.tensor_names(params)
  groups = collections.defaultdict(list)
  for pattern, leaf in naming.named_leaves(params, names):
    slices = naming.slice_names(pattern, leaf)
    for index in np.ndindex(slices.shape):
      place = find_place(config.family, str(slices[index]))
      groups[place.key].append((place, leaf, index))
  return {
    key: sorted(groups[key], key=lambda piece: piece[0].part)
    for key in sorted(groups, key=_natural)
  }


def _plan_shards(
  pieces: Mapping[str, Sequence[_Part]], max_shard_bytes: float
) -> list[list[str]]:
  """The published tensors of each file, in order."""
  shards: list[list[str]] = [[]]
  size = 0
  for key, parts in pieces.items():
    num_bytes = sum(
      leaf.dtype.itemsize * math.prod(leaf.shape[len(index) :])
      for _, leaf, index in parts
    )
    if shards[-1] and size + num_bytes > max_shard_bytes:
      shards.append([])
      size = 0
    shards[-1].append(key)
    size += num_bytes
  return shards


def _publish(parts: Sequence[_Part]) -> np.ndarray:
  """A published tensor, from the parts that are fused in it."""
  whole = np.concatenate([np.asarray(leaf[index]) for _, leaf, index in parts])
  return np.ascontiguousarray(whole.T if parts[0][0].is_transposed else whole)


def _natural(key: str) -> list[Any]:
  """Sorts layer 2 before layer 10."""
  return [
    (0, int(word), "") if word.isdigit() else (1, 0, word)
    for word in key.split(".")
  ]


def _open_files(directory: pathlib.Path) -> dict[str, Any]:
  """Opens the weights' files, in order, by name."""
  import safetensors

  files = {}
  for file in find_files(directory):
    try:
      files[file] = safetensors.safe_open(directory / file, "np")
    except safetensors.SafetensorError as error:
      raise UserError(
        f"{directory / file} must be a whole safetensors file, got {error}."
        " Fetch it again."
      ) from error
  return files


def find_files(directory: pathlib.Path) -> list[str]:
  """The names of the weights' files in a directory.

  Raises:
    UserError: if there are none, or some of a sharded model's are missing.
  """
  index = directory / INDEX_FILE
  if not index.exists():
    if (directory / WEIGHTS_FILE).exists():
      return [WEIGHTS_FILE]
    found = sorted(path.name for path in directory.iterdir())
    raise UserError(
      f"{directory} must have {WEIGHTS_FILE}, or shards with {INDEX_FILE}, got"
      f" {shorten(found, _NUM_SHOWN) or 'nothing'}. Other formats are not read:"
      " load and save the model with transformers."
    )
  files = read_index(index)
  missing = [file for file in files if not (directory / file).exists()]
  if missing:
    raise UserError(
      f"{index} lists {len(files)} files, but {len(missing)} must still be"
      f" fetched: {shorten(missing, _NUM_SHOWN)}."
    )
  return files


def read_index(index: pathlib.Path) -> list[str]:
  """The names of the files that an index lists."""
  try:
    listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    files = sorted({os.fspath(file) for file in listed.values()})
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(
      f"{index} must map tensors to files under weight_map, got {error!r}."
      " Fetch it again."
    ) from error
  for file in files:
    if pathlib.PurePath(file).name != file:
      raise UserError(
        f"{index} must list files beside it, got {file!r}. Correct it."
      )
  return files


def _read_headers(files: Mapping[str, Any]) -> dict[str, _Stored]:
  """The tensors in the files, by their published names."""
  stored = {}
  for file, opened in files.items():
    for key in opened.keys():  # noqa: SIM118 (not a dict)
      if key in stored:
        raise UserError(
          f"A tensor must be in one file, got {key} in {stored[key].file} and"
          f" {file}. Remove one."
        )
      header = opened.get_slice(key)
      stored[key] = _Stored(
        file, key, tuple(header.get_shape()), str(header.get_dtype())
      )
  return stored


def _find_key(key: str, stored: Mapping[str, _Stored]) -> str | None:
  """The key as stored: some files lack the class's prefix."""
  for candidate in (key, re.sub(r"^(model|transformer)\.", "", key)):
    if candidate in stored:
      return candidate
  return None


def _check_tensor(stored: _Stored, shape: tuple[int, ...]) -> None:
  if stored.shape != shape:
    raise UserError(
      f"{stored.key} ({stored.file}) must have shape {list(shape)} by"
      f" config.json, got {list(stored.shape)}. Correct config.json, or fetch"
      " the weights again."
    )
  if stored.dtype not in _DTYPES:
    raise UserError(
      f"{stored.key} ({stored.file}) must be stored as one of"
      f" {sorted(_DTYPES)}, got {stored.dtype}. Convert the model with"
      " transformers."
    )
