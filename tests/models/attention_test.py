"""Tests of attention: a NumPy oracle over pieces of a text, and the KV cache."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.models import attention
from thickets.models.layout import Layout

ROWS, STEPS, HEAD_DIM = 3, 4, 6


def _draw(rng, *shape):
  return rng.normal(size=shape).astype(np.float32)


def _attend(query, pieces):
  """Query by query and head by head, in float64."""
  mixed = np.zeros(query.shape)
  for row, step, head in np.ndindex(query.shape[:3]):
    scores, values = [], []
    for key, value, visible in pieces:
      if key.ndim == 4:
        key, value = key[row], value[row]
      group = query.shape[2] // len(key)
      seen = visible[row, step]
      vector = query[row, step, head].astype(np.float64)
      scores.append(key[head // group][seen] @ vector / HEAD_DIM**0.5)
      values.append(value[head // group][seen])
    shares = np.exp(np.concatenate(scores))
    mixed[row, step, head] = shares @ np.concatenate(values) / shares.sum()
  return mixed


class AttendTest(parameterized.TestCase):
  @parameterized.product(
    heads=[(4, 4), (4, 2), (6, 1)], pieces=["own", "shared", "both"]
  )
  def test_pieces_are_one_text(self, heads, pieces):
    num_heads, num_kv_heads = heads
    rng = np.random.default_rng(0)
    shared = [_draw(rng, num_kv_heads, 7, HEAD_DIM) for _ in range(2)]
    own = [_draw(rng, ROWS, num_kv_heads, 5, HEAD_DIM) for _ in range(2)]
    query = _draw(rng, ROWS, STEPS, num_heads, HEAD_DIM)
    parts = {"own": [own], "shared": [shared], "both": [shared, own]}[pieces]
    masked = []
    for key, value in parts:
      visible = rng.random((ROWS, STEPS, key.shape[-2])) < 0.5
      visible[..., 0] = True  # Every query sees something.
      masked.append((key, value, visible))
    got = jax.jit(attention.attend)(query * HEAD_DIM**-0.5, masked)
    np.testing.assert_allclose(got, _attend(query, masked), atol=1e-5)

  def test_a_query_that_sees_nothing_is_finite(self):
    rng = np.random.default_rng(0)
    key, value = (_draw(rng, 1, 2, 5, HEAD_DIM) for _ in range(2))
    query = _draw(rng, 1, 1, 2, HEAD_DIM)
    nothing = np.zeros((1, 1, 5), bool)
    mixed = jax.jit(attention.attend)(query, [(key, value, nothing)])
    self.assertTrue(np.isfinite(mixed).all())

  def test_scores_of_bfloat16_are_mixed_in_float32(self):
    rng = np.random.default_rng(0)
    key, value = (
      jnp.asarray(_draw(rng, 1, 1, 40, HEAD_DIM), jnp.bfloat16)
      for _ in range(2)
    )
    query = jnp.asarray(4 * _draw(rng, 1, 2, 2, HEAD_DIM), jnp.bfloat16)
    visible = np.ones((1, 2, 40), bool)
    scaled = query * jnp.bfloat16(HEAD_DIM**-0.5)
    mixed = jax.jit(attention.attend)(scaled, [(key, value, visible)])
    self.assertEqual(mixed.dtype, jnp.bfloat16)
    wide = [np.asarray(x, np.float32) for x in (query, key, value)]
    expected = _attend(wide[0], [(*wide[1:], visible)])
    np.testing.assert_allclose(
      np.asarray(mixed, np.float32), expected, atol=0.03
    )


class SeeTest(parameterized.TestCase):
  @parameterized.parameters(None, 1, 3, 100)
  def test_tokens_before_within_the_window_and_no_padding(self, window):
    query_positions = np.array([[0, 1, 2, 3, 9], [-1, -1, 0, 1, 2]])
    key_positions = np.array([[0, 1, 2, 3, 4, 9], [-1, -1, 0, 1, 2, 3]])
    visible = attention.see(
      jnp.asarray(query_positions), jnp.asarray(key_positions), window
    )
    for row, q, k in np.ndindex(2, 5, 6):
      query, key = int(query_positions[row, q]), int(key_positions[row, k])
      reach = range(max(0, query - (window or 10**9) + 1), query + 1)
      self.assertEqual(bool(visible[row, q, k]), key in reach, (row, q, k))


class KVCacheTest(parameterized.TestCase):
  @parameterized.parameters(*Layout)
  def test_what_was_written_is_read_and_nothing_else_changes(self, layout):
    rng = np.random.default_rng(0)
    shape = (2, 4, 3, 8, HEAD_DIM)
    cache = attention.make_kv_cache(shape, jnp.float32, layout)
    key, value = (jnp.asarray(_draw(rng, 2, 3, 3, HEAD_DIM)) for _ in range(2))
    layer = jnp.int32(1) if layout is Layout.STACKED else 1
    cache = attention.write(cache, layer, key, value, row=1, slot=4)
    for untouched in attention.read(cache, 0 * layer):
      np.testing.assert_array_equal(untouched, np.zeros(shape[1:]))
    written = zip(attention.read(cache, layer), (key, value), strict=True)
    for found, part in written:
      expected = np.zeros(shape[1:], np.float32)
      expected[1:3, :, 4:7] = part.transpose(0, 2, 1, 3)
      np.testing.assert_array_equal(found, expected)
