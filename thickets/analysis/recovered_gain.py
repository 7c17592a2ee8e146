"""How much of a vote's gain over the base one model keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool

from thickets.analysis import intervals, prompt_groups
from thickets.analysis.prompt_groups import Groups

_NUM_RESAMPLES = 4000
_UNITS = (
  "share of the vote's gain over the base that the model has, both on the prompts of"
  " judging; 95 % percentile bootstrap of the ratio, in which all three answer the"
  " same prompts"
)


def measure_recovered(
  base: Bool[np.ndarray, " Q"],
  vote: Bool[np.ndarray, " Q"],
  model: Bool[np.ndarray, " Q"],
  groups: Groups | None = None,
) -> dict[str, Any]:
  """Measures the gain of a model as a share of the gain of a vote.

  Args:
    base: [Q] whether the base is right.
    vote: [Q] whether the vote is right.
    model: [Q] whether the model is right.
    groups: [Q] group of each prompt, which are drawn whole; None where prompts are
      independent.

  Returns:
    JSON values: `vote_gain` with its paired interval, and the `share` with its
    `low` and `high`. These are None where the interval of the vote's gain holds
    zero, since a share of nothing has no meaning.
  """
  gains = np.stack([vote, model]).astype(np.float64) - base
  vote_gain = intervals.estimate_difference(gains[0], groups=groups)
  found: dict[str, Any] = {
    "units": _UNITS,
    "vote_gain": vote_gain.to_json("mean"),
    "share": None,
    "low": None,
    "high": None,
    "over": vote_gain.over,
  }
  if vote_gain.low <= 0:
    return found
  numbers = prompt_groups.number_groups(groups, len(base))
  if numbers is not None:
    gains = np.stack([np.bincount(numbers, weights=row) for row in gains])
  size = gains.shape[1]
  rng = np.random.default_rng(0)
  counts = rng.multinomial(size, np.full(size, 1 / size), _NUM_RESAMPLES)
  totals = counts @ gains.T
  # A resample in which the vote gains nothing is as bad for the share as can be.
  with np.errstate(divide="ignore", invalid="ignore"):
    shares = np.where(totals[:, 0] > 0, totals[:, 1] / totals[:, 0], -np.inf)
  low, high = np.quantile(shares, [0.025, 0.975], method="inverted_cdf")
  found["share"] = float(gains[1].sum() / gains[0].sum())
  found["low"] = float(low) if np.isfinite(low) else None
  found["high"] = float(high) if np.isfinite(high) else None
  return found
