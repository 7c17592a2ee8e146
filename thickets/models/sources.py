"""Where a model comes from: one record, whatever form it was published in.

A directory, a model on the hub and one of the package hold the same files, which
`hub_files` finds.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from thickets.errors import UserError
from thickets.models import (
  checkpoint,
  hub_files,
  tokenizer_export,
  tokenizer_files,
)
from thickets.models.config import TransformerConfig
from thickets.models.streaming import Weights
from thickets.models.tokenizer_export import PublishedTokenizer


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
      headers against the architecture.
    revision: the commit on the hub, None where it does not come from there.
  """

  fields: Mapping[str, Any]
  generation: Mapping[str, Any] | None
  load_tokenizer: Callable[[], Any]
  publish_tokenizer: Callable[[Any], PublishedTokenizer | None]
  open_weights: Callable[[TransformerConfig], Weights]
  revision: str | None = None


def find(name: str, revision: str | None = None) -> Source:
  """Finds a model, and reads what was published beside its weights.

  Args:
    name: a directory, the id of a model on the hub, or shipped/... for one that
      comes with the package.
    revision: branch, tag or commit on the hub, its main branch by default.

  Raises:
    UserError: if the model cannot be found or reached, or has no config.json.
  """
  files = hub_files.locate(name, revision)

  def open_weights(config: TransformerConfig) -> Weights:
    files.fetch_weights()
    return checkpoint.Checkpoint(files.directory, config)

  return Source(
    fields=_read_config(files.directory),
    generation=hub_files.read_json(files.directory / "generation_config.json"),
    load_tokenizer=lambda: tokenizer_files.load_tokenizer(files.directory),
    publish_tokenizer=lambda tokenizer: tokenizer_export.read_published(
      files.directory, tokenizer
    ),
    open_weights=open_weights,
    revision=files.revision,
  )


def _read_config(directory: pathlib.Path) -> dict[str, Any]:
  """The contents of a model's config.json."""
  fields = hub_files.read_json(directory / "config.json")
  if fields is None:
    raise UserError(
      f"A model must have a config.json, got none in {directory}. Name the"
      " directory of a model; one whose saving was interrupted has none."
    )
  return fields
