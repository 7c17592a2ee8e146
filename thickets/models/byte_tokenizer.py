"""A tokenizer with one token for each byte, so that any text survives it."""

from typing import Any

PAD, BOS, EOS = "<|pad|>", "<|bos|>", "<|eos|>"
NUM_TOKENS = 3 + 256


def make_tokenizer() -> Any:
  """Makes the tokenizer of `transformers` that the shipped model reads.

  Ids 0 to 2 are padding, beginning and end; byte b is token 3 + b, so that a
  digit is always a token of its own. A text begins with its beginning. The names
  of the special tokens, where they occur in a text, are read as any other text.
  """
  import tokenizers
  import transformers
  from tokenizers import decoders, models, pre_tokenizers, processors

  specials = (PAD, BOS, EOS)
  ids = {name: i for i, name in enumerate(specials)}
  for byte, letter in enumerate(_letters()):
    ids[letter] = len(specials) + byte
  inner = tokenizers.Tokenizer(models.BPE(ids, merges=[]))
  inner.pre_tokenizer = pre_tokenizers.ByteLevel(
    add_prefix_space=False, use_regex=False
  )
  inner.decoder = decoders.ByteLevel()
  inner.post_processor = processors.TemplateProcessing(
    single=f"{BOS} $A", special_tokens=[(BOS, ids[BOS])]
  )
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=inner,
    pad_token=PAD,
    bos_token=BOS,
    eos_token=EOS,
    clean_up_tokenization_spaces=False,
    split_special_tokens=True,
  )


def _letters() -> list[str]:
  """The printable letter that `tokenizers` writes for each byte.

  The letters are those of GPT-2: printable Latin-1 keeps its code points; the
  other bytes are moved, in their order, behind the first 256 code points.
  """
  plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
  moved = [byte for byte in range(256) if byte not in plain]
  return [
    chr(byte if byte in plain else 256 + moved.index(byte))
    for byte in range(256)
  ]
