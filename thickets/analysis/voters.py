"""What a table says of those who vote: who wins, who could, who errs together."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def count_discordant(
  first: Bool[np.ndarray, " Q"], second: Bool[np.ndarray, " Q"]
) -> dict[str, int]:
  """Counts the prompts that only one of two systems has right.

  Args:
    first: [Q] whether the first is right.
    second: [Q] whether the second is right.

  Returns:
    `won`, right by the first alone, and `lost`, right by the second alone. Only
    these prompts speak for either of them.
  """
  return {
    "won": int((first & ~second).sum()),
    "lost": int((second & ~first).sum()),
  }


def pass_at_k(right_KQ: Bool[np.ndarray, "K Q"]) -> Bool[np.ndarray, "Q K"]:
  """[Q, K] whether at least one of the first k answers is right.

  It is what a perfect choice among the answers would reach, and the vote cannot
  be above it.

  Args:
    right_KQ: [K, Q] whether each answer is right.
  """
  return np.logical_or.accumulate(right_KQ, axis=0).T


def correlate_errors(right_KQ: Bool[np.ndarray, "K Q"]) -> float | None:
  """Mean correlation of two voters' errors over the prompts.

  At 1 all err on the same prompts, so that a vote cannot help; at 0 errors have
  nothing in common.

  Args:
    right_KQ: [K, Q] whether each voter is right.

  Returns:
    The mean over pairs; pairs with a voter that is always right or always wrong
    have no correlation and are left out. None if there is no other pair.
  """
  varies = right_KQ.any(axis=1) & ~right_KQ.all(axis=1)
  right: Float[np.ndarray, "K Q"] = right_KQ[varies].astype(np.float64)
  if len(right) < 2:
    return None
  pairs = np.corrcoef(right)[np.triu_indices(len(right), k=1)]
  return float(pairs.mean())
