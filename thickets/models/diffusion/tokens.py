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

_LEAST_TOKENS = 3  # A text has its start, one word and its end.


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
    # The tokenizer does not warn of long texts: they are refused below.
    ids = self.tokenizer(text, verbose=False)["input_ids"]
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


def check_distinct(
  tokenizer: TextTokenizer, key: str, texts: Sequence[str]
) -> None:
  """Refuses texts that are one to a tokenizer, as where it knows no capitals.

  Args:
    tokenizer: reads the texts.
    key: the config key that has them, for messages.
    texts: none of them cut.

  Raises:
    UserError: if two texts have the same tokens.
  """
  seen: dict[tuple[int, ...], str] = {}
  for text, ids in zip(texts, tokenizer.encode(texts), strict=True):
    other = seen.setdefault(tuple(ids.tolist()), text)
    if other != text:
      raise UserError(
        f"{key} must differ for CLIP, got {other!r} and {text!r}, which are one"
        " text to its tokenizer. Leave one out."
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
  longest = tokenizer.model_max_length
  if not isinstance(longest, int | float) or not longest >= _LEAST_TOKENS:
    raise UserError(
      f"model_max_length must be a number of tokens, {_LEAST_TOKENS} or more, got"
      f" {longest!r} in the tokenizer_config.json of {folder}. Correct it."
    )
  return TextTokenizer(tokenizer, int(min(longest, config.context)))
