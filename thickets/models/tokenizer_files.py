"""Tokenizers in files, and what a model has to do with its tokenizer."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thickets import huggingface
from thickets.errors import UserError
from thickets.models import hub_files
from thickets.models.config import TransformerConfig

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
_GENERIC_TOKENIZERS = ("PreTrainedTokenizerFast", "TokenizersBackend")


def load_tokenizer(directory: str | pathlib.Path) -> Any:
  """The tokenizer in a directory, None if it has none.

  Raises:
    UserError: if its files cannot be read.
  """
  path = pathlib.Path(directory)
  if not any((path / file).exists() for file in _TOKENIZER_FILES):
    return None
  huggingface.import_progress_bars()
  import transformers

  declared = hub_files.read_json(path / "tokenizer_config.json") or {}
  load_any = transformers.AutoTokenizer
  if declared.get("tokenizer_class") in _GENERIC_TOKENIZERS:
    # Otherwise a qwen2 model gets that family's rules whatever the file says.
    load_any = transformers.PreTrainedTokenizerFast
  try:
    return load_any.from_pretrained(path)
  except Exception as error:  # The library's parsers raise bare ones.
    raise UserError(
      f"The tokenizer in {path} must be one that transformers"
      f" {transformers.__version__} reads, got {type(error).__name__}: {error}."
      " Fetch its files again."
    ) from error


def check_vocabulary(tokenizer: Any, config: TransformerConfig) -> None:
  """Refuses a tokenizer with ids that the model has no embedding for."""
  if tokenizer is None:
    return
  num_ids = max(tokenizer.get_vocab().values()) + 1
  if num_ids > config.vocab_size:
    raise UserError(
      f"A tokenizer must have at most the model's {config.vocab_size} ids, got"
      f" {num_ids}. Use the tokenizer that was published with the model."
    )


def make_detokenizer(tokenizer: Any) -> Callable[[Sequence[int]], str]:
  """Returns a function from ids to text without special tokens; it pickles."""
  return functools.partial(tokenizer.decode, skip_special_tokens=True)


def find_stop_tokens(
  fields: Mapping[str, Any],
  generation: Mapping[str, Any] | None,
  tokenizer: Any,
) -> tuple[int, ...]:
  """The tokens that end a text by any of the files that say so."""
  stop = (generation or {}).get("eos_token_id")
  stop = fields.get("eos_token_id") if stop is None else stop
  stop = [] if stop is None else stop
  ids = {stop} if isinstance(stop, int) else set(stop)
  if getattr(tokenizer, "eos_token_id", None) is not None:
    ids.add(tokenizer.eos_token_id)
  return tuple(sorted(ids))
