"""What a population scored on the prompts of selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import intervals
from thickets.members import Member


def describe_population(
  members: Sequence[Member], scores: Float[np.ndarray, " P"], base_score: float
) -> dict[str, Any]:
  """Describes the population's scores, whole and by sigma; a failure is no expert.

  Args:
    members: [P] the population.
    scores: [P] each member's mean score, NaN where it failed.
    base_score: the base's mean score on the same prompts.
  """
  sigmas = np.array([member.sigma for member in members])
  return {
    "size": len(scores),
    "base_score": base_score,
    **_describe_scores(scores, base_score),
    "by_sigma": [
      {
        "sigma": float(sigma),
        "size": int((sigmas == sigma).sum()),
        **_describe_scores(scores[sigmas == sigma], base_score),
      }
      for sigma in np.unique(sigmas)
    ],
  }


def _describe_scores(scores, base_score):
  finite = scores[np.isfinite(scores)]
  better = int((finite > base_score).sum())
  return {
    "num_failed": len(scores) - len(finite),
    "mean_score": float(finite.mean()) if len(finite) else None,
    "best_score": float(finite.max()) if len(finite) else None,
    "better_than_base": intervals.describe_count(
      better, len(scores), over="members"
    ),
  }
