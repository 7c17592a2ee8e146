"""Where the patches of an image lie, as arrays that a compiled tower is fed.

Numbers of patches and of windows are rounded up to a few sizes, so that images of
all shapes share a few compiled programs. What is added is padding, which nothing
attends to.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from thickets.models.vision.config import VisionConfig
from thickets.models.vision.pixels import Prepared

_MIN_TOKENS, _MIN_WINDOWS = 16, 2


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Inputs:
  """One image as the tower reads it, or several stacked along a first axis B.

  Attributes:
    patches: [N, P] values of each patch, float32; zeros for padding.
    places: [N, 2] row and column of each patch in the image.
    is_patch: [N] false for padding.
    windows: [W, n] position of each patch of each window in [0, N), negative
      where a window has fewer; W is 0 where there are no windows.
    corners: [N, 4] the four entries of the table of positions between which each
      patch lies; [N, 0] where there is no table.
    shares: [N, 4] how much each of them counts, float32.
  """

  patches: Any
  places: Any
  is_patch: Any
  windows: Any
  corners: Any
  shares: Any

  @property
  def shape(self) -> tuple[int, ...]:
    """The numbers of patches and windows, for which a program is compiled."""
    return (self.is_patch.shape[-1], self.windows.shape[-2])


def round_up(count: int, smallest: int) -> int:
  """The next of the sizes smallest · 1, 1.5, 2, 3, 4, 6, 8, ..., an even one."""
  size = smallest
  while size < count:
    if size * 3 // 2 >= count:
      return size * 3 // 2
    size *= 2
  return size


def make_inputs(
  config: VisionConfig,
  prepared: Prepared,
  *,
  num_patches: int | None = None,
  num_windows: int | None = None,
) -> Inputs:
  """The arrays that the tower reads of one image.

  Args:
    config: the tower.
    prepared: the image.
    num_patches: how many patches there are with padding, a multiple of those of a
      token; by default the next of a few sizes.
    num_windows: how many windows there are with padding; by default the next of
      a few sizes.
  """
  count = len(prepared.patches)
  size = num_patches
  if size is None:
    size = round_up(count, _MIN_TOKENS * config.merge**2)
  places = find_places(config, prepared.grid)
  windows = find_windows(config, places)
  if num_windows is None:
    num_windows = round_up(len(windows), _MIN_WINDOWS) if len(windows) else 0
  corners, shares = find_corners(config, prepared.grid, places)

  def pad(array: np.ndarray, length: int, value: float = 0) -> np.ndarray:
    widths = [(0, length - len(array)), *[(0, 0)] * (array.ndim - 1)]
    return np.pad(array, widths, constant_values=value)

  return Inputs(
    patches=pad(prepared.patches, size),
    places=pad(places, size),
    is_patch=pad(np.ones(count, np.bool_), size),
    windows=pad(windows, num_windows, -1),
    corners=pad(corners, size),
    shares=pad(shares, size),
  )


def stack_inputs(inputs: Sequence[Inputs]) -> Inputs:
  """Several images of one shape, along a first axis."""
  return jax.tree.map(lambda *leaves: np.stack(leaves), *inputs)


def find_places(config: VisionConfig, grid: tuple[int, int]) -> np.ndarray:
  """[N, 2] row and column of each patch: those of one token follow each other."""
  rows, columns = grid
  merge = config.merge
  places = np.moveaxis(np.indices(grid, np.int32), 0, -1)
  blocks = places.reshape(rows // merge, merge, columns // merge, merge, 2)
  return np.ascontiguousarray(blocks.swapaxes(1, 2)).reshape(-1, 2)


def find_windows(config: VisionConfig, places: np.ndarray) -> np.ndarray:
  """[W, n] positions of the patches of each window, negative where it has fewer.

  Windows begin at the top left; those at the right and at the bottom are cut.
  """
  if config.window is None:
    return np.zeros((0, 1), np.int32)
  window = places // config.window
  # By rows of windows; within one, patches keep their order.
  ids = window[:, 0] * (window[:, 1].max() + 1) + window[:, 1]
  order = np.argsort(ids, kind="stable").astype(np.int32)
  sizes = np.bincount(ids)
  windows = np.full((len(sizes), config.window**2), -1, np.int32)
  is_there = np.arange(config.window**2)[None] < sizes[:, None]
  windows[is_there] = order
  return windows


def find_corners(
  config: VisionConfig, grid: tuple[int, int], places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Between which positions of the table each patch lies, and how near to each.

  The corners of the table lie on the corners of the image (in other libraries,
  "align corners"); between entries it is interpolated linearly both ways.

  Returns:
    [N, 4] rows of the table, and [N, 4] their shares, which sum to 1.
  """
  side = config.table_side
  if side is None:
    return np.zeros((len(places), 0), np.int32), np.zeros(
      (len(places), 0), np.float32
    )
  lows, highs, parts = [], [], []
  for axis, size in enumerate(grid):
    # In float32, as the published code rounds.
    along = _spread(side - 1, size)[places[:, axis]]
    low = along.astype(np.int32)
    lows.append(low)
    highs.append(np.minimum(low + 1, side - 1))
    parts.append(along - low.astype(np.float32))
  (top, left), (bottom, right), (down, across) = lows, highs, parts
  one = np.float32(1)
  corners = [top * side + left, top * side + right]
  corners += [bottom * side + left, bottom * side + right]
  shares = [(one - down) * (one - across), (one - down) * across]
  shares += [down * (one - across), down * across]
  return np.stack(corners, 1), np.stack(shares, 1)


def _spread(last: int, count: int) -> np.ndarray:
  """[count] numbers from 0 to `last`, evenly."""
  return np.linspace(0, last, count, dtype=np.float64).astype(np.float32)
