"""Where a model comes from: one record, whatever form it was published in.

A directory, a model on the hub and one that ships with this package hold the same
files, which `hub_files` finds. A GGUF file says the same in its metadata, be it a
user's own or one out of another package (`packages`).
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from thickets.errors import UserError, shorten
from thickets.models import (
  checkpoint,
  hub_files,
  packages,
  tokenizer_export,
  tokenizer_files,
)
from thickets.models.config import TransformerConfig
from thickets.models.streaming import Weights
from thickets.models.tokenizer_export import PublishedTokenizer
from thickets.models.vision import processor_files
from thickets.models.vision.config import VisionConfig

_GGUF = ".gguf"
_NUM_SHOWN = 4  # Words of a list that a message shows.


@dataclasses.dataclass(frozen=True)
class Source:
  """A model that was found, and none of whose weights were read.

  Attributes:
    fields: the contents of its config.json.
    generation: the contents of its generation_config.json, None where there is
      none.
    load_tokenizer: returns its tokenizer, None where there is none.
    publish_tokenizer: maps that tokenizer to the files that it was read from, None
      where there are none.
    open_weights: downloads its weights, if they are not there, and checks their
      headers against the architecture and that of the tower, if it has one.
    revision: the commit on the hub, None where it does not come from there.
    describe_file: returns the hash of its GGUF file and the types in it, as JSON
      values, for which it may read the whole file; None where it has none.
    read_processor: returns the bytes of those files of `processor_files.FILES` that
      it has, by name.
  """

  fields: Mapping[str, Any]
  generation: Mapping[str, Any] | None
  load_tokenizer: Callable[[], Any]
  publish_tokenizer: Callable[[Any], PublishedTokenizer | None]
  open_weights: Callable[[TransformerConfig, VisionConfig | None], Weights]
  revision: str | None = None
  describe_file: Callable[[], Mapping[str, Any] | None] = lambda: None
  read_processor: Callable[[], dict[str, bytes]] = dict


def find(name: str, revision: str | None = None) -> Source:
  """Finds a model, and reads what was published beside its weights.

  Args:
    name: a directory, a GGUF file, the id of a model on the hub, shipped/... for
      a model that comes with this package, or package:... for one of
      `packages.PACKAGED`.
    revision: branch, tag or commit on the hub, its main branch by default.

  Raises:
    UserError: if the model cannot be found or reached, or its config or its file
      cannot be read.
  """
  if name.startswith(packages.PREFIX):
    _refuse_revision(name, revision)
    return _read_gguf(packages.locate(name), packages.find_hash(name))
  path = pathlib.Path(name).expanduser()
  if name.endswith(_GGUF) or (path.is_file() and _has_magic(path)):
    _refuse_revision(name, revision)
    return _read_gguf(path)
  return _read_files(hub_files.locate(name, revision))


def _read_files(files: hub_files.Files) -> Source:
  """The files of a directory."""

  def open_weights(
    config: TransformerConfig, vision: VisionConfig | None
  ) -> Weights:
    files.fetch_weights()
    return checkpoint.Checkpoint(files.directory, config, vision)

  return Source(
    fields=_read_config(files.directory),
    generation=hub_files.read_json(files.directory / "generation_config.json"),
    load_tokenizer=lambda: tokenizer_files.load_tokenizer(files.directory),
    publish_tokenizer=lambda tokenizer: tokenizer_export.read_published(
      files.directory, tokenizer
    ),
    open_weights=open_weights,
    revision=files.revision,
    read_processor=lambda: _read_processor(files.directory),
  )


def _read_processor(directory: pathlib.Path) -> dict[str, bytes]:
  paths = [directory / name for name in processor_files.FILES]
  return {path.name: path.read_bytes() for path in paths if path.is_file()}


def _read_gguf(path: pathlib.Path, sha256: str | None = None) -> Source:
  """A GGUF file, and its hash if that was computed already."""
  # Not above: other models need no package for it.
  from thickets.models.gguf_files import model_file

  if not path.is_file():
    raise UserError(
      f"A name that ends in {_GGUF} must be a file, got {path}, which is"
      f" {'a directory' if path.is_dir() else 'not there'}. Correct the path."
    )
  file = model_file.open_file(path)
  return Source(
    fields=file.fields,
    generation=None,
    load_tokenizer=file.load_tokenizer,
    publish_tokenizer=lambda tokenizer: None,  # Written from memory.
    open_weights=lambda config, vision: file.open_weights(config),
    describe_file=lambda: file.describe(sha256),
  )


def _refuse_revision(name: str, revision: str | None) -> None:
  if revision is not None:
    raise UserError(
      f"revision must be given only with a model of the hub, got {revision!r}"
      f" for {name}. Leave it out."
    )


def _has_magic(path: pathlib.Path) -> bool:
  with path.open("rb") as file:
    return file.read(4) == b"GGUF"


def _read_config(directory: pathlib.Path) -> dict[str, Any]:
  """The contents of a model's config.json."""
  fields = hub_files.read_json(directory / "config.json")
  if fields is None:
    ggufs = sorted(path.name for path in directory.glob(f"*{_GGUF}"))
    if ggufs:
      raise UserError(
        f"A model in GGUF files must be named by its file, got {directory}."
        f" Name one of {shorten(ggufs, _NUM_SHOWN)} in it."
      )
    raise UserError(
      f"A model must have a config.json, got none in {directory}. Name the"
      " directory of a model; one whose saving was interrupted has none."
    )
  return fields
