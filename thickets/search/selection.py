"""Selection: who is best, whoever failed comes last, ties go to the earlier.

Reference: Gan and Isola (2026), arXiv:2603.12228, Algorithm 1.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Real


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
