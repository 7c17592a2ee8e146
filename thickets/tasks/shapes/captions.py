"""What pictures of shapes are called, and the words that a model reads of it.

A caption is `a HUE SHAPE on the PLACE`; hue and place may be left out. Captions that
do not name the hue leave the colour open, which is what members are searched for.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from thickets.errors import UserError, nearest

SHAPES = ("disc", "square", "triangle", "cross", "ring", "bar")
# Opposite are pink and green, and yellow and blue.
HUES = ("pink", "yellow", "green", "blue")
PLACES = ("", "left", "right", "top", "bottom")  # "" is the centre.

_PADDING, _START = "<pad>", "<start>"
WORDS = (
  *(_PADDING, _START, "a"),
  *HUES,
  *SHAPES,
  *("on", "the"),
  *PLACES[1:],
)
NUM_TOKENS = 8  # Of every caption, padding included.


def write_caption(shape: str, *, hue: str = "", place: str = "") -> str:
  """Writes a caption; a hue or a place of "" is not named.

  Args:
    shape: one of `SHAPES`.
    hue: one of `HUES`, or "".
    place: one of `PLACES`.
  """
  words = ["a", hue, shape] if hue else ["a", shape]
  return " ".join([*words, "on", "the", place] if place else words)


def encode(captions: Sequence[str]) -> Int[np.ndarray, "Q T"]:
  """Numbers the words of captions, padded to `NUM_TOKENS`.

  Args:
    captions: one or more; "" is the caption that says nothing.

  Raises:
    UserError: if a word is not known, or a caption is too long.
  """
  return np.stack([_encode_one(caption) for caption in captions])


def _encode_one(caption: str) -> Int[np.ndarray, " T"]:
  words = [_START, *caption.split()]
  if len(words) > NUM_TOKENS:
    raise UserError(
      f"A caption must have at most {NUM_TOKENS - 1} words, got {caption!r}."
      " Shorten it."
    )
  for word in words:
    if word not in WORDS:
      raise UserError(
        f"A caption must have known words only, got {word!r} in {caption!r}."
        f" Nearest: {nearest(word, WORDS[2:])}."
      )
  numbers = [WORDS.index(word) for word in words]
  return np.array(numbers + [0] * (NUM_TOKENS - len(numbers)), np.int32)


def find_shape(caption: str) -> int:
  """The position in `SHAPES` of the shape that a caption names.

  Raises:
    UserError: if it names none.
  """
  for word in caption.split():
    if word in SHAPES:
      return SHAPES.index(word)
  raise UserError(
    f"A caption must name one of {', '.join(SHAPES)}, got {caption!r}."
  )


def find_hue(name: str, field: str = "hue") -> int:
  """The position of a hue in `HUES`.

  Raises:
    UserError: if it is not known; it names the nearest.
  """
  if name not in HUES:
    raise UserError(
      f"{field} must be one of {', '.join(HUES)}, got {name!r}. Nearest:"
      f" {nearest(name, HUES)}."
    )
  return HUES.index(name)
