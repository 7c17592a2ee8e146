"""How texts are split before pairs of bytes are merged, by the name of the rule.

Reference: `llama-vocab.cpp` of llama.cpp, and the tokenizer.json of published models.
"""

from __future__ import annotations

import dataclasses

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
  # The tokens of Llama 3 without BOS, as SmolLM3 has them.
  "smaug-bpe": dataclasses.replace(_LLAMA3, has_bos=False),
  "dbrx": Splitting(_LLAMA3_SPLIT),
  "qwen2": _QWEN2,
  "deepseek-r1-qwen": _QWEN2,
}
