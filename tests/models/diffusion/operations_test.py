"""Attention and norms against float64, shapes, and layouts that are fast."""

import functools
import math
import re
import time

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized
from jax import lax

from thickets.models.diffusion import operations as ops

# Half dtypes, and twice the largest share by which they round a value.
_HALVES = ((jnp.float16, 2**-10), (jnp.bfloat16, 2**-7))


def _compile(function):
  return jax.jit(function, compiler_options=unoptimised.OPTIONS)


@functools.cache
def _attend(*, is_causal):
  """Attention of two heads, compiled once for each dtype."""
  return _compile(
    functools.partial(ops.attend, num_heads=2, is_causal=is_causal)
  )


def _draw_attended(dtype):
  """Queries, keys and values [2, 6, 8] in a half dtype, for two heads.

  The scores of a query are all near 512, by which float16 rounds them to halves
  and bfloat16 to fours, and differ by about one.
  """
  random = np.random.default_rng(0)
  query, key, value = random.standard_normal((3, 2, 6, 8))
  query[..., ::4] = key[..., ::4] = 32
  return tuple(x.astype(dtype) for x in (query, key, value))


def _attend_slowly(query, key, value, *, is_causal):
  """The same in float64, one head and one query after the other."""
  query, key, value = (
    np.asarray(x, np.float64).reshape(2, 6, 2, 4) for x in (query, key, value)
  )
  mixed = np.empty(query.shape)
  for row, step, head in np.ndindex(2, 6, 2):
    seen = slice(step + 1) if is_causal else slice(None)
    scores = key[row, seen, head] @ query[row, step, head] / np.sqrt(4)
    shares = np.exp(scores - scores.max())
    mixed[row, step, head] = shares / shares.sum() @ value[row, seen, head]
  return mixed.reshape(2, 6, 8)


class HalfAttentionTest(parameterized.TestCase):
  """Scores and their softmax are float32, whatever the dtype of the factors is."""

  @parameterized.product(half=_HALVES, is_causal=[False, True])
  def test_only_factors_shares_and_sums_are_rounded(self, half, is_causal):
    dtype, rounding = half
    arrays = _draw_attended(dtype)
    got = _attend(is_causal=is_causal)(*arrays)
    self.assertEqual(got.dtype, dtype)
    expected = _attend_slowly(*arrays, is_causal=is_causal)
    largest = np.abs(np.asarray(arrays[2], np.float64)).max()
    np.testing.assert_allclose(
      np.asarray(got, np.float64), expected, atol=rounding * largest
    )

  @parameterized.parameters(jnp.float16, jnp.bfloat16)
  def test_what_comes_later_is_not_seen_however_large_its_score_is(self, dtype):
    *_, value = _draw_attended(dtype)
    query = np.full(value.shape, 60_000, dtype)
    # Each key's score is larger than that of the one before by more than 10⁹, so
    # that a query mixes nothing but the last value that it sees, its own.
    rising = np.linspace(-60_000, 60_000, 6).astype(dtype)
    key = np.broadcast_to(rising[None, :, None], value.shape)
    got = _attend(is_causal=True)(query, key, value)
    np.testing.assert_array_equal(got, value)


class HalfNormsTest(parameterized.TestCase):
  """Means and spreads are float32, whatever the dtype of the values is."""

  @parameterized.parameters(*_HALVES)
  def test_they_are_those_of_the_values(self, dtype, rounding):
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 8))
    # No half dtype holds the means of the first row, nor float16 the squares of
    # the second.
    x[0], x[1] = 200 + 3 * x[0], 1000 * x[1]
    x = x.astype(dtype)
    params = {"norm": np.ones(8, dtype), "norm_bias": np.zeros(8, dtype)}
    wide = np.asarray(x, np.float64)
    group_norm = functools.partial(ops.group_norm, num_groups=2)
    for norm, values, axes in (
      (group_norm, wide.reshape(2, 4, 4, 2, 4), (1, 2, 4)),
      (ops.layer_norm, wide, (3,)),
    ):
      run = _compile(functools.partial(norm, name="norm", eps=0.0))
      got = run(params, x=x)
      self.assertEqual(got.dtype, dtype)
      mean = values.mean(axes, keepdims=True)
      expected = (values - mean) / values.std(axes, keepdims=True)
      np.testing.assert_allclose(
        np.asarray(got, np.float64),
        expected.reshape(x.shape),
        rtol=rounding,
        atol=1e-4,
      )


class OperationsTest(parameterized.TestCase):
  def test_activations_keep_their_shape_in_group_norm(self):
    # What has other axes than its operand, a TPU writes to memory.
    x = jnp.zeros((2, 16, 16, 8))
    params = {"norm": jnp.ones(8), "norm_bias": jnp.zeros(8)}
    norm = functools.partial(ops.group_norm, num_groups=2, eps=1e-5)
    traced = jax.jit(norm, static_argnums=1).trace(params, "norm", x)
    program = traced.lower(lowering_platforms=("tpu",)).as_text()
    shapes = set(re.findall(r"tensor<([0-9x]+)xf32>", program))
    large = {
      shape
      for shape in shapes
      if math.prod(map(int, shape.split("x"))) == x.size
    }
    self.assertEqual(large, {"2x16x16x8"})

  def test_norms_of_large_values_keep_their_bits(self):
    random = np.random.default_rng(0)
    x = (1000 + 0.01 * random.standard_normal((2, 4, 4, 8))).astype(np.float32)
    params = {"norm": jnp.ones(8), "norm_bias": jnp.zeros(8)}
    got = ops.group_norm(params, "norm", jnp.asarray(x), num_groups=2, eps=0.0)
    groups = x.astype(np.float64).reshape(2, 16, 2, 4)
    mean = groups.mean(axis=(1, 3), keepdims=True)
    spread = groups.std(axis=(1, 3), keepdims=True)
    expected = ((groups - mean) / spread).reshape(x.shape)
    np.testing.assert_allclose(got, expected, atol=0.02)
    rows = jnp.asarray(x.reshape(-1, 8))
    got = ops.layer_norm(params, "norm", rows, eps=0.0)
    wide = x.reshape(-1, 8).astype(np.float64)
    expected = wide - wide.mean(-1, keepdims=True)
    expected /= wide.std(-1, keepdims=True)
    np.testing.assert_allclose(got, expected, atol=0.05)

  @parameterized.parameters((2, 2), (3, 3), (5, 3))
  def test_upsampling_takes_the_place_before(self, height, width):
    x = jnp.arange(2 * 2.0).reshape(1, 2, 2, 1)
    got = ops.upsample(x, height, width)
    rows, columns = (np.arange(size) * 2 // size for size in (height, width))
    np.testing.assert_array_equal(
      got[0, :, :, 0], np.arange(4.0).reshape(2, 2)[np.ix_(rows, columns)]
    )

  def test_cosines_come_before_sines(self):
    got = ops.sinusoid(jnp.array([2.0]), 4)
    angles = 2 * np.array([1, 0.01])
    expected = np.concatenate([np.cos(angles), np.sin(angles)])
    np.testing.assert_allclose(got[0], expected, atol=1e-6)

  @parameterized.parameters(False, True)
  def test_long_queries_are_mixed_in_pieces(self, is_causal):
    random = np.random.default_rng(0)
    query, key, value = (
      jnp.asarray(random.standard_normal((2, 12, 8)), jnp.float32)
      for _ in range(3)
    )
    attend = functools.partial(
      ops.attend, query, key, value, num_heads=2, is_causal=is_causal
    )
    whole = attend()
    limit, ops._MAX_SCORES = ops._MAX_SCORES, 150
    try:
      self.assertEqual(ops._count_pieces(2 * 2 * 12 * 12, 12), 4)
      np.testing.assert_allclose(attend(), whole, atol=1e-6)
    finally:
      ops._MAX_SCORES = limit

  def test_convolutions_in_loops_are_as_fast_as_outside(self):
    random = np.random.default_rng(0)
    kernels = jnp.asarray(
      0.05 * random.standard_normal((4, 48, 48, 3, 3)), jnp.float32
    )
    x = jnp.asarray(random.standard_normal((8, 16, 16, 48)), jnp.float32)

    def step(x, kernel):
      return ops.conv({"conv": kernel}, "conv", x), None

    inside = jax.jit(lambda x, kernels: lax.scan(step, x, kernels)[0])

    def outside(x, kernels):
      for i in range(4):
        x, _ = step(x, kernels[i])
      return x

    seconds = [_measure(f, x, kernels) for f in (inside, jax.jit(outside))]
    # An unfortunate layout takes fifty times as long.
    self.assertLess(seconds[0], 8 * seconds[1])


def _measure(function, *arguments):
  """The least seconds of three calls."""
  jax.block_until_ready(function(*arguments))
  seconds = []
  for _ in range(3):
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    seconds.append(time.perf_counter() - start)
  return min(seconds)
