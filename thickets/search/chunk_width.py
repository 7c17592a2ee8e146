"""The width of a chunk: how many members are evaluated and logged as one.

A chunk is what a killed run loses, and what is handed to the devices at once.
Language models find theirs from `generation.memory_plan`.
"""

import math
from typing import Any

import jax

# A chunk has at least LEAST members, where there are so many, and at most MOST.
LEAST, MOST = 64, 1024
# What fits beside the matmul tiles in the cache of one core.
_CPU_BUDGET_BYTES = 2 * 2**20
# The share of an accelerator's memory that members may take; the rest is for the
# base, the prompts and the results.
_ACCELERATOR_BUDGET_FRAC = 0.6
_UNKNOWN_DEVICE_BYTES = 2**30  # Assumed where a device does not tell its size.
_MIN_CHUNKS = 8


def fit_width(num_members: int, most: int, multiple: int) -> int:
  """Returns the width that leaves the last chunk fullest.

  There are at least eight chunks to a process, where there are members enough:
  what is under way is lost in a crash, and a process without a chunk idles.

  Args:
    num_members: size of the population.
    most: the largest width.
    multiple: members that one step of all devices evaluates.

  Returns:
    A multiple of `multiple` within [most / 2, most], or all of a population that
    one step can hold.
  """
  if num_members <= multiple:
    return num_members
  share = math.ceil(num_members / (_MIN_CHUNKS * jax.process_count()))
  most = min(most, math.ceil(share / multiple) * multiple)
  most = max(most, multiple)
  candidates = [
    width for width in range(most, most // 2, -1) if width % multiple == 0
  ]
  return min(candidates, key=lambda width: -num_members % width)


def memory_budget_bytes(device: Any) -> float:
  """Returns the bytes that the members at once on one device may take.

  On CPU more lanes do not add parallelism, they only push each other out of the
  cache (docs/benchmarks.md), so the budget is a core's cache and not its memory.

  Args:
    device: a device of JAX.
  """
  if device.platform == "cpu":
    return _CPU_BUDGET_BYTES
  stats = device.memory_stats() or {}
  # The device's size, not what is free now: a resumed run must find the same.
  limit = stats.get("bytes_limit", _UNKNOWN_DEVICE_BYTES)
  return _ACCELERATOR_BUDGET_FRAC * limit
