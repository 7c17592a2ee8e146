"""A GGUF file as a model: what a directory would hold, in one file or several."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.errors import UserError, shorten
from thickets.models.config import TransformerConfig
from thickets.models.gguf_files import (
  architectures,
  config_fields,
  header,
  rope_fields,
  vocabulary,
  weights,
)
from thickets.models.gguf_files.header import Header

_NUM_SHOWN = 4  # Words of a list that a message shows.
_PIECE = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


@dataclasses.dataclass(frozen=True)
class ModelFile:
  """A model in a GGUF file, of which the header was read.

  Attributes:
    header: its metadata and tensors; those of all its pieces, where it is split.
    fields: the contents of a config.json that describes the same model.
    paths: the files, in order.
  """

  header: Header
  fields: Mapping[str, Any]
  paths: tuple[pathlib.Path, ...]

  def load_tokenizer(self) -> Any:
    """Builds the tokenizer; see `vocabulary.build_tokenizer`."""
    context = self.fields.get("max_position_embeddings")
    return vocabulary.build_tokenizer(
      self.header, context or self.fields["n_positions"]
    )

  def open_weights(self, config: TransformerConfig) -> weights.GgufWeights:
    """Checks the tensors against a model; see `weights.GgufWeights`."""
    name = self.header.metadata["general.architecture"]
    return weights.GgufWeights(
      self.header.tensors,
      architectures.ARCHITECTURES[name],
      config,
      unused=[rope_fields.FREQUENCIES],
    )

  def describe(self, sha256: str | None = None) -> dict[str, Any]:
    """What the weights were dequantised from, as JSON values.

    Args:
      sha256: the hash that is returned; None to compute it, which reads all.

    Returns:
      `sha256`, the hash of the file (of its pieces one after the other, where it
      is split); and `types`, how many tensors are stored in which type.
    """
    kinds = collections.Counter(
      tensor.kind.name for tensor in self.header.tensors.values()
    )
    return {
      "sha256": sha256 or _hash_files(self.paths),
      "types": dict(sorted(kinds.items())),
    }


def _hash_files(paths: Sequence[pathlib.Path]) -> str:
  total = hashlib.sha256()
  for path in paths:
    with path.open("rb") as file:
      while chunk := file.read(1 << 22):
        total.update(chunk)
  return total.hexdigest()


def open_file(path: pathlib.Path) -> ModelFile:
  """Reads the header of a file, and refuses what cannot be loaded.

  Raises:
    UserError: if it is no whole GGUF file, or no model, or its architecture, its
      tokenizer or a feature is not supported.
  """
  read, paths = _read_pieces(path)
  fields = config_fields.read_fields(read)
  vocabulary.check_vocabulary(read)
  return ModelFile(read, fields, paths)


def _read_pieces(path: pathlib.Path) -> tuple[Header, tuple[pathlib.Path, ...]]:
  """The header of a file, with the tensors of all pieces that it has."""
  first = header.read_header(path)
  count = first.metadata.get("split.count", 1)
  if type(count) is not int:
    raise UserError(
      f"split.count must be a number of pieces, got {count!r} ({path}). Take"
      " another conversion of the model."
    )
  if count in (0, 1):
    return first, (path,)
  named = _PIECE.fullmatch(path.name)
  if not named or int(named[3]) != count or int(named[2]) != 1:
    raise UserError(
      f"A model in {count} pieces must be named by its first, whose name ends"
      f" in -00001-of-{count:05d}.gguf, got {path}. Name that file, with the"
      " others beside it."
    )
  paths = [
    path.with_name(f"{named[1]}-{i + 1:05d}-of-{count:05d}.gguf")
    for i in range(count)
  ]
  if missing := [piece.name for piece in paths if not piece.exists()]:
    raise UserError(
      f"All {count} pieces of a model must lie beside {path}, got none of"
      f" {shorten(missing, _NUM_SHOWN)}. Fetch them."
    )
  tensors = dict(first.tensors)
  for i, piece in enumerate(paths[1:], 1):
    read = header.read_header(piece)
    found = [read.metadata.get(f"split.{key}") for key in ("no", "count")]
    if found != [i, count] or tensors.keys() & read.tensors.keys():
      raise UserError(
        f"{piece} must be piece {i + 1} of the {count} of {path.name}, got"
        f" split.no and split.count {found}. Fetch it again."
      )
    tensors |= read.tensors
  total = first.metadata.get("split.tensors.count", len(tensors))
  if len(tensors) != total:
    raise UserError(
      f"The pieces of {path} must have {total} tensors in all, got"
      f" {len(tensors)}. Fetch them again."
    )
  return dataclasses.replace(first, tensors=tensors), tuple(paths)
