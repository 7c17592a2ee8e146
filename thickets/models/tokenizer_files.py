"""Tokenizers in files, and what a model has to do with its tokenizer.

Where a directory has a `tokenizer.json`, that file decides. Classes of
`transformers` rebuild parts of a tokenizer by rules of their own, and the class
that a directory names is often not the one that its file was made for. So the
file is read as it is. The class only says which tokens are special where no file
does.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from thickets import huggingface
from thickets.errors import UserError
from thickets.models import chat_templates, hub_files
from thickets.models.config import TransformerConfig

_MAIN_FILE = "tokenizer.json"
_TOKENIZER_FILES = (_MAIN_FILE, "tokenizer.model", "vocab.json")
_PANIC = (
  "PanicException"  # Libraries in Rust raise it, and it cannot be imported.
)


def load_tokenizer(directory: str | pathlib.Path) -> Any:
  """The tokenizer in a directory, None if it has none.

  Code that a directory may bring along is never run.

  Raises:
    UserError: if its files cannot be read, or contradict each other.
  """
  path = pathlib.Path(directory)
  if not any((path / file).exists() for file in _TOKENIZER_FILES):
    return None
  declared = hub_files.read_json(path / "tokenizer_config.json") or {}
  tokenizer = _read(path, declared)
  _check_stated_ids(path, tokenizer, declared)
  _name_special_tokens(path, tokenizer, declared)
  _settle_decoding(tokenizer)
  if getattr(tokenizer, "chat_template", None) is None:
    template = hub_files.read_json(path / "chat_template.json") or {}
    tokenizer.chat_template = template.get("chat_template")
  return tokenizer


def _read(path: pathlib.Path, declared: Mapping[str, Any]) -> Any:
  """The tokenizer by its file, or by its class where there is no file."""
  huggingface.import_progress_bars()
  import transformers

  try:
    if (path / _MAIN_FILE).exists() or declared.get("fast_tokenizer_files"):
      return transformers.PreTrainedTokenizerFast.from_pretrained(path)
    _check_libraries(path)
    return transformers.AutoTokenizer.from_pretrained(
      path, trust_remote_code=False
    )
  except UserError:
    raise
  except BaseException as error:  # The library's parsers raise bare ones.
    # And they panic, which is no Exception.
    if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
      raise
    reason = " ".join(str(error).split())
    raise UserError(
      f"The tokenizer in {path} must be one that transformers"
      f" {transformers.__version__} reads, got {type(error).__name__}: {reason}"
      f"{'' if reason.endswith('.') else '.'} Fetch its files again, its"
      f" {_MAIN_FILE} among them."
    ) from error


def _check_libraries(path: pathlib.Path) -> None:
  """Refuses a file of sentencepiece where its library is not installed."""
  if (path / "vocab.json").exists():
    return
  if importlib.util.find_spec("sentencepiece") is None:
    raise UserError(
      f"The tokenizer in {path} must have a {_MAIN_FILE}, got tokenizer.model"
      " alone, which needs a library that is not installed. Fetch"
      f" {_MAIN_FILE}, or run: pip install sentencepiece protobuf"
    )


def _check_stated_ids(
  path: pathlib.Path, tokenizer: Any, declared: Mapping[str, Any]
) -> None:
  """Refuses a token that was read with another id than its files state.

  The library numbers added tokens anew where their ids leave a gap.
  """
  found = tokenizer.get_vocab()
  stated: dict[str, tuple[int, str]] = {}
  for file, token, number in _stated_ids(path, declared):
    stated[token] = (number, file)  # The last file counts: tokenizer.json.
  for token, (number, file) in stated.items():
    if found.get(token, number) != number:
      raise UserError(
        f"A token must have the id that its files state, got {number} for"
        f" {token!r} in {path / file} and {found[token]} as it is read. Write"
        f" the token into the vocabulary of {_MAIN_FILE} with its id."
      )


def _stated_ids(
  path: pathlib.Path, declared: Mapping[str, Any]
) -> Iterator[tuple[str, str, int]]:
  """Yields the file, the content and the id of each added token."""
  added = hub_files.read_json(path / "added_tokens.json") or {}
  for token, number in added.items():
    yield "added_tokens.json", token, number
  for number, token in (declared.get("added_tokens_decoder") or {}).items():
    yield "tokenizer_config.json", token["content"], int(number)
  for token in (hub_files.read_json(path / _MAIN_FILE) or {}).get(
    "added_tokens"
  ) or ():
    yield _MAIN_FILE, token["content"], token["id"]


def _name_special_tokens(
  path: pathlib.Path, tokenizer: Any, declared: Mapping[str, Any]
) -> None:
  """Names the special tokens that tokenizer_config.json is silent about.

  special_tokens_map.json does, or else the class by its defaults, as in the
  published GPT-2. A token that the vocabulary lacks is not added.
  """
  listed = hub_files.read_json(path / "special_tokens_map.json") or {}
  names = _default_names(path, declared) | listed
  vocabulary = tokenizer.get_vocab()
  special = tokenizer.get_added_vocab()
  for attribute in tokenizer.SPECIAL_TOKENS_ATTRIBUTES:
    token = names.get(attribute)
    token = token.get("content") if isinstance(token, Mapping) else token
    if attribute in declared or getattr(tokenizer, attribute) is not None:
      continue
    if isinstance(token, str) and token in vocabulary:
      if token in special:
        setattr(tokenizer, attribute, token)
      else:
        tokenizer.add_special_tokens({attribute: token})


def _default_names(
  path: pathlib.Path, declared: Mapping[str, Any]
) -> dict[str, Any]:
  """The special tokens of the class that a directory is published for."""
  import transformers
  from transformers.models.auto import tokenization_auto

  fields = hub_files.read_json(path / "config.json") or {}
  name = (
    declared.get("tokenizer_class")
    or fields.get("tokenizer_class")
    or tokenization_auto.TOKENIZER_MAPPING_NAMES.get(
      fields.get("model_type", "")
    )
  )
  named = getattr(transformers, str(name).removesuffix("Fast"), None)
  if not inspect.isclass(named):
    return {}
  parameters = inspect.signature(named.__init__).parameters.values()
  return {p.name: p.default for p in parameters if isinstance(p.default, str)}


def _settle_decoding(tokenizer: Any) -> None:
  """Keeps spaces before punctuation, which byte pairs decode as they were.

  transformers 5 ignores the wish to remove them, too, with a warning at the
  first text.
  """
  backend = getattr(tokenizer, "backend_tokenizer", None)
  forced = (
    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
  )
  if type(getattr(backend, "model", None)).__name__ == "BPE" and not getattr(
    tokenizer, forced, False
  ):
    tokenizer.clean_up_tokenization_spaces = False


def check_vocabulary(tokenizer: Any, config: TransformerConfig) -> None:
  """Refuses a tokenizer whose vocabulary the model has no embedding for.

  Tokens that were added to a vocabulary may lie beyond the embedding, since
  models are published so: for example with a padding token that the model never
  reads. Such tokens are not generated, and prompts with them are refused.
  """
  if tokenizer is None:
    return
  added = set(tokenizer.get_added_vocab())
  num_ids = 1 + max(
    (id for token, id in tokenizer.get_vocab().items() if token not in added),
    default=-1,
  )
  if num_ids == 0 and not added:
    raise UserError(
      "A tokenizer must have tokens, got none. Use the tokenizer that was"
      " published with the model."
    )
  if num_ids > config.vocab_size:
    raise UserError(
      f"A tokenizer must have at most the model's {config.vocab_size} ids"
      f" besides added tokens, got {num_ids}. Use the tokenizer that was"
      " published with the model."
    )


@dataclasses.dataclass(frozen=True)
class Detokenizer:
  """A function from token ids to the text that a reader sees; it pickles.

  Attributes:
    tokenizer: a tokenizer of `transformers`.
  """

  tokenizer: Any

  def __call__(self, ids: Sequence[int]) -> str:
    """The text without special tokens."""
    return self.tokenizer.decode(ids, skip_special_tokens=True)

  def spell(self, ids: Sequence[int]) -> str:
    """The text with special tokens by their names, such as <|im_end|>."""
    return self.tokenizer.decode(ids, skip_special_tokens=False)


def make_detokenizer(tokenizer: Any) -> Detokenizer:
  """Returns a function from ids to text without special tokens; it pickles."""
  return Detokenizer(tokenizer)


def find_stop_tokens(
  fields: Mapping[str, Any],
  generation: Mapping[str, Any] | None,
  tokenizer: Any,
  vocab_size: int,
) -> tuple[int, ...]:
  """The tokens that end a text by any of the files that say so.

  They are those of generation_config.json, or else of config.json; that of the
  tokenizer; and the one that its chat template writes behind an answer, which
  models are published without naming. Ids without a row in the embedding are left
  out, since no model can generate them.

  Raises:
    UserError: if a file names what is no id.
  """
  file, said = "generation_config.json", (generation or {}).get("eos_token_id")
  if said is None:
    file, said = "config.json", fields.get("eos_token_id")
  ids = set(_read_ids(said, file))
  if getattr(tokenizer, "eos_token_id", None) is not None:
    ids.add(tokenizer.eos_token_id)
  end = chat_templates.find_turn_end(tokenizer)
  if end is not None and end not in ids:
    logging.info(
      "the chat template ends answers with %r (%d), which no file names as the"
      " end of a text; it ends responses, too",
      tokenizer.convert_ids_to_tokens(end),
      end,
    )
    ids.add(end)
  found = sorted(id for id in ids if 0 <= id < vocab_size)
  _say_missing(found, tokenizer)
  return tuple(found)


def _say_missing(ids: Sequence[int], tokenizer: Any) -> None:
  """Says which ids end a text that the tokenizer has no token for."""
  if tokenizer is None:
    return
  known = set(tokenizer.get_vocab().values())
  if missing := [str(id) for id in ids if id not in known]:
    logging.warning(
      "the model's files end texts with %s, for which the tokenizer has no token,"
      " so that none is generated: check that it is the model's own",
      ", ".join(missing),
    )


def _read_ids(said: Any, file: str) -> list[int]:
  """The ids of an `eos_token_id`: none, one or several."""
  ids = [] if said is None else said
  ids = list(ids) if isinstance(ids, list | tuple) else [ids]
  if not all(isinstance(id, int) and not isinstance(id, bool) for id in ids):
    raise UserError(
      f"eos_token_id must be an id or a list of ids, got {said!r} ({file})."
      " Correct it."
    )
  return ids


def find_ids(tokenizer: Any, config: TransformerConfig) -> set[int]:
  """The ids that a model has an embedding for and its tokenizer a token."""
  return {id for id in tokenizer.get_vocab().values() if id < config.vocab_size}
