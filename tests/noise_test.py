"""Tests of the noise: exact bits, and the distribution that they have."""

import hashlib
import math

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from scipy import special

from thickets import noise

ALL_ONES = 0xFFFFFFFF
WORDS = np.random.default_rng(0).integers(0, 2**32, 2**16, dtype=np.uint32)

_gaussian = jax.jit(noise.gaussian, static_argnames=("shape", "stream"))


def _draw(name, shape, *, seed=3, stream=0):
  key = jnp.uint32(seed), jnp.asarray(noise.hash_name(name))
  return np.asarray(_gaussian(*key, shape, stream=stream))


def _hex(x):
  return [f"{word:08x}" for word in np.asarray(x).view(np.uint32).reshape(-1)]


def _numpy_threefry(key, counter):
  """The cipher as its paper has it: four rounds, one injection, five times."""
  k = [np.uint32(key[0]), np.uint32(key[1])]
  k.append(np.uint32(0x1BD11BDA) ^ k[0] ^ k[1])
  x, y = (np.atleast_1d(np.uint32(c)) for c in counter)
  x, y = x + k[0], y + k[1]
  for r, rotation in enumerate(
    [13, 15, 26, 6, 17, 29, 16, 24] * 2 + [13, 15, 26, 6]
  ):
    x = x + y
    y = ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))) ^ x
    if r % 4 == 3:
      s = r // 4 + 1
      x, y = x + k[s % 3], y + k[(s + 1) % 3] + np.uint32(s)
  return x, y


def _numpy_gaussian(seed, name, num, stream):
  """The whole chain in NumPy, with frexp and rint for the tricks with bits."""

  def times(a, b):  # The product, its last bit cleared.
    return ((a * b).view(np.uint32) & ~np.uint32(1)).view(np.float32)

  key = seed, noise.hash_name(name)
  counter = np.full(num, stream, np.uint32), np.arange(num, dtype=np.uint32)
  bits, _ = _numpy_threefry(key, counter)
  mantissa, exponent = np.frexp(
    (bits >> 1).astype(np.float32) + np.float32(0.5)
  )
  low = mantissa < np.float32(math.sqrt(0.5))
  t = np.where(low, mantissa * 2, mantissa).astype(np.float32) - np.float32(1)
  log2 = np.zeros_like(t)
  for coefficient in noise._LOG2[::-1]:
    log2 = times(log2 + np.float32(coefficient), t)
  tail = (31 - (exponent - low)).astype(np.float32) - log2
  piece = np.searchsorted(np.float32(noise._CUTS), tail)
  offset = tail - np.float32(noise._CENTRES)[piece]
  quantile = np.zeros_like(t)
  for coefficients in noise._PIECES[::-1]:
    quantile = times(quantile, offset) + np.float32(coefficients)[piece]
  fraction, exponent = np.frexp(np.where(bits & 1, -quantile, quantile))
  return np.ldexp(np.rint(fraction * 4096) / 4096, exponent).astype(np.float32)


class ThreefryTest(parameterized.TestCase):
  @parameterized.parameters(  # Random123's kat_vectors, threefry2x32 20.
    ((0, 0), (0, 0), ["6b200159", "99ba4efe"]),
    ((ALL_ONES,) * 2, (ALL_ONES,) * 2, ["1cb996fc", "bb002be7"]),
    (
      (0x13198A2E, 0x03707344),
      (0x243F6A88, 0x85A308D3),
      ["c4923a9c", "483df7a0"],
    ),
  )
  def test_known_answers(self, key, counter, expected):
    key = tuple(map(np.uint32, key))
    counter = tuple(np.array([word], np.uint32) for word in counter)
    on_device = tuple(map(jnp.asarray, counter))
    self.assertEqual(_hex(noise.threefry2x32(key, counter)), expected)
    self.assertEqual(_hex(noise.threefry2x32(key, on_device)), expected)
    self.assertEqual(_hex(_numpy_threefry(key, counter)), expected)

  def test_is_the_cipher_of_jax(self):
    key, counter = WORDS[:2], WORDS[2:1002]
    ours = noise.threefry2x32(tuple(key), (counter[:500], counter[500:]))
    theirs = jax.extend.random.threefry_2x32(
      jnp.asarray(key), jnp.asarray(counter)
    )
    np.testing.assert_array_equal(np.concatenate(ours), theirs)


class InverseNormalTest(parameterized.TestCase):
  def test_is_the_quantile_function(self):
    edges = []
    for cut in noise._CUTS:  # The words at which the pieces meet.
      middle = 2 * int(2 ** (31 - cut))
      edges.append(np.arange(middle - 500, middle + 500))
    powers = 2 ** np.arange(1, 32)
    extremes = [0, 1, 2, 3, ALL_ONES - 1, ALL_ONES]
    words = np.concatenate(
      [WORDS, extremes, powers - 1, powers, powers + 1, *edges]
    ).astype(np.uint32)
    tail = ((words >> 1).astype(np.float64) + 0.5) / 2**31
    exact = -special.ndtri(tail / 2) * np.where(words & 1, -1, 1)
    got = np.asarray(noise.inverse_normal(jnp.asarray(words)))
    # Nothing between the two: 1.2e-5 is reached at the ends of the pieces.
    np.testing.assert_allclose(got, exact, rtol=0, atol=2e-5)

  def test_the_lowest_bit_is_the_sign(self):
    upper = noise.inverse_normal(jnp.asarray(WORDS & ~np.uint32(1)))
    lower = noise.inverse_normal(jnp.asarray(WORDS | np.uint32(1)))
    np.testing.assert_array_equal(np.asarray(upper), -np.asarray(lower))
    self.assertTrue((np.asarray(upper) > 0).all())


class Round12Test(parameterized.TestCase):
  def test_products_are_exact_and_errors_at_most_half_a_unit(self):
    x, y = np.random.default_rng(1).normal(size=(2, 10000)).astype(np.float32)
    a, b = (np.asarray(noise.round12(jnp.asarray(v))) for v in (x, y))
    np.testing.assert_array_equal(np.float64(a * b), np.float64(a) * b)
    # Relative to the power of two below: half of 2**-11.
    unit = 2.0 ** np.floor(np.log2(np.abs(x)))
    self.assertLessEqual((np.abs(a - x) / unit).max(), 2.0**-12)


class GaussianTest(parameterized.TestCase):
  @parameterized.parameters((0, 0), (3, 0), (2**32 - 1, 1))
  def test_numpy_gives_the_same_bits(self, seed, stream):
    name = f"layers.{seed}.mlp.up_proj"
    got = _draw(name, (2**17,), seed=seed, stream=stream)
    expected = _numpy_gaussian(seed, name, got.size, stream)
    np.testing.assert_array_equal(got.view("u4"), expected.view("u4"))

  def test_bits_are_pinned(self):
    # To renew: raise noise.NOISE_VERSION, then copy what the test prints. Old
    # experts files stop being readable, so there has to be a reason.
    self.assertEqual(noise.NOISE_VERSION, 1)
    name = "layers.3.mlp.up_proj"
    self.assertEqual(f"{noise.hash_name(name):08x}", "72fa320c")
    self.assertEqual(
      _hex(_draw(name, (2, 2))),
      ["3f6e5000", "bcada000", "3f85c000", "3fa97000"],
    )
    many = hashlib.sha256(_draw(name, (2**17,)).tobytes()).hexdigest()
    self.assertEqual(many[:16], "f67a3b3a756b34bb")

  def test_no_two_experts_of_a_large_mixture_share_a_hash(self):
    def hashes(template, num_layers):
      return [
        int(noise.hash_name(template.format(layer, expert)))
        for layer in range(num_layers)
        for expert in range(128)
      ]

    found = [
      number
      for matrix in ("gate", "up", "down")
      for number in hashes(f"layers.{{}}.mlp.experts.{{}}.{matrix}_proj", 94)
    ]
    self.assertLen(set(found), 3 * 94 * 128)
    # Two plain hashes of these names are equal, of layers 12 and 17.
    plain = hashes("layers.{}.mlp_experts.{}.down_proj", 1)
    self.assertNotEqual(plain[1] - plain[0], 1)
    self.assertEqual(found[1] - found[0], 1)

  def test_an_element_is_addressed_by_its_row_major_position(self):
    flat = _draw("w", (120,))
    for shape in ((120,), (5, 24), (2, 3, 4, 5)):
      np.testing.assert_array_equal(_draw("w", shape).reshape(-1), flat)
    # Not by the size of the tensor: a longer one begins in the same way.
    np.testing.assert_array_equal(_draw("w", (200,))[:120], flat)

  def test_first_four_moments(self):
    x = _draw("w", (2**20,)).astype(np.float64)
    # Var x**k = E x**2k - (E x**k)**2, with E x**2k = 1, 3, 15, 105.
    for k, (moment, variance) in enumerate(
      [(0, 1), (1, 2), (0, 15), (3, 96)], start=1
    ):
      standard_error = math.sqrt(variance / x.size)
      self.assertLess(abs((x**k).mean() - moment), 4 * standard_error, f"{k=}")

  def test_tensors_seeds_streams_and_neighbours_are_uncorrelated(self):
    num = 2**17
    longer = _draw("layers.0.w", (num + 1,))
    draws = [
      longer[:-1],
      longer[1:],
      _draw("layers.1.w", (num,)),
      _draw("layers.0.v", (num,)),
      _draw("layers.0.w", (num,), seed=4),
      _draw("layers.0.w", (num,), stream=1),
    ]
    for power in (1, 2):  # Neither the values nor the magnitudes.
      correlation = np.corrcoef(np.float64(draws) ** power)
      worst = np.abs(correlation - np.eye(len(draws))).max()
      # The largest of 15 pairs, in standard errors of 1 / sqrt(num).
      self.assertLess(worst * math.sqrt(num), 4)

  def test_positions_beyond_32_bits_are_refused(self):
    key = jnp.uint32(0), jnp.uint32(0)
    # Shapes alone: were it not refused, the tensor would take 16 GiB.
    largest = jax.eval_shape(lambda: noise.gaussian(*key, (2**16, 2**16)))
    self.assertEqual(largest.size, 2**32)
    with self.assertRaisesRegex(ValueError, r"at most 2\*\*32 elements, got"):
      jax.eval_shape(lambda: noise.gaussian(*key, (2**16 + 1, 2**16)))
