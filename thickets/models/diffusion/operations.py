"""What the parts of a diffusion model compute with: activations are [B, H, W, C].

Weights are looked up by the name of their layer. Convolutions and products are
computed in the dtype of their input; norms, softmax and sinusoids in float32.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from thickets.models import attention
from thickets.naming import Params

# Attention scores that are held at once, in values: 1 GiB of float32.
_MAX_SCORES = 2**28


def linear(params: Params, name: str, x: Float[Array, "... C"]) -> Array:
  """Multiplies by the matrix [outputs, C] of a layer, and adds its bias."""
  y = jnp.einsum(
    "...c,fc->...f",
    x,
    params[name].astype(x.dtype),
    precision=attention.precision(x.dtype),
  )
  return _add_bias(params, name, y)


def conv(
  params: Params, name: str, x: Float[Array, "B H W C"], *, stride: int = 1
) -> Array:
  """Convolves with the kernel of a layer; the borders are filled with zeros.

  The kernel is turned to [height, width, in, out] here: XLA compiles any other
  order to a loop that is fifty times slower on CPUs, where it is in a loop.
  """
  kernel = params[name].astype(x.dtype)
  size = kernel.shape[-1]
  if size == 1 and stride == 1:
    return linear({**params, name: params[name][:, :, 0, 0]}, name, x)
  border = (size - 1) // 2
  y = lax.conv_general_dilated(
    x,
    kernel.transpose(2, 3, 1, 0),
    (stride, stride),
    ((border, border), (border, border)),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    precision=attention.precision(x.dtype),
  )
  return _add_bias(params, name, y)


def _add_bias(params: Params, name: str, y: Array) -> Array:
  bias = params.get(f"{name}_bias")
  if bias is None:
    return y
  return y + _along_last(bias, y).astype(y.dtype)


def group_norm(
  params: Params,
  name: str,
  x: Float[Array, "B ... C"],
  *,
  num_groups: int,
  eps: float,
) -> Array:
  """GroupNorm over positions and the channels of a group, in float32.

  The variance is the mean square of what the mean leaves: the difference of
  mean squares loses all its bits where the mean is large.

  Only means of channels are brought into groups: with groups as an axis of all
  activations, TPUs would write every one of them anew.
  """
  width = x.shape[-1] // num_groups
  positions = tuple(range(1, x.ndim - 1))

  def group_mean(y: Array) -> Array:
    by_channel = jnp.mean(y, axis=positions, keepdims=True)
    groups = by_channel.reshape(*by_channel.shape[:-1], num_groups, width)
    return jnp.repeat(jnp.mean(groups, axis=-1), width, axis=-1)

  wide = x.astype(jnp.float32)
  wide = wide - group_mean(wide)
  wide = wide * lax.rsqrt(group_mean(wide * wide) + eps)
  return _scale_and_shift(params, name, wide).astype(x.dtype)


def layer_norm(
  params: Params, name: str, x: Float[Array, "... C"], *, eps: float = 1e-5
) -> Array:
  """LayerNorm over the last axis, in float32."""
  wide = x.astype(jnp.float32)
  wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
  square = jnp.mean(wide * wide, axis=-1, keepdims=True)
  wide = wide * lax.rsqrt(square + eps)
  return _scale_and_shift(params, name, wide).astype(x.dtype)


def _scale_and_shift(params: Params, name: str, wide: Array) -> Array:
  scale, shift = params[name], params[f"{name}_bias"]
  return wide * _along_last(scale, wide) + _along_last(shift, wide)


def _along_last(vector: Array, x: Array) -> Array:
  """A vector as float32, shaped to go along the last axis of `x`."""
  shape = (1,) * (x.ndim - 1) + vector.shape
  return vector.astype(jnp.float32).reshape(shape)


def attend(
  query: Float[Array, "B S C"],
  key: Float[Array, "B T C"],
  value: Float[Array, "B T C"],
  *,
  num_heads: int,
  is_causal: bool = False,
  is_wide: bool = False,
) -> Array:
  """Softmax attention, scaled by the root of the width of a head.

  Args:
    query: [B, S, C] queries, heads side by side.
    key: [B, T, C] keys.
    value: [B, T, C] values.
    num_heads: how many heads there are.
    is_causal: whether a query sees no key after it.
    is_wide: whether queries and keys are multiplied in float32.

  Returns:
    [B, S, C] mixed values. Scores and their softmax are float32; long queries
    are dealt with in pieces, which changes no value.
  """
  query, key, value = (
    x.reshape(*x.shape[:2], num_heads, -1) for x in (query, key, value)
  )
  rows, steps, _, width = query.shape
  scale = width**-0.5
  dtype = jnp.float32 if is_wide else query.dtype
  key = key.astype(dtype)

  def mix(piece: Array, start: Array | int) -> Array:
    scores = jnp.einsum(
      "bshd,bthd->bhst",
      piece.astype(dtype),
      key,
      preferred_element_type=jnp.float32,
      precision=attention.precision(dtype),
    )
    scores = scores * scale
    if is_causal:
      places = jnp.arange(piece.shape[1]) + start
      sees = jnp.arange(key.shape[1])[None, :] <= places[:, None]
      least = jnp.finfo(jnp.float32).min
      scores = jnp.where(sees[None, None], scores, least)
    shares = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum(
      "bhst,bthd->bshd",
      shares,
      value,
      precision=attention.precision(value.dtype),
    )

  pieces = _count_pieces(rows * num_heads * steps * key.shape[1], steps)
  if pieces == 1:
    mixed = mix(query, 0)
  else:
    length = steps // pieces
    split = query.reshape(rows, pieces, length, num_heads, width)
    starts = jnp.arange(pieces) * length
    mixed = lax.map(
      lambda piece: mix(*piece), (jnp.moveaxis(split, 1, 0), starts)
    )
    mixed = jnp.moveaxis(mixed, 0, 1)
  return mixed.reshape(rows, steps, num_heads * width)


def _count_pieces(num_scores: int, steps: int) -> int:
  """Equal pieces of the queries, so many that few enough scores are held."""
  least = min(math.ceil(num_scores / _MAX_SCORES), steps)
  return next(n for n in range(least, steps + 1) if steps % n == 0)


def upsample(
  x: Float[Array, "B H W C"], height: int, width: int
) -> Float[Array, "B _ _ C"]:
  """Enlarges to a size, each value that of the nearest place before it."""
  for axis, size in ((1, height), (2, width)):
    if size == 2 * x.shape[axis]:
      x = jnp.repeat(x, 2, axis=axis, total_repeat_length=size)
    elif size != x.shape[axis]:
      places = np.arange(size) * x.shape[axis] // size
      x = jnp.take(x, places, axis=axis)
  return x


def sinusoid(t: Float[Array, "..."], width: int) -> Float[Array, "... {width}"]:
  """Cosines, then sines, of values times falling frequencies, in float32.

  Args:
    t: values from 0 on, float32 whatever the weights are: bfloat16 does not
      hold most timesteps.
    width: how many numbers stand for each of them, an even number.
  """
  half = width // 2
  frequencies = np.exp(-math.log(10_000) * np.arange(half) / half)
  angles = t.astype(jnp.float32)[..., None] * frequencies.astype(
    np.float32
  ).reshape((1,) * t.ndim + (half,))
  return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
