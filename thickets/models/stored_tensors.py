"""The tensors in safetensors files, found by the names that a class gives them.

Files may lack the prefix of the class (`model.`), or carry those of wrappers
around it (`module.`, `base_model.model.`, `_orig_mod.`).
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from thickets.errors import UserError
from thickets.models import foreign_files

DTYPES = {
  "BF16": np.dtype(jnp.bfloat16),
  "F16": np.dtype(np.float16),
  "F32": np.dtype(np.float32),
}


_CLASS_PREFIX = re.compile(r"^(model|transformer)\.")
_WRAPPER = re.compile(  # That PyTorch puts before the name of any module.
  r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)


@dataclasses.dataclass(frozen=True)
class Stored:
  """A tensor in a file: its header, not its data."""

  file: str
  key: str
  shape: tuple[int, ...]
  dtype: str


def open_files(directory: pathlib.Path, names: Iterable[str]) -> dict[str, Any]:
  """Opens safetensors files, in order, by name.

  Raises:
    UserError: if one cannot be read; it says what the file is.
  """
  import safetensors

  files = {}
  for name in names:
    path = directory / name
    try:
      files[name] = safetensors.safe_open(path, "np")
    except (OSError, safetensors.SafetensorError) as error:
      must_be = "a whole safetensors file"
      raise foreign_files.explain(path, must_be, error) from error
  return files


def read_headers(files: Mapping[str, Any]) -> dict[str, Stored]:
  """The tensors in open files, by their names as stored."""
  stored = {}
  for file, opened in files.items():
    for key in opened.keys():  # noqa: SIM118 (not a dict)
      if key in stored:
        raise UserError(
          f"A tensor must be in one file, got {key} in {stored[key].file} and"
          f" {file}. Remove one."
        )
      header = opened.get_slice(key)
      stored[key] = Stored(
        file, key, tuple(header.get_shape()), str(header.get_dtype())
      )
  return stored


def find_tensors(
  keys: Collection[str],
  stored: Mapping[str, Stored],
  *,
  stand_ins: Mapping[str, str],
) -> dict[str, Stored]:
  """Finds the tensors of a class under one prefix that all of them share.

  Without a prefix, the class's own may be missing, tensor by tensor, as
  `transformers` has it. Another prefix is taken off only where every tensor is
  found under it, and under no other.

  Args:
    keys: published names, with the prefix of the class.
    stored: tensors by their names as stored.
    stand_ins: for some of the names, that of the tensor that is read where they
      are missing.

  Returns:
    The tensors that were found, by published name: all of them, or those under
    the prefix that most have.

  Raises:
    UserError: if the tensors are there under several prefixes.
  """
  named = _unwrap(stored)
  best: dict[str, Stored] = {}
  whole: dict[str, dict[str, Stored]] = {}
  for prefix in _candidates(keys, named):
    found = {}
    for key in keys:
      tensor = _find(prefix, key, named)
      if tensor is None and key in stand_ins:
        tensor = _find(prefix, stand_ins[key], named)
      if tensor is not None:
        found[key] = tensor
    if len(found) == len(keys):
      if not prefix:
        return found
      if found not in whole.values():
        whole[prefix] = found
    if len(found) > len(best):
      best = found
  if len(whole) > 1:
    raise UserError(
      "The tensors of a model must be stored under one prefix, got them under"
      f" each of {sorted(whole)}. Keep those of one model."
    )
  return next(iter(whole.values()), best)


def strip_wrappers(key: str) -> str:
  """A tensor's name without the wrappers of PyTorch."""
  return _WRAPPER.sub("", key)


def _unwrap(stored: Mapping[str, Stored]) -> dict[str, Stored]:
  """Tensors by their names without the wrappers of PyTorch."""
  named = {}
  for key, tensor in stored.items():
    name = strip_wrappers(key)
    if name in named:
      raise UserError(
        f"A tensor must be stored once, got {named[name].key} and {key}, which"
        " are the same without wrappers. Remove one."
      )
    named[name] = tensor
  return named


def _candidates(
  keys: Collection[str], named: Mapping[str, Stored]
) -> Sequence[str]:
  """The prefixes under which the tensors may lie, none before all others."""
  anchor = max((_CLASS_PREFIX.sub("", key) for key in keys), key=len)
  prefixes = {""}
  for name in named:
    if name == anchor or name.endswith("." + anchor):
      prefix = name.removesuffix(anchor)
      prefixes |= {
        prefix,
        re.sub(r"(?<![^.])(model|transformer)\.$", "", prefix),
      }
  return sorted(prefixes)


def _find(prefix: str, key: str, named: Mapping[str, Stored]) -> Stored | None:
  """A tensor under a prefix, with or without that of its class."""
  bare = _CLASS_PREFIX.sub("", key)
  for candidate in (prefix + key, prefix + bare):
    if candidate in named:
      return named[candidate]
  # The head belongs to no class's prefix: it may lie beside the wrapped body.
  while bare == key and prefix:
    prefix = prefix.rpartition(".")[0].rpartition(".")[0]
    prefix += "." if prefix else ""
    if prefix + key in named:
      return named[prefix + key]
  return None


def check_tensor(stored: Stored, shape: tuple[int, ...]) -> None:
  """Refuses a tensor of another shape, or of a dtype that is not read."""
  if stored.shape != shape:
    raise UserError(
      f"{stored.key} ({stored.file}) must have shape {list(shape)} by"
      f" config.json, got {list(stored.shape)}. Correct config.json, or fetch"
      " the weights again."
    )
  if stored.dtype not in DTYPES:
    raise UserError(
      f"{stored.key} ({stored.file}) must be stored as one of"
      f" {sorted(DTYPES)}, got {stored.dtype}. Convert the model with"
      " transformers."
    )
