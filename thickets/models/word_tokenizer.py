"""A tokenizer with one token for each word of a short list, and those of pictures."""

from collections.abc import Iterable
from typing import Any

PAD, BOS, EOS, UNKNOWN = "<|pad|>", "<|bos|>", "<|eos|>", "<|unk|>"
# The tokens around and of pictures, called as those of Qwen's models.
VISION = (
  "<|vision_start|>",
  "<|vision_end|>",
  "<|image_pad|>",
  "<|video_pad|>",
)


def make_tokenizer(words: Iterable[str]) -> Any:
  """Makes a tokenizer of `transformers` that knows some words.

  A text begins with its beginning. Words and punctuation are tokens of their own, and
  every word that is not known is the same token. The names of the special tokens,
  where they occur in a text, are read as any other text.

  Args:
    words: the distinct words, in lower case, and punctuation.
  """
  import tokenizers
  import transformers
  from tokenizers import models, normalizers, pre_tokenizers, processors

  specials = (PAD, BOS, EOS, UNKNOWN, *VISION)
  ids = {name: i for i, name in enumerate((*specials, *words))}
  inner = tokenizers.Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
  inner.normalizer = normalizers.Lowercase()
  inner.pre_tokenizer = pre_tokenizers.Whitespace()
  inner.post_processor = processors.TemplateProcessing(
    single=f"{BOS} $A", special_tokens=[(BOS, ids[BOS])]
  )
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=inner,
    pad_token=PAD,
    bos_token=BOS,
    eos_token=EOS,
    unk_token=UNKNOWN,
    additional_special_tokens=list(VISION),
    clean_up_tokenization_spaces=False,
    split_special_tokens=True,
  )
