"""Published weights in files: read one tensor at a time, and written in shards.

Tensors stay NumPy arrays.
"""

from __future__ import annotations

import collections
import json
import math
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import logging

from thickets import naming
from thickets.errors import UserError, shorten
from thickets.models import (
  file_modes,
  foreign_files,
  stored_tensors,
  transformer,
)
from thickets.models import weight_formats as formats
from thickets.models.config import TransformerConfig
from thickets.models.published_names import (
  Layout,
  Place,
  find_fused_place,
  find_layout,
  find_place,
  is_fused,
)
from thickets.models.stored_tensors import Stored
from thickets.models.vision import joined
from thickets.models.vision.config import VisionConfig
from thickets.naming import Params

WEIGHTS_FILE, INDEX_FILE = formats.WEIGHTS_FILE, formats.INDEX_FILE

_NUM_SHOWN = 4  # Words of a list that a message shows.
_BLOCK = 4096  # Rows of a matrix that are compared at once.
_HEAD = "lm_head.weight"

# Constants that old versions of the published classes stored.
_BUFFER = re.compile(
  r"(^|\.)((cross)?att(n|ention)\.(bias|masked_bias)|position_ids"
  r"|rotary_emb\.(inv_freq|cos_cached|sin_cached))$"
)


def logical_shapes(
  config: TransformerConfig, vision: VisionConfig | None = None
) -> dict[str, tuple[int, ...]]:
  """The shapes of all logical tensors of a model, by name, sorted."""
  template = joined.abstract_params(config, vision, jnp.float32)
  names = transformer.tensor_names(template)
  shapes = {}
  for pattern, leaf in naming.named_leaves(template, names):
    for name in naming.slice_names(pattern, leaf).reshape(-1):
      shapes[str(name)] = leaf.shape[pattern.count("{}") :]
  return dict(sorted(shapes.items()))


# Where a part of a published tensor lies in it, and where it lies in our weights:
# the leaf, and the index of the slice.
_Part = tuple[Place, Any, tuple[int, ...]]


class Checkpoint:
  """The weights of a directory, checked against a model and read one by one.

  Attributes:
    names: logical names, sorted.
    num_bytes: bytes of all tensors as stored.
  """

  def __init__(
    self,
    directory: pathlib.Path,
    config: TransformerConfig,
    vision: VisionConfig | None = None,
  ):
    """Opens the files and checks their headers; no weights are read.

    Args:
      directory: a directory with `model.safetensors`, or with shards and their
        index.
      config: the architecture of the model that the weights are for.
      vision: its tower, None where it has none.

    Raises:
      UserError: if a file, a shard or a tensor is missing, or a tensor is not
        of the model, or has another shape or a dtype that is not supported.
    """
    self._files = stored_tensors.open_files(directory, find_files(directory))
    self._shapes = logical_shapes(config, vision)
    stored = stored_tensors.read_headers(self._files)
    formats.check_names(stored, str(directory))
    layout = None
    if vision is not None:
      layout = find_layout(
        config.family, map(stored_tensors.strip_wrappers, stored)
      )
    places = _find_places(config, self._shapes, stored, layout)
    found = stored_tensors.find_tensors(
      dict.fromkeys(place.key for place in places.values()),
      stored,
      stand_ins=_find_stand_ins(config, layout),
    )
    _check_found(directory, places, found, stored)
    for name, place in places.items():
      shape = place.published_shape(self._shapes[name])
      stored_tensors.check_tensor(found[place.key], shape)
    self._places = {
      name: (place, found[place.key]) for name, place in places.items()
    }
    used = {tensor.key for tensor in found.values()}
    self._check_unused(config, stored, used)
    self.names = tuple(self._shapes)
    self.num_bytes = sum(
      self.dtype(name).itemsize * math.prod(self._shapes[name])
      for name in self.names
    )

  def dtype(self, name: str) -> np.dtype:
    """The dtype that a logical tensor is stored in."""
    return stored_tensors.DTYPES[self._places[name][1].dtype]

  def read(self, name: str, out: np.ndarray | None = None) -> np.ndarray:
    """Reads one logical tensor, as stored, into `out` if given."""
    place, stored = self._places[name]
    file = self._files[stored.file]
    if place.expert is not None:
      tensor = place.take(file.get_slice(stored.key)[place.expert[0]])
    else:
      tensor = place.take(file.get_tensor(stored.key))
    if out is None:
      return tensor
    out[...] = tensor
    return out

  def _check_unused(
    self,
    config: TransformerConfig,
    stored: Mapping[str, Stored],
    used: set[str],
  ) -> None:
    """Refuses tensors that are not of the model."""
    unknown = []
    for key in sorted(set(stored) - used):
      if config.is_tied and re.search(rf"(^|\.){re.escape(_HEAD)}$", key):
        self._check_head(stored[key])
      elif not _BUFFER.search(key):
        unknown.append(f"{key} {stored[key].shape} ({stored[key].file})")
    if unknown:
      raise UserError(
        f"Weights must be those of a {config.family} model, got unexpected"
        f" {shorten(unknown, _NUM_SHOWN)}. Correct config.json, or remove them."
      )

  def _check_head(self, head: Stored) -> None:
    """Refuses a head that a tied model would silently replace."""
    embedding = self._places["embed_tokens"][1]
    if head.shape != embedding.shape or not all(
      np.array_equal(
        *(rows.astype(np.float32) for rows in pair), equal_nan=True
      )
      for pair in zip(self._rows(head), self._rows(embedding), strict=True)
    ):
      raise UserError(
        f"{head.key} ({head.file}) must equal {embedding.key} where"
        " tie_word_embeddings is true, got other values. Set"
        " tie_word_embeddings to false in config.json, or remove the tensor."
      )

  def _rows(self, tensor: Stored) -> Iterator[np.ndarray]:
    """A matrix in blocks of rows, since the whole may be large."""
    rows = self._files[tensor.file].get_slice(tensor.key)
    num_rows = tensor.shape[0]
    for start in range(0, num_rows, _BLOCK):
      yield rows[start : min(start + _BLOCK, num_rows)]


def _find_places(
  config: TransformerConfig,
  names: Iterable[str],
  stored: Iterable[str],
  layout: Layout | None,
) -> dict[str, Place]:
  """Where each logical tensor lies, in files that hold these tensors."""
  places = {name: find_place(config.family, name, layout) for name in names}
  if config.mixture is None or not any(map(is_fused, stored)):
    return places
  num_experts = config.mixture.num_experts
  return {
    name: find_fused_place(name, num_experts) or place
    for name, place in places.items()
  }


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
    file_modes.open_to_readers(directory / file)
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


def find_files(directory: pathlib.Path) -> list[str]:
  """The names of the weights' files in a directory.

  Raises:
    UserError: if there are none, or some of a sharded model's are missing.
  """
  listed = {path.name for path in directory.iterdir()}
  file = formats.choose_file(listed, str(directory))
  if file != INDEX_FILE:
    if INDEX_FILE in listed:
      logging.warning(
        "%s holds both %s and %s; the first is read, as transformers does.",
        directory,
        WEIGHTS_FILE,
        INDEX_FILE,
      )
    return [file]
  index = directory / INDEX_FILE
  files = read_index(index)
  missing = [file for file in files if file not in listed]
  if missing:
    raise UserError(
      f"{index} lists {len(files)} files, but {len(missing)} must still be"
      f" fetched: {shorten(missing, _NUM_SHOWN)}."
    )
  return files


def read_index(index: pathlib.Path) -> list[str]:
  """The names of the files that an index lists.

  Raises:
    UserError: if it is no index, lists none, or lists quantised weights.
  """
  try:
    listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    files = sorted({os.fspath(file) for file in listed.values()})
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    must_be = "JSON that maps tensors to files under weight_map"
    reason = error if isinstance(error, OSError) else repr(error)
    raise foreign_files.explain(index, must_be, reason) from error
  formats.check_names(listed, str(index))
  for file in files:
    if pathlib.PurePath(file).name != file:
      raise UserError(
        f"{index} must list files beside it, got {file!r}. Correct it."
      )
  if not files:
    raise UserError(
      f"{index} must list the files of the weights, got none. Fetch it again."
    )
  return files


def _find_stand_ins(
  config: TransformerConfig, layout: Layout | None
) -> dict[str, str]:
  """The head in place of the embedding: some files hold only one of them."""
  if not config.is_tied:
    return {}
  embedding, head = (
    find_place(config.family, name, layout).key
    for name in ("embed_tokens", "lm_head")
  )
  return {embedding: head}


def _check_found(
  directory: pathlib.Path,
  places: Mapping[str, Place],
  found: Mapping[str, Stored],
  stored: Mapping[str, Stored],
) -> None:
  """Refuses weights that lack tensors of the model."""
  missing = [
    f"{place.key} (our {name})"
    for name, place in places.items()
    if place.key not in found
  ]
  if not missing:
    return
  must_have = f"The weights in {directory} must have every tensor of the model"
  if [key for place in places.values() if (key := place.key) not in found] == [
    _HEAD
  ]:
    raise UserError(
      f"{must_have}, got no {_HEAD}, and config.json does not tie it to the"
      " embedding. Set tie_word_embeddings to true if it is the embedding, or"
      " fetch the files again."
    )
  others = sorted(set(stored) - {tensor.key for tensor in found.values()})
  instead = f" Found were {shorten(others, _NUM_SHOWN)}." if others else ""
  raise UserError(
    f"{must_have}, got none for {shorten(missing, _NUM_SHOWN)}.{instead} Fetch"
    " the files again, or correct config.json."
  )
