"""Whether a model fits into memory, known before its weights are read."""

from __future__ import annotations

import math
import os
import pathlib
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike

from thickets.errors import UserError
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.models.vision import tower
from thickets.models.vision.config import VisionConfig

# The base and the copy of one member.
NUM_COPIES = 2


@runtime_checkable
class Device(Protocol):
  """What is asked of a `jax.Device`, which is no type to a static checker."""

  platform: str
  device_kind: str

  def memory_stats(self) -> dict[str, int] | None:
    """Bytes by name, None where the device does not tell."""
    ...


def check_fits(
  config: TransformerConfig,
  dtype: DTypeLike,
  mesh: Mesh | None = None,
  vision: VisionConfig | None = None,
) -> None:
  """Refuses a model whose base and one member exceed the memory.

  Args:
    config: the architecture of the model.
    dtype: the dtype in which its weights are held.
    mesh: the devices, with an axis `model`, over which weights are divided; None
      for the default device.
    vision: the tower, of which members have no copy; None where there is none.

  Raises:
    UserError: with the bytes that are needed and those that there are.
  """
  needed = NUM_COPIES * bytes_per_device(config, dtype, mesh)
  if vision is not None:
    needed += tower_bytes(vision, dtype)
  devices = list(mesh.local_devices) if mesh is not None else [default_device()]
  limit = device_memory_bytes(devices[0])
  where = f"each {devices[0].device_kind} device"
  if limit is None:  # Devices that live in the memory of the host.
    needed *= len(devices)
    limit = host_memory_bytes()
    where = "this machine"
  if limit is not None and needed > limit:
    raise UserError(
      f"A {config.family} model of"
      f" {transformer.count_params(config):,} weights must fit into memory"
      f" twice (base and one member) as {np.dtype(dtype).name}, which needs"
      f" {_gib(needed)} on {where}, got {_gib(limit)}. Use a smaller dtype, or"
      " a mesh with a larger axis `model`."
    )


def bytes_per_device(
  config: TransformerConfig, dtype: DTypeLike, mesh: Mesh | None = None
) -> int:
  """Bytes of one copy of the weights on each device."""
  params = transformer.abstract_params(config, dtype)
  shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
  if mesh is not None:
    shardings = jax.tree.leaves(transformer.shardings(config, mesh))
    shapes = [
      sharding.shard_shape(shape)
      for sharding, shape in zip(shardings, shapes, strict=True)
    ]
  return np.dtype(dtype).itemsize * sum(map(math.prod, shapes))


def tower_bytes(vision: VisionConfig, dtype: DTypeLike) -> int:
  """Bytes of the weights of a tower, which every device has whole."""
  shapes = jax.tree.leaves(tower.abstract_params(vision, dtype))
  return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in shapes)


def device_size_bytes(device: Device) -> int | None:
  """Bytes of all memory of a device; None where it has none of its own."""
  stats = device.memory_stats() or {}
  return None if device.platform == "cpu" else stats.get("bytes_limit")


def device_memory_bytes(device: Device) -> int | None:
  """Bytes of free memory of a device; None where it has none of its own."""
  size = device_size_bytes(device)
  if size is None:
    return None
  return size - (device.memory_stats() or {}).get("bytes_in_use", 0)


def host_memory_bytes() -> int | None:
  """Bytes of this machine's memory, or of the control group that we run in."""
  limits = []
  if {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys():
    limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
  for path in (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
  ):
    try:
      text = pathlib.Path(path).read_text(encoding="ascii").strip()
    except OSError:
      continue  # The other version of control groups, or another system.
    if text.isdigit():
      limits.append(int(text))
  return min(limits, default=None)


def default_device() -> Device:
  """The device on which arrays lie unless it is said otherwise."""
  # pyright does not know the names of options.
  device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
  return device if isinstance(device, jax.Device) else jax.local_devices()[0]


def _gib(num_bytes: int) -> str:
  return f"{num_bytes / 2**30:.3g} GiB"
