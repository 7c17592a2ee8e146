"""What a compiled program moves: bytes through memory, and between devices.

Every instruction reads its operands and writes its result, save those that only
rename, and what a fusion reads or writes in part. A loop counts as often as it
runs. Buffers that a TPU holds beside its cores are free, and so is what a GPU's
cache holds from one instruction to the next; weights and KV caches never are.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from thickets.search.program_text import (
  Array,
  Computation,
  Instruction,
  Module,
)

# What names, passes on or waits; so does whatever ends in `-done`.
_FREE = (
  "parameter",
  "constant",
  "tuple",
  "get-tuple-element",
  "bitcast",
  "after-all",
  "partition-id",
  "replica-id",
  "opt-barrier",
  "async-update",
  "add-dependency",
)
COLLECTIVES = (
  "all-reduce",
  "all-gather",
  "reduce-scatter",
  "all-to-all",
  "ragged-all-to-all",
  "collective-permute",
  "collective-broadcast",
)
# What reads as much of its first operand as it returns.
_SLICES = ("dynamic-slice", "slice", "gather")
_RENAMES = ("bitcast", "reshape")
# What a fusion computes of as many elements as are asked of its result.
_ELEMENTWISE = ("select", "convert", "add", "subtract", "multiply", "compare")
_CALLS = ("call", "async-start", "conditional")
# What was there before a computation ran, or is made by a loop within it.
_LASTING = ("parameter", "constant", "while", "call", "conditional")
# Products of a library return the memory that they worked in, too.
_LIBRARY = re.compile(r'custom_call_target="__cu')
_AXES = re.compile(r"mesh\[([^\]]*)\][^{]*\{([^}]*)\}")
_AXIS = re.compile(r"'(\w+)'=(\d+)")
_PART = re.compile(r"'(\w+)'(?::\((\d+)\)(\d+))?")
_ITERATION = re.compile(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")


@dataclasses.dataclass(frozen=True)
class Move:
  """What one instruction moves through the memory of a device.

  Attributes:
    instruction: which it is.
    read: bytes that it reads, each time it runs.
    written: bytes that it writes.
    times: how often it runs.
  """

  instruction: Instruction
  read: float
  written: float
  times: int

  @property
  def num_bytes(self) -> float:
    """Bytes of all its runs."""
    return (self.read + self.written) * self.times


@dataclasses.dataclass(frozen=True)
class Collective:
  """What devices exchange.

  Attributes:
    opcode: one of `COLLECTIVES`.
    axes: the axes of the mesh along which it goes.
    num_bytes: bytes of its result on each device, each time it runs.
    times: how often it runs.
  """

  opcode: str
  axes: tuple[str, ...]
  num_bytes: float
  times: int


def find_step(module: Module) -> str:
  """The name of the loop body that is one step of decoding.

  It is that of the loop whose end the program decides itself: after so many
  tokens, or when no row is active.

  Raises:
    ValueError: if there is no such loop, or several.
  """
  found = [
    run.instruction.called["body"][0]
    for run in _walk(module, module.entry)
    if run.instruction.opcode == "while"
    and module.trip_count(run.instruction) is None
  ]
  if len(found) != 1:
    raise ValueError(
      f"A program must have one loop that ends by itself, got {len(found)}."
    )
  return found[0]


def find_moves(
  module: Module, name: str | None = None, *, cache_bytes: int = 0
) -> list[Move]:
  """What the instructions of a computation move, the largest first.

  Args:
    module: the program.
    name: the computation, the whole program by default. Of loops whose end is
      not known, one turn is counted.
    cache_bytes: results of at most so many bytes are taken to wait in a cache
      for those that read them.
  """
  moves = []
  for run in _walk(module, name or module.entry):
    counter = _Counter(module, run.computation, cache_bytes)
    read, written = counter.count(run.instruction)
    if read + written:
      moves.append(Move(run.instruction, read, written, run.times))
  return sorted(moves, key=lambda move: -move.num_bytes)


def find_collectives(
  module: Module, mesh_shape: Mapping[str, int], name: str | None = None
) -> list[Collective]:
  """What devices exchange while a computation runs.

  Args:
    module: the program.
    mesh_shape: the size of each axis of the mesh, in their order.
    name: the computation, the whole program by default.
  """
  found = []
  for run in _walk(module, name or module.entry):
    opcode = run.instruction.opcode.removesuffix("-start")
    if opcode in COLLECTIVES:
      axes = find_axes(run.instruction.attributes, mesh_shape)
      num_bytes = max(a.num_bytes for a in run.instruction.arrays)
      found.append(Collective(opcode, axes, num_bytes, run.times))
  return found


def find_axes(
  attributes: str, mesh_shape: Mapping[str, int]
) -> tuple[str, ...]:
  """The axes of a mesh along which a collective goes, from its attributes."""
  sizes = tuple(mesh_shape.values())
  varying = set()
  for group in _read_groups(attributes, math.prod(sizes)):
    places = np.array(np.unravel_index(group, sizes))
    varying |= set(np.flatnonzero((places != places[:, :1]).any(axis=1)))
  return tuple(name for axis, name in enumerate(mesh_shape) if axis in varying)


def _read_groups(attributes: str, num_devices: int) -> list[list[int]]:
  """The devices that exchange something with each other."""
  _, is_permuted, pairs = attributes.partition("source_target_pairs={")
  if is_permuted:
    return _read_lists(pairs)
  _, _, groups = attributes.partition("replica_groups=")
  if found := _AXES.match(groups):
    return _group_by_axes(found[1], found[2])
  if found := _ITERATION.match(groups):
    shape, counted, order = (
      [int(size) for size in (sizes or "").split(",") if size]
      for sizes in found.groups()
    )
    devices = np.arange(math.prod(counted)).reshape(counted)
    devices = devices.transpose(order or None)
    return devices.reshape(shape).tolist()
  # Without groups, all exchange with all.
  return _read_lists(groups.removeprefix("{")) or [[*range(num_devices)]]


def _group_by_axes(mesh: str, along: str) -> list[list[int]]:
  """The groups of a mesh of the compiler's own, whose axes may be divided.

  Args:
    mesh: its axes, as in `'axis_0'=4,'axis_1'=2`.
    along: those along which groups go, as in `'axis_1'`, or `'axis_0':(2)2` for
      the second half of an axis of 4 that is taken apart into 2 by 2.
  """
  sizes = {name: int(size) for name, size in _AXIS.findall(mesh)}
  parts: dict[str, list[tuple[int, int]]] = {name: [] for name in sizes}
  for name, before, size in _PART.findall(along):
    parts[name].append((int(before or 1), int(size or sizes[name])))
  shape, varying = [], []
  for name, size in sizes.items():
    covered = 1
    for before, part in sorted(parts[name]):
      shape.append(before // covered)
      varying.append(len(shape))
      shape.append(part)
      covered = before * part
    shape.append(size // covered)
  devices = np.arange(math.prod(shape)).reshape(shape)
  fixed = [axis for axis in range(len(shape)) if axis not in varying]
  count = math.prod(shape[axis] for axis in varying)
  return devices.transpose(*fixed, *varying).reshape(-1, count).tolist()


def _read_lists(text: str) -> list[list[int]]:
  """Lists of numbers as in `{0,1},{2,3}}`."""
  end = text.find("}}")
  found = re.findall(r"\{([\d,]+)\}", text[: end + 1] if end >= 0 else "")
  return [[int(number) for number in numbers.split(",")] for numbers in found]


class _Run(NamedTuple):
  """An instruction that runs, where it stands, and how often it does."""

  instruction: Instruction
  computation: Computation
  times: int


def _walk(module: Module, name: str, times: int = 1) -> Iterator[_Run]:
  """What runs within a computation, save what is within fusions."""
  computation = module.computations[name]
  for instruction in computation:
    yield _Run(instruction, computation, times)
    called = instruction.called
    if instruction.opcode == "while":
      turns = module.trip_count(instruction)
      body = called["body"][0]
      yield from _walk(module, body, times * (1 if turns is None else turns))
    elif instruction.opcode in _CALLS:
      for inner in (inner for names in called.values() for inner in names):
        yield from _walk(module, inner, times)


@dataclasses.dataclass(frozen=True)
class _Counter:
  """Counts what instructions of one computation read and write."""

  module: Module
  computation: Computation
  cache_bytes: int

  def count(self, instruction: Instruction) -> tuple[float, float]:
    """Bytes that an instruction reads and writes."""
    opcode, written = instruction.opcode, instruction.result_bytes
    is_free = opcode in _FREE or opcode.endswith("-done")
    if is_free or opcode in _CALLS or opcode == "while":
      return 0, 0
    operands = [
      self.computation.instructions[name] for name in instruction.operands
    ]
    sizes = [0 if self._is_cached(o) else o.result_bytes for o in operands]
    if opcode == "fusion":
      read, written = self._count_fusion(instruction, sizes)
    elif opcode in _SLICES:
      read = sum(array.num_bytes for array in instruction.arrays)
      read = read if sizes[0] else 0
    elif opcode.removesuffix("-start") in _SLICES:
      # Behind what is sliced stands the slice.
      read = instruction.arrays[1].num_bytes
      written = _held_bytes(instruction.arrays[1:2])
    elif opcode == "dynamic-update-slice":
      read = sizes[1]
      written = operands[1].result_bytes if written else 0
    else:
      read = sum(sizes)
      if opcode.endswith("-start"):  # It returns what it takes, too.
        written = _held_bytes(instruction.arrays[:1])
      if opcode == "custom-call" and _LIBRARY.search(instruction.attributes):
        written = _held_bytes(instruction.arrays[:1])  # The rest is scratch.
    return read, 0 if self._is_cached(instruction) else written

  def _count_fusion(
    self, fusion: Instruction, sizes: Sequence[float]
  ) -> tuple[float, float]:
    fused = self.module.computations[fusion.called["calls"][0]]
    read = sum(
      _count_read(self.module, fused, parameter.name)
      for parameter, size in zip(fused.parameters, sizes, strict=True)
      if size
    )
    return read, _count_written(self.module, fused, fused.root, fusion.arrays)

  def _is_cached(self, instruction: Instruction) -> bool:
    """Whether a result was made here, and a cache holds it."""
    while instruction.opcode in (*_RENAMES, "get-tuple-element"):
      instruction = self.computation.instructions[instruction.operands[0]]
    if instruction.result_bytes > self.cache_bytes:
      return False
    return instruction.opcode not in _LASTING and not _is_update(
      self.module, instruction
    )


def _is_update(module: Module, instruction: Instruction) -> bool:
  """Whether an instruction writes into an array that was there before."""
  while instruction.opcode == "fusion":
    fused = module.computations[instruction.called["calls"][0]]
    instruction = fused.root
    while instruction.opcode in _RENAMES:
      instruction = fused.instructions[instruction.operands[0]]
  return instruction.opcode == "dynamic-update-slice"


def _held_bytes(arrays: Sequence[Array]) -> float:
  return sum(array.num_bytes for array in arrays if not array.is_on_chip)


def _count_read(module: Module, computation: Computation, name: str) -> float:
  """Bytes that a fusion reads of one array, of which it may take slices."""
  whole = sum(
    array.num_bytes for array in computation.instructions[name].arrays
  )
  if computation.root.name == name:
    return whole
  read = 0.0
  for user in computation.users[name]:
    is_first = user.operands.index(name) == 0
    if user.opcode in _RENAMES:
      read += _count_read(module, computation, user.name)
    elif user.opcode in _SLICES and is_first:
      read += sum(array.num_bytes for array in user.arrays)
    elif user.opcode in _ELEMENTWISE:
      asked = _count_read(module, computation, user.name)
      read += whole * asked / sum(array.num_bytes for array in user.arrays)
    elif user.opcode == "fusion":
      inner = module.computations[user.called["calls"][0]]
      read += sum(
        _count_read(module, inner, inner.parameters[place].name)
        for place, operand in enumerate(user.operands)
        if operand == name
      )
    elif user.opcode == "dynamic-update-slice" and is_first:
      continue  # Written in place.
    elif user.opcode != "tuple":
      return whole
  return min(read, whole)


def _count_written(
  module: Module,
  computation: Computation,
  root: Instruction,
  arrays: Sequence[Array],
) -> float:
  """Bytes that a fusion writes, where it may update slices in place.

  Args:
    module: the program.
    computation: that of the fusion.
    root: what computes the result.
    arrays: the result as the fusion returns it.
  """
  if root.opcode == "tuple":
    # Each part of the result is one array.
    return sum(
      _count_written(
        module, computation, computation.instructions[name], arrays[i : i + 1]
      )
      for i, name in enumerate(root.operands)
    )
  if all(array.is_on_chip for array in arrays):
    return 0
  if root.opcode in _RENAMES:
    inner = computation.instructions[root.operands[0]]
    return _count_written(module, computation, inner, arrays)
  if root.opcode == "fusion":
    inner = module.computations[root.called["calls"][0]]
    return _count_written(module, inner, inner.root, arrays)
  if root.opcode == "dynamic-update-slice":
    update = computation.instructions[root.operands[1]]
    return sum(array.num_bytes for array in update.arrays)
  return _held_bytes(arrays)
