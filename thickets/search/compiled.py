"""Compiled programs by name and shape, counted and timed."""

import dataclasses
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding

from thickets import placement
from thickets.errors import NoRoomError
from thickets.search import progress

_PERIOD_S = 10.0  # Between two lines of a log that announce a compilation.
# What the compiler of TPUs says of a program that is too large.
_USED = re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?)")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Compilation:
  """One program that was compiled.

  Attributes:
    name: the word that tells what it does.
    program: the program, a `jax.stages.Compiled`.
    seconds: what its compilation took.
  """

  name: str
  program: Any
  seconds: float


class Programs:
  """Compiles each function once for each set of shapes and shardings.

  Attributes:
    compile_s: seconds spent on compilation so far.
    num_compilations: programs compiled so far.
  """

  def __init__(self):
    self._compiled: dict[Any, Compilation] = {}
    self.compile_s = 0.0
    self.num_compilations = 0
    self._announced = -float("inf")

  def __iter__(self) -> Iterator[Any]:
    """The compiled programs, in the order of their making."""
    return (compilation.program for compilation in self._compiled.values())

  @property
  def compilations(self) -> tuple[Compilation, ...]:
    """The compiled programs with what is known of them, in the same order."""
    return tuple(self._compiled.values())

  def put(self, tree: Any, sharding: Sharding) -> Any:
    """Puts arrays where a program expects them."""
    return placement.put(tree, sharding)

  def fill(self, make: Callable[[], Any], shardings: Any) -> Any:
    """The arrays that a function of nothing makes, laid out by `shardings`."""
    return jax.jit(make, out_shardings=shardings)()

  def get(
    self,
    name: Any,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    *,
    donate: tuple[int, ...] = (),
    **options: Any,
  ) -> Any:
    """Returns the program of `function` for such arguments.

    Args:
      name: hashable, says which function this is, closed-over values included.
      function: pure.
      arguments: arrays, or `jax.ShapeDtypeStruct` with shardings.
      donate: positions of arguments whose buffers the results may take.
      **options: of `jax.jit`.
    """
    key = (name, *(shapes(argument) for argument in arguments))
    if key not in self._compiled:
      start = time.perf_counter()
      level = self._announce(start)
      progress.LOGGER.log(level, "compiling %s ...", _name(name))
      jitted = jax.jit(function, donate_argnums=donate, **options)
      program = jitted.lower(*arguments).compile()
      took_s = time.perf_counter() - start
      self._compiled[key] = Compilation(_name(name), program, took_s)
      progress.LOGGER.log(level, "compiled %s in %.1f s", _name(name), took_s)
      self.compile_s += took_s
      self.num_compilations += 1
    return self._compiled[key].program

  def _announce(self, now: float) -> int:
    """The level at which a compilation is logged: a line now and then."""
    if now - self._announced < _PERIOD_S:
      return logging.DEBUG
    self._announced = now
    return logging.INFO


class AbsentPrograms(Programs):
  """Programs for devices that are not here: compiled, and never run.

  In place of arrays there are `jax.ShapeDtypeStruct`s with their shardings; what
  a program returns are those of its results.

  Args:
    compiler_options: settings of XLA, by their names.
  """

  def __init__(self, compiler_options: Mapping[str, Any] | None = None):
    super().__init__()
    self._options = (
      {"compiler_options": dict(compiler_options)} if compiler_options else {}
    )

  def put(self, tree: Any, sharding: Sharding) -> Any:
    """The shapes of arrays, where a program would expect them."""
    return jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(
        np.shape(leaf),
        jax.dtypes.canonicalize_dtype(leaf.dtype),
        sharding=sharding,
      ),
      tree,
    )

  def fill(self, make: Callable[[], Any], shardings: Any) -> Any:
    """The shapes of what a function of nothing makes."""
    return jax.tree.map(_place, jax.eval_shape(make), shardings)

  def get(
    self,
    name: Any,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    *,
    donate: tuple[int, ...] = (),
    **options: Any,
  ) -> Any:
    """Compiles as `Programs.get`, and returns what gives the results' shapes.

    Raises:
      NoRoomError: if the compiler finds no room for the program.
    """
    try:
      program = super().get(
        name, function, arguments, donate=donate, **self._options, **options
      )
    except jax.errors.JaxRuntimeError as error:
      if "RESOURCE_EXHAUSTED" not in str(error):
        raise
      raise _read_refusal(_name(name), str(error)) from error

    def describe(*arguments: Any) -> Any:
      del arguments  # It was compiled for such.
      return jax.tree.map(_place, program.out_info, program.output_shardings)

    return describe


def _place(leaf: Any, sharding: Sharding) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _read_refusal(name: str, text: str) -> NoRoomError:
  """What a compiler says of a program that is too large for a device."""
  needed, size = None, None
  if found := _USED.search(text):
    needed = float(found[1]) * _UNITS[found[2]]
    size = float(found[3]) * _UNITS[found[4]]
    said = f"needs {needed / 2**30:.2f} GiB, got {size / 2**30:.2f} GiB"
  else:
    said = f"is too large: {' '.join(text.split())[:200]}"
  return NoRoomError(
    f"The program {name!r} must fit into a device, but it {said}. Use fewer"
    " rows, fewer lanes, or more devices a member.",
    needed,
    size,
  )


def _name(name: Any) -> str:
  """The word of a program's name, without what else tells it apart."""
  return _name(name[0]) if isinstance(name, tuple) else str(name)


def shapes(tree: Any) -> tuple:
  """What a compiled program assumes of its arguments."""
  leaves, structure = jax.tree.flatten(tree)
  return structure, tuple(
    (leaf.shape, str(leaf.dtype), leaf.sharding) for leaf in leaves
  )
