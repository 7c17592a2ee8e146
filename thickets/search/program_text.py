"""Optimised programs, as a compiler writes them: the text of HLO, read.

`jax.stages.Compiled.as_text()` has every computation with its instructions, and
the shape of every result. What is not asked for here is not read.

Reference: https://openxla.org/xla/operation_semantics.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping

_INSTRUCTION = re.compile(r"\s*(ROOT )?%?([\w.\-]+) = ")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,<= ]*)\](?:\{([^}]*)\})?")
_TILE = re.compile(r"T\(([\d,]+)\)")
_NAME = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(
  r"(calls|to_apply|body|condition|branch_computations|true_computation"
  r"|false_computation|called_computations)=(\{[^}]*\}|%?[\w.\-]+)"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_BITS = re.compile(r"[a-z]+(\d+)")
_OPENING, _CLOSING = "({[", ")}]"


@dataclasses.dataclass(frozen=True)
class Array:
  """One array of a result.

  Attributes:
    dtype: the type of an element as HLO spells it: `bf16`, `s32`, `pred`.
    dims: its shape.
    held: its shape as it lies in memory, filled up to the tiles of a TPU.
    is_on_chip: whether a TPU holds it beside its cores (VMEM, SMEM), so that to
      read it moves nothing through its memory.
  """

  dtype: str
  dims: tuple[int, ...]
  held: tuple[int, ...]
  is_on_chip: bool = False

  @property
  def num_bytes(self) -> float:
    """Bytes as it lies in memory; 0 for a token."""
    if self.dtype == "pred":
      bits = 8
    else:
      found = _BITS.match(self.dtype)
      bits = int(found[1]) if found else 0
    return bits / 8 * math.prod(self.held)


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a computation.

  Attributes:
    name: what others call its result.
    opcode: what it does: `fusion`, `dot`, `while`.
    arrays: the arrays of its result, those of a tuple one after the other.
    operands: the names of the instructions whose results it takes.
    text: what stands within the brackets behind the opcode.
    attributes: what stands behind them.
    is_root: whether its result is that of the computation.
  """

  name: str
  opcode: str
  arrays: tuple[Array, ...]
  operands: tuple[str, ...]
  text: str
  attributes: str
  is_root: bool

  @functools.cached_property
  def called(self) -> dict[str, tuple[str, ...]]:
    """The names of the computations that it calls, by their part in it."""
    return {
      part: tuple(re.findall(r"[\w.\-]+", names))
      for part, names in _CALLED.findall(self.attributes)
    }

  @property
  def result_bytes(self) -> float:
    """Bytes of its result in the memory of the device."""
    return sum(a.num_bytes for a in self.arrays if not a.is_on_chip)


@dataclasses.dataclass(frozen=True)
class Computation:
  """A list of instructions, in the order in which they were scheduled."""

  name: str
  instructions: Mapping[str, Instruction]

  def __iter__(self) -> Iterator[Instruction]:
    return iter(self.instructions.values())

  @functools.cached_property
  def root(self) -> Instruction:
    """The instruction whose result is that of the computation."""
    return next(i for i in reversed([*self]) if i.is_root)

  @functools.cached_property
  def parameters(self) -> tuple[Instruction, ...]:
    """Its parameters, by their numbers."""
    found = (i for i in self if i.opcode == "parameter")
    return tuple(sorted(found, key=lambda i: int(i.text)))

  @functools.cached_property
  def users(self) -> dict[str, tuple[Instruction, ...]]:
    """For each instruction, those that take its result."""
    users: dict[str, list[Instruction]] = {
      name: [] for name in self.instructions
    }
    for instruction in self:
      for operand in dict.fromkeys(instruction.operands):
        users.setdefault(operand, []).append(instruction)
    return {name: tuple(found) for name, found in users.items()}


@dataclasses.dataclass(frozen=True)
class Module:
  """A whole program.

  Attributes:
    computations: its computations by name.
    entry: the name of that which begins.
  """

  computations: Mapping[str, Computation]
  entry: str

  def trip_count(self, loop: Instruction) -> int | None:
    """How often the body of a `while` runs; None where the program decides."""
    if known := _TRIPS.search(loop.attributes):
      return int(known[1])
    (condition,) = loop.called["condition"]
    limits = [*self._integers(condition)]
    is_counted = len(limits) == 1 and self._is_comparison(condition)
    return limits[0] if is_counted else None

  def _integers(self, name: str) -> Iterator[int]:
    """The integer constants of a computation and of what it calls."""
    for instruction in self.computations[name]:
      is_number = re.fullmatch(r"-?\d+", instruction.text) is not None
      if instruction.opcode == "constant" and is_number:
        yield int(instruction.text)
      for called in instruction.called.values():
        for inner in called:
          yield from self._integers(inner)

  def _is_comparison(self, name: str) -> bool:
    """Whether nothing but a comparison decides, as of a counter with a limit."""
    root = self.computations[name].root
    if root.opcode == "fusion":
      return self._is_comparison(root.called["calls"][0])
    return root.opcode == "compare" and "direction=LT" in root.attributes


def parse(text: str) -> Module:
  """Reads the text of an optimised program.

  Raises:
    ValueError: if there is no program in it.
  """
  computations: dict[str, Computation] = {}
  entry, name = None, None
  instructions: dict[str, Instruction] = {}
  for line in text.splitlines():
    if name is None:
      header = _COMPUTATION.match(line)
      if header and " = " not in line.partition("(")[0]:
        name, instructions = header[2], {}
        entry = name if header[1] else entry
    elif line.startswith("}"):
      computations[name] = Computation(name, instructions)
      name = None
    elif found := _INSTRUCTION.match(line):
      instruction = _parse_instruction(found, line[found.end() :])
      instructions[instruction.name] = instruction
  if entry is None:
    raise ValueError("The text of a program must have an entry, got none.")
  return Module(computations, entry)


def _parse_instruction(found: re.Match[str], rest: str) -> Instruction:
  end = _skip(rest, 0) if rest.startswith("(") else rest.index(" ")
  arrays, rest = rest[:end], rest[end:].lstrip()
  start = rest.index("(")
  end = _skip(rest, start)
  text = rest[start + 1 : end - 1]
  return Instruction(
    name=found[2],
    opcode=rest[:start],
    arrays=tuple(_parse_arrays(arrays)),
    operands=tuple(_NAME.findall(text)),
    text=text,
    attributes=rest[end:],
    is_root=bool(found[1]),
  )


def _parse_arrays(text: str) -> Iterator[Array]:
  for dtype, dims, layout in _ARRAY.findall(text):
    sizes = [int(size.strip("<= ")) for size in dims.split(",") if size.strip()]
    tile = _TILE.search(layout)
    held = sizes
    if tile is not None:
      held = _fill(sizes, layout.partition(":")[0], tile[1])
    # GPUs name spaces too, but have one memory; only TPUs have tiles.
    is_on_chip = tile is not None and "S(" in layout
    yield Array(dtype, tuple(sizes), tuple(held), is_on_chip)


def _fill(sizes: list[int], order: str, tile: str) -> list[int]:
  """A shape whose last axes in memory are multiples of a tile.

  Args:
    sizes: the shape.
    order: its axes, the one whose neighbours lie beside each other first.
    tile: the sizes of the tile, the last for the first of these axes.
  """
  filled = list(sizes)
  axes = [int(axis) for axis in order.split(",") if axis]
  multiples = [int(size) for size in reversed(tile.split(","))]
  for axis, multiple in zip(axes, multiples, strict=False):
    filled[axis] = -(-filled[axis] // multiple) * multiple
  return filled


def _skip(text: str, start: int) -> int:
  """The position behind the bracket that closes the one at `start`."""
  depth, is_quoted = 0, False
  for place in range(start, len(text)):
    letter = text[place]
    if letter == '"':
      is_quoted = not is_quoted
    elif not is_quoted and letter in _OPENING:
      depth += 1
    elif not is_quoted and letter in _CLOSING:
      depth -= 1
      if depth == 0:
        return place + 1
  raise ValueError(f"A bracket must be closed, got {text[start:][:80]!r}.")
