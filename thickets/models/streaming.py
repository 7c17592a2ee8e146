"""From files to devices, one tensor at a time: weights are never held twice."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from thickets import naming, placement
from thickets.errors import UserError, shorten
from thickets.models import memory, transformer
from thickets.models.config import TransformerConfig
from thickets.models.vision import joined
from thickets.models.vision.config import VisionConfig
from thickets.naming import Params

_ALIGNMENT = 64  # Of bytes that a CPU device uses where they are.
_STEP = (
  1 << 18
)  # Values that are looked at together: they stay in a core's cache.
_NUM_SHOWN = 4  # Names that a message shows.


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

  def read(self, name: str, out: np.ndarray | None = None) -> np.ndarray:
    """Reads one logical tensor, contiguous.

    Args:
      name: its name.
      out: is filled and returned, if given; of the tensor's shape and dtype.
    """
    ...


def read_params(
  config: TransformerConfig,
  stored: Weights,
  dtype: DTypeLike,
  mesh: Mesh | None = None,
  vision: VisionConfig | None = None,
) -> tuple[Params, str]:
  """Reads weights into their stacks, and hashes them as stored.

  Args:
    config: the architecture of the model.
    stored: its weights in files.
    dtype: the dtype to which they are cast.
    mesh: the devices, with an axis `model`, over which they are divided; None
      for the default device.
    vision: the tower of the model, None where it has none.

  Returns:
    The weights, and their identity before the cast (`naming.identify`).

  Raises:
    UserError: if a weight is NaN or infinite, or too large for `dtype`.
  """
  import tqdm

  template = joined.abstract_params(config, vision, dtype)
  leaves, structure = jax.tree.flatten(template)
  shardings = [None] * len(leaves)
  if mesh is not None:
    shardings = jax.tree.leaves(joined.shardings(config, vision, mesh))
  slots = {}
  names = transformer.tensor_names(template)
  for i, (pattern, leaf) in enumerate(naming.named_leaves(template, names)):
    slices = naming.slice_names(pattern, leaf)
    slots |= {str(slices[at]): (i, at) for at in np.ndindex(slices.shape)}
  # Each place is filled once: a stack begins as zeros, or as whatever was there.
  assert sorted(stored.names) == sorted(slots), (
    "The weights must fit the model."
  )

  fill = _fill_on_host if _lies_on_host(mesh) else _fill_on_device
  arrays = [None] * len(leaves)
  identity, empty = hashlib.sha256(), []

  def look_at(name: str, tensor: np.ndarray) -> None:
    _hash_tensor(identity, name, tensor)
    if _check_numbers(name, tensor, np.dtype(dtype)) == 0 and tensor.ndim > 1:
      empty.append(name)

  # A thread looks at a tensor while the next is read.
  with (
    futures.ThreadPoolExecutor(1) as looker,
    tqdm.tqdm(
      total=stored.num_bytes,
      unit="B",
      unit_scale=True,
      desc="weights",
      disable=None,
    ) as progress,
  ):
    looked = looker.submit(lambda: None)
    for name in stored.names:
      i, at = slots[name]
      arrays[i], tensor = fill(
        arrays[i], leaves[i], at, stored, name, shardings[i]
      )
      looked.result()
      looked = looker.submit(look_at, name, tensor)
      progress.update(tensor.nbytes)
    looked.result()
  if empty:
    logging.warning(
      "%s hold nothing but zeros, as a torn download leaves them: fetch the"
      " weights again, unless they were made so",
      shorten(empty, _NUM_SHOWN),
    )
  for i, array in enumerate(arrays):
    if isinstance(array, np.ndarray):
      array.flags.writeable = False  # The devices may use its memory.
    arrays[i] = placement.put(array, shardings[i])
  return jax.tree.unflatten(structure, arrays), identity.hexdigest()


def _hash_tensor(identity: Any, name: str, tensor: np.ndarray) -> None:
  head = f"{name}|{tensor.dtype.name}|{tuple(tensor.shape)}|"
  identity.update(head.encode())
  identity.update(tensor.reshape(-1).view(np.uint8).data)


def _check_numbers(name: str, tensor: np.ndarray, dtype: np.dtype) -> float:
  """The largest magnitude in a tensor; refuses one that cannot be computed with.

  Without their signs, the bits of floats are ordered as their magnitudes are, and
  those of infinity and NaN come last.
  """
  kind = np.dtype(f"u{tensor.itemsize}")
  bits = np.ascontiguousarray(tensor).reshape(-1).view(kind)
  unsigned = kind.type(np.iinfo(kind).max >> 1)
  largest = max(
    (
      np.max(bits[at : at + _STEP] & unsigned)
      for at in range(0, bits.size, _STEP)
    ),
    default=kind.type(0),
  )
  found = float(np.array(largest).view(tensor.dtype).astype(np.float32))
  if not math.isfinite(found):
    raise UserError(
      f"Weights must be finite numbers, got {found} in {name}. Fetch them again,"
      " or take another conversion of the model."
    )
  with np.errstate(over="ignore"):
    if not math.isfinite(float(np.float32(found).astype(dtype))):
      raise UserError(
        f"Weights must lie within what {dtype.name} holds, got {found:g} in"
        f" {name}. Load them with dtype bfloat16 or float32."
      )
  return found


def _lies_on_host(mesh: Mesh | None) -> bool:
  """Whether weights lie in the memory of the host, where NumPy can write them."""
  devices = [memory.default_device()] if mesh is None else mesh.local_devices
  return all(device.platform == "cpu" for device in devices)


def _fill_on_host(
  array: np.ndarray | None,
  leaf: jax.ShapeDtypeStruct,
  at: tuple[int, ...],
  stored: Weights,
  name: str,
  sharding: NamedSharding | None,
) -> tuple[np.ndarray, np.ndarray]:
  """Reads a tensor into its place in a leaf, and returns both.

  No program is compiled. A tensor of a GGUF file is dequantised into its place,
  others are copied there once; the devices use the memory of the leaf, from which
  they only read.
  """
  del sharding
  if array is None:
    array = _make_aligned(leaf.shape, leaf.dtype)
  slot = array[at]
  if slot.dtype == stored.dtype(name):
    return array, stored.read(name, slot)
  tensor = stored.read(name)
  with np.errstate(over="ignore"):  # It is refused when it is looked at.
    slot[...] = tensor
  return array, tensor


def _make_aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
  """An array where a CPU device can use it without a copy."""
  num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
  room = np.empty(num_bytes + _ALIGNMENT, np.uint8)
  start = -room.ctypes.data % _ALIGNMENT
  return room[start : start + num_bytes].view(dtype).reshape(shape)


def _fill_on_device(
  array: jax.Array | None,
  leaf: jax.ShapeDtypeStruct,
  at: tuple[int, ...],
  stored: Weights,
  name: str,
  sharding: NamedSharding | None,
) -> tuple[jax.Array, np.ndarray]:
  """Reads a tensor, and puts it into its leaf on the devices; returns both."""
  tensor = stored.read(name)
  return _place(array, leaf, at, tensor, sharding), tensor


def _place(
  array: jax.Array | None,
  leaf: jax.ShapeDtypeStruct,
  at: tuple[int, ...],
  tensor: np.ndarray,
  sharding: NamedSharding | None,
) -> jax.Array:
  """Puts a tensor into its leaf, which is made when its first slice comes."""
  if not at:
    return _make_cast(leaf.dtype, sharding)(placement.put(tensor, sharding))
  if array is None:
    array = jnp.zeros(leaf.shape, leaf.dtype, device=sharding)
  part = sharding
  if sharding is not None:
    part = NamedSharding(
      sharding.mesh, PartitionSpec(*sharding.spec[len(at) :])
    )
  return _make_update(sharding)(
    array, placement.put(tensor, part), np.array(at, np.int32)
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
