"""Teams of processes: those whose devices evaluate a member together.

A member that fits into the devices of one process is that process's alone: it is
a team by itself. Where a member's devices are those of several processes, these
run the same programs on the same members, and the first of them, which leads,
grades and records what all of them computed. Teams share no arrays.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from thickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class Team:
  """The processes that evaluate members together, this one among them.

  Attributes:
    processes: their numbers, in order.
    count: how many teams there are, all of one size.
  """

  processes: tuple[int, ...]
  count: int = 1

  @property
  def number(self) -> int:
    """The place of this team among all, from 0."""
    return self.processes[0] // len(self.processes)

  @property
  def is_led_here(self) -> bool:
    """Whether this process leads: it grades and records."""
    return self.processes[0] == jax.process_index()


def alone() -> Team:
  """The team of this process, by itself."""
  return Team((jax.process_index(),), jax.process_count())


def find_team(mesh: Mesh) -> Team:
  """The processes whose devices make up a mesh."""
  processes = sorted({device.process_index for device in mesh.devices.flat})
  return Team(tuple(processes), jax.process_count() // len(processes))


def choose_devices(
  devices: Sequence[Any], process: int, model: int
) -> list[Any]:
  """The devices of the team of one process.

  Args:
    devices: those of all processes.
    process: the number of the process.
    model: devices that share one member's weights.

  Raises:
    UserError: if so many devices neither divide those of a process nor are those
      of whole processes, of which each team has as many.
  """
  by_process: dict[int, list[Any]] = {}
  for device in devices:
    by_process.setdefault(device.process_index, []).append(device)
  own = by_process[process]
  if model >= 1 and len(own) % model == 0:
    return own
  size = max(1, model // len(own))  # Processes to a team.
  if (
    model < 1
    or model % len(own)
    or len(by_process) % size
    or {len(some) for some in by_process.values()} != {len(own)}
  ):
    raise UserError(
      "The devices that share a member must divide all devices, got"
      f" {model} of {_count_devices(by_process)}. Choose a number that divides"
      " the devices of a process, or those of several whole processes that"
      " divide all."
    )
  first = process // size * size
  numbers = sorted(by_process)[first : first + size]
  return [device for number in numbers for device in by_process[number]]


def _count_devices(by_process: dict[int, list[Any]]) -> str:
  counts = [len(some) for some in by_process.values()]
  if len(counts) == 1:
    return str(counts[0])
  return f"{sum(counts)} in {len(counts)} processes"
