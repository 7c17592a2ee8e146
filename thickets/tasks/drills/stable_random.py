"""Random draws that are the same in every version of Python."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class StableRandom:
  """A stream of random draws that no release of Python changes.

  Only `random()` of `random.Random` is promised to stay as it is, so everything
  else is made from it here.

  Args:
    seed: text that names the stream; equal texts give equal draws.
  """

  def __init__(self, seed: str):
    self._uniform = random.Random(seed).random

  def uniform(self) -> float:
    """Draws a number in [0, 1)."""
    return self._uniform()

  def between(self, low: int, high: int) -> int:
    """Draws a whole number from `low` to `high`, both included."""
    return low + int(self._uniform() * (high - low + 1))

  def choose(self, items: Sequence[T]) -> T:
    """Draws one of the items, each with the same probability."""
    return items[int(self._uniform() * len(items))]

  def shuffle(self, items: Sequence[T]) -> list[T]:
    """Returns the items in a random order."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
      other = int(self._uniform() * (last + 1))
      order[last], order[other] = order[other], order[last]
    return order
