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
from jaxtyping import Array, Bool, Float, Int

from thickets.generation import decode_step
from thickets.generation.decode_step import NO_TOKEN, Rows
from thickets.generation.sampling import Sampling
from thickets.models import layout
from thickets.models.attention import Memory
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.search.compiled import Programs

# Prompt tokens that a device reads at once: on CPU what a core's cache holds.
CPU_BLOCK_TOKENS = 2048
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
    self._num_tokens = num_tokens or config.vocab_size
    self._is_stacked = is_stacked
    self.num_slots = mesh.shape["population"]
    self.compiled = Programs()

  def run_prefix(
    self, params: Params, tokens: Sequence[int], *, is_shared: bool
  ) -> Memory:
    """Reads a prefix once per group, or once where the model is shared."""
    function = functools.partial(
      decode_step.run_prefix, self._config, is_stacked=self._is_stacked
    )
    tokens = self._put(np.asarray(tokens, np.int32))
    return self._call(
      "prefix",
      _over_groups(function),
      (params, tokens),
      (self._axes(params, is_shared), None),
      result_axis=None if is_shared else 0,
    )

  def prefill(
    self,
    params: Params,
    prefix: Memory | None,
    prompts: Int[np.ndarray, "G B T"],
    starts: Int[np.ndarray, "G B"],
    keys: np.ndarray,
    temperatures: Float[np.ndarray, "G B"],
    *,
    num_slots: int,
    block: int | None,
    is_shared: bool,
  ) -> Rows:
    """Reads the prompts and chooses first tokens; see `decode_step.prefill`."""
    _, num_rows, width = prompts.shape
    function = functools.partial(
      decode_step.prefill,
      self._config,
      self._sampling,
      num_slots=num_slots,
      block=self._block_rows(num_rows, width, block),
      num_tokens=self._num_tokens,
      is_stacked=self._is_stacked,
    )
    arrays = [
      self._put(array, "population")
      for array in (prompts, starts, keys, temperatures)
    ]
    return self._call(
      ("prefill", num_slots, block),
      _over_groups(function),
      (params, prefix, *arrays),
      (self._axes(params, is_shared), None if is_shared else 0, 0, 0, 0, 0),
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
    return self._call(
      ("segment", num_steps),
      functools.partial(self._segment, num_steps=num_steps),
      (
        params,
        prefix,
        rows,
        self._put(active, "population"),
        self._put(np.int32(slot)),
        self._put(np.int32(index)),
      ),
      (
        self._axes(params, is_shared),
        None if is_shared else 0,
        0,
        0,
        None,
        None,
      ),
      donate=(2,),
    )

  def regroup(
    self, rows: Rows, kept: Int[np.ndarray, "G C"], *, num_slots: int
  ) -> Rows:
    """Keeps the rows at `kept` of each group, with room for `num_slots`."""
    return self._call(
      ("regroup", num_slots),
      _over_groups(functools.partial(decode_step.regroup, num_slots=num_slots)),
      (rows, self._put(kept.astype(np.int32), "population")),
      (0, 0),
    )

  def _segment(
    self,
    num_groups,
    axes,
    params,
    prefix,
    rows,
    active,
    slot,
    index,
    *,
    num_steps,
  ):
    """A segment of the groups of one device; axis G is there if there are many."""
    step = functools.partial(
      decode_step.step,
      self._config,
      self._sampling,
      num_tokens=self._num_tokens,
    )
    # Layers are taken apart once for all steps.
    arrange = (lambda tree: tree) if self._is_stacked else layout.take_apart
    if num_groups > 1:
      arrange = jax.vmap(
        arrange, (axes[0],), axes[0] if self._is_stacked else 0
      )
      params = arrange(params)
      params_axes = layout.member_axes(params)
      step = jax.vmap(step, in_axes=(params_axes, axes[1], 0, None, None))
    else:
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
      active &= ~decode_step.is_stopped(rows.tokens, self._stop_tokens)
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

  def _block_rows(self, num_rows: int, width: int, block: int | None) -> int:
    """Rows to read at once, in blocks of about equal size."""
    if block is None:
      is_cpu = self._mesh.devices.flat[0].platform == "cpu"
      block = CPU_BLOCK_TOKENS if is_cpu else ACCELERATOR_BLOCK_TOKENS
    num_blocks = max(1, -(-num_rows * width // block))
    return -(-num_rows // min(num_blocks, num_rows))

  def _put(self, array, *axes):
    return jax.device_put(
      array, NamedSharding(self._mesh, PartitionSpec(*axes))
    )

  def _axes(self, params, is_shared):
    """Where the axis of groups is in weights; None where there is none."""
    return None if is_shared else layout.member_axes(params)

  def _call(self, name, function, arguments, axes, *, result_axis=0, donate=()):
    """Runs a function of one device's groups on all devices.

    Args:
      name: of the function, and of what it closes over.
      function: takes the number of groups, `axes`, and the arguments; these come
        without an axis of groups where there is one group.
      arguments: trees of arrays.
      axes: of the groups in each argument, as for `jax.vmap`; None for none.
      result_axis: of the groups in the result.
      donate: as for `jax.jit`.
    """

    def on_device(*arguments):
      num_groups = _count_groups(arguments, axes)
      if num_groups == 1:
        arguments = map(_squeeze, arguments, axes)
      result = function(num_groups, axes, *arguments)
      if num_groups == 1 and result_axis is not None:
        result = jax.tree.map(lambda leaf: leaf[None], result)
      return result

    # Only `population` is divided by hand; GSPMD divides over `model`.
    mapped = jax.shard_map(
      on_device,
      mesh=self._mesh,
      in_specs=tuple(map(_spec, axes)),
      out_specs=_spec(result_axis),
      axis_names={"population"},
      check_vma=False,
    )
    program = self.compiled.get(
      (name, str(axes)), mapped, arguments, donate=donate
    )
    return program(*arguments)


def _over_groups(function: Callable[..., Any]) -> Callable[..., Any]:
  """Maps a function of one group over the groups of a device."""

  def mapped(num_groups, axes, *arguments):
    if num_groups == 1:
      return function(*arguments)
    return jax.vmap(function, in_axes=axes)(*arguments)

  return mapped


def _spec(axes):
  """How an argument is divided: its axis of groups over `population`."""
  if isinstance(axes, dict):
    return {name: _spec(axis) for name, axis in axes.items()}
  if axes is None:
    return PartitionSpec()
  return PartitionSpec(*(None,) * axes, "population")


def _squeeze(tree, axes):
  """Takes away the axis of the only group."""
  if isinstance(axes, dict):
    return {name: _squeeze(tree[name], axis) for name, axis in axes.items()}
  if axes is None:
    return tree
  return jax.tree.map(lambda leaf: jnp.squeeze(leaf, axes), tree)


def _count_groups(arguments, axes):
  """Groups of this device, from the first argument that has them."""
  for argument, axis in zip(arguments, axes, strict=True):
    if axis is not None and jax.tree.leaves(argument):
      if isinstance(axis, dict):
        argument, axis = argument["norm"], axis["norm"]
      return jax.tree.leaves(argument)[0].shape[axis]
  return 1
