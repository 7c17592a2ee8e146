"""From files to devices, one tensor at a time: weights are never held twice."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from thickets import naming
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params


@runtime_checkable
class Weights(Protocol):
  """Stored weights that fit a model, none of which were read."""

  @property
  def names(self) -> Sequence[str]:
    """Logical names, sorted."""
    ...

  @property
  def num_bytes(self) -> int:
    """Bytes of all tensors as they are read."""
    ...

  def dtype(self, name: str) -> np.dtype:
    """The dtype in which `read` returns a logical tensor."""
    ...

  def read(self, name: str) -> np.ndarray:
    """Reads one logical tensor, contiguous."""
    ...


def read_params(
  config: TransformerConfig,
  stored: Weights,
  dtype: DTypeLike,
  mesh: Mesh | None = None,
) -> tuple[Params, str]:
  """Reads weights into their stacks, and hashes them as stored.

  Args:
    config: the architecture of the model.
    stored: its weights in files.
    dtype: the dtype to which they are cast.
    mesh: the devices, with an axis `model`, over which they are divided; None
      for the default device.

  Returns:
    The weights, and their identity before the cast (`naming.identify`).
  """
  import tqdm

  template = transformer.abstract_params(config, dtype)
  leaves, structure = jax.tree.flatten(template)
  shardings = [None] * len(leaves)
  if mesh is not None:
    shardings = jax.tree.leaves(transformer.shardings(config, mesh))
  slots = {}
  names = transformer.tensor_names(template)
  for i, (pattern, leaf) in enumerate(naming.named_leaves(template, names)):
    slices = naming.slice_names(pattern, leaf)
    slots |= {str(slices[at]): (i, at) for at in np.ndindex(slices.shape)}

  arrays = [None] * len(leaves)
  identity = hashlib.sha256()
  with tqdm.tqdm(
    total=stored.num_bytes,
    unit="B",
    unit_scale=True,
    desc="weights",
    disable=None,
  ) as progress:
    for name in stored.names:
      tensor = stored.read(name)
      head = f"{name}|{tensor.dtype.name}|{tuple(tensor.shape)}|"
      identity.update(head.encode())
      identity.update(tensor.reshape(-1).view(np.uint8).data)
      i, at = slots[name]
      arrays[i] = _place(arrays[i], leaves[i], at, tensor, shardings[i])
      progress.update(tensor.nbytes)
  return jax.tree.unflatten(structure, arrays), identity.hexdigest()


def _place(
  array: jax.Array | None,
  leaf: jax.ShapeDtypeStruct,
  at: tuple[int, ...],
  tensor: np.ndarray,
  sharding: NamedSharding | None,
) -> jax.Array:
  """Puts a tensor into its leaf, which is made when its first slice comes."""
  if not at:
    return _make_cast(leaf.dtype, sharding)(jax.device_put(tensor, sharding))
  if array is None:
    array = jnp.zeros(leaf.shape, leaf.dtype, device=sharding)
  part = sharding
  if sharding is not None:
    part = NamedSharding(
      sharding.mesh, PartitionSpec(*sharding.spec[len(at) :])
    )
  return _make_update(sharding)(
    array, jax.device_put(tensor, part), np.array(at, np.int32)
  )


@functools.lru_cache(maxsize=64)
def _make_cast(
  dtype: np.dtype, sharding: NamedSharding | None
) -> Callable[[jax.Array], jax.Array]:
  return jax.jit(lambda tensor: tensor.astype(dtype), out_shardings=sharding)


@functools.lru_cache(maxsize=64)
def _make_update(
  sharding: NamedSharding | None,
) -> Callable[[jax.Array, jax.Array, np.ndarray], jax.Array]:
  def update(stack, tensor, at):
    part = tensor.astype(stack.dtype)
    part = part.reshape((1,) * at.size + part.shape)
    starts = [*at, *(np.int32(0) for _ in tensor.shape)]
    return lax.dynamic_update_slice(stack, part, starts)

  return jax.jit(update, donate_argnums=0, out_shardings=sharding)
