"""Gaussian noise as an exact function of (seed, tensor name, index).

The noise of one weight is

    round12(inverse_normal(threefry2x32(key=(seed, hash(name)), counter=(stream,
    index))))

where `index` is the row-major position inside the tensor. Every step is either
integer arithmetic or a single correctly rounded float32 operation that no
compiler may contract or reorder, so the bits are the same eager, jitted, fused
into a larger program, under vmap, over any sharding, and in NumPy. The functions
of `jax.random` do not promise that: their inverse error function is evaluated
with multiply-adds that a compiler may or may not fuse. They are also slower on
CPU, where their cipher is a loop that cannot be fused with the addition to the
weight (docs/benchmarks.md has the ratio).

References: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3"
(Threefry); Gan and Isola (2026), arXiv:2603.12228, eq. 3 (the perturbation).
"""

import hashlib
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32, UInt32

# Raise this whenever the noise of any (seed, name, index) changes; experts files
# carry it, and refuse to be read under another number.
NOISE_VERSION = 1
PRNG = "threefry2x32-20"

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)

# The inverse normal distribution, as polynomials in L = -log2(p) where p is the
# two-sided tail probability. Minimax fits in float64 (iteratively reweighted
# least squares on Chebyshev nodes), then rounded; the largest error over all
# 2**32 inputs is 1.2e-5, a tenth of the rounding to 12 bits that follows.
_LOG2 = (
  1.4427135,
  -0.72113186,
  0.47934806,
  -0.36749026,
  0.3221543,
  -0.20658989,
)
_CUTS = (2.5, 9.0)  # Limits of L between the three pieces.
_CENTRES = (1.25, 5.75, 20.6)
_PIECES = (  # Coefficients of (L - centre)**k, k = 0 ... 7.
  (0.8056521, 2.3538277, 4.9820447),
  (0.5052598, 0.25766784, 0.13409007),
  (-0.07243455, -0.0111697065, -0.0016843368),
  (0.018783104, 0.00092020433, 4.1630454e-05),
  (-0.005235656, -8.819046e-05, -1.1770392e-06),
  (0.0015666607, 9.280921e-06, 3.6467995e-08),
  (-0.0011293531, -1.6953079e-06, -2.3800784e-09),
  (0.000488967, 2.3156447e-07, 1.034725e-10),
)
_EXPERT = re.compile(r"(.*\.mlp\.experts\.)(\d+)(\..*)")
_SQRT_HALF_BITS = np.int32(0x3F3504F3)


def hash_name(name: str) -> np.uint32:
  """Returns the 32-bit hash that stands for a tensor's logical name.

  The experts of one layer of a mixture have consecutive hashes: of tens of
  thousands of names, as large mixtures have, two would share theirs by chance.
  """
  index = 0
  if match := _EXPERT.fullmatch(name):
    name, index = f"{match[1]}{{}}{match[3]}", int(match[2])
  digest = hashlib.blake2b(name.encode("utf-8"), digest_size=4).digest()
  return np.uint32((int.from_bytes(digest, "little") + index) % 2**32)


def round12(x: Float32[Any, "..."]) -> Float32[Array, "..."]:
  """Rounds to 12 significant bits: products of two such numbers are exact.

  A multiply-add of an exact product rounds once whether or not it is fused,
  which is what keeps `w + sigma * eps` the same in every program.
  """
  return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=11)


def gaussian(
  seed: UInt32[Any, ""],
  name_hash: UInt32[Any, ""],
  shape: tuple[int, ...],
  *,
  stream: int = 0,
) -> Float32[Array, "..."]:
  """Draws the standard normal noise of one logical tensor.

  Args:
    seed: the member's seed.
    name_hash: `hash_name` of the tensor's logical name.
    shape: shape of the tensor without any stacking axis.
    stream: tells apart several draws for one tensor, as for low-rank factors.

  Returns:
    N(0, 1) to 12 significant bits, within (-6.4, 6.4), independent over
    elements, tensors, seeds and streams.

  Raises:
    ValueError: if the tensor has more than 2**32 elements.
  """
  return round12(
    inverse_normal(random_bits(seed, name_hash, shape, stream=stream))
  )


def random_bits(
  seed: UInt32[Any, ""],
  name_hash: UInt32[Any, ""],
  shape: tuple[int, ...],
  *,
  stream: int = 0,
) -> UInt32[Array, "..."]:
  """Draws 32 uniform bits per element of a tensor; see `gaussian`."""
  if math.prod(shape) > 2**32:
    raise ValueError(
      f"A tensor must have at most 2**32 elements, got shape {shape}. Split it"
      " into several logical tensors."
    )
  counter = jnp.full(shape, stream, jnp.uint32)
  return threefry2x32((seed, name_hash), (counter, _positions(shape)))[0]


def threefry2x32(
  key: tuple[UInt32[Any, ""], UInt32[Any, ""]],
  counter: tuple[UInt32[Any, "..."], UInt32[Any, "..."]],
) -> tuple[UInt32[Any, "..."], UInt32[Any, "..."]]:
  """The Threefry-2x32 block cipher with 20 rounds, elementwise over counters.

  Works on JAX and on NumPy arrays alike.
  """
  schedule = (*key, key[0] ^ key[1] ^ _PARITY)
  x0, x1 = counter[0] + key[0], counter[1] + key[1]
  for block in range(5):
    for rotation in _ROTATIONS[block % 2]:
      x0 = x0 + x1
      x1 = _rotate_left(x1, rotation) ^ x0
    x0 = x0 + schedule[(block + 1) % 3]
    x1 = x1 + schedule[(block + 2) % 3] + np.uint32(block + 1)
  return x0, x1


def inverse_normal(bits: UInt32[Array, "..."]) -> Float32[Array, "..."]:
  """Maps uniform bits to standard normal values, monotonically per sign.

  The lowest bit is the sign; the other 31 are the two-sided tail probability
  p = (v + 1/2) / 2**31, so values reach 6.3 standard deviations.

  Args:
    bits: uniform over all 32-bit words.

  Returns:
    Normal values, within 1.2e-5 of the exact quantiles.
  """
  # float(v) + 1/2 = mantissa * 2**exponent, the mantissa within [0.707, 1.414).
  v = (bits >> np.uint32(1)).astype(jnp.int32).astype(jnp.float32)
  v = v + np.float32(0.5)
  pattern = lax.bitcast_convert_type(v, jnp.int32) - _SQRT_HALF_BITS
  exponent = pattern >> np.int32(23)
  mantissa = lax.bitcast_convert_type(
    (pattern & np.int32(0x7FFFFF)) + _SQRT_HALF_BITS, jnp.float32
  )
  t = mantissa - np.float32(1)
  log2_mantissa = jnp.full_like(t, _LOG2[-1])
  for coefficient in _LOG2[-2::-1]:
    log2_mantissa = _multiply(log2_mantissa, t) + np.float32(coefficient)
  log2_mantissa = _multiply(log2_mantissa, t)
  tail = (np.int32(31) - exponent).astype(jnp.float32) - log2_mantissa

  beyond_first, beyond_second = (tail > np.float32(cut) for cut in _CUTS)

  def choose(values):
    first, second, third = map(np.float32, values)
    outer = jnp.where(beyond_second, third, second)
    return jnp.where(beyond_first, outer, first)

  offset = tail - choose(_CENTRES)
  quantile = choose(_PIECES[-1])
  for coefficients in _PIECES[-2::-1]:
    quantile = _multiply(quantile, offset) + choose(coefficients)
  sign = bits << np.uint32(31)
  return lax.bitcast_convert_type(
    lax.bitcast_convert_type(quantile, jnp.uint32) ^ sign, jnp.float32
  )


def _multiply(x, y):
  """A product that no compiler can fuse with the addition after it."""
  product = lax.bitcast_convert_type(x * y, jnp.uint32)
  # Clearing the last bit puts an integer operation between the two.
  return lax.bitcast_convert_type(product & np.uint32(0xFFFFFFFE), jnp.float32)


def _rotate_left(x, bits: int):
  return (x << np.uint32(bits)) | (x >> np.uint32(32 - bits))


def _positions(shape: tuple[int, ...]) -> jax.Array:
  """Row-major index of every element, each computed where the element lives."""
  positions = jnp.zeros(shape, jnp.uint32)
  for axis in range(len(shape)):
    stride = np.uint32(math.prod(shape[axis + 1 :]) % 2**32)
    positions += lax.broadcasted_iota(jnp.uint32, shape, axis) * stride
  return positions
