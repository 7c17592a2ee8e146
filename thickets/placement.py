"""Arrays on devices of which this process may have only some.

Where a member's devices are those of several processes, each process makes the
parts that lie on its own devices, and sees no other part of an array. All of
these processes call the functions here with the same values, in the same order.
"""

import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding


def put(tree: Any, shardings: Any) -> Any:
  """Puts arrays on devices, as `jax.device_put` does on those of one process.

  Args:
    tree: arrays; on devices of several processes each process passes the same.
    shardings: where they belong: one sharding for all, or a tree of them; None
      for the default device.
  """
  if isinstance(shardings, Sharding) or shardings is None:
    return jax.tree.map(lambda leaf: _put_leaf(leaf, shardings), tree)
  return jax.tree.map(_put_leaf, tree, shardings)


def fetch(tree: Any) -> Any:
  """The arrays of a tree in the memory of each process that has a part of them."""
  return jax.device_get(jax.tree.map(_gather_leaf, tree))


def _put_leaf(leaf: Any, sharding: Sharding | None) -> jax.Array:
  if sharding is None or sharding.is_fully_addressable:
    return jax.device_put(leaf, sharding)
  if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
    return _move_to(sharding)(leaf)
  array = np.asarray(leaf)
  array = array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)
  # `jax.device_put` would first compare the values of all processes.
  return jax.make_array_from_callback(
    array.shape, sharding, lambda index: array[index]
  )


def _gather_leaf(leaf: Any) -> Any:
  if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
    return leaf
  if not leaf.is_fully_replicated:
    assert isinstance(leaf.sharding, NamedSharding)
    leaf = _move_to(NamedSharding(leaf.sharding.mesh, PartitionSpec()))(leaf)
  return leaf.addressable_data(0)


@functools.lru_cache(maxsize=64)
def _move_to(sharding: Sharding) -> Any:
  """A program of all processes that lays an array out in another way."""
  return jax.jit(lambda leaf: leaf, out_shardings=sharding)
