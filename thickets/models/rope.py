"""Rotary position embeddings, and the ways in which they are stretched.

References: Su et al. (2021), arXiv:2104.09864; Llama 3's scaling,
arXiv:2407.21783; YaRN, arXiv:2309.00071; three positions (M-RoPE), Wang et al.
(2024), arXiv:2409.12191.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@dataclasses.dataclass(frozen=True)
class Rope:
  """Rotations of the pairs (i, i + head_dim / 2) of a head.

  Attributes:
    frequencies: [head_dim / 2] radians per position.
    scale: multiplies sines and cosines; YaRN's attention factor.
    axes: [head_dim / 2] which of a token's three positions turns each
      frequency: 0 its time, 1 its row, 2 its column. None where a token has one
      position.
  """

  frequencies: tuple[float, ...]
  scale: float = 1.0
  axes: tuple[int, ...] | None = None

  def __post_init__(self):
    if self.axes is not None and (
      len(self.axes) != len(self.frequencies) or not set(self.axes) <= {0, 1, 2}
    ):
      raise ValueError(
        f"axes must be one of 0, 1 and 2 for each of {len(self.frequencies)}"
        f" frequencies, got {self.axes}."
      )

  def angles(
    self,
    positions: Int[Array, "B S"] | Int[Array, "3 B S"],
    num_positions: int,
  ) -> tuple[Float[Array, "B S half"], Float[Array, "B S half"]]:
    """Cosines and sines at positions, in float32.

    They are looked up: computed where they are used, a compiler may compute them
    anew for each head of each layer (on CPU a fifth of a prefill's time).

    Args:
      positions: [B, S] positions of tokens, or [3, B, S] those in time, of the
        row and of the column, which only a rope with `axes` takes. Given one
        position it turns as if all three were that. Negative ones, of padding,
        count as 0.
      num_positions: a static bound above all positions.
    """
    # As the published code does: a float32 product, whose rounding at large
    # positions is part of what models were trained with.
    angles = np.arange(num_positions, dtype=np.float32)[:, None] * np.array(
      self.frequencies, np.float32
    )
    scale = np.float32(self.scale)
    tables = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], 1) * scale)
    positions = jnp.maximum(positions, 0)
    if positions.ndim == 2:
      pairs = tables[positions]
      return pairs[:, :, 0], pairs[:, :, 1]
    if self.axes is None:
      raise ValueError("Only a rope with `axes` takes three positions a token.")
    # [B, S, half]: each frequency looks up its own position.
    chosen = jnp.moveaxis(positions[jnp.asarray(self.axes)], 0, -1)
    columns = jnp.arange(len(self.frequencies))
    return tables[chosen, 0, columns], tables[chosen, 1, columns]


def rotate(
  heads: Float[Array, "B S H d"],
  cosines: Float[Array, "B S half"],
  sines: Float[Array, "B S half"],
) -> Float[Array, "B S H d"]:
  """Turns queries or keys by their positions, in float32."""
  first, second = jnp.split(heads.astype(jnp.float32), 2, axis=-1)
  cosines, sines = cosines[:, :, None], sines[:, :, None]
  turned = jnp.concatenate(
    [first * cosines - second * sines, second * cosines + first * sines], -1
  )
  return turned.astype(heads.dtype)


def make_rope(parameters: Mapping[str, Any], head_dim: int) -> Rope:
  """Makes the rotary embedding of one type of layer.

  Args:
    parameters: what `rope_fields.read_rope` returns for the type: `rope_type`,
      `rope_theta`, and what this kind of scaling reads.
    head_dim: number of channels of a head.
  """
  theta = parameters["rope_theta"]
  plain = np.float32(1) / np.float32(theta) ** (
    np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
  )
  frequencies, scale = _SCALINGS[parameters["rope_type"]](plain, parameters)
  return Rope(tuple(float(f) for f in frequencies), float(scale))


def _keep(plain, parameters):
  del parameters
  return plain, 1.0


def _linear(plain, parameters):
  return plain / np.float32(parameters["factor"]), 1.0


def _llama3(plain, parameters):
  """Slows low frequencies by a factor and blends those between."""
  factor = np.float32(parameters["factor"])
  low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
  original = parameters["original_max_position_embeddings"]
  wavelengths = np.float32(2 * math.pi) / plain
  blend = (np.float32(original) / wavelengths - np.float32(low)) / np.float32(
    high - low
  )
  blended = (1 - blend) * plain / factor + blend * plain
  return np.where(
    wavelengths > original / low,
    plain / factor,
    np.where(wavelengths < original / high, plain, blended),
  ), 1.0


def _yarn(plain, parameters):
  """Slows the frequencies that turn rarely within the original context."""
  theta, factor = parameters["rope_theta"], parameters["factor"]
  original = parameters["original_max_position_embeddings"]
  half = len(plain)

  def dimension(turns):
    """The (fractional) frequency that makes so many turns."""
    return half * math.log(original / (turns * 2 * math.pi)) / math.log(theta)

  low = dimension(parameters["beta_fast"] or 32)
  high = dimension(parameters["beta_slow"] or 1)
  if parameters["truncate"]:
    low, high = math.floor(low), math.ceil(high)
  low, high = max(low, 0), min(high, 2 * half - 1)
  ramp = (np.arange(half, dtype=np.float32) - low) / (
    high - low if high != low else 0.001
  )
  slowed = np.clip(ramp, 0, 1).astype(np.float32)
  frequencies = plain / np.float32(factor) * slowed + plain * (1 - slowed)
  return frequencies, _yarn_scale(factor, parameters)


def _yarn_scale(factor, parameters):
  if parameters["attention_factor"] is not None:
    return parameters["attention_factor"]

  def scale(weight):
    return 0.1 * weight * math.log(factor) + 1 if factor > 1 else 1.0

  weight, weight_all = parameters["mscale"], parameters["mscale_all_dim"]
  if weight and weight_all:
    return scale(weight) / scale(weight_all)
  return scale(1.0)


_SCALINGS = {
  "default": _keep,
  "linear": _linear,
  "llama3": _llama3,
  "yarn": _yarn,
}
