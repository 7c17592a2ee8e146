"""Trends over a few points, and means over points that share their prompts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, cast

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
  level: float = 0.95,
) -> Trend:
  """Fits y = a + b x by least squares.

  All points count alike, whatever their errors: the scatter about the line holds
  these, and what else points differ in. The interval assumes that points are
  independent and about normal; of points at the bounds of a share it is only a
  rough one.

  Args:
    x: [X] place of each point, such as the logarithm of a size.
    y: [X] what was measured there.
    level: coverage of the interval, two-sided, within 0 and 1.

  Raises:
    UserError: if there are fewer than 3 points or all x are the same, or a value
      is not finite.
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
  slope, error = fit_line(x, y)
  half = error * stats.t.ppf((1 + level) / 2, len(x) - 2)
  return Trend(
    slope=slope,
    slope_interval=(float(slope - half), float(slope + half)),
    num_points=len(x),
    level=level,
  )


def fit_line(
  x: Sequence[float] | Float[np.ndarray, " X"],
  y: Sequence[float] | Float[np.ndarray, " X"],
) -> tuple[float, float]:
  """Returns the slope of the line of least squares, and its standard error."""
  # The type that SciPy gives its result has no fields.
  line = cast(Any, stats.linregress(x, y))
  return float(line.slope), float(line.stderr)


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
