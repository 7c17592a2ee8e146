"""Where a model's files are: a directory of this machine, or the hub's cache.

The hub is asked first, with a deadline, what a model has; the weights then come
from the commit that its small files came from.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from thickets.errors import UserError
from thickets.models import checkpoint

# Seconds until a hub that does not answer counts as unreachable.
DEADLINE_S = 10.0

_SMALL_FILES = (
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  checkpoint.INDEX_FILE,
)


@dataclasses.dataclass(frozen=True)
class Files:
  """The files of one model.

  Attributes:
    directory: with config and tokenizer; weights too, after `fetch_weights`.
    revision: commit on the hub, None for a directory of the user.
    fetch_weights: downloads the weights, if they are not there.
  """

  directory: pathlib.Path
  revision: str | None
  fetch_weights: Callable[[], None]


def locate(name: str, revision: str | None = None) -> Files:
  """Finds a model, and downloads its small files if it is on the hub.

  Args:
    name: a directory, or the id of a model on the hub.
    revision: branch, tag or commit on the hub, its main branch by default.

  Raises:
    UserError: if there is no such directory, model or revision, the model is
      gated or has no safetensors, or the hub cannot be reached.
  """
  path = pathlib.Path(name).expanduser()
  if name and path.is_dir():
    if revision is not None:
      raise UserError(
        f"revision must not be given with a directory, got {revision!r} for"
        f" {path}. Leave it out."
      )
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


def _locate_cached(name, revision) -> Files:
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


def _locate_online(name, revision) -> Files:
  import huggingface_hub

  def download(at: str | None, files: Sequence[str]) -> pathlib.Path:
    return pathlib.Path(
      _ask_hub(
        lambda: huggingface_hub.snapshot_download(
          name, revision=at, allow_patterns=list(files)
        ),
        name,
        revision,
      )
    )

  info = _ask_hub(
    lambda: _within(
      DEADLINE_S,
      lambda: huggingface_hub.HfApi().model_info(
        name, revision=revision, timeout=DEADLINE_S / 2
      ),
    ),
    name,
    revision,
  )
  listed = {file.rfilename for file in info.siblings or ()}
  if not listed & {checkpoint.WEIGHTS_FILE, checkpoint.INDEX_FILE}:
    raise UserError(
      f"{name!r} must have {checkpoint.WEIGHTS_FILE} or"
      f" {checkpoint.INDEX_FILE}, got {', '.join(sorted(listed)) or 'nothing'}."
      " Other formats are not read: save the model with transformers and pass"
      " the directory."
    )
  # By the name that was asked for, so that the cache knows it offline, too.
  directory = download(revision, sorted(listed.intersection(_SMALL_FILES)))
  commit = directory.name

  def fetch_weights():
    files = [checkpoint.WEIGHTS_FILE]
    if checkpoint.INDEX_FILE in listed:
      files = checkpoint.read_index(directory / checkpoint.INDEX_FILE)
    download(commit, files)

  return Files(directory, commit, fetch_weights)


def _ask_hub(ask: Callable[[], Any], name: str, revision: str | None) -> Any:
  """Calls `ask` and says what a refusal means."""
  from huggingface_hub import constants, errors

  at = constants.ENDPOINT
  try:
    return ask()
  except errors.GatedRepoError as error:
    raise UserError(
      f"{name!r} must be open to you, got a gated model on {at}. Accept its"
      " terms there and set HF_TOKEN, or pass a directory."
    ) from error
  except errors.RevisionNotFoundError as error:
    raise UserError(
      f"revision must be a branch, tag or commit of {name!r}, got"
      f" {revision!r}, which {at} does not have. Look it up there."
    ) from error
  except errors.RepositoryNotFoundError as error:
    raise UserError(
      f"A model must be a directory or the id of one on the hub, got {name!r}:"
      f" there is no such directory, and {at} does not show such a model."
      " Correct the name; a private model needs HF_TOKEN."
    ) from error
  except errors.HFValidationError as error:
    raise UserError(
      f"A model must be a directory or the id of one on the hub, got {name!r}:"
      f" {error}"
    ) from error
  except Exception as error:  # Whatever its HTTP library raises.
    reason = " ".join(str(error).split()) or "no answer"
    raise UserError(
      f"The hub must be reachable to load {name!r}, got"
      f" {type(error).__name__} from {at}: {reason}. Pass a directory, or set"
      " HF_HUB_OFFLINE=1 if the model is in the cache; otherwise check the"
      " network, its proxy and HF_ENDPOINT."
    ) from error


def _within(seconds: float, call: Callable[[], Any]) -> Any:
  """Calls in a thread; the library's timeouts do not cover a name server."""
  outcome = []

  def run():
    try:
      outcome.append((call(), None))
    except Exception as error:  # Raised below, in the caller's thread.
      outcome.append((None, error))

  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  thread.join(seconds)
  if not outcome:
    raise TimeoutError(f"no answer within {seconds:g} s")
  value, error = outcome[0]
  if error is not None:
    raise error
  return value
