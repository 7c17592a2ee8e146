"""Prompts with pictures as token ids.

A template writes one image token for each picture, which becomes as many as the
picture has features. What people wrote is text all the same: an image token that is
spelt in a question stands for no picture.
"""

import re
from collections.abc import Sequence
from typing import Any

from thickets.errors import UserError
from thickets.models.vision.config import VisionModel

# Around the number of a special token that a text spells. It is of the characters
# that Unicode leaves to private use; where a text has it, it is numbered as well.
_MARK = "\ue000"
_FIRST = 0xE001


class Speller:
  """Keeps what people wrote apart from the special tokens of a template.

  Args:
    tokenizer: a tokenizer of `transformers`.
    vision: how the model sees.
  """

  def __init__(self, tokenizer: Any, vision: VisionModel):
    self._tokenizer, self._vision = tokenizer, vision
    specials = {
      token.content: number
      for number, token in tokenizer.added_tokens_decoder.items()
      if token.special
    }
    names = tokenizer.convert_ids_to_tokens(list(vision.tokens))
    self._specials = specials | dict(zip(names, vision.tokens, strict=True))
    spelt = sorted(self._specials, key=len, reverse=True)  # The longest first.
    self._find_special = re.compile("|".join(map(re.escape, spelt)))
    self._spelt = [*spelt, _MARK]
    self._find_spelt = re.compile("|".join(map(re.escape, self._spelt)))
    start, end, pad, _ = names
    self.picture = start + pad + end

  def protect(self, text: str) -> str:
    """A text in which no special token is spelt, for a template to copy."""

    def mark(found: re.Match[str]) -> str:
      return _MARK + chr(_FIRST + self._spelt.index(found.group()))

    return self._find_spelt.sub(mark, text)

  def encode(self, rendered: str) -> list[int]:
    """The ids of a text of a template, whose parts were protected."""
    ids, end = [], 0
    for found in self._find_special.finditer(rendered):
      ids += self._encode_text(rendered[end : found.start()])
      ids.append(self._specials[found.group()])
      end = found.end()
    return ids + self._encode_text(rendered[end:])

  def expand(
    self,
    ids: Sequence[int],
    grids: Sequence[tuple[int, int]],
    *,
    owner: str,
  ) -> list[int]:
    """Writes as many image tokens for each picture as it has features.

    Args:
      ids: a prompt with one image token for each picture.
      grids: rows and columns of tokens of each picture, in order.
      owner: whose prompt it is, for messages.

    Raises:
      UserError: if there are not as many image tokens as pictures.
    """
    pad = self._vision.image_pad
    count = sum(token == pad for token in ids)
    if count != len(grids):
      raise UserError(
        f"{owner}: a prompt must have an image token for each of its pictures,"
        f" got {count} for {len(grids)} pictures. Use the chat template that was"
        " published with the model, which writes one for each part that is an"
        " image."
      )
    sizes = iter([rows * columns for rows, columns in grids])
    expanded = []
    for token in ids:
      expanded += [token] * (next(sizes) if token == pad else 1)
    return expanded

  def _encode_text(self, text: str) -> list[int]:
    """The ids of text without special tokens, whatever it spells."""
    if not text:
      return []
    restored = re.sub(
      f"{_MARK}(.)",
      lambda found: self._spelt[ord(found.group(1)) - _FIRST],
      text,
    )
    return self._tokenizer.encode(
      restored, add_special_tokens=False, split_special_tokens=True
    )
