"""Trends over a few points, and means over points that share their prompts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from thickets.analysis import intervals
from thickets.analysis.prompt_groups import Groups
from thickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class Trend:
  """A straight line through points.

  Attributes:
    slope: change of y for one unit of x.
    slope_interval: its ends, by Student's distribution.
    num_points: how many points there are.
    level: coverage of the interval, two-sided.
  """

  slope: float
  slope_interval: tuple[float, float]
  num_points: int
  level: float

  @property
  def verdict(self) -> str:
    """Rises or falls where the interval leaves out 0, and otherwise not shown."""
    low, high = self.slope_interval
    return "rises" if low > 0 else "falls" if high < 0 else "not shown"

  def to_json(self) -> dict[str, Any]:
    """All fields and the verdict, as JSON values."""
    return {
      **dataclasses.asdict(self),
      "slope_interval": list(self.slope_interval),
      "verdict": self.verdict,
    }


def fit_trend(
  x: Sequence[float] | Float[np.ndarray, " X"],
  y: Sequence[float] | Float[np.ndarray, " X"],
  *,
  beside: Sequence[float] | Float[np.ndarray, " X"] | None = None,
  level: float = 0.95,
) -> Trend:
  """Fits y = a + b x by least squares, or y = a + b x + c z for another z.

  All points count alike, whatever their errors: the scatter about the line holds
  these, and what else points differ in. The interval assumes that points are
  independent and about normal; of points at the bounds of a share it is only a
  rough one.

  Args:
    x: [X] place of each point, such as the logarithm of a size.
    y: [X] what was measured there.
    beside: [X] z, in which points differ besides; the slope is that of points with
      the same z.
    level: coverage of the interval, two-sided, within 0 and 1.

  Raises:
    UserError: if there are fewer than 3 points or all x are the same, or a value
      is not finite; with `beside`, fewer than 4 points, or x that follows from z.
  """
  x, y = (np.asarray(values, np.float64) for values in (x, y))
  if x.shape != y.shape or x.ndim != 1:
    raise UserError(
      f"x and y must be of one length, got {x.shape} and {y.shape}."
    )
  if not np.isfinite([x, y]).all():
    raise UserError(
      f"x and y must be finite, got {x.tolist()} and {y.tolist()}."
    )
  if len(x) < 3 or np.ptp(x) == 0:
    raise UserError(
      f"A trend needs at least 3 points at different x, got x={x.tolist()}."
    )
  num_free = len(x) - 2
  if beside is not None:
    z = np.asarray(beside, np.float64)
    if z.shape != x.shape or not np.isfinite(z).all():
      raise UserError(
        f"beside must hold a finite number for each of the {len(x)} points, got"
        f" {z.tolist()}."
      )
    x, y, num_free = _remove(x, y, z)
  slope, error = fit_line(x, y)
  # `fit_line` takes all points but two as free.
  error *= math.sqrt((len(x) - 2) / num_free)
  half = error * stats.t.ppf((1 + level) / 2, num_free)
  return Trend(
    slope=slope,
    slope_interval=(float(slope - half), float(slope + half)),
    num_points=len(x),
    level=level,
  )


def _remove(
  x: Float[np.ndarray, " X"],
  y: Float[np.ndarray, " X"],
  z: Float[np.ndarray, " X"],
) -> tuple[Float[np.ndarray, " X"], Float[np.ndarray, " X"], int]:
  """What is left of x and y beside z, and the degrees of freedom of their line.

  The slope of what is left is that of the fit with z (Frisch, Waugh, Lovell).
  """
  design = np.stack([np.ones_like(z), z], axis=1)
  found = [v - design @ np.linalg.lstsq(design, v)[0] for v in (x, y)]
  if len(x) < 4 or np.ptp(found[0]) <= 1e-9 * np.ptp(x):
    raise UserError(
      "A trend beside another needs at least 4 points, at x that does not follow"
      f" from it, got x={x.tolist()} and {z.tolist()}."
    )
  return found[0], found[1], len(x) - 3


def fit_line(
  x: Sequence[float] | Float[np.ndarray, " X"],
  y: Sequence[float] | Float[np.ndarray, " X"],
) -> tuple[float, float]:
  """Returns the slope of the line of least squares, and its standard error.

  The error is 0 where all y are the same, and of two points.
  """
  x, y = (np.asarray(values, np.float64) for values in (x, y))
  centred = x - x.mean()
  squares = centred @ centred
  slope = centred @ (y - y.mean()) / squares
  rest = y - y.mean() - slope * centred
  # SciPy's `linregress` gives NaN where all y are the same.
  error = math.sqrt(rest @ rest / max(len(x) - 2, 1) / squares)
  return float(slope), error


@dataclasses.dataclass(frozen=True)
class Mean:
  """The mean of a table of points by prompts, as `fit_mean` finds it.

  Attributes:
    value: the mean.
    interval: low and high end of 95 %, for other points and other prompts.
    num_points: number of rows of the table.
    num_prompts: number of its columns.
  """

  value: float
  interval: tuple[float, float]
  num_points: int
  num_prompts: int

  def to_json(self) -> dict[str, Any]:
    """All fields, as JSON values."""
    return {**dataclasses.asdict(self), "interval": list(self.interval)}


def fit_mean(
  differences: Float[np.ndarray, "X Q"], *, groups: Groups | None = None
) -> Mean:
  """The mean difference at points that all answered the same prompts.

  Points share their prompts, so their means move together, and points differ
  among themselves. Both are counted: over prompts, the distances from the mean to
  the ends of the `intervals.paired_interval` of the points' mean on each prompt,
  and over points, Student's half-width of the points' means. Squares of the two
  are added. What a point and a prompt have only together is in both, so the
  interval is a little too wide. Where all points say the same, it is the paired
  interval itself.

  Args:
    differences: [X, Q] paired difference of two systems at each point on each
      prompt, within -1 and 1.
    groups: [Q] group of each prompt; None where prompts are independent.

  Raises:
    UserError: if there are fewer than 2 points or prompts, or a value is not
      finite.
  """
  shape, is_finite = differences.shape, np.isfinite(differences)
  if min(shape) < 2 or not is_finite.all():
    raise UserError(
      "differences must hold at least 2 points and 2 prompts, all finite, got"
      f" shape {shape} with {int((~is_finite).sum())} that are not."
    )
  over_prompts = intervals.estimate_difference(
    differences.mean(axis=0), groups=groups
  )
  value = over_prompts.value
  error = intervals.standard_error(differences.mean(axis=1))
  half = error * float(stats.t.ppf(0.975, len(differences) - 1))
  below = math.hypot(value - over_prompts.low, half)
  above = math.hypot(over_prompts.high - value, half)
  return Mean(value, (value - below, value + above), *shape)
