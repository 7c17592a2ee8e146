"""Who sits where: which response each row of a batch continues."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int

from thickets.generation.beginnings import Beginnings, share_beginnings
from thickets.generation.rows import Prompts
from thickets.generation.sampling import RowSampling
from thickets.generation.texts import Text, pad_texts, round_width

_ROW_FRACTIONS = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)


@dataclasses.dataclass(frozen=True)
class Seats:
  """Which response each row [G, B] continues.

  Attributes:
    members: [G, B] the member whose response it is.
    prompts: [G, B] the prompt that it answers; -1 where a row only fills up.
    num_rows: rows of a group when the batch is full; groups shrink to fractions
      of it.
  """

  members: Int[np.ndarray, "G B"]
  prompts: Int[np.ndarray, "G B"]
  num_rows: int

  def take(self, kept_GC: Int[np.ndarray, "G C"]) -> "Seats":
    """The seats at some positions of each group."""
    members, prompts = (
      np.take_along_axis(seats, kept_GC, axis=1)
      for seats in (self.members, self.prompts)
    )
    return Seats(members, prompts, self.num_rows)


def assign_seats(
  order: Sequence[int],
  num_members: int | None,
  num_slots: int,
  most_rows: int | None,
  *,
  keeps_order: bool = False,
) -> Iterator[Seats]:
  """Yields the seats of one batch of rows after the other.

  Args:
    order: [Q] the prompts, the longest first.
    num_members: how many members answer all of them, one for each group; None
      where one model answers, and the prompts are dealt out to the groups.
    num_slots: how many groups there are for one model.
    most_rows: rows of a group at most; None for all.
    keeps_order: whether prompts that stand together are dealt to one group, as far
      as groups stay equal; otherwise the long ones are dealt to all of them.
  """
  if num_members is None:
    members = [0] * num_slots
    hands = [order[group::num_slots] for group in range(num_slots)]
    if keeps_order:
      ends = np.cumsum([0, *map(len, hands)])
      hands = [order[a:b] for a, b in itertools.pairwise(ends)]
  else:
    members = list(range(num_members))
    hands = [order] * num_members
  most = len(hands[0])  # The first is dealt no fewer than the others.
  num_rows = most if most_rows is None else min(most_rows, most)
  for start in range(0, most, num_rows):
    shares = [hand[start : start + num_rows] for hand in hands]
    prompts_GB = np.full((len(shares), fit_rows(len(shares[0]), num_rows)), -1)
    for group, share in enumerate(shares):
      prompts_GB[group, : len(share)] = share
    members_GB = np.broadcast_to(np.array(members)[:, None], prompts_GB.shape)
    yield Seats(members_GB, prompts_GB, num_rows)


def seat_texts(
  texts: Sequence[Text],
  beginnings: Beginnings | None,
  sampling: RowSampling,
  seats: Seats,
  find_most: Callable[[int], int],
) -> Prompts:
  """The prompts [G, B, T] of a batch, padded on the left.

  Args:
    texts: [Q] the prompts, behind the shared prefix.
    beginnings: what some of them share, and is read once; None where all is read
      by each row.
    sampling: [P, Q] how each response is sampled.
    seats: [G, B] which response each row continues.
    find_most: maps the number of rows of a group to how many columns they may
      be padded with to save programs.
  """
  seated: np.ndarray = seats.prompts

  @functools.cache  # Every member is asked the same prompts.
  def find_rest(number: int) -> Text | None:
    if number < 0:
      return None
    begun = 0 if beginnings is None else beginnings.length(number)
    return texts[number].cut(begun)

  def fit(lengths: Iterable[int]) -> int:
    return round_width(max(lengths), find_most(seated.shape[1]))

  rests = [[find_rest(int(number)) for number in row] for row in seated]
  width = fit(len(text) for row in rests for text in row if text is not None)
  deltas = shared = None
  if any(text.places is not None for text in texts):
    of_texts = np.array([*(text.delta for text in texts), 0], np.int32)
    deltas = of_texts[seated]
  if beginnings is not None:
    num_slots = fit(len(texts[number]) for number in seated.flat if number >= 0)
    shared = share_beginnings(beginnings, rests, seated, num_slots, find_most)
  return Prompts(
    pad_texts(rests, width),
    RowSampling(
      sampling.keys[seats.members, seated],
      sampling.temperatures[seats.members, seated],
    ),
    deltas,
    shared,
  )


def fit_rows(needed: int, num_rows: int) -> int:
  """The smallest row count of the fixed set that holds `needed` rows."""
  sizes = (math.ceil(fraction * num_rows) for fraction in _ROW_FRACTIONS)
  return min(size for size in sizes if size >= needed)


def keep_rows(
  active_GB: Bool[np.ndarray, "G B"], num_rows: int
) -> Int[np.ndarray, "G C"]:
  """Positions of the rows to keep: the active ones, and some to fill up."""
  size = fit_rows(int(active_GB.sum(axis=1).max()), num_rows)
  if size >= active_GB.shape[1]:
    return np.broadcast_to(np.arange(active_GB.shape[1]), active_GB.shape)
  return np.argsort(~active_GB, axis=1, kind="stable")[:, :size]
