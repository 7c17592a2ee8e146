"""Compiled programs by name and shape, counted and timed."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from thickets.search import progress

_PERIOD_S = 10.0  # Between two lines of a log that announce a compilation.


class Programs:
  """Compiles each function once for each set of shapes and shardings.

  Attributes:
    compile_s: seconds spent on compilation so far.
    num_compilations: programs compiled so far.
  """

  def __init__(self):
    self._compiled: dict[Any, Any] = {}
    self.compile_s = 0.0
    self.num_compilations = 0
    self._announced = -float("inf")

  def __iter__(self) -> Iterator[Any]:
    """The compiled programs, in the order of their making."""
    return iter(self._compiled.values())

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
      self._compiled[key] = jitted.lower(*arguments).compile()
      took_s = time.perf_counter() - start
      progress.LOGGER.log(level, "compiled %s in %.1f s", _name(name), took_s)
      self.compile_s += took_s
      self.num_compilations += 1
    return self._compiled[key]

  def _announce(self, now: float) -> int:
    """The level at which a compilation is logged: a line now and then."""
    if now - self._announced < _PERIOD_S:
      return logging.DEBUG
    self._announced = now
    return logging.INFO


def _name(name: Any) -> str:
  """The word of a program's name, without what else tells it apart."""
  return _name(name[0]) if isinstance(name, tuple) else str(name)


def shapes(tree: Any) -> tuple:
  """What a compiled program assumes of its arguments."""
  leaves, structure = jax.tree.flatten(tree)
  return structure, tuple(
    (leaf.shape, str(leaf.dtype), leaf.sharding) for leaf in leaves
  )
