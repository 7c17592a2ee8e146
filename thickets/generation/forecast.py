"""What a machine that is not here would do: memory, bytes, members per hour.

Programs are compiled (`rehearsal`), and what they move is counted in them. Times
are those of a machine that reaches its published peaks; what devices send each
other is listed, and takes no time here.
"""

import collections
import dataclasses
from collections.abc import Mapping

import numpy as np
from jax.typing import DTypeLike

from thickets.generation.memory_plan import Workload
from thickets.generation.rehearsal import Rehearsal, Stage
from thickets.models import flops, transformer
from thickets.search import program_costs, program_text
from thickets.search.compiled import Compilation
from thickets.search.program_costs import Move
from thickets.search.targets import Chip


@dataclasses.dataclass(frozen=True)
class Program:
  """What one program of a run takes on each device.

  Attributes:
    name: what it does; see `rehearsal.Stage`.
    num_slots: tokens that the KV cache of a row has room for, 0 without rows.
    compile_s: seconds that its compilation took.
    memory_bytes: what is held while it runs: the base, the members, their rows
      and the program's temporaries.
    temporary_bytes: the last of these.
    moved_bytes: what it reads and writes; of decoding, one step.
    least_bytes: what it could not do without.
    collectives: how often each kind of exchange runs, by its name and the axes
      of the mesh; of decoding, in one step.
    largest: its instructions that move most.
  """

  name: str
  num_slots: int
  compile_s: float
  memory_bytes: int
  temporary_bytes: int
  moved_bytes: float
  least_bytes: float
  collectives: Mapping[tuple[str, tuple[str, ...]], int]
  largest: tuple[Move, ...]


@dataclasses.dataclass(frozen=True)
class Forecast:
  """What is known of a run before there is a machine.

  Attributes:
    programs: each program, in the order of their first use.
    rebuild_s: least seconds to rebuild the members that run at once.
    prefill_s: least seconds in which they read their prompts.
    decode_s: least seconds in which they answer.
    num_members: how many run at once, on all devices.
  """

  programs: tuple[Program, ...]
  rebuild_s: float
  prefill_s: float
  decode_s: float
  num_members: int

  @property
  def memory_bytes(self) -> int:
    """The most that a device holds."""
    return max(program.memory_bytes for program in self.programs)

  @property
  def members_per_hour(self) -> float:
    """At the roofline, of all devices together."""
    seconds = self.rebuild_s + self.prefill_s + self.decode_s
    return 3600 * self.num_members / seconds

  @property
  def step_ratio(self) -> float:
    """Bytes of a step of decoding over the least, at its worst."""
    return max(
      program.moved_bytes / program.least_bytes
      for program in self.programs
      if program.name == "segment"
    )


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
  steps = [p for p in programs if p.name == "segment"]
  num_steps = workload.new_tokens - 1
  step_flops = flops.decode_flops(
    config, rows, workload.prompt_tokens, num_steps
  ) / max(1, num_steps)
  decode_s = 0.0
  for slots, count in rehearsal.segments:
    # Segments between the first and the last move what lies between.
    num_bytes = np.interp(
      slots, [p.num_slots for p in steps], [p.moved_bytes for p in steps]
    )
    decode_s += count * least_s(
      share * step_flops, chip.flops_per_s, float(num_bytes)
    )
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
    num_members=rehearsal.num_members,
  )


def _read_stage(
  rehearsal: Rehearsal,
  stage: Stage,
  workload: Workload,
  dtype: DTypeLike,
  chip: Chip,
) -> Program:
  """What the programs of a stage hold and move."""
  is_step = stage.name == "segment"
  mesh_shape = dict(rehearsal.generator.mesh.shape)
  moves, exchanged = [], collections.Counter()
  moved = 0.0
  for compilation, calls in zip(stage.compilations, stage.calls, strict=True):
    module = program_text.parse(compilation.program.as_text())
    body = program_costs.find_step(module) if is_step else None
    found = program_costs.find_moves(module, body, cache_bytes=chip.cache_bytes)
    moves += found
    moved += calls * sum(move.num_bytes for move in found)
    for one in program_costs.find_collectives(module, mesh_shape, body):
      exchanged[one.opcode, one.axes] += calls * one.times
  return Program(
    stage.name,
    stage.num_slots,
    sum(compilation.seconds for compilation in stage.compilations),
    _count_memory(rehearsal, stage),
    max(_temporaries(compilation) for compilation in stage.compilations),
    moved,
    _least_bytes(rehearsal, stage, workload, dtype),
    dict(exchanged),
    tuple(sorted(moves, key=lambda move: -move.num_bytes)[:8]),
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
  # Logits are written and read once, in float32; one token is written.
  logits = 2 * 4 * rows * config.vocab_size
  seen = flops.step_bytes(config, dtype, rows, stage.num_slots) - weights
  shared = token * rehearsal.prefix_tokens
  return share * (weights + shared + seen + rows * token + logits)
