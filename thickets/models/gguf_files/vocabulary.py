"""From the metadata of a GGUF file to a tokenizer.

It is built as the `tokenizer.json` of the published model is: such a file says
more than the metadata do, which only name the rule that splits texts.

Reference: `llama-vocab.cpp` of llama.cpp.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from thickets import huggingface
from thickets.errors import UserError, nearest
from thickets.models.gguf_files.header import Header

_TEMPLATE = "tokenizer.chat_template"
_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5  # Of tokenizer.ggml.token_type.

_LLAMA3_SPLIT = (
  r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
  r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2_SPLIT = _LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclasses.dataclass(frozen=True)
class Splitting:
  """How texts are split before pairs of bytes are merged.

  Attributes:
    pattern: a regular expression of the pieces, "" for GPT-2's.
    has_single_digits: whether each digit is split off before.
    is_composed: whether texts are brought into Unicode's form NFC first.
    takes_whole: whether a piece that is a token is never taken apart.
    has_bos: whether texts begin with BOS unless the file says otherwise.
  """

  pattern: str = ""
  has_single_digits: bool = False
  is_composed: bool = False
  takes_whole: bool = False
  has_bos: bool = False


_GPT2 = Splitting()
_DIGITS = Splitting(has_single_digits=True)
_LLAMA3 = Splitting(_LLAMA3_SPLIT, takes_whole=True, has_bos=True)
_QWEN2 = Splitting(_QWEN2_SPLIT, is_composed=True)

SPLITTINGS = {  # By tokenizer.ggml.pre.
  "gpt-2": _GPT2,
  "olmo": _GPT2,
  "smollm": _DIGITS,
  "starcoder": _DIGITS,
  "refact": _DIGITS,
  "codeshell": _DIGITS,
  "llama3": _LLAMA3,
  "llama-v3": _LLAMA3,
  "llama-bpe": _LLAMA3,
  "dbrx": Splitting(_LLAMA3_SPLIT),
  "qwen2": _QWEN2,
  "deepseek-r1-qwen": _QWEN2,
}


@dataclasses.dataclass(frozen=True)
class _Vocabulary:
  """The tokens of a file."""

  path: str
  metadata: Mapping[str, Any]
  tokens: Sequence[str]
  kinds: Sequence[int]

  def get(self, key: str, default: Any = None) -> Any:
    return self.metadata.get(f"tokenizer.ggml.{key}", default)

  def special(self, name: str) -> str | None:
    """The token whose id is that of BOS, EOS and the like."""
    token = self.get(f"{name}_token_id")
    if token is None:
      return None
    if type(token) is not int or not 0 <= token < len(self.tokens):
      raise self.refuse(
        f"{name}_token_id", f"be below the {len(self.tokens)} tokens", token
      )
    if self.kinds[token] == _UNUSED:
      raise self.refuse(
        f"{name}_token_id", f"be a token of another type than {_UNUSED}", token
      )
    return self.tokens[token]

  def flag(self, key: str, default: bool) -> bool:
    """A value that is true or false."""
    value = self.get(key, default)
    if type(value) is not bool:
      raise self.refuse(key, "be true or false", value)
    return value

  def refuse(self, key: str, rule: str, got: Any) -> UserError:
    return UserError(
      f"tokenizer.ggml.{key} must {rule}, got {got!r} ({self.path}). Take"
      " another conversion of the model."
    )


def check_vocabulary(header: Header) -> None:
  """Refuses a file whose tokenizer cannot be built.

  Raises:
    UserError: if it has no tokenizer, or one of a kind that is not read.
  """
  vocabulary = _read_vocabulary(header)
  if vocabulary.get("model") == "gpt2":
    _find_splitting(vocabulary)


def build_tokenizer(header: Header, context: int) -> Any:
  """The tokenizer of a file, with its chat template.

  Args:
    header: the header of the file.
    context: how many tokens its model was made for.

  Raises:
    UserError: if it has no tokenizer, or one of a kind that is not read.
  """
  huggingface.import_progress_bars()
  import transformers

  vocabulary = _read_vocabulary(header)
  has_bos = False
  if vocabulary.get("model") == "gpt2":
    splitting = _find_splitting(vocabulary)
    backend, has_bos = _build_bytes(vocabulary, splitting), splitting.has_bos
  else:
    is_gemma = header.metadata["general.architecture"].startswith("gemma")
    backend, has_bos = _build_pieces(vocabulary, is_gemma), True
  _add_tokens(backend, vocabulary)
  _add_ends(backend, vocabulary, has_bos)
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=backend,
    bos_token=vocabulary.special("bos"),
    eos_token=vocabulary.special("eos"),
    unk_token=vocabulary.special("unknown"),
    pad_token=vocabulary.special("padding"),
    chat_template=header.metadata.get(_TEMPLATE),
    clean_up_tokenization_spaces=False,
    model_max_length=context,
  )


def _read_vocabulary(header: Header) -> _Vocabulary:
  vocabulary = _Vocabulary(str(header.path), header.metadata, (), ())
  template = header.metadata.get(_TEMPLATE)
  if not isinstance(template, str | None):
    raise UserError(
      f"{_TEMPLATE} must be a text, got a {type(template).__name__}"
      f" ({header.path}). Take another conversion of the model."
    )
  model = vocabulary.get("model")
  if model not in ("gpt2", "llama"):
    raise vocabulary.refuse("model", "be gpt2 (pairs of bytes) or llama", model)
  tokens = _take_list(vocabulary, "tokens", str)
  lists = {"token_type": _take_list(vocabulary, "token_type", int)}
  if model == "gpt2":
    _take_list(vocabulary, "merges", str)
  else:
    lists["scores"] = _take_list(vocabulary, "scores", float)
  for key, values in lists.items():
    if len(values) != len(tokens):
      raise vocabulary.refuse(
        key, f"have a value for each of the {len(tokens)} tokens", len(values)
      )
  return dataclasses.replace(
    vocabulary, tokens=tokens, kinds=lists["token_type"]
  )


def _take_list(vocabulary: _Vocabulary, key: str, kind: type) -> list[Any]:
  """A list of texts, or of numbers; refuses what is another."""
  found = vocabulary.get(key)
  what = "texts" if kind is str else "numbers"
  if not isinstance(found, list) or not found:
    raise vocabulary.refuse(key, f"be a list of {what}", found or "none")
  for value in found:
    if type(value) is not kind or value != value:  # NaN has no order.
      raise vocabulary.refuse(key, f"be a list of {what}", value)
  return found


def _find_splitting(vocabulary: _Vocabulary) -> Splitting:
  name = vocabulary.get("pre")
  if not isinstance(name, str) or name not in SPLITTINGS:
    raise UserError(
      f"tokenizer.ggml.pre must be one of {', '.join(SPLITTINGS)}, got"
      f" {name!r} ({vocabulary.path}), of which it is not known here how texts"
      f" are split. Nearest: {nearest(str(name), SPLITTINGS, count=3)}."
    )
  return SPLITTINGS[name]


def _list_ids(vocabulary: _Vocabulary) -> dict[str, int]:
  """The ids of all tokens but those that only fill up the embedding."""
  return {
    token: i
    for i, (token, kind) in enumerate(
      zip(vocabulary.tokens, vocabulary.kinds, strict=True)
    )
    if kind != _UNUSED
  }


def _build_bytes(vocabulary: _Vocabulary, splitting: Splitting) -> Any:
  """A tokenizer that merges pairs of bytes."""
  import tokenizers
  from tokenizers import decoders, models, normalizers, pre_tokenizers

  merges = [tuple(merge.split(" ")) for merge in vocabulary.get("merges")]
  try:
    backend = tokenizers.Tokenizer(
      models.BPE(
        _list_ids(vocabulary), merges, ignore_merges=splitting.takes_whole
      )
    )
  except Exception as error:  # The library raises bare ones.
    raise vocabulary.refuse("merges", "fit the tokens", str(error)) from error
  steps = []
  if splitting.has_single_digits:
    steps.append(pre_tokenizers.Digits(individual_digits=True))
  if splitting.pattern:
    pattern = tokenizers.Regex(splitting.pattern)
    steps.append(pre_tokenizers.Split(pattern, "isolated"))
  steps.append(
    pre_tokenizers.ByteLevel(
      add_prefix_space=vocabulary.flag("add_space_prefix", False),
      use_regex=not splitting.pattern,
    )
  )
  backend.pre_tokenizer = (
    pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
  )
  if splitting.is_composed:
    backend.normalizer = normalizers.NFC()
  backend.decoder = decoders.ByteLevel()
  return backend


def _build_pieces(vocabulary: _Vocabulary, is_gemma: bool) -> Any:
  """A tokenizer of sentencepiece, as pairs that are merged best first."""
  import tokenizers
  from tokenizers import decoders, models, normalizers, pre_tokenizers

  ids = _list_ids(vocabulary)
  ranks = {
    token: -score
    for token, score in zip(
      vocabulary.tokens, vocabulary.get("scores"), strict=True
    )
  }
  if is_gemma:
    # Runs of spaces are stored as such, and merged in the order of their ids.
    ids = {
      "▁" * len(token) if not token.strip(" ") else token: i
      for token, i in ids.items()
    }
    ranks = ids
  backend = tokenizers.Tokenizer(
    models.BPE(
      ids,
      _derive_merges(ids, ranks),
      unk_token=vocabulary.special("unknown"),
      fuse_unk=True,
      byte_fallback=True,
    )
  )
  has_prefix = vocabulary.flag("add_space_prefix", True)
  spaces = normalizers.Replace(" ", "▁")
  steps = [
    decoders.Replace("▁", " "),
    decoders.ByteFallback(),
    decoders.Fuse(),
  ]
  backend.normalizer = spaces
  if has_prefix:
    backend.normalizer = normalizers.Sequence(
      [normalizers.Prepend("▁"), spaces]
    )
    steps.append(decoders.Strip(" ", 1, 0))
  if is_gemma:
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
  backend.decoder = decoders.Sequence(steps)
  return backend


def _derive_merges(
  ids: Mapping[str, int], ranks: Mapping[str, float]
) -> list[tuple[str, str]]:
  """The pairs of tokens that make a token: the best token first, long left parts.

  In this order published tokenizers were converted from sentencepiece.
  """
  merges = [
    (ranks[token], -at, at - len(token), token)
    for token in ids
    for at in range(1, len(token))
    if token[:at] in ids and token[at:] in ids
  ]
  merges.sort(key=lambda merge: merge[:3])
  return [(token[:-minus], token[-minus:]) for _, minus, _, token in merges]


def _add_tokens(backend: Any, vocabulary: _Vocabulary) -> None:
  """Adds the tokens that stay whole in any text."""
  import tokenizers

  known = backend.get_vocab(with_added_tokens=False)
  for kind, add in (
    (_CONTROL, backend.add_special_tokens),
    (_USER_DEFINED, backend.add_tokens),
  ):
    add(
      [
        tokenizers.AddedToken(token, normalized=False, special=kind == _CONTROL)
        for token, found in zip(
          vocabulary.tokens, vocabulary.kinds, strict=True
        )
        if found == kind and token in known
      ]
    )


def _add_ends(backend: Any, vocabulary: _Vocabulary, has_bos: bool) -> None:
  """Puts BOS before texts and EOS behind them, where the file says so."""
  from tokenizers import processors

  first, last, used = [], [], []
  for name, default, place in (("bos", has_bos, first), ("eos", False, last)):
    token = vocabulary.special(name)
    if vocabulary.flag(f"add_{name}_token", default) and token is not None:
      place.append(token)
      used.append((token, vocabulary.get(f"{name}_token_id")))
  if used:
    backend.post_processor = processors.TemplateProcessing(
      single=[*first, "$A", *last],
      pair=[
        *first,
        "$A",
        *last,
        *(f"{t}:1" for t in first),
        "$B:1",
        *(f"{t}:1" for t in last),
      ],
      special_tokens=used,
    )
