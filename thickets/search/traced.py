"""Evaluators that are pure functions, compiled whole: signals, losses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from thickets import placement
from thickets.members import MemberArrays, stack_members
from thickets.naming import Names, Params
from thickets.perturbation import Gaussian, Kind, perturb
from thickets.search import chunk_width, meshes, teams
from thickets.search.compiled import Programs, shapes
from thickets.search.evaluator import Batch
from thickets.search.teams import Team


def traced(
  score_fn: Callable[[Params, Batch], Any],
  *,
  kind: Kind | None = None,
  names: Names | None = None,
  mesh: Mesh | None = None,
  lanes: int | None = None,
  compiled: Programs | None = None,
) -> Traced:
  """Makes an evaluator from a pure function of one member's weights.

  Members are spread over the mesh's `population` axis. Where there are fewer
  members than devices (the base, a few voters) the prompts are spread instead.

  Args:
    score_fn: maps (params, batch) to scores [Q] or to a dict of channels
      [Q, ...]; an example's value must not depend on its neighbours. The batch
      may be the part of the prompts that one device has, so that no array of
      all prompts may be closed over.
    kind: how noise is drawn, `Gaussian()` by default.
    names: logical names of the tensors of the base.
    mesh: as from `meshes.make_mesh`, over all local devices by default.
    lanes: members that one device evaluates at the same time; found from memory
      by default (one, where a member fills a core's cache).
    compiled: keeps the programs; of its own by default.
  """
  return Traced(
    score_fn,
    Gaussian() if kind is None else kind,
    names,
    meshes.make_mesh() if mesh is None else mesh,
    lanes,
    Programs() if compiled is None else compiled,
  )


class Traced:
  """An `Evaluator` that is compiled whole, once for each shape."""

  def __init__(self, score_fn, kind, names, mesh, lanes, compiled):
    self._score_fn, self._kind, self._names = score_fn, kind, names
    self._mesh, self._lanes_asked = mesh, lanes
    self._slots = mesh.shape["population"]
    self._programs = compiled
    self._lanes: dict[Any, int] = {}

  @property
  def compile_s(self) -> float:
    """Seconds spent on compilation so far."""
    return self._programs.compile_s

  @property
  def team(self) -> Team:
    """The processes whose devices are on the mesh."""
    return teams.find_team(self._mesh)

  @property
  def num_compilations(self) -> int:
    """Programs compiled so far."""
    return self._programs.num_compilations

  def place(
    self, base: Params, batch: Batch, num_members: int
  ) -> tuple[Params, _PlacedBatch]:
    """Replicates the base, and the batch unless its prompts are spread."""
    base = jax.tree.map(self._place_weight, base)
    num_prompts = len(jax.tree.leaves(batch)[0])
    if num_members >= self._slots:
      placed = placement.put(batch, self._sharding())
    else:
      padded = jax.tree.map(self._pad_prompts, batch)
      placed = placement.put(padded, self._sharding("population"))
    return base, _PlacedBatch(placed, num_prompts)

  def __call__(self, base, members, batch):
    """Starts one compiled program over all the members."""
    stacked = stack_members(members)
    num_terms = stacked.seeds.shape[1]
    lanes = self._find_lanes(base, batch, len(members), num_terms)
    program, steps, width = self._program(
      base, batch, len(members), num_terms, lanes
    )
    fill = np.arange(steps * width) % len(members)
    arranged = jax.tree.map(
      lambda field: field[fill].reshape(steps, width, num_terms), stacked
    )
    arranged = placement.put(arranged, self._member_sharding(width))
    with jax.transfer_guard("disallow"):
      outputs = program(base, arranged, batch.prompts)
    return _DeviceHandle(outputs, len(members), batch.num_prompts)

  def find_width(self, base: Params, batch: Batch, num_members: int) -> int:
    """Finds a chunk width from memory, and the population's size.

    Wide enough to fill the devices and make the host's work per chunk small,
    narrow enough that a killed run loses little, and filling the last chunk.

    Args:
      base: the weights.
      batch: the prompts.
      num_members: size of the population.

    Returns:
      A width of at most `num_members`.
    """
    width = chunk_width.fit_width(num_members, chunk_width.LEAST, self._slots)
    placed = self.place(base, batch, width)
    lanes = self._find_lanes(
      *placed, width, 1, most=max(1, chunk_width.MOST // self._slots)
    )
    most = max(min(lanes * self._slots, chunk_width.MOST), chunk_width.LEAST)
    return chunk_width.fit_width(num_members, most, lanes * self._slots)

  def rehearse(self, base: Params, batch: Batch, num_members: int) -> None:
    """Compiles what evaluates members, for devices that need not be here.

    Args:
      base: shapes of the weights in place of arrays.
      batch: shapes of the prompts.
      num_members: members to a chunk, at least as many as devices; one after the
        other on each of them.
    """
    everywhere = self._sharding()
    base, prompts = (
      self._programs.put(tree, everywhere) for tree in (base, batch)
    )
    placed = _PlacedBatch(prompts, jax.tree.leaves(prompts)[0].shape[0])
    self._program(base, placed, num_members, 1, 1)

  def _find_lanes(self, base, batch, num_members, num_terms, most=None):
    """How many members one device evaluates at once, by its memory."""
    if num_members < self._slots:
      return 1
    most = math.ceil(num_members / self._slots) if most is None else most
    if self._lanes_asked is not None:
      return min(self._lanes_asked, most)
    key = (shapes(base), shapes(batch.prompts), num_terms)
    if key not in self._lanes:
      program, _, _ = self._program(base, batch, num_members, num_terms, 1)
      memory = program.memory_analysis()
      needed = max(1, memory.temp_size_in_bytes)
      device = self._mesh.local_devices[0]
      fitting = max(1, int(chunk_width.memory_budget_bytes(device) // needed))
      self._lanes[key] = 2 ** (fitting.bit_length() - 1)
    return min(self._lanes[key], most)

  def _program(self, base, batch, num_members, num_terms, lanes):
    """Returns the compiled program, its sequential steps, and their width."""
    width = 1 if num_members < self._slots else lanes * self._slots
    steps = math.ceil(num_members / width)
    members = jax.tree.map(
      lambda dtype: jax.ShapeDtypeStruct(
        (steps, width, num_terms), dtype, sharding=self._member_sharding(width)
      ),
      MemberArrays(np.dtype(np.uint32), np.dtype(np.float32)),
    )
    program = self._programs.get(
      "evaluate", self._evaluate, (base, members, batch.prompts)
    )
    return program, steps, width

  def _evaluate(self, base, members, batch):
    """Channels [steps, width, Q, ...] of members [steps, width, terms].

    Each device deals with its own members, or with its own prompts where members
    are few. Left to the compiler, a device's members get a batch axis even where
    it has one at a time, and convolutions then take more than twice as long.
    """
    alike, across = PartitionSpec(), PartitionSpec(None, "population")
    num_prompts = jax.tree.leaves(batch)[0].shape[0]
    if members.seeds.shape[1] > 1:
      specs = {"in_specs": (alike, across, alike), "out_specs": across}
    elif num_prompts % self._slots:  # Placed for more members than these.
      specs = {"in_specs": (alike, alike, alike), "out_specs": alike}
    else:
      specs = {
        "in_specs": (alike, alike, PartitionSpec("population")),
        "out_specs": PartitionSpec(None, None, "population"),
      }
    evaluate = jax.shard_map(
      self._evaluate_here,
      mesh=self._mesh,
      axis_names={"population"},
      check_vma=False,
      **specs,
    )
    return evaluate(base, members, batch)

  def _evaluate_here(self, base, members, batch):
    """The same on one device: a part of the members, or of the prompts."""

    def evaluate_member(member):
      params = perturb(
        base,
        member,
        kind=self._kind,
        names=self._names,
        together=self._mesh.size == self._slots,  # Weights are whole.
      )
      outputs = self._score_fn(params, batch)
      channels = outputs if isinstance(outputs, dict) else {"score": outputs}
      _check_channels(channels, len(jax.tree.leaves(batch)[0]))
      return channels

    def evaluate_step(step):
      if step.seeds.shape[0] > 1:
        return jax.vmap(evaluate_member)(step)
      # Without a batch axis of one the products are plain matrix products.
      outputs = evaluate_member(jax.tree.map(lambda field: field[0], step))
      return jax.tree.map(lambda output: output[None], outputs)

    return jax.lax.map(evaluate_step, members)

  def _place_weight(self, weight):
    sharding = getattr(weight, "sharding", None)
    if isinstance(sharding, NamedSharding) and sharding.mesh == self._mesh:
      return weight
    return placement.put(weight, self._sharding())

  def _pad_prompts(self, leaf):
    leaf = np.asarray(leaf)
    missing = -len(leaf) % self._slots
    return np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)])

  def _member_sharding(self, width):
    return self._sharding(None, "population" if width > 1 else None)

  def _sharding(self, *axes):
    return NamedSharding(self._mesh, PartitionSpec(*axes))


@dataclasses.dataclass(frozen=True)
class _PlacedBatch:
  """A batch on the devices, and how many of its prompts are not padding."""

  prompts: Batch
  num_prompts: int


@dataclasses.dataclass(frozen=True)
class _DeviceHandle:
  """Waits for channels [steps, width, Q, ...] of a device."""

  outputs: dict[str, jax.Array]
  num_members: int
  num_prompts: int

  def result(self):
    return {
      name: array.reshape(-1, *array.shape[2:])[
        : self.num_members, : self.num_prompts
      ]
      for name, array in placement.fetch(self.outputs).items()
    }


def _check_channels(channels: dict[str, Any], num_prompts: int) -> None:
  found = {name: jnp.shape(array) for name, array in channels.items()}
  if found.get("score") != (num_prompts,):
    raise ValueError(
      f"A score function must return one score per prompt, [Q] = ({num_prompts},),"
      f" got {found.get('score', f'channels {sorted(found)}')}. Reduce over all"
      " other axes."
    )
  for name, shape in found.items():
    if shape[:1] != (num_prompts,):
      raise ValueError(
        f"Channel {name!r} must have the prompts as its first axis,"
        f" ({num_prompts}, ...), got {shape}."
      )
