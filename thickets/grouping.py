"""Small tensors that are dealt with in one loop, in place of a kernel for each.

A kernel takes a compiler a tenth of a second and more, and denoisers have hundreds of
small tensors of a few shapes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

# Tensors of fewer elements than these are grouped.
_MOST = 2**16


def map_alike(
  function: Callable[..., jax.Array],
  parts: Sequence[tuple[Any, ...]],
  *,
  is_elementwise: bool,
) -> list[jax.Array]:
  """Applies a function to tensors, and to those that are alike in one call.

  Args:
    function: maps a tensor [S ..., ...] and fields [S ...] to a tensor of the same
      shape, each place of the stacking axes S by itself.
    parts: a tuple for each tensor, which holds the tensor and then its fields.
    is_elementwise: whether an element of the result depends on its place in the
      flattened tensor alone. Tensors are then laid out as vectors, with room
      behind them, so that fewer lengths serve all of them.

  Returns:
    What the function makes of each tensor.
  """
  results = [leaf for leaf, *_ in parts]
  for group in _group(parts, is_elementwise):
    if len(group) == 1:
      results[group[0]] = function(*parts[group[0]])
      continue
    leaves, *fields = zip(*(parts[place] for place in group), strict=True)
    num_axes = fields[0][0].ndim
    laid_out = (
      [_lay_out(leaf, num_axes) for leaf in leaves]
      if is_elementwise
      else leaves
    )
    stacked = function(jnp.stack(laid_out), *map(jnp.stack, fields))
    for place, leaf, result in zip(group, leaves, stacked, strict=True):
      size = math.prod(leaf.shape[num_axes:])
      kept = result[..., :size] if is_elementwise else result
      results[place] = kept.reshape(leaf.shape)
  return results


def _group(
  parts: Sequence[tuple[Any, ...]], is_elementwise: bool
) -> list[list[int]]:
  """Places of the tensors that one call serves."""
  alike: dict[tuple, list[int]] = {}
  for place, (leaf, field, *_) in enumerate(parts):
    shape = leaf.shape[field.ndim :]
    if is_elementwise:
      shape = (_find_room(shape),)
    is_small = leaf.size < _MOST
    key = (field.shape, shape, leaf.dtype) if is_small else (place,)
    alike.setdefault(key, []).append(place)
  return list(alike.values())


def _lay_out(leaf: jax.Array, num_axes: int) -> jax.Array:
  """What is behind the stacking axes as a vector, filled up with zeros."""
  stack, shape = leaf.shape[:num_axes], leaf.shape[num_axes:]
  rows = leaf.reshape(*stack, math.prod(shape))
  missing = _find_room(shape) - rows.shape[-1]
  return jnp.pad(rows, [(0, 0)] * num_axes + [(0, missing)])


def _find_room(shape: tuple[int, ...]) -> int:
  """The next power of two: few lengths serve all, and none is more than doubled."""
  return 1 << max(math.prod(shape) - 1, 0).bit_length()
