"""Means over trainings, populations and prompts, with an interval over all three.

A result on one training says how it would come out on other prompts, and not how it
would come out around another model. Where trainings are repeated, and populations
within them, the value of a prompt is a sum of independent parts,

    y_tsq = mean + training_t + population_ts + prompt_sq + rest_tsq,

since a population of one seed s asks the same prompts around every training t, and
its members lie around different weights each time. The variance of the mean over T
trainings, S populations each and Q prompts each is then

    (M_T + M_Q - M_R) / (T S Q),

where M_T, M_Q and M_R are the mean squares of the table's two-way analysis of
variance: of trainings, of prompts within seeds, and of what is left. A mean square of
trainings below that of populations is noise, since populations are a part of both;
the two are then pooled. Student's quantile is for as many degrees of freedom as the
sum has by Satterthwaite's rule: with few trainings that differ, few.

Reference: Searle, Casella and McCulloch (1992), "Variance Components", chapter 4;
  Satterthwaite (1946), "An approximate distribution of estimates of variance
  components".
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy import special

from thickets.analysis import intervals
from thickets.analysis.intervals import NORMAL_QUANTILE, Estimate
from thickets.errors import UserError

OVER = "trainings, populations and prompts"
_LEVEL = 0.95


def estimate_repeated(
  values: Float[np.ndarray, "T S Q"], *, reach: float = 1.0
) -> Estimate:
  """Returns the mean of repeated runs with its 95 % interval over what was repeated.

  Args:
    values: [T, S, Q] what was reached by each of at least two trainings, with each
      seed of a population, on each of at least two prompts, within -reach and reach:
      such as the difference of two systems. Seed s stands for the same prompts at
      every training.
    reach: largest value that is possible.

  Raises:
    UserError: if there are fewer than two trainings or prompts, or a value is not
      finite or out of range.
  """
  values = np.asarray(values, np.float64)
  _check(values, reach)
  variance, freedom = _add_variances(values)
  quantile = float(special.stdtrit(freedom, (1 + _LEVEL) / 2))
  # As `paired_interval` does: one prompt won outright and one lost outright keep
  # prompts that are all alike from being certain. Their variance is not estimated,
  # so that it has the normal quantile.
  unseen = 2 * reach**2 / (values[0].size + 2) ** 2
  mean = float(values.mean())
  half = math.hypot(
    quantile * math.sqrt(variance), NORMAL_QUANTILE * math.sqrt(unseen)
  )
  return Estimate(mean, max(mean - half, -reach), min(mean + half, reach), OVER)


def estimate_one(
  values: Float[np.ndarray, "S Q"], *, reach: float = 1.0
) -> Estimate:
  """Returns the mean of one training, with its interval over prompts alone.

  Args:
    values: [S, Q] as `estimate_repeated` takes them, of a single training.
    reach: largest value that is possible.
  """
  return intervals.estimate_difference(
    np.asarray(values, np.float64).reshape(-1), reach=reach
  )


def _add_variances(values: Float[np.ndarray, "T S Q"]) -> tuple[float, float]:
  """The variance of the mean, and its degrees of freedom."""
  num_trainings, num_seeds, num_prompts = values.shape
  mean = values.mean()
  of_training = values.mean(axis=(1, 2))
  of_seed = values.mean(axis=(0, 2))
  of_cell = values.mean(axis=2)
  of_prompt = values.mean(axis=0)
  trainings = (
    (num_seeds * num_prompts * ((of_training - mean) ** 2).sum()),
    num_trainings - 1,
  )
  populations = (
    (
      num_prompts
      * ((of_cell - of_training[:, None] - of_seed + mean) ** 2).sum()
    ),
    (num_trainings - 1) * (num_seeds - 1),
  )
  prompts = (
    (num_trainings * ((of_prompt - of_seed[:, None]) ** 2).sum()),
    num_seeds * (num_prompts - 1),
  )
  rest = (
    (
      (values - of_cell[:, :, None] - of_prompt[None] + of_seed[None, :, None])
      ** 2
    ).sum(),
    (num_trainings - 1) * num_seeds * (num_prompts - 1),
  )
  # What contains more parts cannot vary less, but for noise.
  populations = _pool_if_smaller(populations, rest)
  trainings = _pool_if_smaller(trainings, populations)
  prompts = _pool_if_smaller(prompts, rest)
  parts = [
    (squares / freedom, freedom)
    for squares, freedom in (trainings, prompts, rest)
  ]
  signed = parts[0][0] + parts[1][0] - parts[2][0]
  spread = sum(square**2 / freedom for square, freedom in parts)
  freedom = signed**2 / spread if spread > 0 else float(trainings[1])
  return signed / values.size, freedom


def _pool_if_smaller(
  part: tuple[float, int], contained: tuple[float, int]
) -> tuple[float, int]:
  """Sums of squares and freedom, with those of a part that it cannot be below."""
  if not contained[1]:
    return part
  if part[1] and part[0] / part[1] >= contained[0] / contained[1]:
    return part
  return part[0] + contained[0], part[1] + contained[1]


def _check(values: np.ndarray, reach: float) -> None:
  if values.ndim != 3 or values.shape[0] < 2 or values.shape[2] < 2:
    raise UserError(
      "values must be of at least two trainings, one population and two prompts,"
      f" got shape {values.shape}. With a single training, give the interval over"
      " prompts, and say so."
    )
  if not (np.abs(values) <= reach + 1e-9).all():
    raise UserError(
      f"values must lie within {-reach:g} and {reach:g}, got"
      f" {values[~(np.abs(values) <= reach + 1e-9)][0]:g}."
    )
