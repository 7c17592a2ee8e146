"""Evaluators with a device half (generation) and a host half (grading)."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from thickets.members import Member, MemberArrays, stack_members
from thickets.naming import Params
from thickets.search import teams
from thickets.search.evaluator import Batch, Channels, Handle
from thickets.search.teams import Team

# Maps one member's part of the device's outputs, as NumPy arrays, and the batch
# to channels [Q, ...].
HostFn = Callable[[Any, Batch], Channels]


def staged(
  device_fn: Callable[[Params, MemberArrays, Batch], Any],
  host_fn: HostFn,
  *,
  executor: concurrent.futures.Executor | None = None,
  width: int = 16,
) -> Staged:
  """Makes an evaluator with a device half and a host half, overlapped.

  While the host half of one chunk runs in workers, the device is busy with the
  next.

  Args:
    device_fn: maps (base, members, batch) to a tree of arrays [P, ...]; the
      members' fields are NumPy arrays [P, R]. It may dispatch several programs
      and need not wait for the last of them.
    host_fn: grades one member's part of that tree. It must be picklable if
      `executor` has processes.
    executor: where host halves run; by default in one thread of this process.
      The caller shuts it down.
    width: members to a chunk, where the population does not say it; at least 1.
  """
  return Staged(device_fn, GradingQueue(host_fn, executor), width)


class GradingQueue:
  """Grades on the host what devices have been asked for, as it arrives.

  Args:
    host_fn: grades one member's outputs. It must be picklable if `executor` has
      processes.
    executor: where members are graded; by default in one thread of this
      process. The caller shuts it down.
  """

  def __init__(
    self, host_fn: HostFn, executor: concurrent.futures.Executor | None = None
  ):
    self._host_fn, self._executor = host_fn, executor
    # Waits for the device, so that neither the caller nor a worker has to.
    self._fetcher = concurrent.futures.ThreadPoolExecutor(max_workers=1)

  def submit(self, outputs: Any, num_members: int, batch: Batch) -> Handle:
    """Queues the grading of some members.

    Args:
      outputs: a tree of arrays [P, ...], which the device may still compute.
      num_members: P.
      batch: the prompts that the members answered.

    Returns:
      A handle of channels [P, Q, ...].
    """
    return _StagedHandle(
      self._fetcher.submit(self._grade, outputs, num_members, batch)
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


class Staged:
  """An `Evaluator` whose results are made on the host from device outputs."""

  def __init__(
    self,
    device_fn: Callable[[Params, MemberArrays, Batch], Any],
    queue: GradingQueue,
    width: int,
  ):
    self._device_fn, self._queue, self._width = device_fn, queue, width

  @property
  def team(self) -> Team:
    """The team of this process alone."""
    return teams.alone()

  @property
  def compile_s(self) -> float:
    """Zero: what the device half compiles is not known here."""
    return 0.0

  def find_width(self, base: Params, batch: Batch, num_members: int) -> int:
    """Members to a chunk, no more than there are."""
    del base, batch
    return min(self._width, num_members)

  def place(
    self, base: Params, batch: Batch, num_members: int
  ) -> tuple[Params, Batch]:
    """Leaves everything where the device half expects it."""
    del num_members
    return base, batch

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Batch
  ) -> Handle:
    """Starts the device half, and queues the host halves behind it."""
    outputs = self._device_fn(base, stack_members(members), batch)
    return self._queue.submit(outputs, len(members), batch)


class UngradedHandle:
  """Stands for results that another process of the team grades."""

  def result(self) -> Channels:
    """No channels."""
    return {}


class _StagedHandle:
  """Waits for the host halves of a chunk."""

  def __init__(self, fetched: concurrent.futures.Future):
    self._fetched = fetched

  def result(self) -> Channels:
    rows = [
      row.result() if isinstance(row, concurrent.futures.Future) else row
      for row in self._fetched.result()
    ]
    return {
      name: np.stack([np.asarray(row[name]) for row in rows])
      for name in rows[0]
    }
