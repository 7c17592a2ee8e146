"""Texts as the tokens of a text tower: of one length, none cut in silence."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from thickets.errors import UserError
from thickets.models import tokenizer_files
from thickets.models.diffusion.clip_config import TextConfig


@dataclasses.dataclass(frozen=True)
class TextTokenizer:
  """The tokenizer of one text tower.

  Its file says what it pads with: the first of SDXL with the token that ends a
  text, the second with token 0, which it reads for a typed "!" as well.

  Attributes:
    tokenizer: a tokenizer of `transformers`.
    length: how many tokens each text has, padding included.
  """

  tokenizer: Any
  length: int

  def encode(self, texts: Sequence[str]) -> Int[np.ndarray, "Q T"]:
    """[Q, T] ids of texts, padded to one length.

    Raises:
      UserError: if a text has more tokens than the tower reads; the message has
        what would be cut off.
    """
    for text in texts:
      if cut := self.find_cut(text):
        raise UserError(
          f"A prompt must have at most {self.length - 2} tokens for CLIP, got"
          f" {text!r}, whose end {cut!r} would be ignored. Shorten it."
        )
    ids = self.tokenizer(
      list(texts), padding="max_length", max_length=self.length
    )["input_ids"]
    return np.asarray(ids, np.int32)

  def find_cut(self, text: str) -> str:
    """The end of a text that the tower would not read; "" if it reads all."""
    ids = self.tokenizer(text)["input_ids"]
    if len(ids) <= self.length:
      return ""
    return self.tokenizer.decode(ids[self.length - 1 : -1]).strip()


def check_texts(
  tokenizer: TextTokenizer, key: str, texts: Sequence[str]
) -> None:
  """Refuses texts that a tokenizer would cut, by the config key that has them.

  Raises:
    UserError: if a text has more tokens than the tower reads.
  """
  for text in texts:
    if cut := tokenizer.find_cut(text):
      raise UserError(
        f"{key} must have at most {tokenizer.length - 2} tokens of CLIP, got"
        f" {text!r}, whose end {cut!r} would be ignored. Shorten it."
      )


def load(folder: pathlib.Path, config: TextConfig) -> TextTokenizer:
  """Loads the tokenizer of a text tower.

  Args:
    folder: a folder with `tokenizer.json`, or with `vocab.json` and `merges.txt`.
    config: the tower.

  Raises:
    UserError: if it has none, or one that does not fit the tower.
  """
  tokenizer = tokenizer_files.load_tokenizer(folder)
  if tokenizer is None:
    raise UserError(
      f"{folder} must have a tokenizer, got neither tokenizer.json nor"
      " vocab.json. Fetch its files again."
    )
  if len(tokenizer) > config.vocab_size:
    raise UserError(
      f"The tokenizer in {folder} must have at most {config.vocab_size} tokens,"
      f" as its text tower has, got {len(tokenizer)}. Fetch its files again."
    )
  if tokenizer.pad_token_id is None:
    raise UserError(
      f"The tokenizer in {folder} must have a token for padding, got none. Write"
      " pad_token into its tokenizer_config.json."
    )
  length = min(tokenizer.model_max_length, config.context)
  return TextTokenizer(tokenizer, length)
