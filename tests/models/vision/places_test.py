"""Tests of where patches lie: their order, windows, and shares of a table."""

import dataclasses

import numpy as np
from absl.testing import parameterized
from golden import vision_cases as cases

from thickets.models import families
from thickets.models.vision import places
from thickets.models.vision.pixels import Prepared

SMALL = families.parse_vision(cases.QWEN2_5_VL)
# Windows of 8 x 8 patches, as published.
QWEN2_5_VL = dataclasses.replace(SMALL, window=8)
QWEN3_VL = families.parse_vision(cases.QWEN3_VL)


def _windows(rows, columns):
  """The positions of each window's patches, padding left out."""
  found = places.find_places(QWEN2_5_VL, (rows, columns))
  windows = places.find_windows(QWEN2_5_VL, found)
  return [window[window >= 0] for window in windows]


class OrderTest(parameterized.TestCase):
  def test_patches_of_a_token_follow_each_other(self):
    found = places.find_places(SMALL, (4, 6)).tolist()
    first = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    self.assertEqual(list(map(tuple, found[:8])), first)
    self.assertEqual(found[12], [2, 0])
    self.assertEqual(found[-1], [3, 5])


class WindowsTest(parameterized.TestCase):
  def test_published_windows_of_a_photo(self):
    windows = _windows(26, 36)
    self.assertLen(windows, 20)
    boundaries = np.cumsum([0, *map(len, windows)]).tolist()
    self.assertEqual(
      boundaries[:12], [0, 64, 128, 192, 256, 288, 352, 416, 480, 544, 576, 640]
    )
    self.assertEqual(boundaries[-6:], [864, 880, 896, 912, 928, 936])
    # Of tokens, which are four patches each.
    order = np.concatenate(windows)[::4] // 4
    first = [*range(4), *range(18, 22), *range(36, 40), *range(54, 58)]
    self.assertEqual(order[: len(first) + 4].tolist(), [*first, 4, 5, 6, 7])

  @parameterized.parameters((8, 8, [64]), (10, 6, [48, 12]))
  def test_windows_that_leave_the_order(self, rows, columns, sizes):
    windows = _windows(rows, columns)
    self.assertEqual(list(map(len, windows)), sizes)
    np.testing.assert_array_equal(
      np.concatenate(windows), np.arange(rows * columns)
    )

  @parameterized.parameters((24, 24), (26, 36), (12, 18), (40, 40))
  def test_the_order_is_not_its_own_inverse(self, rows, columns):
    # So that these sizes show a permutation that is applied twice.
    order = np.concatenate(_windows(rows, columns))
    self.assertFalse((order[order] == np.arange(len(order))).all())

  def test_the_order_of_the_usual_test_image_is(self):
    order = np.concatenate(_windows(32, 32))
    self.assertTrue((order[order] == np.arange(len(order))).all())

  def test_each_patch_is_in_the_window_of_its_place(self):
    found = places.find_places(QWEN2_5_VL, (26, 36))
    for window in _windows(26, 36):
      self.assertLen(np.unique(found[window] // 8, axis=0), 1)


class TableTest(parameterized.TestCase):
  def test_shares_of_a_table_whose_corners_are_the_images(self):
    config = dataclasses.replace(QWEN3_VL, table_side=48)
    found = places.find_places(config, (30, 40))
    corners, shares = places.find_corners(config, (30, 40), found)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    for axis, size in enumerate((30, 40)):
      along = corners // 48 if axis == 0 else corners % 48
      where = (along * shares).sum(1)
      expected = found[:, axis] * 47 / (size - 1)
      np.testing.assert_allclose(where, expected, atol=1e-4)
    self.assertLess(corners.max(), 48 * 48)

  def test_a_table_of_the_size_of_the_image_is_read_as_it_is(self):
    found = places.find_places(QWEN3_VL, (6, 6))
    corners, shares = places.find_corners(QWEN3_VL, (6, 6), found)
    np.testing.assert_array_equal(corners[:, 0], found[:, 0] * 6 + found[:, 1])
    np.testing.assert_allclose(shares[:, 0], 1, atol=1e-6)


class InputsTest(parameterized.TestCase):
  def test_padding_is_no_patch_and_in_no_window(self):
    patches = np.ones((60, 96), np.float32)
    inputs = places.make_inputs(SMALL, Prepared(patches, (10, 6), 2))
    self.assertEqual(inputs.shape, (64, 6))
    self.assertEqual(inputs.is_patch.sum(), 60)
    np.testing.assert_array_equal(inputs.patches[60:], 0)
    there = inputs.windows[inputs.windows >= 0]
    np.testing.assert_array_equal(np.sort(there), np.arange(60))

  def test_sizes_are_few_and_large_enough(self):
    sizes = {places.round_up(count, 64) for count in range(1, 5000)}
    self.assertEqual(
      sorted(sizes),
      [
        64,
        96,
        128,
        192,
        256,
        384,
        512,
        768,
        1024,
        1536,
        2048,
        3072,
        4096,
        6144,
      ],
    )
    for count in range(1, 5000):
      self.assertGreaterEqual(places.round_up(count, 64), count)
    self.assertEqual(
      [places.round_up(n, 2) for n in (1, 3, 5, 20)], [2, 3, 6, 24]
    )
