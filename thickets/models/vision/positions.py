"""The three positions of every token of a text with images (M-RoPE).

Reference: Wang et al. (2024), "Qwen2-VL", arXiv:2409.12191.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


def find_positions(
  tokens: Sequence[int] | Int[np.ndarray, " S"],
  grids: Sequence[tuple[int, int]],
  *,
  image_token: int,
) -> tuple[Int[np.ndarray, "3 S"], int]:
  """Finds by which time, row and column rotary positions turn each token.

  A token of text has one position for all three. The tokens of an image share the
  time at which it begins; row and column count on from there. What follows begins
  behind the longer side of the image, and not behind the number of its tokens.

  Args:
    tokens: [S] a text, an image token for each feature of its images.
    grids: rows and columns of tokens of each image, in the order of the images.
    image_token: the id that stands for features.

  Returns:
    The positions, and delta: what has to be added to the place of a token behind
    the text to get its position. It is 0 at most.

  Raises:
    ValueError: if the image tokens are not those of the images.
  """
  ids = np.asarray(tokens, np.int64).reshape(-1)
  positions = np.zeros((3, len(ids)), np.int32)
  place = position = 0
  for image, (rows, columns) in enumerate(grids):
    found = np.flatnonzero(ids[place:] == image_token)
    start = place + int(found[0]) if len(found) else len(ids)
    end = start + rows * columns
    if end > len(ids) or (ids[start:end] != image_token).any():
      raise ValueError(
        f"Image {image} must have {rows} x {columns} image tokens behind each"
        f" other, got {int((ids[start:end] == image_token).sum())}."
      )
    positions[:, place:start] = position + np.arange(start - place)
    position += start - place
    row, column = np.divmod(np.arange(rows * columns), columns)
    positions[:, start:end] = position
    positions[1, start:end] += row.astype(np.int32)
    positions[2, start:end] += column.astype(np.int32)
    position += max(rows, columns)
    place = end
  if (ids[place:] == image_token).any():
    raise ValueError(
      f"Each image token must be one of {len(grids)} images', got"
      f" {int((ids[place:] == image_token).sum())} more."
    )
  positions[:, place:] = position + np.arange(len(ids) - place)
  return positions, position - place
