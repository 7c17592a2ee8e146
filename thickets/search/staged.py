"""Evaluators with a device half (generation) and a host half (grading)."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from thickets.members import MemberArrays, stack_members
from thickets.naming import Params
from thickets.search.evaluator import Batch


def staged(
  device_fn: Callable[[Params, MemberArrays, Batch], Any],
  host_fn: Callable[[Any, Batch], dict[str, Any]],
  *,
  executor: concurrent.futures.Executor | None = None,
) -> Staged:
  """Makes an evaluator with a device half and a host half, overlapped.

  While the host half of one chunk runs in workers, the device is busy with the
  next.

  Args:
    device_fn: maps (base, members, batch) to a tree of arrays [P, ...]; the
      members' fields are NumPy arrays [P, R]. It may dispatch several programs
      and need not wait for the last of them.
    host_fn: maps one member's part of that tree, as NumPy arrays, and the batch
      to channels [Q, ...]. Must be picklable if `executor` has processes.
    executor: where host halves run; by default in one thread of this process.
      The caller shuts it down.
  """
  return Staged(device_fn, host_fn, executor)


class Staged:
  """An `Evaluator` whose results are made on the host from device outputs."""

  def __init__(self, device_fn, host_fn, executor):
    self._device_fn, self._host_fn = device_fn, host_fn
    self._executor = executor
    # Waits for the device, so that neither the caller nor a worker has to.
    self._fetcher = concurrent.futures.ThreadPoolExecutor(max_workers=1)

  def place(self, base, batch, num_members):
    """Leaves everything where the device half expects it."""
    del num_members
    return base, batch

  def __call__(self, base, members, batch):
    """Starts the device half, and queues the host halves behind it."""
    outputs = self._device_fn(base, stack_members(members), batch)
    return _StagedHandle(
      self._fetcher.submit(self._grade, outputs, len(members), batch)
    )

  def _grade(self, outputs, num_members, batch):
    """Starts one host half per member; returns their results or futures."""
    host = jax.device_get(outputs)
    parts = [
      jax.tree.map(lambda array, row=row: array[row], host)
      for row in range(num_members)
    ]
    if self._executor is None:
      return [self._host_fn(part, batch) for part in parts]
    return [self._executor.submit(self._host_fn, part, batch) for part in parts]


class _StagedHandle:
  """Waits for the host halves of a chunk."""

  def __init__(self, fetched):
    self._fetched = fetched

  def result(self):
    rows = [
      row.result() if isinstance(row, concurrent.futures.Future) else row
      for row in self._fetched.result()
    ]
    return {
      name: np.stack([np.asarray(row[name]) for row in rows])
      for name in rows[0]
    }
