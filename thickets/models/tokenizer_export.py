"""The files of a tokenizer in an exported directory.

A tokenizer that came from files goes out by the same bytes, so that every
library reads in the export what it read in the original. One that exists only in
memory is written so that transformers 4.57 and 5 both open it.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from thickets.models import hub_files


@dataclasses.dataclass(frozen=True)
class PublishedTokenizer:
  """The files that a tokenizer was loaded from.

  Attributes:
    contents: the bytes of each file, by its path in the directory.
    state: what the tokenizer was when they were read, see `_describe_state`.
  """

  contents: Mapping[str, bytes]
  state: str


def read_published(
  directory: pathlib.Path, tokenizer: Any
) -> PublishedTokenizer | None:
  """The files in a directory of the tokenizer that was loaded from it.

  Their bytes are kept, since the directory may change later.
  """
  if tokenizer is None:
    return None
  paths = sorted(
    path
    for pattern in hub_files.TOKENIZER_FILES
    for path in directory.glob(pattern)
    if path.is_file()
  )
  contents = {
    path.relative_to(directory).as_posix(): path.read_bytes() for path in paths
  }
  return PublishedTokenizer(contents, _describe_state(tokenizer))


def write(
  directory: pathlib.Path,
  tokenizer: Any,
  published: PublishedTokenizer | None,
) -> None:
  """Writes the files of a tokenizer.

  Args:
    directory: where they are written.
    tokenizer: a tokenizer of `transformers`, None to write nothing.
    published: the files that it was loaded from, None where there are none.
      They are written as they are, unless the tokenizer was changed since.
  """
  if tokenizer is None:
    return
  if published is not None and published.state == _describe_state(tokenizer):
    for name, content in published.contents.items():
      path = directory / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(content)
    return
  tokenizer.save_pretrained(directory)
  path = directory / "tokenizer_config.json"
  fields = _translate(json.loads(path.read_text(encoding="utf-8")), tokenizer)
  text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
  path.write_text(text, encoding="utf-8")


def _translate(fields: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
  """The contents of a tokenizer_config.json of transformers 5 for 4.57 too."""
  own = ("backend", "is_local", "local_files_only")  # Not of the tokenizer.
  translated = {name: fields[name] for name in fields if name not in own}
  if isinstance(translated.get("extra_special_tokens"), list):
    translated["additional_special_tokens"] = translated.pop(
      "extra_special_tokens"
    )
  backend = getattr(tokenizer, "backend_tokenizer", None)
  if backend is not None:
    # Version 5 names classes that 4.57 lacks; tokenizer.json has all of it.
    translated["tokenizer_class"] = "PreTrainedTokenizerFast"
    # Version 4.57 would set it to False where it is not named.
    adds_space = _component(backend, "pre_tokenizer").get("add_prefix_space")
    if adds_space is not None:
      translated["add_prefix_space"] = adds_space
  return translated


def _describe_state(tokenizer: Any) -> str:
  """All that a user may change of a tokenizer, as JSON.

  Its model is taken to be the same where the vocabulary has as many tokens.
  """
  backend = getattr(tokenizer, "backend_tokenizer", None)
  parts = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
  added = getattr(tokenizer, "added_tokens_decoder", {})
  state = {
    "size": len(tokenizer),
    "added": {number: repr(token) for number, token in added.items()},
    "special": tokenizer.special_tokens_map,
    "backend": {
      part: _component(backend, part) for part in parts if backend is not None
    },
  } | {
    name: getattr(tokenizer, name, None)
    for name in (
      "chat_template",
      "clean_up_tokenization_spaces",
      "model_max_length",
      "padding_side",
      "split_special_tokens",
    )
  }
  return json.dumps(state, sort_keys=True, default=str)


def _component(backend: Any, part: str) -> dict[str, Any]:
  """One part of a tokenizer of `tokenizers`, as JSON values."""
  component = getattr(backend, part)
  return {} if component is None else json.loads(component.__getstate__())
