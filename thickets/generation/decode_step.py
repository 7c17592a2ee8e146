"""The device half of decoding: pure functions for one group of rows.

A *row* is a prompt being continued. Prompts are padded on the left, so that all
rows write their next token to the same *slot* of memory. A *prefix* that all
prompts share has a memory of its own, without a row axis.

`decode` maps these functions over groups (members, or shares of the prompts) and
compiles them.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int

from thickets.generation import sampling
from thickets.generation.sampling import Sampling
from thickets.models import attention, layout, transformer
from thickets.models.attention import Memory
from thickets.models.config import TransformerConfig
from thickets.naming import Params

NO_TOKEN = -1


@flax.struct.dataclass
class Rows:
  """Rows that are being continued.

  Attributes:
    memory: their keys and values, [L, B, h, T, d] or [B, h, T, d] per layer.
    tokens: [B] the last token of each, which is not in memory yet.
    log_probs: [B] of that token.
    starts: [B] the first slot that is not padding.
    keys: [B, 2] data of its random key; without meaning when greedy.
    temperatures: [B] likewise.
  """

  memory: Any  # Not only arrays, while JAX transforms the tree.
  tokens: Any
  log_probs: Any
  starts: Any
  keys: Any
  temperatures: Any


def run_prefix(
  config: TransformerConfig,
  params: Params,
  tokens: Int[Array, " T"],
  *,
  is_stacked: bool,
) -> Memory:
  """The memory of a prefix: keys and values [L, h, T, d] of its tokens."""
  params = params if is_stacked else layout.take_apart(params)
  num_tokens = tokens.shape[0]
  shape = (config.num_layers, 1, config.num_kv_heads, num_tokens)
  dtype = params["embed_tokens"].dtype
  memory = attention.make_memory(
    (*shape, config.head_dim), dtype, stacked=is_stacked
  )
  starts = jnp.zeros((1,), jnp.int32)
  _, memory = _read(config, params, None, memory, tokens[None], starts, 0)
  # The axis of the single row goes.
  return jax.tree.map(lambda leaf: leaf.squeeze(-4), memory)


def prefill(
  config: TransformerConfig,
  how: Sampling,
  params: Params,
  prefix: Memory | None,
  prompts: Int[Array, "B T"],
  starts: Int[Array, " B"],
  keys: Array,
  temperatures: Array,
  *,
  num_slots: int,
  block: int,
  num_tokens: int,
  is_stacked: bool,
) -> Rows:
  """Reads the prompts and chooses each row's first token.

  Args:
    config: of the model.
    how: the tokens are chosen.
    params: of one member.
    prefix: as from `run_prefix`; the prompts follow it.
    prompts: padded on the left.
    starts: the first slot of each row that is not padding.
    keys: of the rows.
    temperatures: [B] of the rows; these, not that of `how`, count.
    num_slots: memory to make room for, at least T.
    block: rows that are read at once, so that activations stay small.
    num_tokens: tokens that exist.
    is_stacked: layout of the memory, and whether layers are scanned.

  Returns:
    The rows with their first token.
  """
  params = params if is_stacked else layout.take_apart(params)
  num_rows = prompts.shape[0]
  dtype = params["embed_tokens"].dtype
  shape = (config.num_layers, num_rows, config.num_kv_heads, num_slots)
  memory = attention.make_memory(
    (*shape, config.head_dim), dtype, stacked=is_stacked
  )

  def read_block(index, carry):
    memory, last = carry
    # The last block may overlap the one before; it writes the same values.
    row = jnp.minimum(index * block, num_rows - block)
    tokens = lax.dynamic_slice_in_dim(prompts, row, block)
    block_starts = lax.dynamic_slice_in_dim(starts, row, block)
    x, memory = _read(config, params, prefix, memory, tokens, block_starts, row)
    last = lax.dynamic_update_slice_in_dim(last, x[:, -1], row, 0)
    return memory, last

  num_blocks = -(-num_rows // block)
  last = jnp.zeros((num_rows, config.width), dtype)
  memory, last = lax.fori_loop(0, num_blocks, read_block, (memory, last))
  logits = transformer.unembed(config, params, last)
  tokens, log_probs = sampling.choose_tokens(
    logits,
    keys,
    jnp.int32(0),
    how,
    num_tokens=num_tokens,
    temperatures=temperatures,
  )
  return Rows(memory, tokens, log_probs, starts, keys, temperatures)


def step(
  config: TransformerConfig,
  how: Sampling,
  params: Params,
  prefix: Memory | None,
  rows: Rows,
  slot: Int[Array, ""],
  index: Int[Array, ""],
  *,
  num_tokens: int,
) -> Rows:
  """Feeds every row's last token and chooses the next.

  Args:
    config: of the model.
    how: the tokens are chosen.
    params: of one member, layers as the memory is: stacked or apart.
    prefix: as from `run_prefix`.
    rows: B of them.
    slot: where the last tokens go.
    index: position of the next token in the response.
    num_tokens: tokens that exist.
  """
  positions = _prefix_length(prefix) + slot - rows.starts[:, None]
  x = transformer.embed(config, params, rows.tokens[:, None], positions)
  slots = jax.tree.leaves(rows.memory)[0].shape[-2]
  contexts = transformer.make_contexts(
    config,
    positions,
    _key_positions(prefix, rows.starts, slots),
    num_positions=_prefix_length(prefix) + slots,
  )

  def attend(memory, layer, context, query, key, value):
    memory = attention.write(memory, layer, key, value, row=0, slot=slot)
    pieces = [(*attention.read(memory, layer), context.visible[-1])]
    if prefix is not None:
      pieces.insert(0, (*attention.read(prefix, layer), context.visible[0]))
    return attention.attend(query, pieces), memory

  x, memory = transformer.run_layers(
    config, params["layers"], x, contexts, attend, rows.memory
  )
  logits = transformer.unembed(config, params, x[:, 0])
  tokens, log_probs = sampling.choose_tokens(
    logits,
    rows.keys,
    index,
    how,
    num_tokens=num_tokens,
    temperatures=rows.temperatures,
  )
  return rows.replace(memory=memory, tokens=tokens, log_probs=log_probs)


def regroup(rows: Rows, kept: Int[Array, " C"], *, num_slots: int) -> Rows:
  """Keeps the rows at positions `kept`, with room for `num_slots` tokens."""

  def keep_memory(leaf):
    leaf = jnp.take(leaf, kept, axis=leaf.ndim - 4, mode="clip")
    missing = num_slots - leaf.shape[-2]
    return jnp.pad(leaf, [(0, 0)] * (leaf.ndim - 2) + [(0, missing), (0, 0)])

  memory = jax.tree.map(keep_memory, rows.memory)
  rest = jax.tree.map(
    lambda leaf: jnp.take(leaf, kept, axis=0, mode="clip"),
    rows.replace(memory=()),
  )
  return rest.replace(memory=memory)


def is_stopped(
  tokens: Int[Array, "..."], stop_tokens: tuple[int, ...]
) -> Bool[Array, "..."]:
  """Which tokens end a response."""
  stopped = jnp.zeros(tokens.shape, jnp.bool_)
  for stop in stop_tokens:
    stopped |= tokens == stop
  return stopped


def _read(config, params, prefix, memory, tokens, starts, row):
  """Reads tokens [b, T] of rows from `row` on into the memory's first slots."""
  num_slots = tokens.shape[1]
  positions = _prefix_length(prefix) + jnp.arange(num_slots)[None]
  positions = jnp.where(
    jnp.arange(num_slots)[None] >= starts[:, None],
    positions - starts[:, None],
    -1,
  )
  x = transformer.embed(config, params, tokens, jnp.maximum(positions, 0))
  contexts = transformer.make_contexts(
    config,
    positions,
    _key_positions(prefix, starts, num_slots),
    num_positions=_prefix_length(prefix) + num_slots,
  )

  def attend(memory, layer, context, query, key, value):
    memory = attention.write(memory, layer, key, value, row=row, slot=0)
    own = (key.transpose(0, 2, 1, 3), value.transpose(0, 2, 1, 3))
    pieces = [(*own, context.visible[-1])]
    if prefix is not None:
      pieces.insert(0, (*attention.read(prefix, layer), context.visible[0]))
    return attention.attend(query, pieces), memory

  return transformer.run_layers(
    config, params["layers"], x, contexts, attend, memory
  )


def _key_positions(prefix, starts, num_slots):
  """Positions of the tokens in each piece of memory; -1 for padding."""
  offset = _prefix_length(prefix)
  slots = jnp.arange(num_slots)[None]
  own = jnp.where(
    slots >= starts[:, None], offset + slots - starts[:, None], -1
  )
  if prefix is None:
    return (own,)
  shared = jnp.broadcast_to(jnp.arange(offset)[None], (starts.shape[0], offset))
  return shared, own


def _prefix_length(prefix):
  return 0 if prefix is None else jax.tree.leaves(prefix)[0].shape[-2]
