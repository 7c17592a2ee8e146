"""What an evaluator is: the one contract between the engine and what it drives.

An evaluator turns (base, members, batch) into a handle of channels, without
waiting for the device. `traced` and `staged` make one.

A batch is a tree whose leaves have the prompts as their first axis [Q, ...].
Channels are named values [P, Q, ...], one for each member and prompt; every
evaluator gives `score`, higher is better, and whatever else it knows.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from thickets.members import Member
from thickets.naming import Params
from thickets.search.teams import Team

# A tree of arrays. The evaluator and the maker of the batch agree on its structure.
Batch = Any

Channels = dict[str, np.ndarray]


@runtime_checkable
class Handle(Protocol):
  """Results that may still be under way."""

  def result(self) -> Channels:
    """Waits, and returns channels [P, Q, ...] as NumPy arrays."""
    ...


@runtime_checkable
class Evaluator(Protocol):
  """Evaluates a chunk of members on a batch of prompts."""

  def place(
    self, base: Params, batch: Batch, num_members: int
  ) -> tuple[Params, Batch]:
    """Puts what all chunks of `num_members` share where it will be used."""
    ...

  def find_width(self, base: Params, batch: Batch, num_members: int) -> int:
    """Finds how many members of `num_members` make a chunk, from memory."""
    ...

  @property
  def compile_s(self) -> float:
    """Seconds spent on compilation so far."""
    ...

  @property
  def team(self) -> Team:
    """The processes that evaluate a chunk together; see `teams`.

    All of them make the same calls. Only the handles of the one that leads need
    have channels.
    """
    ...

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Batch
  ) -> Handle:
    """Starts the evaluation of `members` on what `place` returned."""
    ...
