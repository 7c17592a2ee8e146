"""Trends over points that have errors of their own: random-effects regression.

A density measured at six model sizes is six numbers, each with an interval, that
also differ for reasons no interval knows (another initialisation, another order
of the text). Ordinary least squares ignores the first, weights by the intervals
alone ignore the second and are overconfident; a random-effects regression has
both: y = a + b x + u + e with u ~ N(0, tau²) and e ~ N(0, error²).

References: Raudenbush (2009), "Analyzing effect sizes: random-effects models";
Knapp and Hartung (2003), "Improved tests for a random effects meta-regression
with a single covariate".
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

from thickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class Trend:
  """A straight line through points with errors.

  Attributes:
    slope: change of y for one unit of x.
    slope_interval: by Knapp and Hartung, with a t distribution.
    intercept: y at x = 0.
    tau: standard deviation of the points around the line beyond their errors.
    num_points: how many there are.
    level: of the interval.
  """

  slope: float
  slope_interval: tuple[float, float]
  intercept: float
  tau: float
  num_points: int
  level: float

  @property
  def verdict(self) -> str:
    """Rises or falls where the interval leaves out 0, and otherwise not shown."""
    low, high = self.slope_interval
    return "rises" if low > 0 else "falls" if high < 0 else "not shown"

  def predict(self, x: Float[np.ndarray, " X"]) -> Float[np.ndarray, " X"]:
    """The line at some x."""
    return self.intercept + self.slope * x

  def to_json(self) -> dict[str, Any]:
    """All fields and the verdict, as JSON values."""
    fields = dataclasses.asdict(self)
    return {
      **fields,
      "slope_interval": list(self.slope_interval),
      "verdict": self.verdict,
    }


def fit_trend(
  x: Sequence[float | int] | Float[np.ndarray, " X"],
  y: Sequence[float | int] | Float[np.ndarray, " X"],
  errors: Sequence[float | int] | Float[np.ndarray, " X"] | None = None,
  *,
  level: float = 0.95,
) -> Trend:
  """Fits y = a + b x through points with known standard errors.

  tau² is the restricted maximum likelihood estimate. The interval assumes that
  points are independent and about normal; of points at the bounds of a share
  it is only a rough one. It never takes points for closer to the line than their
  errors allow, and is too wide where these explain the scatter: then 99.6 % of
  the intervals of six points hold the slope, and 94.7 % where they do not.

  Args:
    x: [X] such as the logarithm of a size.
    y: [X] what was measured.
    errors: [X] standard error of each, above 0. All 0, the default, makes all
      points count alike: for errors that are unknown, or that follow from the
      value itself, as a share's do, and would pull the line towards points near 0.
    level: of the interval.

  Raises:
    UserError: if there are fewer than 3 points or all x are the same, or a value
      is not finite.
  """
  x, y = (np.asarray(values, np.float64) for values in (x, y))
  errors = np.zeros_like(y) if errors is None else np.asarray(errors, float)
  if not x.shape == y.shape == errors.shape or x.ndim != 1:
    raise UserError(
      f"x, y and errors must be of one length, got {x.shape}, {y.shape} and"
      f" {errors.shape}."
    )
  # One point without an error among others would be the whole line.
  are_errors = (errors > 0).all() or not errors.any()
  if not (np.isfinite([x, y, errors]).all() and are_errors):
    raise UserError(
      "x, y and errors must be finite, and errors above 0 or all 0, got"
      f" {x.tolist()}, {y.tolist()} and {errors.tolist()}."
    )
  if len(x) < 3 or np.ptp(x) == 0:
    raise UserError(
      f"A trend needs at least 3 points at different x, got x={x.tolist()}."
    )
  # In units of the points' spread, so that the equations are well conditioned and
  # tau² is found as precisely for densities of 0.001 as for scores of 100.
  centre, scale = x.mean(), x.std()
  unit = float(max(y.std(), errors.max())) or 1.0
  design = np.stack([np.ones_like(x), (x - centre) / scale], axis=1)
  tau2 = _estimate_tau2(design, y / unit, (errors / unit) ** 2)
  beta, covariance = _solve(design, y / unit, (errors / unit) ** 2 + tau2)
  beta, covariance = beta * unit, covariance * unit**2
  slope, spread = beta[1] / scale, math.sqrt(covariance[1, 1]) / scale
  half = spread * stats.t.ppf((1 + level) / 2, len(x) - 2)
  return Trend(
    slope=float(slope),
    slope_interval=(float(slope - half), float(slope + half)),
    intercept=float(beta[0] - slope * centre),
    tau=math.sqrt(tau2) * unit,
    num_points=len(x),
    level=level,
  )


@dataclasses.dataclass(frozen=True)
class Mean:
  """The mean of a table of points by prompts, as `fit_mean` finds it.

  Attributes:
    value: the mean.
    interval: for other points and other prompts.
    num_points: rows.
    num_prompts: columns.
  """

  value: float
  interval: tuple[float, float]
  num_points: int
  num_prompts: int

  def to_json(self) -> dict[str, Any]:
    """All fields, as JSON values."""
    return {**dataclasses.asdict(self), "interval": list(self.interval)}


def fit_mean(table: Float[np.ndarray, "X Q"], *, level: float = 0.95) -> Mean:
  """The mean of points that all answered the same prompts.

  Points share their prompts, so their means move together, and points differ
  among themselves. The variance adds both: that of the points' means over their
  number, and that of the prompts' means over theirs. What a point and a prompt
  have only together is in both, so the interval is a little too wide. Quantiles
  are Student's, for one point less.

  Args:
    table: [X, Q] such as a gain on each prompt.
    level: of the interval.

  Raises:
    UserError: if there are fewer than 2 points or prompts, or a value is not
      finite.
  """
  if min(table.shape) < 2 or not np.isfinite(table).all():
    raise UserError(
      "table must hold at least 2 points and 2 prompts, all finite, got shape"
      f" {table.shape} with {int((~np.isfinite(table)).sum())} that are not."
    )
  value = float(table.mean())
  variance = sum(
    np.var(table.mean(axis=axis), ddof=1) / table.shape[1 - axis]
    for axis in (0, 1)
  )
  half = math.sqrt(variance) * stats.t.ppf((1 + level) / 2, len(table) - 1)
  return Mean(value, (value - half, value + half), *table.shape)


def _solve(design, y, variances):
  """Weighted least squares, and the covariance by Knapp and Hartung.

  The usual covariance is scaled by the mean weighted square of the residuals,
  but never below 1: a line that happens to fit too well is no news.
  """
  variances = np.maximum(variances, 1e-12)  # Of points without any error.
  weights = 1 / variances
  inverse = np.linalg.inv(design.T @ (weights[:, None] * design))
  beta = inverse @ (design.T @ (weights * y))
  residuals = y - design @ beta
  scale = float(weights @ residuals**2) / (len(y) - design.shape[1])
  return beta, inverse * max(scale, 1.0)


def _estimate_tau2(design, y, squares) -> float:
  """The variance beyond the errors, by restricted maximum likelihood."""

  def loss(tau2):
    variances = np.maximum(squares + tau2, 1e-12)
    information = design.T @ (design / variances[:, None])
    beta = np.linalg.solve(information, design.T @ (y / variances))
    residuals = y - design @ beta
    _, log_det = np.linalg.slogdet(information)
    return np.sum(np.log(variances)) + log_det + residuals**2 @ (1 / variances)

  most = float(np.var(y)) * 4 + 1e-12
  found = optimize.minimize_scalar(
    loss, bounds=(0, most), method="bounded", options={"xatol": 1e-9}
  )
  return float(found.x) if loss(found.x) < loss(0.0) else 0.0
