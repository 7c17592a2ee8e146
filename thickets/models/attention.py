"""Attention over pieces of memory, and the memory of a generating model.

A *memory* holds the keys and values of tokens that were seen: one pair of arrays
[L, B, h, T, d] (layers stacked, to be scanned over) or a pair of tuples of L
arrays [B, h, T, d] (layers apart). The latter is read without a copy; the former
compiles in a time that does not grow with depth. Heads stand before tokens, so
that a head's memory is one matrix.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

# A memory: (keys, values), each an array [L, B, h, T, d] or L arrays.
Memory = tuple[Any, Any]

_MASKED = -1e30  # Finite, so that a row that sees nothing makes no NaN.


def precision(dtype: Any) -> lax.Precision | None:
  """That of products: of float32 no less, which accelerators would round."""
  return lax.Precision.HIGHEST if dtype == jnp.float32 else None


def attend(
  query: Float[Array, "B S H d"],
  pieces: list[tuple[Array, Array, Bool[Array, "B S _"]]],
) -> Float[Array, "B S H d"]:
  """Softmax attention over the tokens of all pieces together.

  Args:
    query: rotated queries.
    pieces: (keys, values, visible) each; keys and values are [B, h, T, d], or
      [h, T, d] where all rows share them; visible [B, S, T] says which query
      sees which token.

  Returns:
    The mixed values; scores and their softmax are computed in float32.
  """
  rows, steps, num_heads, head_dim = query.shape
  num_kv_heads = pieces[0][0].shape[-3]
  group = num_heads // num_kv_heads
  # [B, h, G * S, d]: the queries that read the same head's memory.
  grouped = query.reshape(rows, steps, num_kv_heads, group, head_dim)
  grouped = grouped.transpose(0, 2, 3, 1, 4).reshape(
    rows, num_kv_heads, group * steps, head_dim
  )
  grouped = grouped * jnp.asarray(head_dim**-0.5, grouped.dtype)

  scores = []
  for keys, _, visible in pieces:
    axes = "bhqd,bhtd->bhqt" if keys.ndim == 4 else "bhqd,htd->bhqt"
    score = jnp.einsum(
      axes,
      grouped,
      keys,
      preferred_element_type=jnp.float32,
      precision=precision(keys.dtype),
    ).reshape(rows, num_kv_heads, group, steps, -1)
    scores.append(
      jnp.where(visible[:, None, None], score, jnp.float32(_MASKED))
    )
  shares = jax.nn.softmax(jnp.concatenate(scores, -1), axis=-1)
  shares = shares.astype(query.dtype).reshape(*grouped.shape[:3], -1)

  mixed, start = 0, 0
  for keys, values, _ in pieces:
    end = start + keys.shape[-2]
    axes = "bhqt,bhtd->bhqd" if values.ndim == 4 else "bhqt,htd->bhqd"
    mixed = mixed + jnp.einsum(
      axes,
      shares[..., start:end],
      values,
      precision=precision(values.dtype),
    )
    start = end
  mixed = mixed.reshape(rows, num_kv_heads, group, steps, head_dim)
  return mixed.transpose(0, 3, 1, 2, 4).reshape(query.shape)


def see(
  query_positions: Int[Array, "B S"],
  key_positions: Int[Array, "B T"],
  window: int | None,
) -> Bool[Array, "B S T"]:
  """Which tokens a query sees: none after it, none beyond its window.

  Args:
    query_positions: positions in the text.
    key_positions: likewise; a negative one is padding, and not seen.
    window: number of positions seen, None for all.
  """
  query, key = query_positions[:, :, None], key_positions[:, None, :]
  visible = (key <= query) & (key >= 0)
  if window is not None:
    visible &= key > query - window
  return visible


def make_memory(
  shape: tuple[int, int, int, int, int], dtype: Any, *, stacked: bool
) -> Memory:
  """An empty memory of (layers, rows, heads, tokens, head_dim)."""

  def make():
    if stacked:
      return jnp.zeros(shape, dtype)
    return tuple(jnp.zeros(shape[1:], dtype) for _ in range(shape[0]))

  return make(), make()


def write(
  memory: Memory,
  layer: int | Int[Array, ""],
  key: Float[Array, "B S h d"],
  value: Float[Array, "B S h d"],
  *,
  row: int | Int[Array, ""],
  slot: int | Int[Array, ""],
) -> Memory:
  """Returns the memory with the tokens at (rows from `row`, slots from `slot`)."""

  def update(whole, part):
    part = part.transpose(0, 2, 1, 3)
    if isinstance(whole, tuple):
      updated = lax.dynamic_update_slice(whole[layer], part, (row, 0, slot, 0))
      return (*whole[:layer], updated, *whole[layer + 1 :])
    return lax.dynamic_update_slice(whole, part[None], (layer, row, 0, slot, 0))

  return update(memory[0], key), update(memory[1], value)


def read(memory: Memory, layer: int | Int[Array, ""]) -> tuple[Array, Array]:
  """Keys and values [B, h, T, d] (or [h, T, d]) of one layer."""
  if isinstance(memory[0], tuple):
    return memory[0][layer], memory[1][layer]
  return tuple(
    lax.dynamic_index_in_dim(whole, layer, 0, keepdims=False)
    for whole in memory
  )
