"""Evaluators of members that draw, and of ensembles of such members.

An ensemble is no member: at every step its members predict the noise in the same
latents, and one step is taken by the mean of their predictions. Weights are
rebuilt from the base for each prediction, or held if the device has room.

Reference: Gan and Isola (2026), arXiv:2603.12228, appendix J.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from thickets import placement
from thickets.generation.images import pipelines
from thickets.generation.images.pipelines import (
  PictureBatch,
  Pipeline,
  ScorePictures,
)
from thickets.members import Member, MemberArrays, stack_members
from thickets.models import memory
from thickets.models.diffusion import sampling
from thickets.naming import Names, Params
from thickets.perturbation import Kind, find_targets, perturb
from thickets.search import chunk_width, meshes, traced
from thickets.search.compiled import Programs
from thickets.search.evaluator import Batch
from thickets.search.teams import Team
from thickets.search.traced import Traced


def make_member_evaluator(
  pipeline: Pipeline,
  score: ScorePictures,
  *,
  kind: Kind,
  names: Names | None = None,
  mesh: Mesh | None = None,
  compiled: Programs | None = None,
) -> Traced:
  """Makes the evaluator of members: each draws alone, and is scored.

  One member is evaluated at a time: convolutions of several at once are grouped
  ones, which are slower than one after the other.

  Args:
    pipeline: how pictures are made.
    score: scores them.
    kind: how noise is drawn, and for which tensors.
    names: logical names of the tensors of the base.
    mesh: all local devices by default.
    compiled: keeps the programs; of its own by default.
  """

  def evaluate(params: Params, batch: PictureBatch) -> dict[str, Array]:
    latents = pipelines.draw_latents(pipeline, params, batch)
    return pipelines.score_latents(pipeline, score, params, latents, batch)

  return traced.traced(
    evaluate, kind=kind, names=names, mesh=mesh, lanes=1, compiled=compiled
  )


class EnsembleEvaluator:
  """An `Evaluator` of ensembles, which stand in the place of members.

  An ensemble of K members is written as a `Member` of K terms, that of rank one
  first; nothing adds these terms up. The ensembles of one call must be the first
  members of the largest, so that weights are rebuilt once for all of them.

  Args:
    pipeline: how pictures are made.
    score: scores them.
    kind: how noise is drawn, and for which tensors.
    names: logical names of the tensors of the base.
    holds_weights: whether the weights of all members are held at once, not
      rebuilt at every step; found from the memory of the device by default. The
      pictures are the same.
  """

  def __init__(
    self,
    pipeline: Pipeline,
    score: ScorePictures,
    *,
    kind: Kind,
    names: Names | None = None,
    holds_weights: bool | None = None,
  ):
    self._pipeline, self._score = pipeline, score
    self._kind, self._names = kind, names
    self._holds_weights = holds_weights
    self._programs = Programs()
    self._mesh = meshes.make_mesh()
    # Spreads prompts over devices, as for fewer members than devices; it
    # evaluates nothing.
    self._placing = traced.traced(lambda params, batch: batch, mesh=self._mesh)

  @property
  def compile_s(self) -> float:
    """Seconds spent on compilation so far."""
    return self._programs.compile_s

  @property
  def team(self) -> Team:
    """The processes whose devices are on the mesh."""
    return self._placing.team

  def place(self, base: Params, batch: Batch, num_members: int) -> Any:
    """Replicates the base, and spreads the prompts over the devices."""
    del num_members  # Ensembles share all devices.
    return self._placing.place(base, batch, 0)

  def find_width(self, base: Params, batch: Batch, num_members: int) -> int:
    """All ensembles are evaluated together."""
    del base, batch
    return num_members

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Any
  ) -> "_EnsembleHandle":
    """Starts one compiled program over all ensembles."""
    sizes, order = _order_prefixes(members)
    largest = max(members, key=lambda member: len(member.terms))
    each = [Member(seed, sigma) for seed, sigma in largest.terms]
    arrays = placement.put(
      stack_members(each), NamedSharding(self._mesh, PartitionSpec())
    )
    holds = self._holds_weights
    if holds is None:
      holds = _find_room(base, len(each))
    program = self._programs.get(
      ("ensembles", sizes, holds),
      lambda *arguments: self._evaluate(sizes, holds, *arguments),
      (base, arrays, batch.prompts),
    )
    outputs = program(base, arrays, batch.prompts)
    return _EnsembleHandle(outputs, tuple(order), batch.num_prompts)

  def _evaluate(self, sizes, holds, base, members, batch):
    # Each device deals with its own prompts. Left to the compiler, which divides
    # programs over devices by itself, ensembles came out wrong on several.
    alike, spread = PartitionSpec(), PartitionSpec("population")

    @functools.partial(
      jax.shard_map,
      mesh=self._mesh,
      in_specs=(alike, alike, spread),
      out_specs=PartitionSpec(None, "population"),
      check_vma=False,
    )
    def evaluate(base, members, batch):
      latents = draw_by_ensembles(
        self._pipeline,
        base,
        members,
        batch,
        sizes=sizes,
        kind=self._kind,
        names=self._names,
        holds_weights=holds,
      )
      return lax.map(
        lambda drawn: pipelines.score_latents(
          self._pipeline, self._score, base, drawn, batch
        ),
        latents,
      )

    return evaluate(base, members, batch)


def draw_by_ensembles(
  pipeline: Pipeline,
  base: Params,
  members: MemberArrays,
  batch: PictureBatch,
  *,
  sizes: tuple[int, ...],
  kind: Kind,
  names: Names | None = None,
  holds_weights: bool = False,
) -> Float[Array, "V Q ..."]:
  """Draws latents of ensembles, each by the mean prediction of first members.

  Args:
    pipeline: how pictures are made.
    base: the weights that members are rebuilt from.
    members: [K, R] their terms, the best first.
    batch: `noise` [Q, ...] and `conditioning` [Q, ...].
    sizes: how many of the first members each of V ensembles has, rising.
    kind: how noise is drawn, and for which tensors.
    names: logical names of the tensors of the base.
    holds_weights: whether the weights of all K members are held at once.

  Returns:
    [V, Q, ...] latents without noise, float32, in which predictions are added in
    the order of the members.
  """
  conditioning = dict(batch["conditioning"])
  rebuild = _make_rebuild(base, members, kind, names, holds_weights)
  counts = jnp.array(sizes)

  def denoise(x: Array, t: Array) -> Array:
    def add_member(totals: Array, rank: Array) -> tuple[Array, None]:
      params = rebuild(rank)

      def add(total: Array, x: Array) -> Array:
        return total + pipelines.predict_guided(
          pipeline, params, x, t, conditioning
        )

      # The ensembles take turns, so that the denoiser is compiled once, however
      # many there are.
      totals = lax.map(
        lambda each: lax.cond(
          rank < each[0], add, lambda total, x: total, *each[1:]
        ),
        (counts, totals, x),
      )
      return totals, None

    ranks = jnp.arange(sizes[-1])
    totals, _ = lax.scan(add_member, jnp.zeros(x.shape, jnp.float32), ranks)
    divisors = counts.astype(jnp.float32)
    return totals / divisors.reshape(-1, *(1,) * (x.ndim - 1))

  noise = jnp.stack([batch["noise"]] * len(sizes))
  return sampling.integrate(pipeline.schedule, denoise, noise)


def _make_rebuild(
  base: Params,
  members: MemberArrays,
  kind: Kind,
  names: Names | None,
  holds_weights: bool,
) -> Callable[[Array], Params]:
  """A function from a member's rank to its weights."""

  def rebuild(rank: Array) -> Params:
    member = jax.tree.map(lambda field: jnp.asarray(field)[rank], members)
    return perturb(base, member, kind=kind, names=names, together=True)

  if not holds_weights:
    return rebuild
  targets = find_targets(base, kind, names)
  is_moved = [
    target is not None
    for target in jax.tree.structure(base).flatten_up_to(targets)
  ]
  leaves, structure = jax.tree.flatten(base)

  def moved(rank: Array) -> list[Array]:
    weights = jax.tree.leaves(rebuild(rank))
    return list(itertools.compress(weights, is_moved))

  held = lax.map(moved, jnp.arange(members.seeds.shape[0]))

  def look_up(rank: Array) -> Params:
    of_member = iter(held)
    return jax.tree.unflatten(
      structure,
      [
        next(of_member)[rank] if takes_part else leaf
        for leaf, takes_part in zip(leaves, is_moved, strict=True)
      ],
    )

  return look_up


def _find_room(base: Params, num_members: int) -> bool:
  """Whether a device can hold the weights of so many members at once."""
  leaf = jax.tree.leaves(base)[0]
  devices = leaf.devices()
  device = next(iter(devices))
  needed = (num_members + 1) * sum(
    leaf.nbytes for leaf in jax.tree.leaves(base)
  )
  # Half of it stays for what is computed with them.
  if device.platform != "cpu":
    return needed <= 0.5 * chunk_width.memory_budget_bytes(device)
  # They are in the machine's memory, which its devices share, not in a cache.
  limit = memory.host_memory_bytes()
  return limit is None or len(devices) * needed <= 0.5 * limit


def _order_prefixes(
  members: Sequence[Member],
) -> tuple[tuple[int, ...], list[int]]:
  """Sizes of the distinct ensembles, rising, and for each place which it is."""
  by_size = {len(member.terms): member for member in members}
  sizes = tuple(sorted(by_size))
  largest = by_size[sizes[-1]]
  for member in members:
    size = len(member.terms)
    if not size or member.terms != largest.terms[:size]:
      raise ValueError(
        "Ensembles that are evaluated together must be the first members of the"
        f" largest, got {size} that are not. Evaluate them one by one."
      )
  return sizes, [sizes.index(len(member.terms)) for member in members]


@dataclasses.dataclass(frozen=True)
class _EnsembleHandle:
  """Waits for channels [V, Q, ...] of a device."""

  outputs: dict[str, jax.Array]
  order: tuple[int, ...]
  num_prompts: int

  def result(self) -> dict[str, np.ndarray]:
    return {
      name: array[list(self.order)][:, : self.num_prompts]
      for name, array in placement.fetch(self.outputs).items()
    }
