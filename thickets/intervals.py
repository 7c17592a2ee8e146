"""Standard errors and confidence intervals."""

import math

import numpy as np
from jaxtyping import Float


def standard_error(values: Float[np.ndarray, " Q"]) -> float:
  """Standard error of the mean of independent values; NaN for fewer than two."""
  if len(values) < 2:
    return math.nan
  if np.all(values == values[0]):
    return 0.0  # Exactly, where the rounding of the mean would leave a trace.
  deviation = np.std(values, ddof=1, dtype=np.float64)
  return float(deviation / math.sqrt(len(values)))


def wilson_interval(
  successes: int, trials: int, *, z: float = 1.959963984540054
) -> tuple[float, float]:
  """Returns Wilson's interval for a proportion, 95 % by default.

  Args:
    successes: how many of the trials succeeded.
    trials: how many there were, at least one.
    z: quantile of the normal distribution, two-sided.

  Reference: Wilson (1927), "Probable inference, the law of succession, and
    statistical inference".
  """
  if not 0 <= successes <= trials or trials < 1:
    raise ValueError(
      f"successes must be within 0 and trials, got {successes} of {trials}."
    )
  share = successes / trials
  centre = share + z * z / (2 * trials)
  spread = z * math.sqrt(
    share * (1 - share) / trials + z * z / (4 * trials * trials)
  )
  scale = 1 + z * z / trials
  low, high = (centre - spread) / scale, (centre + spread) / scale
  # At the ends exactly, where rounding would leave a trace.
  return (low if successes else 0.0), (high if successes < trials else 1.0)
