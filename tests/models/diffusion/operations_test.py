"""Attention and norms of half precision, against float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized

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
