"""The device half of decoding: pure functions for one group of rows.

A *row* is a prompt that is being continued. Prompts are padded on the left, so
that all rows write their next token to the same *slot* of the KV cache. A
*prefix* that all prompts share has a KV cache of its own, without a row axis.

`programs` maps these functions over groups (members, or shares of the prompts)
and compiles them.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from thickets.generation import sampling
from thickets.generation.sampling import RowSampling, Sampling
from thickets.models import attention, transformer
from thickets.models.attention import KVCache
from thickets.models.config import TransformerConfig
from thickets.models.contexts import make_contexts
from thickets.models.layout import Layout
from thickets.naming import Params

NO_TOKEN = -1  # Stands behind the end of a response.


@dataclasses.dataclass(frozen=True)
class DecodeSpec:
  """What is compiled into the programs of a generator, and fixed for its life.

  Attributes:
    config: the architecture of its models.
    sampling: how tokens are chosen.
    stop_tokens: ids of the tokens that end a row.
    num_tokens: one more than the highest id that a token has; rows of the
      embedding beyond it are never chosen.
    layout: how layers lie in the weights and in the KV cache while decoding.
    missing_tokens: ids below the highest that no token has, never chosen
      either.
  """

  config: TransformerConfig
  sampling: Sampling
  stop_tokens: tuple[int, ...]
  num_tokens: int
  layout: Layout
  missing_tokens: tuple[int, ...] = ()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Prompts:
  """Prompts that become rows.

  Attributes:
    tokens: [B, T] token ids behind the shared prefix, padded on the left.
    starts: [B] the first column that is not padding.
    sampling: the key and the temperature of each row.
  """

  tokens: Any  # Not only arrays, while JAX transforms the tree.
  starts: Any
  sampling: RowSampling


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rows:
  """Rows that are being continued.

  Attributes:
    kv_cache: keys and values of each row behind the shared prefix.
    tokens: [B] the last token of each row, which the KV cache lacks so far.
    log_probs: [B] the log-probability of that token.
    starts: [B] the first slot of the KV cache that is not padding.
    sampling: the key and the temperature of each row.
  """

  kv_cache: Any  # Not only arrays, while JAX transforms the tree.
  tokens: Any
  log_probs: Any
  starts: Any
  sampling: RowSampling


def run_prefix(
  spec: DecodeSpec, params: Params, tokens: Int[Array, " T"]
) -> KVCache:
  """The KV cache [L, h, T, d] of a prefix of T tokens."""
  params = spec.layout.arrange(params)
  cache = _make_kv_cache(spec, params, num_rows=1, num_slots=tokens.shape[0])
  starts = jnp.zeros((1,), jnp.int32)
  _, cache = _read(spec, params, None, cache, tokens[None], starts, 0)
  # The axis of the single row goes.
  return jax.tree.map(lambda leaf: leaf.squeeze(-4), cache)


def prefill(
  spec: DecodeSpec,
  params: Params,
  prefix: KVCache | None,
  prompts: Prompts,
  *,
  num_slots: int,
  block_rows: int,
) -> Rows:
  """Reads the prompts and chooses each row's first token.

  Args:
    spec: what the program is compiled for.
    params: the weights of one member, layers stacked or laid out as in `spec`.
    prefix: the KV cache of the tokens that all prompts begin with, from
      `run_prefix`; None where there are none.
    prompts: [B, T] the prompts behind the prefix.
    num_slots: tokens that the KV cache has room for, at least T.
    block_rows: rows that are read at once, so that activations stay small.

  Returns:
    The B rows with their first token.
  """
  params = spec.layout.arrange(params)
  num_rows = prompts.tokens.shape[0]
  cache = _make_kv_cache(spec, params, num_rows=num_rows, num_slots=num_slots)

  def read_block(index, carry):
    cache, last = carry
    # The last block may overlap the one before; it writes the same values.
    row = jnp.minimum(index * block_rows, num_rows - block_rows)
    tokens, starts = (
      lax.dynamic_slice_in_dim(array, row, block_rows)
      for array in (prompts.tokens, prompts.starts)
    )
    x, cache = _read(spec, params, prefix, cache, tokens, starts, row)
    last = lax.dynamic_update_slice_in_dim(last, x[:, -1], row, 0)
    return cache, last

  num_blocks = -(-num_rows // block_rows)
  last = jnp.zeros((num_rows, spec.config.width), params["embed_tokens"].dtype)
  cache, last = lax.fori_loop(0, num_blocks, read_block, (cache, last))
  tokens, log_probs = _choose_tokens(
    spec, params, last, prompts.sampling, jnp.int32(0)
  )
  return Rows(cache, tokens, log_probs, prompts.starts, prompts.sampling)


def step(
  spec: DecodeSpec,
  params: Params,
  prefix: KVCache | None,
  rows: Rows,
  slot: Int[Array, ""],
  index: Int[Array, ""],
) -> Rows:
  """Feeds every row's last token and chooses the next.

  Args:
    spec: what the program is compiled for.
    params: the weights of one member, layers laid out as in the KV cache.
    prefix: the KV cache of the tokens that all prompts begin with, or None.
    rows: the B rows.
    slot: the slot of the KV cache that the last tokens are written to.
    index: position of the next token in the response.
  """
  offset = _prefix_length(prefix)
  positions = offset + slot - rows.starts[:, None]
  x = transformer.embed(spec.config, params, rows.tokens[:, None], positions)
  slots = jax.tree.leaves(rows.kv_cache)[0].shape[-2]
  contexts = make_contexts(
    spec.config,
    positions,
    _key_positions(prefix, rows.starts, slots),
    num_positions=offset + slots,
  )

  x, cache = transformer.run_layers(
    spec.config,
    params["layers"],
    x,
    contexts,
    attention.attend_to_cache(prefix, slot),
    rows.kv_cache,
  )
  tokens, log_probs = _choose_tokens(
    spec, params, x[:, 0], rows.sampling, index
  )
  return dataclasses.replace(
    rows, kv_cache=cache, tokens=tokens, log_probs=log_probs
  )


def regroup(rows: Rows, kept: Int[Array, " C"], *, num_slots: int) -> Rows:
  """Keeps some rows, and makes room in their KV cache.

  Args:
    rows: the B rows.
    kept: [C] positions of the rows to keep, each below B.
    num_slots: tokens that the KV cache has room for afterwards, no fewer than
      before.
  """

  def keep_slots(leaf):
    leaf = jnp.take(leaf, kept, axis=leaf.ndim - 4, mode="clip")
    missing = num_slots - leaf.shape[-2]
    return jnp.pad(leaf, [(0, 0)] * (leaf.ndim - 2) + [(0, missing), (0, 0)])

  cache = jax.tree.map(keep_slots, rows.kv_cache)
  rest = jax.tree.map(
    lambda leaf: jnp.take(leaf, kept, axis=0, mode="clip"),
    dataclasses.replace(rows, kv_cache=()),
  )
  return dataclasses.replace(rest, kv_cache=cache)


def is_stopped(
  tokens: Int[Array, "..."], stop_tokens: tuple[int, ...]
) -> Bool[Array, "..."]:
  """Which tokens end a response."""
  stopped = jnp.zeros(tokens.shape, jnp.bool_)
  for stop in stop_tokens:
    stopped |= tokens == stop
  return stopped


def _make_kv_cache(
  spec: DecodeSpec, params: Params, *, num_rows: int, num_slots: int
) -> KVCache:
  config = spec.config
  return attention.make_kv_cache(
    (
      config.num_layers,
      num_rows,
      config.num_kv_heads,
      num_slots,
      config.head_dim,
    ),
    params["embed_tokens"].dtype,
    spec.layout,
  )


def _choose_tokens(
  spec: DecodeSpec,
  params: Params,
  x: Float[Array, "B D"],
  rows: RowSampling,
  index: Int[Array, ""],
) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
  """Chooses the tokens behind the outputs of the last layer."""
  logits = transformer.unembed(spec.config, params, x)
  return sampling.choose_tokens(
    logits,
    rows,
    index,
    spec.sampling,
    num_tokens=spec.num_tokens,
    missing_tokens=spec.missing_tokens,
  )


def _read(
  spec: DecodeSpec,
  params: Params,
  prefix: KVCache | None,
  cache: KVCache,
  tokens: Int[Array, "B T"],
  starts: Int[Array, " B"],
  row: int | Int[Array, ""],
) -> tuple[Float[Array, "B T D"], KVCache]:
  """Reads tokens of the rows from `row` on into the cache's first T slots."""
  offset, num_slots = _prefix_length(prefix), tokens.shape[1]
  slots = jnp.arange(num_slots)[None]
  positions = jnp.where(
    slots >= starts[:, None], offset + slots - starts[:, None], -1
  )
  x = transformer.embed(spec.config, params, tokens, jnp.maximum(positions, 0))
  contexts = make_contexts(
    spec.config,
    positions,
    _key_positions(prefix, starts, num_slots),
    num_positions=offset + num_slots,
  )

  return transformer.run_layers(
    spec.config,
    params["layers"],
    x,
    contexts,
    attention.attend_while_reading(prefix, row),
    cache,
  )


def _key_positions(
  prefix: KVCache | None, starts: Int[Array, " B"], num_slots: int
) -> tuple[Int[Array, "B _"], ...]:
  """Positions of the tokens in the prefix and in the rows; -1 for padding."""
  offset = _prefix_length(prefix)
  slots = jnp.arange(num_slots)[None]
  own = jnp.where(
    slots >= starts[:, None], offset + slots - starts[:, None], -1
  )
  if prefix is None:
    return (own,)
  shared = jnp.broadcast_to(jnp.arange(offset)[None], (starts.shape[0], offset))
  return shared, own


def _prefix_length(prefix: KVCache | None) -> int:
  return 0 if prefix is None else jax.tree.leaves(prefix)[0].shape[-2]
