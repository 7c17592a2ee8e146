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
from thickets.models.gguf_files.splittings import SPLITTINGS, Splitting

_TEMPLATE = "tokenizer.chat_template"
# Of tokenizer.ggml.token_type.
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
# Normal tokens of these texts are control tokens, as in llama.cpp: they end a text.
_ENDS = frozenset(
  (
    *("</s>", "<eos>", "<end_of_turn>", "<end_of_utterance>", "<EOT>"),
    *("<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|end|>"),
    *("<|eot_id|>", "<|eom_id|>"),
  )
)


@dataclasses.dataclass(frozen=True)
class _Vocabulary:
  """The tokens of a file.

  Attributes:
    path: the file.
    metadata: what it says.
    tokens: the text of each token.
    kinds: its type; all are normal where the file does not say.
    scores: of sentencepiece, the best of which is merged first; empty where the
      file has none.
  """

  path: str
  metadata: Mapping[str, Any]
  tokens: Sequence[str] = ()
  kinds: Sequence[int] = ()
  scores: Sequence[float] = ()

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
  vocabulary = _Vocabulary(str(header.path), header.metadata)
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
  kinds = [_NORMAL] * len(tokens)
  if vocabulary.get("token_type") is not None:
    kinds = _take_list(vocabulary, "token_type", int, len(tokens))
  scores = []
  if model == "gpt2":
    _take_list(vocabulary, "merges", str)
  elif vocabulary.get("scores") is not None:
    scores = _take_list(vocabulary, "scores", float, len(tokens))
  kinds = [
    _CONTROL if kind == _NORMAL and token in _ENDS else kind
    for token, kind in zip(tokens, kinds, strict=True)
  ]
  return dataclasses.replace(
    vocabulary, tokens=tokens, kinds=kinds, scores=scores
  )


def _take_list(
  vocabulary: _Vocabulary, key: str, kind: type, length: int | None = None
) -> list[Any]:
  """A list of texts, or of numbers, one for each token where it has a length."""
  found = vocabulary.get(key)
  what = "texts" if kind is str else "numbers"
  if not isinstance(found, list) or not found:
    raise vocabulary.refuse(key, f"be a list of {what}", found or "none")
  kinds = (float, int) if kind is float else (kind,)
  for value in found:
    if type(value) not in kinds or value != value:  # NaN has no order.
      raise vocabulary.refuse(key, f"be a list of {what}", value)
  if length not in (None, len(found)):
    raise vocabulary.refuse(
      key, f"have a value for each of the {length} tokens", len(found)
    )
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

  ids = _list_ids(vocabulary)
  backend = tokenizers.Tokenizer(
    models.BPE(
      ids, _read_merges(vocabulary, ids), ignore_merges=splitting.takes_whole
    )
  )
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


def _read_merges(
  vocabulary: _Vocabulary, ids: Mapping[str, int]
) -> list[tuple[str, str]]:
  """The pairs of tokens that are merged, the first one first.

  Checked here, since the library panics at some that are none.
  """
  merges = []
  for merge in vocabulary.get("merges"):
    at = merge.find(" ", 1)
    left, right = merge[:at], merge[at + 1 :]
    if at < 0 or not {left, right, left + right} <= ids.keys():
      raise vocabulary.refuse(
        "merges", "be pairs of tokens that make a token", merge
      )
    merges.append((left, right))
  return merges


def _build_pieces(vocabulary: _Vocabulary, is_gemma: bool) -> Any:
  """A tokenizer of sentencepiece, as pairs that are merged best first."""
  import tokenizers
  from tokenizers import decoders, models, normalizers, pre_tokenizers

  ids = _list_ids(vocabulary)
  ranks = _rank_by_score(vocabulary) or ids
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


def _rank_by_score(vocabulary: _Vocabulary) -> dict[str, float]:
  """The rank of each token in merging, the best score first.

  Empty where the file has no scores, or one for all (as converters write that do
  not read sentencepiece's own file): the order of the ids is then that of the
  scores, as in `transformers`. llama.cpp merges from left to right there.
  """
  normal = {
    score
    for score, kind in zip(vocabulary.scores, vocabulary.kinds, strict=False)
    if kind == _NORMAL
  }
  if len(normal) < 2:
    return {}
  return {
    token: -score
    for token, score in zip(vocabulary.tokens, vocabulary.scores, strict=True)
  }


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
