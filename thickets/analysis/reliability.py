"""How well the ranking of members on a task repeats, and what follows for D.

Reliability is measured on ranks, where the laws used here (Spearman-Brown, the
correction for attenuation) hold nearly: for normal scores the two scales differ
by at most 0.018 in a correlation and the stepped-up reliability by less than
0.01. They take prompts as independent and exchangeable.

Reference: Spearman (1904), "The proof and measurement of association between
two things"; Spearman (1910) and Brown (1910) for the length of tests.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from thickets.analysis import discordance_intervals, rank_correlation
from thickets.analysis.rank_correlation import Column


def measure_reliability(
  table: Float[np.ndarray, "P Q"],
  num_splits: int,
  rng: np.random.Generator,
  numbers: Int[np.ndarray, " Q"] | None = None,
) -> tuple[float, Float[np.ndarray, " P"]]:
  """Reliability of a task's ranking, and each member's influence on it.

  The rank correlation of two random halves of the prompts, averaged over
  splits, then stepped up to the full number of prompts (Spearman-Brown). A half
  on which all members score alike agrees with nothing and counts as zero. Of an
  odd number of prompts one is left out of each split.

  Args:
    table: [P, Q] each member's score on each prompt, finite.
    num_splits: number of times the prompts are halved.
    rng: draws the halves.
    numbers: [Q] number of each prompt's group, where prompts come in groups; these
      are never divided.

  Returns:
    The reliability, at most one and without a lower bound; NaN for a task with
    one prompt. And its derivative by each member's weight, [P].
  """
  num_members, num_prompts = table.shape
  numbers = np.arange(num_prompts) if numbers is None else numbers
  num_units = int(numbers.max(initial=-1)) + 1
  half = num_units // 2
  if not half:
    return math.nan, np.full(num_members, math.nan)
  places = rng.permuted(
    np.tile(np.arange(num_units)[:, None], num_splits), axis=0
  )[numbers]
  halves = [
    rank_correlation.mean_prompts(table, is_in)
    for is_in in (places < half, (places >= half) & (places < 2 * half))
  ]
  total, influence = 0.0, np.zeros(num_members)
  for first, second in zip(halves[0].T, halves[1].T, strict=True):
    if np.ptp(first) == 0 or np.ptp(second) == 0:
      continue
    correlation, one = rank_correlation.correlation_influence(
      [Column.sort(first), Column.sort(second)]
    )
    total += correlation[0, 1] / num_splits
    influence += one[:, 0, 1] / num_splits
  # The whole is that many halves long: for an odd number a bit more than two.
  times = num_units / half
  stretch = 1 + (times - 1) * total
  if stretch < 1e-3:  # Ranked in reverse: no length mends that.
    return -math.inf, influence
  return float(times * total / stretch), times / stretch**2 * influence


def find_floor(reliability: Float[np.ndarray, " M"]) -> float | None:
  """D if all tasks ranked members alike up to noise; None if unknown."""
  if np.isnan(reliability).any():
    return None
  ceiling = np.sqrt(np.maximum(reliability, 0.0))
  return 1 - rank_correlation.mean_pair(np.outer(ceiling, ceiling))


def disattenuate(
  correlation: Float[np.ndarray, "M M"],
  influence: Float[np.ndarray, "P M M"],
  reliability: Float[np.ndarray, " M"],
  reliability_influence: Float[np.ndarray, "P M"],
  *,
  level: float,
) -> tuple[float, tuple[float, float]]:
  """D without noise, 1 - mean C_jk / sqrt(rel_j rel_k), and its interval.

  Args:
    correlation: [M, M] rank correlations of the tasks.
    influence: [P, M, M] influence of each member on each correlation.
    reliability: [M] reliability of each task, above zero.
    reliability_influence: [P, M] influence of each member on each reliability.
    level: coverage of the interval, two-sided. It is over members, and linear in
      their influences.

  Returns:
    D, which may leave its bounds, and low and high end.
  """
  scale = np.sqrt(np.outer(reliability, reliability))
  clean = correlation / scale
  relative = reliability_influence / reliability
  moved = influence / scale
  moved -= clean / 2 * (relative[:, :, None] + relative[:, None, :])
  one = rank_correlation.mean_pairs(moved)
  error = float(np.std(one, ddof=1)) / math.sqrt(len(one))
  spread = discordance_intervals.expanded_quantile(len(one), level) * error
  value = 1 - rank_correlation.mean_pair(clean)
  return value, (value - spread, value + spread)


def find_unreliable(
  reliability: Float[np.ndarray, " M"], names: Sequence[str]
) -> list[str]:
  """Names of the tasks whose noise cannot be taken out."""
  return [
    name for name, rel in zip(names, reliability, strict=True) if not rel > 0
  ]


def measure_noise(
  tables: Sequence[Float[np.ndarray, "P _Q"]],
  numbers: Sequence[Int[np.ndarray, " _Q"] | None],
  correlation: Float[np.ndarray, "M M"],
  influence: Float[np.ndarray, "P M M"],
  names: Sequence[str],
  *,
  num_splits: int,
  rng: np.random.Generator,
  level: float,
) -> dict[str, Any]:
  """The fields of a `Discordance` that say what noise makes of it.

  Args:
    tables: for each of M tasks the scores [P, Q], finite.
    numbers: for each task the number of each prompt's group, [Q]; None where its
      prompts are independent.
    correlation: [M, M] rank correlations of the tasks.
    influence: [P, M, M] influence of each member on each correlation.
    names: [M] of the tasks.
    num_splits: number of times the prompts are halved.
    rng: draws the halves.
    level: coverage of the interval, two-sided.
  """
  halves = [
    measure_reliability(table, num_splits, rng, of_task)
    for table, of_task in zip(tables, numbers, strict=True)
  ]
  reliability_M = np.array([rel for rel, _ in halves])
  clean, interval, note = None, None, ""
  unreliable = find_unreliable(reliability_M, names)
  if unreliable:
    note = (
      "the reliability must be above zero to take the noise out, and is not"
      f" for {', '.join(unreliable)}"
    )
  else:
    clean, interval = disattenuate(
      correlation,
      influence,
      reliability_M,
      np.stack([part for _, part in halves], axis=1),
      level=level,
    )
  return {
    "reliability": reliability_M,
    "floor": find_floor(reliability_M),
    "disattenuated": clean,
    "disattenuated_interval": interval,
    "disattenuated_note": note,
  }
