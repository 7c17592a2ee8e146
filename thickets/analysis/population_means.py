"""Means over populations and prompts, with an interval over both.

A run says how its members would do on other prompts, and not how those of another
seed would. Where runs are repeated with other seeds, each draws its own members and
prompts, but what prompts share recurs: the same word may decide questions of several
runs. The value of a prompt is then a sum of independent parts,

    y_sq = mean + population_s + group_g(q) + rest_sq,

and the variance of the mean is that of sums by population, plus that of sums by
group, minus that of sums by population and group, which both of them hold. Since
estimates are subtracted, it is never taken to be less than either of the two alone.
Student's quantile is for as many degrees of freedom as there are populations, or
groups where these are fewer, less one.

Where no group recurs, this is Student's interval over the means of populations. Where
all populations answer the same prompts, each prompt is a group.

Reference: Cameron, Gelbach and Miller (2011), "Robust inference with multiway
  clustering".
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from thickets.analysis.intervals import NORMAL_QUANTILE, Estimate
from thickets.errors import UserError

_LEVEL = 0.95


def estimate_over_populations(
  values: Sequence[Float[np.ndarray, " _Q"]],
  groups: Sequence[Sequence[Hashable]],
  *,
  reach: float = 1.0,
) -> Estimate:
  """Returns the mean of repeated runs with its 95 % interval.

  Args:
    values: [S] of [Q] what each population reached on each of its prompts, within
      -reach and reach. Every population counts alike, however many prompts it has.
    groups: [S] of [Q] labels of what is drawn together: prompts of equal labels are
      of one group, in whichever run.
    reach: largest value that is possible.

  Raises:
    UserError: if there are fewer than two populations or groups, or a value is not
      finite or out of range.
  """
  _check(values, groups, reach)
  num_populations = len(values)
  of_population = np.repeat(np.arange(num_populations), list(map(len, values)))
  of_group = _number([label for labels in groups for label in labels])
  of_both = _number(list(zip(of_population.tolist(), of_group, strict=True)))
  mean = float(np.mean([np.mean(found) for found in values]))
  # Each prompt's part of what the mean is off by.
  parts = (
    np.concatenate(
      [(np.asarray(v, np.float64) - mean) / len(v) for v in values]
    )
    / num_populations
  )
  by_population, by_group, by_both = (
    _sum_variance(parts, numbers)
    for numbers in (of_population, of_group, of_both)
  )
  variance = max(by_population + by_group - by_both, by_population, by_group)
  freedom = min(num_populations, of_group.max() + 1) - 1
  quantile = float(special.stdtrit(freedom, (1 + _LEVEL) / 2))
  # As in `repeated_runs`: one prompt won outright and one lost outright keep prompts
  # that are all alike from being certain.
  unseen = 2 * reach**2 / (len(parts) + 2) ** 2
  half = math.hypot(
    quantile * math.sqrt(variance), NORMAL_QUANTILE * math.sqrt(unseen)
  )
  are_grouped = of_both.max() + 1 < len(parts)
  over = f"populations and {'groups of ' if are_grouped else ''}prompts"
  return Estimate(mean, max(mean - half, -reach), min(mean + half, reach), over)


def _number(labels: Sequence[Hashable]) -> Int[np.ndarray, " N"]:
  """The number of each label, from 0 in order of appearance."""
  places = {label: n for n, label in enumerate(dict.fromkeys(labels))}
  return np.array([places[label] for label in labels])


def _sum_variance(
  parts: Float[np.ndarray, " N"], numbers: Int[np.ndarray, " N"]
) -> float:
  """The variance of a sum of parts, where those of one number vary together."""
  sums = np.bincount(numbers, parts)
  return float((sums**2).sum()) * len(sums) / (len(sums) - 1)


def _check(values, groups, reach: float) -> None:
  if len(values) < 2:
    raise UserError(
      "values must be of at least two populations, got"
      f" {len(values)}. How populations differ cannot be seen in one."
    )
  if [*map(len, values)] != [*map(len, groups)]:
    raise UserError(
      "groups must hold one label for each prompt of every population, got"
      f" {[*map(len, groups)]} for {[*map(len, values)]} prompts."
    )
  if len({label for labels in groups for label in labels}) < 2:
    raise UserError(
      "groups must be of at least two groups, got one. From one group nothing"
      " follows for others."
    )
  joined = np.concatenate([np.asarray(found, np.float64) for found in values])
  is_inside = np.abs(joined) <= reach + 1e-9
  if not is_inside.all():
    raise UserError(
      f"values must lie within {-reach:g} and {reach:g}, got"
      f" {joined[~is_inside][0]:g}."
    )
