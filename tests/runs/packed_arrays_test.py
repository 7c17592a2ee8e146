"""Tests of arrays in JSON: every bit survives, and every bit counts."""

import json

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.runs import packed_arrays


class ArrayTest(parameterized.TestCase):
  @hypothesis.given(
    hnp.arrays(
      st.sampled_from(["f4", "f2", "i8", "?", "u1", ">f4"]),
      hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
      # NaNs with any payload, both zeros and all else: a value is its bytes.
    )
  )
  def test_round_trip_keeps_every_bit(self, array):
    packed = json.loads(json.dumps(packed_arrays.encode_array(array)))
    got = packed_arrays.decode_array(packed)
    self.assertEqual((got.dtype, got.shape), (array.dtype, array.shape))
    self.assertEqual(got.tobytes(), array.tobytes())

  def test_round_trip_of_odd_floats_and_strides(self):
    bits = np.array([0x7FC00001, 0xFFA00003, 0x80000000, 1], np.uint32)
    array = bits.view(np.float32).reshape(2, 2).T  # Not in row-major order.
    got = packed_arrays.decode_array(packed_arrays.encode_array(array))
    np.testing.assert_array_equal(
      got.view(np.uint32), bits.reshape(2, 2).T, strict=True
    )

  @parameterized.parameters("bfloat16", "float8_e4m3fn")
  def test_round_trip_of_types_that_numpy_lacks(self, dtype):
    array = np.array([[0.5, -3.0]], np.float32).astype(jnp.dtype(dtype))
    got = packed_arrays.decode_array(packed_arrays.encode_array(array))
    np.testing.assert_array_equal(got, array, strict=True)

  def test_hash_changes_with_a_bit_a_name_a_shape_and_a_dtype(self):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    flipped = array.copy()
    flipped.view(np.uint8)[1, 5] ^= 1
    batches = [
      {"x": array},
      {"x": flipped},
      {"y": array},
      {"x": array.reshape(2, 3, 1)},
      {"x": array.view(np.int32)},
      {"x": array, "y": array},
    ]
    hashes = [packed_arrays.hash_arrays(batch)["sha256"] for batch in batches]
    self.assertLen(set(hashes), len(batches))
    self.assertEqual(packed_arrays.hash_arrays({"x": array})["size"], 2)

  def test_hash_ignores_the_order_of_names(self):
    x, y = np.zeros(2), np.ones(2)
    self.assertEqual(
      packed_arrays.hash_arrays({"x": x, "y": y}),
      packed_arrays.hash_arrays({"y": y, "x": x}),
    )
