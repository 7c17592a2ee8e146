"""How often an interval held the truth."""

from collections.abc import Sequence

import numpy as np

from thickets.analysis import intervals


def describe_coverage(
  held: Sequence[bool] | np.ndarray,
) -> dict[str, float | str]:
  """Returns the share of runs whose interval held, with Wilson's 95 % interval.

  Args:
    held: [R] whether the interval of each run held the truth.
  """
  found = intervals.estimate_share(int(np.sum(held)), len(held), over="runs")
  return {**found.to_json("share"), "n": len(held)}
