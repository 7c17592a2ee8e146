"""Worked cases of the three positions of tokens."""

import numpy as np
import pytest

from thickets.models.vision.positions import find_positions

_IMAGE = 290


def _find(*parts):
  """Positions and delta of a text; numbers of text tokens, grids of images."""
  tokens, grids = [], []
  for part in parts:
    if isinstance(part, tuple):
      tokens += [_IMAGE] * (part[0] * part[1])
      grids.append(part)
    else:
      tokens += [7] * part
  return find_positions(tokens, grids, image_token=_IMAGE)


def test_text_alone_counts_on():
  positions, delta = _find(5)
  np.testing.assert_array_equal(positions, [range(5)] * 3)
  assert delta == 0


def test_two_images_of_different_shapes():
  # 4 of text, 5 x 3 of an image, 4 of text, 2 x 6 of an image, 4 of text: the
  # positions that transformers finds for grids of 10 x 6 and 4 x 12 patches.
  positions, delta = _find(4, (5, 3), 4, (2, 6), 4)
  text = [[0, 1, 2, 3], [9, 10, 11, 12], [19, 20, 21, 22]]
  time = [*text[0], *[4] * 15, *text[1], *[13] * 12, *text[2]]
  row = [*text[0], *np.repeat(range(4, 9), 3), *text[1]]
  row += [*np.repeat([13, 14], 6), *text[2]]
  column = [*text[0], *[4, 5, 6] * 5, *text[1]]
  column += [*[*range(13, 19)] * 2, *text[2]]
  np.testing.assert_array_equal(positions, [time, row, column])
  assert positions.shape == (3, 39)
  assert delta == -16


def test_a_photograph_of_500_by_375_pixels():
  positions, delta = _find(15, (13, 18), 43)
  image = slice(15, 15 + 234)
  assert set(positions[0, image]) == {15}
  assert (positions[1, image].min(), positions[1, image].max()) == (15, 27)
  assert (positions[2, image].min(), positions[2, image].max()) == (15, 32)
  np.testing.assert_array_equal(positions[:, 249], [33] * 3)
  assert delta == -216
  assert positions[0, -1] + 1 - positions.shape[1] == delta


def test_images_may_touch_and_end_a_text():
  positions, delta = _find((1, 2), (2, 1))
  np.testing.assert_array_equal(
    positions, [[0, 0, 2, 2], [0, 0, 2, 3], [0, 1, 2, 2]]
  )
  assert delta == positions.max() + 1 - 4


@pytest.mark.parametrize(
  ("tokens", "grids"),
  [
    ([7, 290, 290, 7], [(1, 3)]),
    ([7, 290, 290, 7], []),
    ([7, 290, 290, 7], [(1, 2), (1, 1)]),
    ([290, 7, 290], [(1, 2)]),
    ([290, 290, 290], [(1, 2)]),
  ],
)
def test_image_tokens_are_those_of_the_images(tokens, grids):
  with pytest.raises(ValueError, match="image token"):
    find_positions(tokens, grids, image_token=_IMAGE)
