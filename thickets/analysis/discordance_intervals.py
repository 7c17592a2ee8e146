"""Intervals of spectral discordance: over members, and over prompts too."""

import math
from collections.abc import Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from thickets.analysis import rank_correlation
from thickets.analysis.rank_correlation import Column

# Resamples are drawn in blocks of about this many weights, to stay in cache.
_BLOCK = 2**18
_PROMPT_FOLDS = 20
_HALVINGS = 10


def resample_members(
  columns: Sequence[Column], num_resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, " B"]:
  """[B] discordances of members drawn with replacement.

  NaN where a task has all members of the resample alike.
  """
  num_members = len(columns[0].order)
  block = max(1, _BLOCK // num_members)
  drawn = []
  for start in range(0, num_resamples, block):
    size = min(block, num_resamples - start)
    picks = rng.integers(num_members, size=(num_members, size))
    picks = picks * size + np.arange(size)
    weights = np.bincount(picks.ravel(), minlength=num_members * size)
    weights = weights.reshape(num_members, size).astype(np.float64)
    drawn.append(rank_correlation.resample_discordance(columns, weights))
  return np.concatenate(drawn)


def bca_interval(
  value: float,
  drawn: Float[np.ndarray, " B"],
  influence: Float[np.ndarray, " P"],
  level: float,
) -> tuple[float, float]:
  """Bias-corrected, accelerated interval, expanded for few members.

  Args:
    value: the estimate.
    drawn: [B] the estimate in each resample, finite.
    influence: [P] derivative of the estimate by each member's weight.
    level: coverage, two-sided, within 0 and 1.

  Returns:
    Low and high end; the value itself where resampling never moves it.

  Reference: Efron (1987), "Better bootstrap confidence intervals"; Hesterberg
    (2015), "What teachers should know about the bootstrap", section 5.3.
  """
  if len(drawn) < 2 or np.ptp(drawn) < 1e-12:
    return value, value
  # An influence of rounding errors alone has no skewness to speak of.
  cubes, squares = (influence**3).sum(), (influence**2).sum()
  acceleration = cubes / (6 * squares**1.5) if squares > 1e-20 else 0.0
  # Half of the draws that equal the value itself count as below it.
  below = (np.sum(drawn < value) + np.sum(drawn <= value)) / (2 * len(drawn))
  least = 1 / len(drawn)
  shift = scipy.stats.norm.ppf(np.clip(below, least, 1 - least))
  z = shift + expanded_quantile(len(influence), level) * np.array([-1.0, 1.0])
  chances = scipy.stats.norm.cdf(shift + z / (1 - acceleration * z))
  low, high = np.quantile(drawn, chances)
  return float(low), float(high)


def expanded_quantile(num_members: int, level: float) -> float:
  """Student's quantile, times what a bootstrap's spread falls short by."""
  tail = scipy.stats.t.ppf((1 + level) / 2, num_members - 1)
  return float(tail) * math.sqrt(num_members / (num_members - 1))


def add_prompts(
  value: float,
  interval: tuple[float, float],
  over_members: float,
  over_prompts: float,
  *,
  num_members: int,
  level: float,
) -> tuple[float, float]:
  """Widens an interval over members by the variance over prompts.

  Args:
    value: the estimate.
    interval: its ends, over members; what is added keeps their skewness.
    over_members: variance of the estimate over members.
    over_prompts: variance of the estimate over prompts.
    num_members: P, the number of members.
    level: coverage of the interval, two-sided, within 0 and 1.
  """
  low, high = interval
  if over_members > 0 and high > low:
    factor = math.sqrt(1 + over_prompts / over_members)
    return value - (value - low) * factor, value + (high - value) * factor
  spread = expanded_quantile(num_members, level) * math.sqrt(over_prompts)
  return value - spread, value + spread


def jackknife_prompts(
  table: Float[np.ndarray, "P Q"],
  others: Float[np.ndarray, "P rest"],
  rng: np.random.Generator,
  numbers: Int[np.ndarray, " Q"] | None = None,
) -> float:
  """Variance of D over the prompts of one task, by a grouped jackknife.

  A twentieth of the prompts is left out at a time. Prompts drawn with
  replacement instead would add noise to each member's score and push D to one.

  The chance in each member's own answers moves D too, and is a part of its
  variance over members already. It is left out here: what leaving prompts out
  does is found in two halves of the members, and only what both halves have in
  common, their covariance, is the prompts'.

  Args:
    table: [P, Q] scores on the task's prompts, at least two of them.
    others: [P, M - 1] scores on the other tasks.
    rng: groups the prompts and halves the members.
    numbers: [Q] number of each prompt's group, where prompts come in groups; these
      are never divided.

  Returns:
    The variance; not negative, though its estimate may be.

  Reference: Shao and Tu (1995), "The jackknife and bootstrap", section 2.3.
  """
  num_members, num_prompts = table.shape
  numbers = np.arange(num_prompts) if numbers is None else numbers
  num_units = int(numbers.max()) + 1
  num_folds = min(_PROMPT_FOLDS, num_units)
  found = []
  for _ in range(_HALVINGS):
    fold = (rng.permutation(num_units) % num_folds)[numbers]
    outside = fold[:, None] != np.arange(num_folds)
    means = rank_correlation.mean_prompts(table, outside)
    order = rng.permutation(num_members)
    first, second = (
      _agree(means[half], others[half])
      for half in (order[: num_members // 2], order[num_members // 2 :])
    )
    covariance = np.mean((first - first.mean()) * (second - second.mean()))
    found.append((num_folds - 1) * covariance)
  size = others.shape[1] + 1
  return max(0.0, float(np.mean(found)) * (2 / (size * (size - 1))) ** 2)


def _agree(means, others):
  """[C] sum of the rank correlations of each column with all others."""
  ranks, fixed = (
    rank_correlation.percentile_ranks(table) - 0.5 for table in (means, others)
  )
  for centred in (ranks, fixed):
    spread = np.sqrt((centred**2).sum(axis=0))
    # What ranks nobody agrees with no other.
    centred /= np.where(spread > 0, spread, np.inf)
  return (ranks.T @ fixed).sum(axis=1)
