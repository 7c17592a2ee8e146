"""The device half of decoding: pure functions for one group of rows.

A *row* is a prompt that is being continued. Prompts are padded on the left, so
that all rows write their next token to the same *slot* of the KV cache. A
*prefix* that all prompts share has a KV cache of its own, without a row axis. A
*beginning* that some rows share, an image most of all, is read once and copied
into the KV cache of each.

`programs` maps these functions over groups (members, or shares of the prompts)
and compiles them.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from thickets.generation import sampling
from thickets.generation.rows import Prompts, Reading, Rows, find_starts
from thickets.generation.sampling import RowSampling, Sampling
from thickets.models import attention, transformer
from thickets.models.attention import Beginnings, KVCache
from thickets.models.config import TransformerConfig
from thickets.models.contexts import make_contexts
from thickets.models.layout import Layout
from thickets.models.vision.images import FeatureTable, Images
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


def run_prefix(
  spec: DecodeSpec,
  params: Params,
  table: FeatureTable | None,
  reading: Reading,
) -> KVCache:
  """The KV cache [L, h, T, d] of a prefix of T tokens.

  Args:
    spec: what the program is compiled for.
    params: the weights of one member.
    table: the features of images; None where there are none.
    reading: [1, T] its tokens, without padding.
  """
  params = spec.layout.arrange(params)
  num_slots = reading.tokens.shape[1]
  cache = _make_kv_cache(spec, params, num_rows=1, num_slots=num_slots)
  _, cache = _read(spec, params, table, None, cache, reading, 0)
  # The axis of the single row goes.
  return jax.tree.map(lambda leaf: leaf.squeeze(-4), cache)


def prefill(
  spec: DecodeSpec,
  params: Params,
  prefix: KVCache | None,
  table: FeatureTable | None,
  prompts: Prompts,
  *,
  num_slots: int,
  block_rows: int,
  block_beginnings: int = 1,
) -> Rows:
  """Reads the prompts and chooses each row's first token.

  Args:
    spec: what the program is compiled for.
    params: the weights of one member, layers stacked or laid out as in `spec`.
    prefix: the KV cache of the tokens that all prompts begin with, from
      `run_prefix`; None where there are none.
    table: the features of images; None where there are none.
    prompts: [B, T] the prompts behind the prefix.
    num_slots: tokens that the KV cache has room for, at least those of the prompts.
    block_rows: rows that are read at once, so that activations stay small.
    block_beginnings: beginnings that are read at once.

  Returns:
    The B rows with their first token.
  """
  params = spec.layout.arrange(params)
  read = functools.partial(_read_blocks, spec, params, table, prefix)
  beginnings = None
  if prompts.beginnings is not None:
    first = prompts.beginnings.reading
    _, cache = read(first, first.tokens.shape[1], block_beginnings)
    beginnings = Beginnings(
      cache, prompts.beginnings.of_rows, prompts.beginnings.sources
    )
  last, cache = read(prompts.reading, num_slots, block_rows, beginnings)
  tokens, log_probs = _choose_tokens(
    spec, params, last, prompts.sampling, jnp.int32(0)
  )
  return Rows(
    cache, tokens, log_probs, prompts.starts, prompts.sampling, prompts.deltas
  )


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
    rope_positions=(
      None if rows.deltas is None else positions + rows.deltas[:, None]
    ),
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


def _read_blocks(
  spec: DecodeSpec,
  params: Params,
  table: FeatureTable | None,
  prefix: KVCache | None,
  reading: Reading,
  num_slots: int,
  block_rows: int,
  beginnings: Beginnings | None = None,
) -> tuple[Float[Array, "B D"], KVCache]:
  """Reads some rows at a time; returns the outputs at their last tokens as well."""
  num_rows = reading.tokens.shape[0]
  cache = _make_kv_cache(spec, params, num_rows=num_rows, num_slots=num_slots)

  def read_block(index, carry):
    last, cache = carry
    # The last block may overlap the one before; it writes the same values.
    row = jnp.minimum(index * block_rows, num_rows - block_rows)

    def take(tree):
      return jax.tree.map(
        lambda leaf: lax.dynamic_slice_in_dim(leaf, row, block_rows), tree
      )

    begun = beginnings
    if begun is not None:
      begun = begun._replace(
        of_rows=take(begun.of_rows), sources=take(begun.sources)
      )
    x, cache = _read(
      spec, params, table, prefix, cache, take(reading), row, begun
    )
    last = lax.dynamic_update_slice_in_dim(last, x[:, -1], row, 0)
    return last, cache

  num_blocks = -(-num_rows // block_rows)
  last = jnp.zeros((num_rows, spec.config.width), params["embed_tokens"].dtype)
  return lax.fori_loop(0, num_blocks, read_block, (last, cache))


def _read(
  spec: DecodeSpec,
  params: Params,
  table: FeatureTable | None,
  prefix: KVCache | None,
  cache: KVCache,
  reading: Reading,
  row: int | Int[Array, ""],
  beginnings: Beginnings | None = None,
) -> tuple[Float[Array, "B T D"], KVCache]:
  """Reads tokens of the rows from `row` on into the cache's first slots."""
  offset, num_tokens = _prefix_length(prefix), reading.tokens.shape[1]
  num_slots, starts = num_tokens, reading.starts
  if beginnings is not None:
    num_slots = beginnings.sources.shape[1]
    starts = find_starts(reading, beginnings.sources)
  columns = jnp.arange(num_tokens)[None]
  positions = jnp.where(
    columns >= reading.starts[:, None],
    offset + num_slots - num_tokens + columns - starts[:, None],
    -1,
  )
  images = None
  if table is not None and reading.places is not None:
    turned_by = reading.positions.transpose(1, 0, 2)
    images = Images(reading.places, turned_by, *table)
  x = transformer.embed(
    spec.config, params, reading.tokens, jnp.maximum(positions, 0), images
  )
  contexts = make_contexts(
    spec.config,
    positions,
    _key_positions(prefix, starts, num_slots),
    num_positions=offset + num_slots,
    rope_positions=None if images is None else images.positions,
  )

  return transformer.run_layers(
    spec.config,
    params["layers"],
    x,
    contexts,
    attention.attend_while_reading(prefix, row, beginnings),
    cache,
    images,
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
