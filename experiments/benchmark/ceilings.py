"""Measurements of speed and memory, relative to ceilings of the same machine.

Shared machines are noisy, so a rate means little without the ceiling that was
measured in the same run.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from thickets.members import Member, stack_members
from thickets.naming import Names, Params
from thickets.perturbation import Kind, perturb
from thickets.search import meshes


def time_best(function: Callable[[], Any], *, repeats: int) -> float:
  """Seconds of the fastest of several calls, after one that is not timed."""
  jax.block_until_ready(function())
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(function())
    times.append(time.perf_counter() - start)
  return min(times)


def measure_matmul_gflops(
  *, size: int = 2048, repeats: int = 20, dtype: Any = jnp.float32
) -> float:
  """Best rate of a square matrix product on the first device, GFLOP/s.

  On CPU one product uses all cores.
  """
  seconds = time_best(make_product(size, dtype), repeats=repeats)
  return 2 * size**3 / seconds / 1e9


def make_product(size: int, dtype: Any) -> Callable[[], jax.Array]:
  """Makes what computes a square matrix product on the first device.

  Factors are random: some hardware multiplies zeros faster.
  """
  left_key, right_key = jax.random.split(jax.random.key(0))
  left = jax.random.normal(left_key, (size, size)).astype(dtype)
  right = jax.random.normal(right_key, (size, size)).astype(dtype)
  multiply = jax.jit(
    lambda a, b: jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
  )
  return lambda: multiply(left, right)


def measure_copy_gbytes_per_s(
  *, num_bytes: int = 2**28, repeats: int = 10
) -> float:
  """Best rate at which all devices together read and write memory, GB/s.

  Args:
    num_bytes: copied on each device; far beyond any cache.
    repeats: the fastest of so many.
  """
  mesh = meshes.make_mesh()
  spread = NamedSharding(mesh, PartitionSpec("population"))
  num_devices = mesh.devices.size
  held = [
    jax.device_put(np.zeros((num_devices, num_bytes // 4), np.float32), spread)
  ]
  # In place: else fresh pages from the operating system would be measured too.
  touch = jax.jit(lambda x: x + 1, donate_argnums=0, out_shardings=spread)

  def copy():
    held[0] = touch(held[0])
    return held[0]

  seconds = time_best(copy, repeats=repeats)
  return 2 * num_devices * num_bytes / seconds / 1e9


def measure_rates(dtype: Any, *, repeats: int = 5) -> dict[str, float]:
  """The rates of matrix products and of memory, of all devices together.

  Args:
    dtype: the dtype of the factors.
    repeats: how many times each is measured; the fastest counts.
  """
  is_cpu = jax.default_backend() == "cpu"
  gflops = measure_matmul_gflops(
    size=2048 if is_cpu else 8192, dtype=dtype, repeats=repeats
  )
  return {
    # On CPU one product uses all cores, whatever the number of devices.
    "matmul_gflops": gflops * (1 if is_cpu else jax.local_device_count()),
    "copy_gbytes_per_s": measure_copy_gbytes_per_s(repeats=repeats),
  }


def measure_perturb_s(
  base: Params,
  members: Sequence[Member],
  kind: Kind,
  *,
  names: Names | None = None,
  repeats: int = 5,
) -> float:
  """Seconds to rebuild one member's weights on one device, without using them.

  Args:
    base: the pristine weights.
    members: rebuilt one after the other; the time is their mean.
    kind: how noise is drawn.
    names: logical names of the tensors of `base`.
    repeats: the fastest of so many.
  """

  @jax.jit
  def rebuild_all(base, stacked):
    def rebuild(total, member):
      params = perturb(base, member, kind=kind, names=names)
      # Each weight must be used, or the compiler would not draw its noise.
      return total + sum(
        jnp.sum(leaf) for leaf in jax.tree.leaves(params)
      ), None

    return jax.lax.scan(rebuild, 0.0, stacked)[0]

  stacked = jax.device_put(stack_members(members))
  base = jax.device_put(base)
  best = time_best(lambda: rebuild_all(base, stacked), repeats=repeats)
  return best / len(members)


def measure_noise_speedup(*, size: int = 2048, repeats: int = 10) -> float:
  """How many times faster our noise is added than that of `jax.random.normal`.

  Both perturb one square float32 matrix in one compiled program.
  """
  weight = jax.random.normal(jax.random.key(0), (size, size))
  member = jax.device_put(stack_members([Member(seed=1, sigma=0.01)]))
  member = jax.tree.map(lambda field: field[0], member)
  ours = jax.jit(lambda w, member: perturb({"w": w}, member)["w"])
  theirs = jax.jit(
    lambda w, key, sigma: w + sigma * jax.random.normal(key, w.shape)
  )
  ours_s = time_best(lambda: ours(weight, member), repeats=repeats)
  key, sigma = jax.random.key(1), jnp.float32(0.01)
  theirs_s = time_best(lambda: theirs(weight, key, sigma), repeats=repeats)
  return theirs_s / ours_s
