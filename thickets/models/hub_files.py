"""Where a model's files are: a directory of this machine, or the hub's cache.

The hub is asked first, with a deadline, what a model has; the weights then come
from the commit that its small files came from.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from thickets import huggingface
from thickets.errors import UserError, shorten
from thickets.models import checkpoint, foreign_files
from thickets.models import weight_formats as formats
from thickets.models.vision import processor_files

# Patterns of the files that make up a tokenizer with its chat templates.
TOKENIZER_FILES = (
  "tokenizer.json",
  "tokenizer.*.json",  # For some versions of transformers.
  "tokenizer.model*",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  "additional_chat_templates/*.jinja",
)
_SMALL_FILES = (
  "config.json",
  "generation_config.json",
  *processor_files.FILES,
  *TOKENIZER_FILES,
  formats.INDEX_FILE,
)
_LARGE_TOKENIZER_FILES = (  # That are often stored apart from a repository.
  "tokenizer.json",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
)

_SHIPPED = "shipped/"  # Before the names of the package's own models.
_SHIPPED_DIR = pathlib.Path(__file__).resolve().parent / "shipped"


@dataclasses.dataclass(frozen=True)
class Files:
  """The files of one model.

  Attributes:
    directory: the directory that has config and tokenizer, and the weights after
      `fetch_weights`.
    revision: the commit on the hub, None for a directory of the user.
    fetch_weights: downloads the weights, if they are not there.
  """

  directory: pathlib.Path
  revision: str | None
  fetch_weights: Callable[[], None]


def locate(name: str, revision: str | None = None) -> Files:
  """Finds a model, and downloads its small files if it is on the hub.

  Args:
    name: a directory, the id of a model on the hub, or shipped/... for one that
      comes with the package.
    revision: branch, tag or commit on the hub, its main branch by default.

  Raises:
    UserError: if there is no such directory, model or revision, the model is
      gated or has no safetensors, or the hub cannot be reached.
  """
  if name.startswith(_SHIPPED):
    return _locate_shipped(name, revision)
  path = pathlib.Path(name).expanduser()
  if name and path.is_dir():
    if revision is not None:
      raise UserError(
        f"revision must not be given with a directory, got {revision!r} for"
        f" {path}. Leave it out."
      )
    _check_directory(path)
    return Files(path, None, lambda: None)
  if name and path.exists():
    raise UserError(
      f"A model must be a directory or the id of one on the hub, got the file"
      f" {path}. Name its directory."
    )
  if name.startswith((".", "~", os.sep)) or name.count("/") > 1 or not name:
    raise UserError(
      f"A model must be a directory that exists or the id of one on the hub, got"
      f" {name!r}, which is neither. Correct the path."
    )
  from huggingface_hub import constants

  if constants.HF_HUB_OFFLINE:
    return _locate_cached(name, revision)
  return _locate_online(name, revision)


def read_json(path: pathlib.Path) -> dict[str, Any] | None:
  """The JSON object in a file, None if there is no file.

  Raises:
    UserError: if the file cannot be read or is not JSON, is not an object,
      gives a key two values, or has a NaN.
  """
  if not path.exists() and not path.is_symlink():
    return None
  try:
    contents = json.loads(
      path.read_text(encoding="utf-8"), object_pairs_hook=_make_object
    )
  except UserError as error:
    raise UserError(f"{path}: {error}") from error
  except (OSError, ValueError, RecursionError) as error:
    raise foreign_files.explain(path, "JSON", error) from error
  if not isinstance(contents, dict):
    raise UserError(f"{path} must be a JSON object, got {contents!r}.")
  return contents


def _make_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
  """An object of JSON, whose readers would disagree about a key given twice."""
  made = {}
  for key, value in pairs:
    if isinstance(value, float) and math.isnan(value):
      raise UserError(f"{key} must be a number, got NaN. Correct it.")
    if key in made and made[key] != value:
      raise UserError(
        f"{key} must be given once, got {made[key]!r} and {value!r}. Remove one."
      )
    made[key] = value
  return made


def _check_directory(directory: pathlib.Path) -> None:
  """Refuses what holds a model, or a part of one, but is none itself."""
  listed = set(os.listdir(directory))
  formats.check_no_adapter(listed, str(directory))
  for file in sorted(filter(_is_small, listed)):
    path = directory / file
    if not path.exists():
      raise foreign_files.explain(path, "a file", "none")
  for file in _LARGE_TOKENIZER_FILES:
    path = directory / file
    if file in listed:
      if foreign_files.recognise(path):
        raise foreign_files.explain(path, "a tokenizer's file", "another")
      if file == "tokenizer.json":
        break  # It decides; the others are not read.
  if (directory / "config.json").exists():
    return
  models = sorted(
    str(path.parent)
    for pattern in ("*/config.json", "snapshots/*/config.json")
    for path in directory.glob(pattern)
  )
  if models:
    raise UserError(
      f"A model must have a config.json, got none in {directory}. Name one of"
      f" the directories below it that have one: {shorten(models, 4)}."
    )


def _locate_shipped(name: str, revision: str | None) -> Files:
  """A model that comes with the package."""
  known = sorted(path.name for path in _SHIPPED_DIR.glob("*") if path.is_dir())
  if name.removeprefix(_SHIPPED) not in known:
    raise UserError(
      "A shipped model must be one of"
      f" {', '.join(_SHIPPED + k for k in known) or 'none, without assets'},"
      f" got {name!r}."
    )
  if revision is not None:
    raise UserError(
      f"revision must not be given with a shipped model, got {revision!r} for"
      f" {name}. Leave it out."
    )
  return Files(_SHIPPED_DIR / name.removeprefix(_SHIPPED), None, lambda: None)


def _locate_cached(name: str, revision: str | None) -> Files:
  """A model in the hub's cache; nothing is asked of the hub."""
  huggingface.import_progress_bars()
  import huggingface_hub
  from huggingface_hub import constants, errors

  try:
    directory = huggingface_hub.snapshot_download(
      name,
      revision=revision,
      local_files_only=True,
      allow_patterns=list(_SMALL_FILES),
    )
  except (errors.LocalEntryNotFoundError, errors.HFValidationError) as error:
    at = f" at revision {revision!r}" if revision else ""
    raise UserError(
      f"With HF_HUB_OFFLINE=1 a model must be in the cache, got {name!r}{at},"
      f" which is not in {constants.HF_HUB_CACHE}. Unset"
      " HF_HUB_OFFLINE, or pass a directory."
    ) from error
  directory = pathlib.Path(directory)
  return Files(directory, directory.name, lambda: None)


def _locate_online(name: str, revision: str | None) -> Files:
  """A model on the hub, whose small files are downloaded."""
  huggingface.import_progress_bars()
  import huggingface_hub

  def download(at: str | None, files: Sequence[str]) -> pathlib.Path:
    return pathlib.Path(
      huggingface.ask_hub(
        lambda: huggingface_hub.snapshot_download(
          name, revision=at, allow_patterns=list(files)
        ),
        name,
        revision,
      )
    )

  info = huggingface.ask_hub(
    lambda: huggingface.within(
      huggingface.DEADLINE_S,
      lambda: huggingface_hub.HfApi().model_info(
        name, revision=revision, timeout=huggingface.DEADLINE_S / 2
      ),
    ),
    name,
    revision,
  )
  listed = {file.rfilename for file in info.siblings or ()}
  formats.check_no_adapter(listed, repr(name))
  first = formats.choose_file(listed, repr(name))
  # By the name that was asked for, so that the cache knows it offline, too.
  directory = download(
    revision,
    sorted(filter(_is_small, listed)),
  )
  commit = directory.name

  def fetch_weights():
    files = [first]
    if first == formats.INDEX_FILE:
      files = checkpoint.read_index(directory / first)
    download(commit, files)

  return Files(directory, commit, fetch_weights)


def _is_small(file: str) -> bool:
  """Whether a file of a model is downloaded before its weights."""
  return any(fnmatch.fnmatch(file, pattern) for pattern in _SMALL_FILES)
