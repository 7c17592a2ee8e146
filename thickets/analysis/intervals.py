"""Standard errors, confidence intervals, and numbers that carry theirs.

There is one interval for each kind of question, whoever asks it:

* `wilson_interval`, of a count among independent trials: Wilson's.
* `mean_interval`, of what one system reaches on prompts, within 0 and 1: Wilson's
  too, for as many flags as vary like these values.
* `paired_interval`, of the difference between two systems on the same prompts: that
  of Bonett and Price, for flags as for means over members.

All are closed forms, so that equal values give equal digits everywhere, and none has
a width of zero. A percentile bootstrap would: of values that are all alike on the
prompts at hand it says that they are alike on all others.

Prompts that come in groups (`groups=`, a label for each prompt) count for as many as
vary like them, by the variance of the groups' sums; quantiles are then Student's, for
one group less. Groups of one prompt each are none. (Korn and Graubard 1998,
"Confidence intervals for proportions with small expected number of positive counts
estimated from survey data", for the number of prompts.)
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float

from thickets.analysis import prompt_groups
from thickets.analysis.prompt_groups import Groups

# Quantile of the normal distribution for 95 %, two-sided.
NORMAL_QUANTILE = 1.959963984540054


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A number with the ends of its 95 % interval.

  Attributes:
    value: the number.
    low: the low end.
    high: the high end.
    over: what the interval ranges over, in words: "prompts", "groups of prompts",
      "members", "prompts and members". What it does not name is held as it was in
      this run.
  """

  value: float
  low: float
  high: float
  over: str

  def to_json(self, name: str = "value") -> dict[str, float | str]:
    """The number, under the name given, the ends, and what they range over."""
    return {
      name: self.value,
      "low": self.low,
      "high": self.high,
      "over": self.over,
    }


def estimate_share(successes: int, trials: int, *, over: str) -> Estimate:
  """Returns the share of successes with its Wilson interval over the trials.

  Args:
    successes: number of trials that succeeded.
    trials: number of independent trials, at least 1.
    over: what the trials are, such as "members".
  """
  low, high = wilson_interval(successes, trials)
  return Estimate(successes / trials, low, high, over)


def estimate_mean(
  values: Float[np.ndarray, " Q"] | Bool[np.ndarray, " Q"],
  *,
  groups: Groups | None = None,
) -> Estimate:
  """Returns the mean over prompts of what one system reaches on each.

  Args:
    values: [Q] within 0 and 1: flags, or means over members.
    groups: [Q] label of each prompt's group; None where prompts are independent.
  """
  low, high = mean_interval(values, groups=groups)
  over = prompt_groups.say_unit(groups, len(values))
  return Estimate(float(np.mean(values)), low, high, over)


def estimate_difference(
  differences: Float[np.ndarray, " Q"],
  *,
  reach: float = 1.0,
  groups: Groups | None = None,
) -> Estimate:
  """Returns the mean difference of two systems with its `paired_interval`.

  Args:
    differences: [Q] difference on each prompt, within -reach and reach.
    reach: largest difference that is possible on a prompt.
    groups: [Q] label of each prompt's group; None where prompts are independent.
  """
  low, high = paired_interval(differences, reach=reach, groups=groups)
  over = prompt_groups.say_unit(groups, len(differences))
  return Estimate(float(np.mean(differences)), low, high, over)


def describe_count(
  count: int, total: int, *, over: str
) -> dict[str, float | str]:
  """Returns a count, its share of the total and the share's Wilson interval.

  Args:
    count: how many there are, within 0 and the total.
    total: what the share is of, at least 1.
    over: what is counted, such as "members".
  """
  share = estimate_share(count, total, over=over)
  return {"count": count, **share.to_json("frac")}


def standard_error(values: Float[np.ndarray, " Q"]) -> float:
  """Standard error of the mean of independent values; NaN for fewer than two."""
  if len(values) < 2:
    return math.nan
  if np.all(values == values[0]):
    return 0.0  # Exactly, where the rounding of the mean would leave a trace.
  deviation = np.std(values, ddof=1, dtype=np.float64)
  return float(deviation / math.sqrt(len(values)))


def wilson_interval(
  successes: int, trials: int, *, z: float = NORMAL_QUANTILE
) -> tuple[float, float]:
  """Returns Wilson's interval for a proportion, 95 % by default.

  Args:
    successes: number of trials that succeeded.
    trials: number of independent trials, at least 1.
    z: quantile of the normal distribution that the level asks for, two-sided.

  Reference: Wilson (1927), "Probable inference, the law of succession, and
    statistical inference".
  """
  if not 0 <= successes <= trials or trials < 1:
    raise ValueError(
      f"successes must be within 0 and trials, got {successes} of {trials}."
    )
  return _wilson_ends(successes / trials, trials, z)


def mean_interval(
  values: Float[np.ndarray, " Q"] | Bool[np.ndarray, " Q"],
  *,
  groups: Groups | None = None,
) -> tuple[float, float]:
  """Returns the 95 % interval of a mean over prompts of values within 0 and 1.

  Flags get Wilson's interval. Means over members vary less from prompt to prompt
  than flags of the same mean would; they get Wilson's for the number of flags
  whose mean varies as much. One pseudo-count on either side of that comparison
  keeps the number finite where all prompts at hand are alike.

  Args:
    values: [Q] what was reached on each prompt, at least one of them.
    groups: [Q] label of each prompt's group; None where prompts are independent.
  """
  values = _check_values(values, 0.0, 1.0)
  share = float(values.mean())
  as_flags = len(values) * share * (1 - share)
  # For flags exactly one.
  effect = 1 - float((values * (1 - values)).sum()) / (as_flags + 1)
  numbers = prompt_groups.number_groups(groups, len(values))
  if numbers is not None:
    effect *= prompt_groups.design_effect(values - share, numbers, doubt=1.0)
  z = prompt_groups.group_quantile(NORMAL_QUANTILE, numbers)
  return _wilson_ends(share, len(values) / effect, z)


def paired_interval(
  differences: Float[np.ndarray, " Q"],
  *,
  reach: float = 1.0,
  z: float = NORMAL_QUANTILE,
  groups: Groups | None = None,
) -> tuple[float, float]:
  """Returns the interval of a mean difference over prompts, 95 % by default.

  It is the normal quantile times the standard error to either side of the mean,
  after one prompt that is won outright and one that is lost outright have been
  added, and it is cut off at what is possible. Without the two prompts, a system
  that changes no answer on the prompts at hand would seem certain to change none
  at all.

  Args:
    differences: [Q] what one system scores on each prompt minus what the other
      scores there, at least one of them.
    reach: largest difference that is possible on a prompt: 1 between two shares,
      2 between two such differences.
    z: quantile of the normal distribution that the level asks for, two-sided.
    groups: [Q] label of each prompt's group; None where prompts are independent.

  Reference: Bonett and Price (2012), "Adjusted Wald confidence interval for a
    difference of binomial proportions based on paired data".
  """
  differences = _check_values(differences, -reach, reach)
  numbers, effect = prompt_groups.number_groups(groups, len(differences)), 1.0
  if numbers is not None:
    effect = prompt_groups.design_effect(
      differences - differences.mean(), numbers, doubt=2 * reach**2
    )
  # Prompts that vary as much as these do, and the two.
  size = len(differences) / effect + 2
  centre = float(differences.sum()) / effect / size
  squares = float((differences**2).sum()) / effect + 2 * reach**2
  variance = squares / size - centre**2
  half = prompt_groups.group_quantile(z, numbers) * math.sqrt(variance / size)
  return max(centre - half, -reach), min(centre + half, reach)


def _wilson_ends(share: float, size: float, z: float) -> tuple[float, float]:
  """The ends of Wilson's interval; the size need not be a whole number."""
  centre = share + z * z / (2 * size)
  spread = z * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
  scale = 1 + z * z / size
  low, high = (centre - spread) / scale, (centre + spread) / scale
  # At the ends exactly, where rounding would leave a trace.
  return (low if share > 0 else 0.0), (high if share < 1 else 1.0)


def _check_values(values, low: float, high: float) -> Float[np.ndarray, " Q"]:
  """The values in float64, at least one, all of them within the range."""
  values = np.asarray(values, np.float64)
  if not len(values):
    raise ValueError("An interval must be of at least one prompt, got none.")
  # Tolerant of rounding: a mean of ones may exceed one in the last digit.
  is_inside = (values >= low - 1e-9) & (values <= high + 1e-9)
  if not is_inside.all():
    raise ValueError(
      f"Values must lie within {low:g} and {high:g}, got"
      f" {values[~is_inside][0]:g}."
    )
  return np.clip(values, low, high)
