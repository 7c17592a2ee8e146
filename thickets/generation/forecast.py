"""What a machine that is not here would do: memory, bytes, members per hour.

Programs are compiled (`rehearsal`), and what they move is counted in them. Times
are those of a machine that reaches its published peaks; what devices send each
other is listed, and takes no time here.
"""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.typing import DTypeLike

from thickets.generation import memory_plan
from thickets.generation.memory_plan import Workload
from thickets.generation.rehearsal import Rehearsal, Stage
from thickets.models import flops, transformer
from thickets.search import program_costs, program_text
from thickets.search.compiled import Compilation
from thickets.search.targets import Chip


@dataclasses.dataclass(frozen=True)
class Exchange:
  """What the devices of a member send each other.

  Attributes:
    opcode: the kind of exchange, such as `all-reduce`.
    axes: the axes of the mesh along which it goes.
    times: how often it runs; of decoding, in one step.
  """

  opcode: str
  axes: tuple[str, ...]
  times: int


@dataclasses.dataclass(frozen=True)
class Program:
  """What one program of a run takes on each device.

  Where it was not compiled, it is taken to hold what it was estimated to hold, and
  to move the least.

  Attributes:
    name: what it does; see `rehearsal.Stage`.
    num_slots: tokens that the KV cache of a row has room for, 0 without rows.
    compile_s: seconds that its compilation took.
    memory_bytes: what is held while it runs: the base, the members, their rows
      and the program's temporaries.
    planned_bytes: the same as `memory_plan` estimates it beforehand; None where
      it has no estimate.
    temporary_bytes: the program's temporaries.
    moved_bytes: what it reads and writes; of decoding, one step.
    least_bytes: what it could not do without.
    exchanges: what devices send each other.
    largest: its instructions that move most, with the bytes that each moves.
  """

  name: str
  num_slots: int
  compile_s: float
  memory_bytes: int
  planned_bytes: float | None
  temporary_bytes: int
  moved_bytes: float
  least_bytes: float
  exchanges: tuple[Exchange, ...]
  largest: tuple[tuple[str, float], ...]
  is_compiled: bool = True


@dataclasses.dataclass(frozen=True)
class Forecast:
  """What is known of a run before there is a machine.

  It is of the devices that share a member. Others of the same machine do the same
  with other members, and exchange nothing with them.

  Attributes:
    programs: each program, in the order of their first use.
    rebuild_s: least seconds to rebuild the members that run at once.
    prefill_s: least seconds in which they read their prompts.
    decode_s: least seconds in which they answer.
    devices_per_member: how many devices share a member.
    lanes: members that these devices run at once.
    rows: prompts that each of them continues at once.
    layout: how layers lie, one of `layout.LAYOUTS`.
  """

  programs: tuple[Program, ...]
  rebuild_s: float
  prefill_s: float
  decode_s: float
  devices_per_member: int
  lanes: int
  rows: int
  layout: str

  @property
  def memory_bytes(self) -> int:
    """The most that a device holds."""
    return max(program.memory_bytes for program in self.programs)

  @property
  def planned_bytes(self) -> float:
    """The most that a device was estimated to hold."""
    return max(program.planned_bytes or 0 for program in self.programs)

  @property
  def is_compiled(self) -> bool:
    """Whether its programs were compiled, or only estimated."""
    return all(program.is_compiled for program in self.programs)

  @property
  def steps(self) -> tuple[Program, ...]:
    """The programs of decoding; none where responses have one token."""
    return tuple(p for p in self.programs if p.name == "segment")

  @property
  def step_ratio(self) -> float | None:
    """Bytes of a step over the least, at its worst; None without steps."""
    return max(
      (p.moved_bytes / p.least_bytes for p in self.steps), default=None
    )

  def count_members(self, num_devices: int) -> int:
    """Members that run at once on so many devices."""
    return self.lanes * (num_devices // self.devices_per_member)

  def members_per_hour(self, num_devices: int) -> float:
    """At the roofline, of so many devices together."""
    seconds = self.rebuild_s + self.prefill_s + self.decode_s
    return 3600 * self.count_members(num_devices) / seconds

  def to_json(self) -> dict[str, Any]:
    """Its content, as `from_json` reads it."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, content: Mapping[str, Any]) -> "Forecast":
    """Reads what `to_json` returned."""

    def read(program: Mapping[str, Any]) -> Program:
      exchanges = (
        Exchange(**{**one, "axes": tuple(one["axes"])})
        for one in program["exchanges"]
      )
      largest = ((name, size) for name, size in program["largest"])
      lists = {"exchanges": tuple(exchanges), "largest": tuple(largest)}
      return Program(**{**program, **lists})

    return cls(**{**content, "programs": tuple(map(read, content["programs"]))})


def make_forecast(
  rehearsal: Rehearsal,
  workload: Workload,
  dtype: DTypeLike,
  chip: Chip,
  *,
  noise_operations: int,
) -> Forecast:
  """Reads the programs of a rehearsal.

  Args:
    rehearsal: the compiled programs.
    workload: the prompts and responses of each member.
    dtype: the dtype of the weights.
    chip: the kind of the devices.
    noise_operations: what the noise of one weight takes.
  """
  programs = tuple(
    _read_stage(rehearsal, stage, workload, dtype, chip)
    for stage in rehearsal.stages
  )
  config, rows = rehearsal.generator.config, rehearsal.plan.rows or 0
  share = (rehearsal.plan.lanes or 0) / rehearsal.devices_per_member
  num_batches = rehearsal.num_batches

  def least_s(work: float, rate: float | None, num_bytes: float) -> float:
    return max(work / rate if rate else 0, num_bytes / chip.bytes_per_s)

  def moved(*names: str) -> float:
    return sum(p.moved_bytes for p in programs if p.name in names)

  rebuilding = share * transformer.count_params(config) * noise_operations
  num_steps = workload.new_tokens - 1
  step_flops = flops.decode_flops(
    config, rows, workload.prompt_tokens, num_steps
  ) / max(1, num_steps)
  decode_s = 0.0
  for slots, count in rehearsal.segments:
    num_bytes = _moved_by_step(rehearsal, programs, slots, dtype)
    decode_s += count * least_s(share * step_flops, chip.flops_per_s, num_bytes)
  # A shared prefix is read once for all batches of a member.
  prefix_flops = flops.prefill_flops(config, 1, rehearsal.prefix_tokens)
  whole_flops = flops.prefill_flops(config, 1, workload.prompt_tokens)
  return Forecast(
    programs,
    rebuild_s=least_s(rebuilding, chip.operations_per_s, moved("rebuild")),
    prefill_s=least_s(share * prefix_flops, chip.flops_per_s, moved("prefix"))
    + num_batches
    * least_s(
      share * rows * (whole_flops - prefix_flops),
      chip.flops_per_s,
      moved("prefill"),
    ),
    decode_s=num_batches * decode_s,
    devices_per_member=rehearsal.devices_per_member,
    lanes=rehearsal.plan.lanes or 0,
    rows=rows,
    layout=rehearsal.generator.layout.value,
  )


def _moved_by_step(
  rehearsal: Rehearsal,
  programs: tuple[Program, ...],
  num_slots: int,
  dtype: DTypeLike,
) -> float:
  """Bytes that a step moves with so many slots.

  Segments that were not compiled move what lies between those that were, or
  where there is one, less than it by what the least is less.
  """
  steps = [p for p in programs if p.name == "segment"]
  if len(steps) == 1:
    less = steps[0].least_bytes - _least_step_bytes(rehearsal, num_slots, dtype)
    return steps[0].moved_bytes - less
  moved = [p.moved_bytes for p in steps]
  return float(np.interp(num_slots, [p.num_slots for p in steps], moved))


def _read_stage(
  rehearsal: Rehearsal,
  stage: Stage,
  workload: Workload,
  dtype: DTypeLike,
  chip: Chip,
) -> Program:
  """What the programs of a stage hold and move."""
  planned = _plan_memory(rehearsal, stage, workload, dtype)
  least = _least_bytes(rehearsal, stage, workload, dtype)
  if not stage.compilations:
    return Program(
      name=stage.name,
      num_slots=stage.num_slots,
      compile_s=0.0,
      memory_bytes=int(planned or 0),
      planned_bytes=planned,
      temporary_bytes=0,
      moved_bytes=least,
      least_bytes=least,
      exchanges=(),
      largest=(),
      is_compiled=False,
    )
  is_step = stage.name == "segment"
  mesh_shape = dict(rehearsal.generator.mesh.shape)
  moves, exchanged = [], collections.Counter[tuple[str, tuple[str, ...]]]()
  moved = 0.0
  for compilation, calls in zip(stage.compilations, stage.calls, strict=True):
    module = program_text.parse(compilation.program.as_text())
    body = program_costs.find_step(module) if is_step else None
    found = program_costs.find_moves(module, body, cache_bytes=chip.cache_bytes)
    moves += found
    moved += calls * sum(move.num_bytes for move in found)
    for one in program_costs.find_collectives(module, mesh_shape, body):
      exchanged[one.opcode, one.axes] += calls * one.times
  moves.sort(key=lambda move: -move.num_bytes)
  return Program(
    stage.name,
    stage.num_slots,
    sum(compilation.seconds for compilation in stage.compilations),
    _count_memory(rehearsal, stage),
    planned,
    max(_temporaries(compilation) for compilation in stage.compilations),
    moved,
    least,
    tuple(
      Exchange(opcode, axes, times)
      for (opcode, axes), times in sorted(exchanged.items())
    ),
    tuple((move.instruction.name, move.num_bytes) for move in moves[:4]),
  )


def _temporaries(compilation: Compilation) -> int:
  """Bytes that a program takes beside arguments and results."""
  return int(compilation.program.memory_analysis().temp_size_in_bytes)


def _count_memory(rehearsal: Rehearsal, stage: Stage) -> int:
  """Bytes that a device holds while a stage runs."""
  held = rehearsal.base_bytes
  if stage.name in ("rebuild", "regroup"):
    held += rehearsal.copies_bytes  # No arguments of some of its programs.
  most = 0
  for compilation in stage.compilations:
    found = compilation.program.memory_analysis()
    taken = found.temp_size_in_bytes
    if stage.name != "rebuild":  # Its results are the copies.
      taken += found.argument_size_in_bytes + found.output_size_in_bytes
      taken -= found.alias_size_in_bytes
    most = max(most, taken)
  return held + most


def _plan_memory(
  rehearsal: Rehearsal, stage: Stage, workload: Workload, dtype: DTypeLike
) -> float | None:
  """Bytes that a stage was estimated to hold, for the last segment if any."""
  generator, plan = rehearsal.generator, rehearsal.plan
  last = rehearsal.segments[-1][0] if rehearsal.segments else 0
  if stage.name in ("segment", "regroup") and stage.num_slots != last:
    return None
  return memory_plan.estimate_bytes(
    generator.config,
    dtype,
    generator.mesh,
    workload,
    plan,
    layout=generator.layout,
  ).get(stage.name)


def _least_bytes(
  rehearsal: Rehearsal, stage: Stage, workload: Workload, dtype: DTypeLike
) -> float:
  """Bytes that a stage has to move, divided evenly over a member's devices."""
  config, plan = rehearsal.generator.config, rehearsal.plan
  share = (plan.lanes or 0) / rehearsal.devices_per_member
  if stage.name == "rebuild":
    return rehearsal.base_bytes + rehearsal.copies_bytes
  rows = 1 if stage.name == "prefix" else plan.rows or 0
  token = flops.kv_cache_bytes(config, dtype, 1)
  weights = flops.weight_bytes(config, dtype, rows)
  if stage.name == "prefix":
    return share * (weights + token * rehearsal.prefix_tokens)
  if stage.name == "prefill":
    own = workload.prompt_tokens - rehearsal.prefix_tokens
    return share * (weights + token * (rehearsal.prefix_tokens + rows * own))
  if stage.name == "regroup":
    before = max(
      slots for slots, _ in rehearsal.segments if slots < stage.num_slots
    )
    return share * rows * token * (before + stage.num_slots)
  return _least_step_bytes(rehearsal, stage.num_slots, dtype)


def _least_step_bytes(
  rehearsal: Rehearsal, num_slots: int, dtype: DTypeLike
) -> float:
  """Bytes that a step has to move with so many slots."""
  config, rows = rehearsal.generator.config, rehearsal.plan.rows or 0
  share = (rehearsal.plan.lanes or 0) / rehearsal.devices_per_member
  token = flops.kv_cache_bytes(config, dtype, 1)
  # Logits are written and read once, in float32; one token is written.
  logits = 2 * 4 * rows * config.vocab_size
  seen = flops.step_bytes(config, dtype, rows, num_slots)
  shared = token * rehearsal.prefix_tokens
  return share * (seen + shared + rows * token + logits)
