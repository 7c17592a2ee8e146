"""Attention over pieces of a text, and the KV cache of a generating model.

A *KV cache* holds the keys and values of the tokens that were read. Heads stand
before tokens in it, so that the keys of one head are one matrix.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from thickets.models.layout import Layout

_MASKED = -1e30  # Finite, so that a row that sees nothing makes no NaN.


class KVCache(NamedTuple):
  """Keys and values of the tokens that were read, as a pytree.

  Each is an array [L, B, h, T, d] where layers are stacked, and a tuple of L
  arrays [B, h, T, d] where they are apart (see `layout.Layout`). The cache of a
  prefix that all rows share lacks the axis B.
  """

  keys: Array | tuple[Array, ...]
  values: Array | tuple[Array, ...]


def precision(dtype: DTypeLike) -> lax.Precision | None:
  """The precision of matrix products of this dtype.

  Products of float32 keep all their bits, which accelerators would round by
  default.
  """
  return lax.Precision.HIGHEST if dtype == jnp.float32 else None


def scale(x: Float[Array, "..."], factor: float) -> Float[Array, "..."]:
  """Multiplies by a constant, rounding once to the dtype of `x`."""
  if factor == 1:
    return x
  return (x.astype(jnp.float32) * jnp.float32(factor)).astype(x.dtype)


def attend(
  query: Float[Array, "B S H d"],
  pieces: list[tuple[Array, Array, Bool[Array, "B S _"]]],
) -> Float[Array, "B S H d"]:
  """Softmax attention over the tokens of all pieces together.

  Args:
    query: [B, S, H, d] queries, rotated by their positions and scaled.
    pieces: (keys, values, visible) of each piece; keys and values are
      [B, h, T, d], or [h, T, d] where all rows share them; visible [B, S, T]
      says which query sees which token.

  Returns:
    [B, S, H, d] the mixed values, in the dtype of `query`; attention scores and
    their softmax are computed in float32.
  """
  rows, steps, num_heads, head_dim = query.shape
  num_kv_heads = pieces[0][0].shape[-3]
  group = num_heads // num_kv_heads
  # [B, h, G * S, d]: the queries that read the same head's keys and values.
  grouped = query.reshape(rows, steps, num_kv_heads, group, head_dim)
  grouped = grouped.transpose(0, 2, 3, 1, 4).reshape(
    rows, num_kv_heads, group * steps, head_dim
  )

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

  mixed: Any = 0  # The first sum makes it an array.
  start = 0
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
    query_positions: [B, S] position of each query in its text.
    key_positions: [B, T] position of each key in its text; a negative one marks
      padding, which no query sees.
    window: how many positions a query sees, its own included; None for all.
  """
  query, key = query_positions[:, :, None], key_positions[:, None, :]
  visible = (key <= query) & (key >= 0)
  if window is not None:
    visible &= key > query - window
  return visible


def make_kv_cache(
  shape: tuple[int, int, int, int, int], dtype: DTypeLike, layout: Layout
) -> KVCache:
  """Makes an empty KV cache.

  Args:
    shape: (layers, rows, heads of keys and values, tokens, width of a head).
    dtype: the dtype of keys and values.
    layout: whether its layers are stacked or apart.
  """

  def make():
    if layout is Layout.STACKED:
      return jnp.zeros(shape, dtype)
    return tuple(jnp.zeros(shape[1:], dtype) for _ in range(shape[0]))

  return KVCache(make(), make())


def write(
  cache: KVCache,
  layer: int | Int[Array, ""],
  key: Float[Array, "B S h d"],
  value: Float[Array, "B S h d"],
  *,
  row: int | Int[Array, ""],
  slot: int | Int[Array, ""],
) -> KVCache:
  """Returns the cache with S more tokens of B rows in one of its layers.

  Args:
    cache: the KV cache before.
    layer: which layer computed the keys and values.
    key: [B, S, h, d] their keys.
    value: [B, S, h, d] their values.
    row: the first of the B rows of the cache to write to.
    slot: the first of the S token slots of the cache to write to.
  """

  def update(whole, part):
    part = part.transpose(0, 2, 1, 3)
    if isinstance(whole, tuple):
      updated = lax.dynamic_update_slice(whole[layer], part, (row, 0, slot, 0))
      return (*whole[:layer], updated, *whole[layer + 1 :])
    return lax.dynamic_update_slice(whole, part[None], (layer, row, 0, slot, 0))

  return KVCache(update(cache.keys, key), update(cache.values, value))


def read(
  cache: KVCache, layer: int | Int[Array, ""]
) -> tuple[Float[Array, "*B h T d"], Float[Array, "*B h T d"]]:
  """The keys and the values of one layer."""

  def take(whole):
    if isinstance(whole, tuple):
      return whole[layer]
    return lax.dynamic_index_in_dim(whole, layer, 0, keepdims=False)

  return take(cache.keys), take(cache.values)


class Beginnings(NamedTuple):
  """What rows begin with, which was read before them, as a pytree.

  Attributes:
    cache: the KV cache of U beginnings.
    of_rows: [B] the beginning of each row.
    sources: [B, W] which slot of its beginning belongs into each of a row's slots;
      -1 where it is the row's own.
  """

  cache: KVCache
  of_rows: Any  # Not only arrays, while JAX transforms the tree.
  sources: Any


def attend_while_reading(
  prefix: KVCache | None,
  row: int | Int[Array, ""],
  beginnings: Beginnings | None = None,
) -> Callable[..., tuple[Array, KVCache]]:
  """Makes what layers attend with while prompts are read; see `layers.Attend`.

  The tokens attend to each other, to what their row begins with and to the prefix,
  and are written to the first slots of the cache, behind what the row begins with.

  Args:
    prefix: the KV cache of the tokens that all prompts begin with, or None.
    row: the first of the rows of the cache that are read.
    beginnings: what these rows begin with; None where they read all of it
      themselves.
  """

  def attend_to_prompt(cache, layer, context, query, key, value):
    if beginnings is not None:
      key, value = (
        _join(before, beginnings, own)
        for before, own in zip(
          read(beginnings.cache, layer), (key, value), strict=True
        )
      )
    cache = write(cache, layer, key, value, row=row, slot=0)
    own = (key.transpose(0, 2, 1, 3), value.transpose(0, 2, 1, 3))
    pieces = [(*own, context.visible[-1])]
    if prefix is not None:
      pieces.insert(0, (*read(prefix, layer), context.visible[0]))
    return attend(query, pieces), cache

  return attend_to_prompt


def _join(
  before: Float[Array, "U h T d"],
  beginnings: Beginnings,
  own: Float[Array, "B S h d"],
) -> Float[Array, "B W h d"]:
  """Keys or values of rows, of what they begin with and of their own S tokens.

  The last slot is that of the last token; what lies before both is padding.
  """

  def take(of_row, sources):
    return before[of_row].transpose(1, 0, 2)[jnp.maximum(sources, 0)]

  taken = jax.vmap(take)(beginnings.of_rows, beginnings.sources)
  missing = taken.shape[1] - own.shape[1]
  own = jnp.pad(own, [(0, 0), (missing, 0), (0, 0), (0, 0)])
  return jnp.where(beginnings.sources[..., None, None] >= 0, taken, own)


def attend_to_cache(
  prefix: KVCache | None, slot: Int[Array, ""]
) -> Callable[..., tuple[Array, KVCache]]:
  """Makes what layers attend with at one step; see `layers.Attend`.

  The token of each row is written to a slot of the cache, and attends to all of
  the cache and to the prefix.

  Args:
    prefix: the KV cache of the tokens that all prompts begin with, or None.
    slot: the slot of the cache that the tokens are written to.
  """

  def attend_to_row(cache, layer, context, query, key, value):
    cache = write(cache, layer, key, value, row=0, slot=slot)
    pieces = [(*read(cache, layer), context.visible[-1])]
    if prefix is not None:
      pieces.insert(0, (*read(prefix, layer), context.visible[0]))
    return attend(query, pieces), cache

  return attend_to_row
