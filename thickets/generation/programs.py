"""The compiled programs of decoding, over groups of rows on a mesh.

Arrays of rows are [G, B, ...]: G groups, spread over the mesh axis `population`.
A group has weights of its own (a member), or all share one model's.
"""

import dataclasses
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
from thickets.generation.decode_step import NO_TOKEN, DecodeSpec
from thickets.generation.rows import Prompts, Reading, Rows
from thickets.models import flops, layout, transformer
from thickets.models.attention import KVCache
from thickets.models.layout import Layout
from thickets.models.vision.images import FeatureTable
from thickets.naming import Params
from thickets.search.compiled import Programs

# Prompt tokens that a device reads at once: on CPU what a core's cache holds.
CPU_BLOCK_TOKENS = 2048
ACCELERATOR_BLOCK_TOKENS = 16384

# FLOPs of a group of rows that may be spent on what is thrown away, finished
# rows or padding, to save a look at them or a program: about a fifth of a second.
_CPU_SPARE_FLOPS = 2e10
_ACCELERATOR_SPARE_FLOPS = 2e13

# Where the groups are in an argument: its axis, None where there is none, or one
# of the two for each part of a dict.
Axes = int | None | dict[str, int]


@dataclasses.dataclass(frozen=True)
class Weights:
  """What the groups of rows are computed with: one model, or a member each.

  Attributes:
    params: the weights of one model that all groups share, or those of P members
      as from `layout.stack_weights`, one member for each group.
    num_members: P, or None for one model.
    prefix: the KV cache of tokens that all prompts begin with, computed with
      these weights; None where there are none.
    table: the features of the prompts' images, [P, ...] where each member has its
      own; None where there are no images.
    has_own_tables: whether each member has its own.
  """

  params: Params
  num_members: int | None = None
  prefix: KVCache | None = None
  table: FeatureTable | None = None
  has_own_tables: bool = False

  @property
  def params_axes(self) -> Axes:
    """The axis of groups in each part of `params`."""
    return None if self.num_members is None else layout.member_axes(self.params)

  @property
  def table_axis(self) -> int | None:
    """The axis of groups in `table`."""
    return 0 if self.has_own_tables else None

  @property
  def prefix_axis(self) -> int | None:
    """The axis of groups in `prefix`."""
    return None if self.num_members is None else 0


class DecodePrograms:
  """Prefix, prefill, segments and regrouping, each compiled once per shape.

  Args:
    spec: what the programs are compiled for.
    mesh: the devices, with axes `population` and `model`.
    compiled: compiles the programs, a `Programs` of its own by default.

  Attributes:
    num_slots: size of the mesh axis `population`.
    compiled: the programs, with their count and the seconds they took.
  """

  def __init__(
    self, spec: DecodeSpec, mesh: Mesh, compiled: Programs | None = None
  ):
    self._spec, self._mesh = spec, mesh
    self.num_slots: int = mesh.shape["population"]
    self.compiled = Programs() if compiled is None else compiled
    self._is_cpu = mesh.devices.flat[0].platform == "cpu"
    self._token_flops = flops.token_flops(spec.config, 1)
    self._spare_flops = transformer.count_model_devices(mesh) * (
      _CPU_SPARE_FLOPS if self._is_cpu else _ACCELERATOR_SPARE_FLOPS
    )

  def run_prefix(self, weights: Weights, reading: Reading) -> KVCache:
    """Reads a prefix [1, T] with the weights of each member, or of the one model."""
    return self._call(
      "prefix",
      _over_groups(functools.partial(decode_step.run_prefix, self._spec)),
      (weights.params, weights.table, self._put(reading)),
      (weights.params_axes, weights.table_axis, None),
      result_axis=weights.prefix_axis,
    )

  def prefill(
    self,
    weights: Weights,
    prompts: Prompts,
    *,
    num_slots: int,
    block: int | None,
  ) -> Rows:
    """Reads the prompts and chooses first tokens; see `decode_step.prefill`.

    Args:
      weights: the weights of the groups, with the KV cache of their prefix.
      prompts: [G, B, T] NumPy arrays of the prompts behind the prefix.
      num_slots: tokens that the KV cache of a row has room for, at least those of
        the prompts.
      block: prompt tokens of a group that are read at once, None to find it.
    """
    function = functools.partial(
      decode_step.prefill,
      self._spec,
      num_slots=num_slots,
      block_rows=self._block_rows(prompts.reading, block),
      block_beginnings=(
        1
        if prompts.beginnings is None
        else self._block_rows(prompts.beginnings.reading, block)
      ),
    )
    return self._call(
      ("prefill", num_slots, block),
      _over_groups(function),
      (
        weights.params,
        weights.prefix,
        weights.table,
        self._put(prompts, "population"),
      ),
      (weights.params_axes, weights.prefix_axis, weights.table_axis, 0),
    )

  def run_segment(
    self,
    weights: Weights,
    rows: Rows,
    active: Bool[np.ndarray, "G B"],
    *,
    slot: int,
    index: int,
    num_steps: int,
    most_steps: int,
  ) -> tuple[Rows, Int[Any, "G B S"], Float[Any, "G B S"]]:
    """Generates up to `most_steps` tokens, until no row is active.

    Args:
      weights: the weights of the groups, with the KV cache of their prefix.
      rows: [G, B] the rows, whose buffers are taken over: do not use them again.
      active: [G, B] which rows go on.
      slot: the slot of the KV cache that the rows' last tokens are written to.
      index: position of the next token in the responses.
      num_steps: S, how many tokens the program has room for.
      most_steps: how many tokens are generated now, at most S.

    Returns:
      The rows, the tokens (`NO_TOKEN` for rows that had ended, and behind
      `most_steps`) and their log-probabilities.
    """
    return self._call(
      ("segment", num_steps),
      functools.partial(_run_segment, self._spec, num_steps),
      (
        weights.params,
        weights.prefix,
        rows,
        self._put(active, "population"),
        self._put(np.int32(slot)),
        self._put(np.int32(index)),
        self._put(np.int32(most_steps)),
      ),
      (weights.params_axes, weights.prefix_axis, 0, 0, None, None, None),
      donate=(2,),
    )

  def regroup(
    self, rows: Rows, kept: Int[np.ndarray, "G C"], *, num_slots: int
  ) -> Rows:
    """Keeps the rows at `kept` of each group; see `decode_step.regroup`."""
    return self._call(
      ("regroup", num_slots),
      _over_groups(functools.partial(decode_step.regroup, num_slots=num_slots)),
      (rows, self._put(kept.astype(np.int32), "population")),
      (0, 0),
    )

  def most_steps(self, num_rows: int) -> int:
    """Steps of a group of rows before it is worth a look which have ended."""
    flops_per_row = self._token_flops + flops.head_flops(self._spec.config)
    return max(1, int(self._spare_flops / (num_rows * flops_per_row)))

  def most_padding(self, num_rows: int) -> int:
    """Columns that a group of rows may be padded with to save a program."""
    return int(self._spare_flops / (num_rows * self._token_flops))

  def _block_rows(self, reading: Reading, block: int | None) -> int:
    """Rows to read at once, in blocks of about equal size."""
    _, num_rows, width = reading.tokens.shape
    if block is None:
      block = CPU_BLOCK_TOKENS if self._is_cpu else ACCELERATOR_BLOCK_TOKENS
    num_blocks = max(1, -(-num_rows * width // block))
    return -(-num_rows // min(num_blocks, num_rows))

  def _put(self, tree: Any, *axes: str) -> Any:
    sharding = NamedSharding(self._mesh, PartitionSpec(*axes))
    return self.compiled.put(tree, sharding)

  def _call(
    self,
    name: Any,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    axes: tuple[Axes, ...],
    *,
    result_axis: int | None = 0,
    donate: tuple[int, ...] = (),
  ) -> Any:
    """Runs a function of one device's groups on all devices.

    Args:
      name: names the function and everything static that it closes over.
      function: takes the number of groups, `axes`, and the arguments; these come
        without an axis of groups where there is one group.
      arguments: trees of arrays.
      axes: where the groups are in each argument, as for `jax.vmap`.
      result_axis: the axis of the groups in the result, None for none.
      donate: positions of the arguments whose buffers the result may take.
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
      in_specs=tuple(map(_partition, axes)),
      out_specs=_partition(result_axis),
      axis_names={"population"},
      check_vma=False,
    )
    program = self.compiled.get(
      (name, str(axes)), mapped, arguments, donate=donate
    )
    return program(*arguments)


def _run_segment(
  spec: DecodeSpec,
  num_steps: int,
  num_groups: int,
  axes: tuple[Axes, ...],
  params: Params,
  prefix: KVCache | None,
  rows: Rows,
  *state: Array,
) -> tuple[Rows, Array, Array]:
  """A segment of one device's groups; axis G is there if there are several.

  Args:
    spec: what the program is compiled for.
    num_steps: S, how many tokens there is room for.
    num_groups: G.
    axes: where the groups are in what follows.
    params: the weights of the groups.
    prefix: the KV cache of their prefix, or None.
    rows: [G, B] the rows.
    *state: [G, B] which rows are active, the slot of the KV cache to write to,
      the position of the next token in the responses, and how many tokens are
      generated at most.
  """
  active, slot, index, most_steps = state
  step = functools.partial(decode_step.step, spec)
  # Layers are taken apart once for all steps.
  arrange = spec.layout.arrange
  if num_groups > 1:
    to_axes = axes[0] if spec.layout is Layout.STACKED else 0
    params = jax.vmap(arrange, (axes[0],), to_axes)(params)
    params_axes = layout.member_axes(params)
    step = jax.vmap(step, in_axes=(params_axes, axes[1], 0, None, None))
  else:
    params = arrange(params)

  def is_going(carry):
    count, _, active, _, _ = carry
    return (count < most_steps) & jnp.any(active)

  def advance(carry):
    count, rows, active, tokens, log_probs = carry
    rows = step(params, prefix, rows, slot + count, index + count)
    write = functools.partial(
      lax.dynamic_update_index_in_dim, index=count, axis=-1
    )
    tokens = write(tokens, jnp.where(active, rows.tokens, NO_TOKEN))
    log_probs = write(log_probs, jnp.where(active, rows.log_probs, 0.0))
    active &= ~decode_step.is_stopped(rows.tokens, spec.stop_tokens)
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


def _over_groups(function: Callable[..., Any]) -> Callable[..., Any]:
  """Maps a function of one group over the groups of a device."""

  def mapped(num_groups, axes, *arguments):
    if num_groups == 1:
      return function(*arguments)
    return jax.vmap(function, in_axes=axes)(*arguments)

  return mapped


def _partition(axes: Axes) -> Any:
  """How an argument is divided: its axis of groups over `population`."""
  if isinstance(axes, dict):
    return {name: _partition(axis) for name, axis in axes.items()}
  if axes is None:
    return PartitionSpec()
  return PartitionSpec(*(None,) * axes, "population")


def _squeeze(tree: Any, axes: Axes) -> Any:
  """Takes away the axis of the only group."""
  if isinstance(axes, dict):
    return {name: _squeeze(tree[name], axis) for name, axis in axes.items()}
  if axes is None:
    return tree
  return jax.tree.map(lambda leaf: jnp.squeeze(leaf, axes), tree)


def _count_groups(arguments: Sequence[Any], axes: Sequence[Axes]) -> int:
  """Groups of this device, from the first argument that has them."""
  for argument, axis in zip(arguments, axes, strict=True):
    if axis is not None and jax.tree.leaves(argument):
      if isinstance(axis, dict):
        argument, axis = argument["norm"], axis["norm"]
      return jax.tree.leaves(argument)[0].shape[axis]
  return 1
