"""Standard errors, confidence intervals, and numbers that carry theirs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A number with the ends of its 95 % interval."""

  value: float
  low: float
  high: float

  def to_json(self, name: str = "value") -> dict[str, float]:
    """The number, under the name given, and the ends of its interval."""
    return {name: self.value, "low": self.low, "high": self.high}


def estimate_share(successes: int, trials: int) -> Estimate:
  """Returns the share of successes with its Wilson interval over the trials."""
  return Estimate(successes / trials, *wilson_interval(successes, trials))


def estimate_mean(
  values: Float[np.ndarray, " Q"], *, num_resamples: int = 10_000
) -> Estimate:
  """Returns the mean over prompts with its bootstrap interval.

  Args:
    values: [Q] one per prompt; for two systems, their difference on each prompt.
    num_resamples: number of bootstrap resamples.
  """
  low, high = bootstrap_interval(values, num_resamples=num_resamples)
  return Estimate(float(np.mean(values)), low, high)


def describe_count(count: int, total: int) -> dict[str, float]:
  """Returns a count, its share of the total and the share's Wilson interval.

  Args:
    count: how many there are, within 0 and the total.
    total: what the share is of, at least 1.
  """
  return {"count": count, **estimate_share(count, total).to_json("frac")}


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
    successes: number of trials that succeeded.
    trials: number of trials, at least 1.
    z: quantile of the normal distribution that the level asks for, two-sided.

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


def paired_interval(
  differences: Float[np.ndarray, " Q"],
) -> tuple[float, float]:
  """Returns the 95 % interval of a mean difference over the same prompts.

  It is 1.96 standard errors to either side of the mean, after one prompt that is
  won and one that is lost have been added. Without them, a system that changes no
  answer on the prompts at hand would seem certain to change none at all.

  Args:
    differences: [Q] what one system scores on each prompt minus what the other
      scores there.

  Returns:
    The low and the high end, which may lie outside the range of a difference.

  Reference: Bonett and Price (2012), "Adjusted Wald confidence interval for a
    difference of binomial proportions based on paired data".
  """
  more = add_win_and_loss(differences)
  half = 1.96 * float(np.std(more)) / math.sqrt(len(more))
  centre = float(more.mean())
  return centre - half, centre + half


def gain_interval(
  gains: Float[np.ndarray, " Q"],
) -> tuple[float, float]:
  """Returns `paired_interval` of a gain in accuracy, cut off at -1 and 1.

  Args:
    gains: [Q] gain on each prompt, within -1 and 1.
  """
  low, high = paired_interval(gains)
  return max(low, -1.0), min(high, 1.0)


def add_win_and_loss(
  differences: Float[np.ndarray, "*axes Q"],
) -> Float[np.ndarray, "*axes Q+2"]:
  """Appends a prompt that is won and one that is lost, as Bonett and Price do."""
  two = np.broadcast_to([1.0, -1.0], (*differences.shape[:-1], 2))
  return np.concatenate([differences, two], axis=-1)


def bootstrap_interval(
  values: Float[np.ndarray, " Q"] | Bool[np.ndarray, " Q"],
  *,
  seed: int = 0,
  num_resamples: int = 10_000,
  level: float = 0.95,
) -> tuple[float, float]:
  """Percentile bootstrap interval of the mean over independent prompts.

  For the paired difference of two systems, pass the difference on each prompt.

  Args:
    values: [Q] one per prompt.
    seed: the seed of the resampling.
    num_resamples: number of resamples.
    level: coverage of the interval, two-sided, within 0 and 1.

  Returns:
    Low and high end; NaN for no values.

  Reference: Efron (1979), "Bootstrap methods: another look at the jackknife".
  """
  if not len(values):
    return math.nan, math.nan
  # How often each distinct value is drawn is multinomial, so differences of
  # zeros and ones need three counts for a resample and not Q.
  distinct, counts = np.unique(
    np.asarray(values, np.float64), return_counts=True
  )
  rng = np.random.default_rng(seed)
  drawn = rng.multinomial(len(values), counts / len(values), size=num_resamples)
  means = drawn @ distinct / len(values)
  tail = (1 - level) / 2
  low, high = np.quantile(means, [tail, 1 - tail])
  return float(low), float(high)
