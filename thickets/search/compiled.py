"""Compiled programs by name and shape, counted and timed."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax


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
      jitted = jax.jit(function, donate_argnums=donate, **options)
      self._compiled[key] = jitted.lower(*arguments).compile()
      self.compile_s += time.perf_counter() - start
      self.num_compilations += 1
    return self._compiled[key]


def shapes(tree: Any) -> tuple:
  """What a compiled program assumes of its arguments."""
  leaves, structure = jax.tree.flatten(tree)
  return structure, tuple(
    (leaf.shape, str(leaf.dtype), leaf.sharding) for leaf in leaves
  )
