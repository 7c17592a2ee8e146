"""The programs of a run on language models, compiled for machines elsewhere.

They are made by what a run makes them with, from shapes in place of arrays; see
`compiled.AbsentPrograms`. So what is compiled here is what runs there.
"""

import dataclasses
import enum
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from thickets.generation import batching as batching_lib
from thickets.generation import memory_plan
from thickets.generation import texts as texts_lib
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.member_weights import Rebuilder
from thickets.generation.memory_plan import Workload
from thickets.generation.programs import Weights
from thickets.generation.rows import Prompts, Reading, Rows
from thickets.generation.sampling import RowSampling
from thickets.members import MemberArrays
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.models.layout import Layout
from thickets.models.vision.config import VisionConfig
from thickets.models.vision.images import FeatureTable
from thickets.naming import Params
from thickets.perturbation import Gaussian, Kind
from thickets.search.compiled import AbsentPrograms, Compilation


class Segments(enum.Enum):
  """Which segments of decoding are compiled.

  Attributes:
    NONE: none, and no other program either.
    LAST: the last, which holds and moves most.
    ENDS: the first as well.
    EVERY: all.
  """

  NONE = "none"
  LAST = "last"
  ENDS = "ends"
  EVERY = "every"

  def includes(self, other: "Segments") -> bool:
    """Whether all is compiled that another one compiles."""
    order = [*Segments]
    return order.index(self) >= order.index(other)

  def has(self, number: int, count: int) -> bool:
    """Whether a segment is compiled, of so many."""
    if self is Segments.EVERY:
      return True
    is_first = number == 0 and self is Segments.ENDS
    return is_first or (number == count - 1 and self is not Segments.NONE)


@dataclasses.dataclass(frozen=True)
class Stage:
  """One program of a run, and how it is used.

  Attributes:
    name: what it does: `rebuild`, `prefix`, `prefill`, `segment` or `regroup`.
    compilations: the programs that do it, of which each waits for the one
      before; rebuilding layers apart takes two. None where nothing is compiled.
    calls: how often each of them is called for one batch of rows.
    num_slots: tokens that the KV cache of a row has room for; 0 without rows.
    num_steps: steps of decoding that it makes, 0 for none.
  """

  name: str
  compilations: tuple[Compilation, ...] = ()
  calls: tuple[int, ...] = ()
  num_slots: int = 0
  num_steps: int = 0


@dataclasses.dataclass(frozen=True)
class Rehearsal:
  """A run whose programs were compiled, and none was run.

  Attributes:
    generator: what would generate.
    plan: lanes and rows.
    num_members: members that answer at once, on all devices.
    devices_per_member: how many devices share one.
    base_bytes: bytes of the base on each device, which is there all the time.
    copies_bytes: bytes of the members' weights on each device.
    prefix_tokens: how many tokens all prompts begin with, read once a member.
    num_batches: how many batches of rows the prompts make, one after the other.
    segments: the slots of the KV cache and the steps of each segment, those too
      whose programs were left out.
    stages: the programs in the order of their first use.
  """

  generator: Generator
  plan: Batching
  num_members: int
  devices_per_member: int
  base_bytes: int
  copies_bytes: int
  prefix_tokens: int
  num_batches: int
  segments: tuple[tuple[int, int], ...]
  stages: tuple[Stage, ...]


class _Recorder:
  """Tells which programs were compiled since it was last asked."""

  def __init__(self, compiled: AbsentPrograms):
    self._compiled = compiled
    self._seen = len(compiled.compilations)

  def take(self) -> tuple[Compilation, ...]:
    found = self._compiled.compilations[self._seen :]
    self._seen += len(found)
    return found


def rehearse(
  config: TransformerConfig,
  dtype: DTypeLike,
  mesh: Mesh,
  workload: Workload,
  decoding: Decoding,
  *,
  asked: Batching,
  memory_bytes: int,
  prefix_tokens: int = 0,
  kind: Kind | None = None,
  layout: Layout | None = None,
  compiled_segments: Segments = Segments.ENDS,
  tower: VisionConfig | None = None,
  table: FeatureTable | None = None,
) -> Rehearsal:
  """Compiles what members need to be rebuilt and to answer.

  Args:
    config: the architecture of the members.
    dtype: the dtype of their weights.
    mesh: the devices, which need not be here.
    workload: the prompts and responses of each member.
    decoding: how tokens are chosen.
    asked: lanes and rows, None where memory decides.
    memory_bytes: what a device leaves to programs.
    prefix_tokens: how many tokens all prompts begin with.
    kind: how noise is drawn.
    layout: how layers lie, found by default.
    compiled_segments: which segments of decoding are compiled.
    tower: the tower of a vision-language model, among whose tensors are those that
      `kind` names; it runs once, and is not compiled.
    table: the features of the images that prompts show, of which only shapes and
      dtypes count; None where they show none. Each row reads its own images, as
      where no two prompts show the same.

  Raises:
    NoRoomError: if the base, a member and a row do not fit.
  """
  plan = memory_plan.plan_memory(
    config, dtype, mesh, workload, asked, memory_bytes, layout=layout
  )
  assert plan.lanes is not None  # A plan leaves nothing open.
  assert plan.rows is not None
  compiled = AbsentPrograms()
  generator = Generator(
    config,
    decoding,
    mesh=mesh,
    batching=plan,
    layout=layout,
    compiled=compiled,
  )
  base = make_base(generator, dtype)
  width, slots, steps = _plan_slots(generator, plan, workload, prefix_tokens)
  if compiled_segments is Segments.NONE:
    stages = _list_stages(slots or [texts_lib.round_width(width)], steps)
  else:
    members = _rebuild(generator, base, plan.lanes, kind or Gaussian(), tower)
    everywhere = NamedSharding(mesh, PartitionSpec())
    stages = [
      members.stage,
      *_answer(
        generator,
        dataclasses.replace(
          members.weights, table=compiled.put(table, everywhere)
        ),
        plan,
        workload,
        prefix_tokens,
        compiled_segments,
      ),
    ]
  base_bytes = _count_bytes(base)
  return Rehearsal(
    generator,
    plan,
    plan.lanes * generator.programs.num_slots,
    generator.mesh.size // generator.programs.num_slots,
    base_bytes,
    plan.lanes * base_bytes,
    prefix_tokens,
    -(-workload.num_prompts // plan.rows),
    tuple(zip(slots, steps, strict=True)),
    tuple(stages),
  )


def _list_stages(slots: list[int], steps: list[int]) -> list[Stage]:
  """The stages without their programs."""
  stages = [Stage("rebuild"), Stage("prefill", num_slots=slots[0])]
  if len(steps) > 1:
    stages.append(Stage("regroup", num_slots=slots[-1]))
  if steps:
    stages.append(Stage("segment", num_slots=slots[-1], num_steps=steps[-1]))
  return stages


class _Members(NamedTuple):
  """Members that were rebuilt, and the programs that did it."""

  weights: Weights
  stage: Stage


def _rebuild(
  generator: Generator,
  base: Params,
  lanes: int,
  kind: Kind,
  tower: VisionConfig | None,
) -> _Members:
  """Compiles what rebuilds as many members as run at once on all devices."""
  compiled = generator.programs.compiled
  assert isinstance(compiled, AbsentPrograms)
  rebuilder = Rebuilder(
    generator.config,
    kind,
    generator.mesh,
    compiled,
    generator.layout,
    tower,
  )
  recorder = _Recorder(compiled)
  num_members = lanes * generator.programs.num_slots
  members = MemberArrays(
    np.zeros((num_members, 1), np.uint32),
    np.zeros((num_members, 1), np.float32),
  )
  weights = Weights(rebuilder.rebuild_many(base, members), num_members)
  found = recorder.take()
  calls = (1,) if len(found) == 1 else (1, generator.config.num_layers)
  return _Members(weights, Stage("rebuild", found, calls))


def make_base(generator: Generator, dtype: DTypeLike) -> Params:
  """The shapes of a base's weights, as they lie on the mesh of a generator."""
  return jax.tree.map(
    lambda leaf, sharding: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=sharding
    ),
    transformer.abstract_params(generator.config, dtype),
    transformer.shardings(generator.config, generator.mesh),
  )


def _answer(
  generator: Generator,
  weights: Weights,
  plan: Batching,
  workload: Workload,
  prefix_tokens: int,
  compiled_segments: Segments,
) -> Iterator[Stage]:
  """The stages from the first token that is read to the last that is chosen."""
  compiled = generator.programs.compiled
  assert isinstance(compiled, AbsentPrograms)
  recorder = _Recorder(compiled)
  programs, num_members = generator.programs, weights.num_members
  assert num_members is not None and plan.rows is not None
  if prefix_tokens:
    prefix = programs.run_prefix(
      weights,
      Reading(np.zeros((1, prefix_tokens), np.int32), np.zeros(1, np.int32)),
    )
    weights = dataclasses.replace(weights, prefix=prefix)
    yield Stage("prefix", recorder.take(), (1,))
  shape = (num_members, plan.rows)
  width, slots, segments = _plan_slots(generator, plan, workload, prefix_tokens)
  reading = Reading(
    np.zeros((*shape, width), np.int32), np.zeros(shape, np.int32)
  )
  deltas = None
  if weights.table is not None:
    places = np.zeros((*shape, width), np.int32)
    positions = np.zeros((*shape, 3, width), np.int32)
    reading = dataclasses.replace(reading, places=places, positions=positions)
    deltas = np.zeros(shape, np.int32)
  prompts = Prompts(
    reading,
    RowSampling(np.zeros((*shape, 2), np.uint32), np.ones(shape, np.float32)),
    deltas,
  )
  first = slots[0] if slots else texts_lib.round_width(width)
  rows = programs.prefill(weights, prompts, num_slots=first, block=plan.block)
  yield Stage("prefill", recorder.take(), (1,), num_slots=first)
  for number, (room, num_steps) in enumerate(zip(slots, segments, strict=True)):
    if not compiled_segments.has(number, len(segments)):
      continue
    if number:
      kept = np.broadcast_to(np.arange(plan.rows), shape)
      rows = _resize(rows, slots[number - 1])
      rows = programs.regroup(rows, kept, num_slots=room)
      yield Stage("regroup", recorder.take(), (1,), num_slots=room)
    rows, _, _ = programs.run_segment(
      weights,
      rows,
      np.ones(shape, np.bool_),
      slot=width,
      index=1,
      num_steps=num_steps,
      most_steps=num_steps,
    )
    yield Stage(
      "segment",
      recorder.take(),
      (1,),
      num_slots=room,
      num_steps=num_steps,
    )


def _resize(rows: Rows, num_slots: int) -> Rows:
  """The shapes of rows with room for so many tokens in their KV cache."""

  def resize(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    shape = (*leaf.shape[:-2], num_slots, leaf.shape[-1])
    return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=leaf.sharding)

  return dataclasses.replace(rows, kv_cache=jax.tree.map(resize, rows.kv_cache))


def _plan_slots(
  generator: Generator, plan: Batching, workload: Workload, prefix_tokens: int
) -> tuple[int, list[int], list[int]]:
  """Width of the prompts, and the slots and the steps of each segment."""
  assert plan.rows is not None
  width = texts_lib.round_width(
    workload.prompt_tokens - prefix_tokens,
    generator.programs.most_padding(plan.rows),
  )
  room = texts_lib.round_width(width)
  segments = [
    *batching_lib.plan_segments(
      prefix_tokens + room, workload.new_tokens - 1, plan.segment
    )
  ]
  return width, [*np.cumsum([room, *segments])[1:].tolist()], segments


def _count_bytes(tree: Params) -> int:
  """Bytes of a tree on each device."""
  return sum(
    leaf.dtype.itemsize * math.prod(leaf.sharding.shard_shape(leaf.shape))
    for leaf in jax.tree.leaves(tree)
  )
