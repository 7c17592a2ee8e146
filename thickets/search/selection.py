"""Selection: members ranked by score; failures last, ties in order of drawing.

Reference: Gan and Isola (2026), arXiv:2603.12228, Algorithm 1.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Real

from thickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class EnsembleSpec:
  """How many of the best members vote.

  Attributes:
    top_k: the K that is reported, chosen before judging is seen.
    also: other Ks of the table and the curve.

  Raises:
    UserError: if a K is below one.
  """

  top_k: int
  also: tuple[int, ...] = ()

  def __post_init__(self):
    object.__setattr__(self, "also", tuple(self.also))
    if min(self.sizes) < 1:
      raise UserError(
        "Every K of an ensemble must be at least 1, got"
        f" ensemble.top_k={self.top_k} and ensemble.also={self.also}. Raise it."
      )

  @property
  def sizes(self) -> tuple[int, ...]:
    """All Ks, ascending, each once."""
    return tuple(sorted({self.top_k, *self.also}))

  @property
  def largest(self) -> int:
    """The largest K."""
    return self.sizes[-1]


def rank_members(scores: Real[np.ndarray, " P"]) -> Int[np.ndarray, " P"]:
  """Returns member positions from best to worst.

  A tie goes to the member drawn earlier. Scores that are not finite, +inf
  included, mark failed members and come last, in the order of drawing.
  """
  scores = np.asarray(scores, np.float64)
  failed = ~np.isfinite(scores)
  return np.lexsort((np.where(failed, 0.0, -scores), failed))


def select_top_k(
  scores: Real[np.ndarray, " P"] | Sequence[float | int], k: int
) -> Int[np.ndarray, " K"]:
  """Returns the positions of the K best members, by rank.

  Args:
    scores: [P] higher is better; what is not finite marks a failed member.
    k: how many to keep.

  Returns:
    [K] positions, best first; ties in the order of drawing.

  Raises:
    ValueError: if k is below one, or fewer than k scores are finite.
  """
  scores = np.asarray(scores, np.float64)
  num_finite = int(np.isfinite(scores).sum())
  if not 1 <= k <= num_finite:
    raise ValueError(
      f"k must be within 1 and the number of members with a finite score, got"
      f" k={k} with {num_finite} of {scores.size} finite. Lower k, or find out"
      " why members failed."
    )
  return rank_members(scores)[:k]


def select_in_blocks(
  scores: Real[np.ndarray, " P"], block_size: int, k: int, *, most: int
) -> list[Int[np.ndarray, " K"]]:
  """Runs the selection in several smaller populations, side by side.

  Members are drawn independently, so each run of `block_size` consecutive ones
  is a population of its own.

  Args:
    scores: [P] higher is better.
    block_size: members of each smaller population.
    k: how many to keep in each.
    most: number of blocks at most, the first ones.

  Returns:
    For each block, [K] positions in the whole population by rank. Blocks with
    fewer than k members that did not fail are left out.
  """
  chosen = []
  for block in range(min(len(scores) // block_size, most)):
    start = block * block_size
    part = np.asarray(scores)[start : start + block_size]
    if np.isfinite(part).sum() >= k:
      chosen.append(start + select_top_k(part, k))
  return chosen


def select_ensemble(
  scores: Real[np.ndarray, " P"], ensemble: EnsembleSpec
) -> Int[np.ndarray, " K"]:
  """Returns the positions of the largest ensemble's members, by rank.

  Args:
    scores: [P] higher is better; what is not finite marks a failed member.
    ensemble: how many vote.

  Raises:
    UserError: if too few members have a finite score.
  """
  num_finite = int(np.isfinite(scores).sum())
  if ensemble.largest > num_finite:
    raise UserError(
      f"the largest ensemble needs {ensemble.largest} members with a finite"
      f" score, but only {num_finite} of {len(scores)} have one. Lower"
      " population.sigmas or ensemble.top_k."
    )
  return select_top_k(scores, ensemble.largest)
