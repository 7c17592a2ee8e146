"""The compiled programs of decoding, over groups of rows on a mesh.

Arrays of rows are [G, B, ...]: G groups, spread over the mesh axis `population`.
A group has weights of its own (a member), or all share one model's.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Int

from thickets import stepping
from thickets.models.attention import Memory
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.programs import Programs
from thickets.sampling import Sampling
from thickets.stepping import NO_TOKEN, Rows

# Prompt tokens that a device reads at once: on CPU what a core's cache holds.
_CPU_BLOCK_TOKENS = 2048
ACCELERATOR_BLOCK_TOKENS = 16384


class DecodePrograms:
  """Prefix, prefill, segments and regrouping, each compiled once per shape.

  Args:
    config: of the model.
    sampling: how tokens are chosen.
    mesh: with axes `population` and `model`.
    stop_tokens: ids that end a row.
    num_tokens: tokens that exist, None for all rows of the embedding.
    is_stacked: whether layers are scanned.

  Attributes:
    num_slots: size of the mesh axis `population`.
    compiled: the programs, with their count and seconds.
  """

  def __init__(
    self,
    config: TransformerConfig,
    sampling: Sampling,
    mesh: Mesh,
    *,
    stop_tokens: Sequence[int],
    num_tokens: int | None,
    is_stacked: bool,
  ):
    self._config, self._sampling, self._mesh = config, sampling, mesh
    self._stop_tokens = tuple(stop_tokens)
    self._num_tokens = min(num_tokens or config.vocab_size, config.vocab_size)
    self._is_stacked = is_stacked
    self.num_slots = mesh.shape["population"]
    self.compiled = Programs()

  def run_prefix(
    self, params: Params, tokens: Sequence[int], *, is_shared: bool
  ) -> Memory:
    """Reads a prefix once per group, or once where the model is shared."""
    function = functools.partial(
      stepping.run_prefix, self._config, is_stacked=self._is_stacked
    )
    tokens = self._put(np.asarray(tokens, np.int32))
    return self._call(
      "prefix",
      _over_groups(function),
      (params, tokens),
      (not is_shared, False),
      is_result_mapped=not is_shared,
    )

  def prefill(
    self,
    params: Params,
    prefix: Memory | None,
    prompts: Int[np.ndarray, "G B T"],
    starts: Int[np.ndarray, "G B"],
    keys: np.ndarray,
    *,
    num_slots: int,
    is_shared: bool,
  ) -> Rows:
    """Reads the prompts and chooses first tokens; see `stepping.prefill`."""
    _, num_rows, width = prompts.shape
    function = functools.partial(
      stepping.prefill,
      self._config,
      self._sampling,
      num_slots=num_slots,
      block=self._find_block(num_rows, width),
      num_tokens=self._num_tokens,
      is_stacked=self._is_stacked,
    )
    arrays = [self._put(a, "population") for a in (prompts, starts, keys)]
    return self._call(
      ("prefill", num_slots),
      _over_groups(function),
      (params, prefix, *arrays),
      (not is_shared, not is_shared, True, True, True),
    )

  def run_segment(
    self,
    params: Params,
    prefix: Memory | None,
    rows: Rows,
    active: Bool[np.ndarray, "G B"],
    *,
    slot: int,
    index: int,
    num_steps: int,
    is_shared: bool,
  ) -> tuple[Rows, Int[Array, "G B S"], Array]:
    """Generates up to `num_steps` tokens, until no row is active.

    Args:
      params: weights.
      prefix: memory of the prefix.
      rows: taken over; do not use them again.
      active: which rows go on.
      slot: where the last tokens go in memory.
      index: position of the next token in the responses.
      num_steps: at most so many.
      is_shared: whether all groups have the same weights.

    Returns:
      The rows, the tokens (`NO_TOKEN` for rows that had ended) and their
      log-probabilities.
    """
    function = functools.partial(
      self._segment, num_steps=num_steps, is_shared=is_shared
    )
    return self._call(
      ("segment", num_steps),
      function,
      (
        params,
        prefix,
        rows,
        self._put(active, "population"),
        self._put(np.int32(slot)),
        self._put(np.int32(index)),
      ),
      (not is_shared, not is_shared, True, True, False, False),
      donate=(2,),
    )

  def regroup(
    self, rows: Rows, kept: Int[np.ndarray, "G C"], *, num_slots: int
  ) -> Rows:
    """Keeps the rows at `kept` of each group, with room for `num_slots`."""
    return self._call(
      ("regroup", num_slots),
      _over_groups(functools.partial(stepping.regroup, num_slots=num_slots)),
      (rows, self._put(kept.astype(np.int32), "population")),
      (True, True),
    )

  def _segment(
    self,
    num_groups,
    is_mapped,
    params,
    prefix,
    rows,
    active,
    slot,
    index,
    *,
    num_steps,
    is_shared,
  ):
    """A segment of the groups of one device; axis G is there if there are many."""
    step = functools.partial(
      stepping.step,
      self._config,
      self._sampling,
      num_tokens=self._num_tokens,
    )
    arrange = functools.partial(
      stepping.arrange, self._config, is_stacked=self._is_stacked
    )
    if num_groups > 1:
      own = None if is_shared else 0
      step = jax.vmap(step, in_axes=(own, own, 0, None, None))
      arrange = arrange if is_shared else jax.vmap(arrange)
    # Layers are taken apart once for all steps.
    params = arrange(params)

    def is_going(carry):
      count, _, active, _, _ = carry
      return (count < num_steps) & jnp.any(active)

    def advance(carry):
      count, rows, active, tokens, log_probs = carry
      rows = step(params, prefix, rows, slot + count, index + count)
      write = functools.partial(
        lax.dynamic_update_index_in_dim, index=count, axis=-1
      )
      tokens = write(tokens, jnp.where(active, rows.tokens, NO_TOKEN))
      log_probs = write(log_probs, jnp.where(active, rows.log_probs, 0.0))
      active &= ~stepping.is_stopped(rows.tokens, self._stop_tokens)
      return count + 1, rows, active, tokens, log_probs

    shape = (*active.shape, num_steps)
    carry = (
      jnp.int32(0),
      rows,
      active,
      jnp.full(shape, NO_TOKEN, jnp.int32),
      jnp.zeros(shape, jnp.float32),
    )
    _, rows, _, tokens, log_probs = lax.while_loop(is_going, advance, carry)
    return rows, tokens, log_probs

  def _find_block(self, num_rows: int, width: int) -> int:
    """Rows to read at once, in blocks of about equal size."""
    is_cpu = self._mesh.devices.flat[0].platform == "cpu"
    most = _CPU_BLOCK_TOKENS if is_cpu else ACCELERATOR_BLOCK_TOKENS
    num_blocks = max(1, -(-num_rows * width // most))
    return -(-num_rows // min(num_blocks, num_rows))

  def _put(self, array, *axes):
    return jax.device_put(
      array, NamedSharding(self._mesh, PartitionSpec(*axes))
    )

  def _call(
    self,
    name,
    function,
    arguments,
    is_mapped,
    *,
    is_result_mapped=True,
    donate=(),
  ):
    """Runs a function of one device's groups on all devices.

    Args:
      name: of the function, and of what it closes over.
      function: takes the number of groups, which arguments have groups, and the
        arguments; these come without an axis G where there is one group.
      arguments: arrays [G, ...], or without groups.
      is_mapped: which arguments have groups.
      is_result_mapped: whether the result has.
      donate: as for `jax.jit`.
    """
    spec = {True: PartitionSpec("population"), False: PartitionSpec()}

    def on_device(*arguments):
      mapped = [a for a, m in zip(arguments, is_mapped, strict=True) if m]
      num_groups = jax.tree.leaves(mapped)[0].shape[0] if mapped else 1
      if num_groups == 1:
        arguments = [
          jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[1:]), a) if m else a
          for a, m in zip(arguments, is_mapped, strict=True)
        ]
      result = function(num_groups, is_mapped, *arguments)
      if num_groups == 1 and is_result_mapped:
        result = jax.tree.map(lambda leaf: leaf[None], result)
      return result

    # Only `population` is divided by hand; GSPMD divides over `model`.
    mapped = jax.shard_map(
      on_device,
      mesh=self._mesh,
      in_specs=tuple(spec[m] for m in is_mapped),
      out_specs=spec[is_result_mapped],
      axis_names={"population"},
      check_vma=False,
    )
    program = self.compiled.get(
      (name, is_mapped), mapped, arguments, donate=donate
    )
    return program(*arguments)


def _over_groups(function: Callable[..., Any]) -> Callable[..., Any]:
  """Maps a function of one group over the groups of a device."""

  def mapped(num_groups, is_mapped, *arguments):
    if num_groups == 1:
      return function(*arguments)
    axes = tuple(0 if m else None for m in is_mapped)
    return jax.vmap(function, in_axes=axes)(*arguments)

  return mapped
