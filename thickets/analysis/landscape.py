"""Landscapes: scores over a plane through the neighbourhood of a base.

Two planes are meant. A *slice* is a grid of members of two terms, so that its
points lie in the plane. A *projection* takes members from anywhere and looks at
them along a random plane (`projection.project_members`): there, points that lie
side by side are as far apart in weight space as any two members.

Reference: Gan and Isola (2026), arXiv:2603.12228, Fig. 2.
"""

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from thickets.errors import UserError
from thickets.members import Member


@dataclasses.dataclass(frozen=True)
class Landscape:
  """Members on a plane with their scores on one task; see `make_landscape`.

  Attributes:
    task: name of the task.
    members: [P] the members; the base lies at the origin.
    coordinates: [P, 2] their places on the plane, in the weights' units.
    scores: [P] each member's mean over prompts, higher is better; NaN where it
      failed.
    errors: [P] standard error of the gain over prompts, as if these had been
      drawn from many; NaN for a failed member or a single prompt.
    base_score: the base's mean over the same prompts.
    num_prompts: Q, the number of prompts.
    norms: [P] distances from the base in weight space; None where unknown.
  """

  task: str
  members: tuple[Member, ...]
  coordinates: Float[np.ndarray, "P 2"]
  scores: Float[np.ndarray, " P"]
  errors: Float[np.ndarray, " P"]
  base_score: float
  num_prompts: int
  norms: Float[np.ndarray, " P"] | None = None

  @property
  def failed(self) -> Bool[np.ndarray, " P"]:
    """Which members have no score."""
    return np.isnan(self.scores)

  @property
  def is_relative(self) -> bool:
    """Whether `shown` is relative to the base, whose score is then positive."""
    return self.base_score > 0

  @property
  def shown(self) -> Float[np.ndarray, " P"]:
    """What colours show: 100 (score - base) / base in percent of the base.

    Where the base's score is not positive, 100 (score - base): points.
    """
    return (self.scores - self.base_score) * self._scale

  @property
  def shown_errors(self) -> Float[np.ndarray, " P"]:
    """`errors` in the unit of `shown`, the base's score taken as known."""
    return self.errors * self._scale

  @property
  def unit(self) -> str:
    """The label of `shown`, which says what the gain is relative to."""
    base = f"base {100 * self.base_score:.1f}"
    if self.is_relative:
      return f"gain over the base, % of its score ({base} %)"
    return f"gain over the base, points ({base}: no ratio)"

  @property
  def _scale(self) -> float:
    return 100 / self.base_score if self.is_relative else 100.0

  @property
  def sigmas(self) -> Float[np.ndarray, " P"]:
    """[P] root of the sum of squared coefficients: |sigma| of a plain member."""
    return np.array(
      [math.hypot(*(sigma for _, sigma in m.terms)) for m in self.members]
    )

  def describe(self) -> dict[str, Any]:
    """Counts and ranges for a table, as JSON values."""
    scored = self.scores[~self.failed]
    return {
      "task": self.task,
      "num_members": len(self.members),
      "num_failed": int(self.failed.sum()),
      "num_prompts": self.num_prompts,
      "base_score": self.base_score,
      "best_score": _or_none(scored.max()) if len(scored) else None,
      "mean_score": _or_none(scored.mean()) if len(scored) else None,
      "frac_above_base": (
        float((scored > self.base_score).sum() / len(self.members))
      ),
      "median_standard_error": _or_none(_nan_median(self.errors)),
      "relative": self.is_relative,
    }

  def to_json(self) -> dict[str, Any]:
    """`describe`, and every point for an interactive picture, as JSON values.

    A point has `x`, `y`, its `terms` [[seed, coefficient], ...], `seed` (None
    unless it has a single term), `sigma` (see `sigmas`), `score`, `gain` (score
    minus the base's), `shown` (as coloured), `error` and `norm`; what is unknown
    or failed is None.
    """
    norms = np.full(len(self.members), np.nan)
    columns = {
      "x": self.coordinates[:, 0],
      "y": self.coordinates[:, 1],
      "sigma": self.sigmas,
      "score": self.scores,
      "gain": self.scores - self.base_score,
      "shown": self.shown,
      "error": self.errors,
      "norm": norms if self.norms is None else self.norms,
    }
    points = []
    for row, member in enumerate(self.members):
      terms = [[seed, sigma] for seed, sigma in member.terms]
      point = {name: _or_none(values[row]) for name, values in columns.items()}
      seed = terms[0][0] if len(terms) == 1 else None
      points.append({**point, "terms": terms, "seed": seed})
    return {**self.describe(), "unit": self.unit, "points": points}


def slice_members(
  seed_x: int,
  seed_y: int,
  extent: float | tuple[float, float],
  resolution: int,
) -> tuple[list[Member], Float[np.ndarray, "G 2"]]:
  """The members of two terms on a square grid around the base.

  The coordinates are the coefficients of the two noise directions, in the
  weights' units. Where x² + y² = sigma², a point's noise is distributed as that
  of a plain member at sigma, so it lies as far from the base: E‖ε‖² is the number
  of perturbed weights in every direction. (Coefficients are rounded to 12 bits
  when they are used; see `perturbation.perturb`.)

  Args:
    seed_x: seed of the noise that points to the right.
    seed_y: seed of the noise that points upwards, another one.
    extent: the grid spans -extent ... +extent; one for both axes, or (x, y).
    resolution: points to a side, odd, so that the middle one is the base.

  Returns:
    The members, row by row from the lowest y and in a row from the lowest x, and
    their coordinates, G = resolution². Every member has both terms: the middle
    one's coefficients are zero, which gives the very bits of the base.

  Raises:
    UserError: if an argument is out of range.
  """
  if seed_x == seed_y:
    raise UserError(
      f"seed_x and seed_y must differ, got {seed_x} twice, which spans a line."
    )
  is_count = isinstance(resolution, numbers.Integral)
  if not (is_count and resolution >= 3 and resolution % 2):
    raise UserError(
      "resolution must be an odd number of at least 3, so that the base is the"
      f" middle of the grid, got {resolution}."
    )
  extents = extent if isinstance(extent, tuple) else (extent, extent)
  if not all(0 < half < math.inf for half in extents):
    raise UserError(f"extent must be positive and finite, got {extent}.")
  half = resolution // 2
  # Integers first: zero is then exact, and the grid symmetrical.
  steps = np.arange(-half, half + 1)
  x, y = (float(extent) * steps / half for extent in extents)
  grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
  members = [Member((seed_x, seed_y), (x, y)) for x, y in grid.tolist()]
  return members, grid


def make_landscape(
  task: str,
  members: Sequence[Member],
  coordinates: Float[np.ndarray, "_ 2"],
  scores: Float[np.ndarray, "P Q"],
  base_scores: Float[np.ndarray, " _"],
  *,
  norms: Float[np.ndarray, " P"] | None = None,
) -> Landscape:
  """Puts scores on a plane.

  Args:
    task: name of the task, for titles.
    members: [P] the members that lie on the plane.
    coordinates: [P, 2] where they lie, from `slice_members` or
      `projection.project_members`, in the weights' units.
    scores: [P, Q] each member's score on each prompt, higher is better. A member
      with a NaN has failed: it is kept, counted and drawn as failed, and no
      average contains it.
    base_scores: [Q] the base's scores on the same prompts.
    norms: [P] the members' distances from the base in weight space, where they
      are known.

  Raises:
    UserError: if counts differ, nothing is left, or the base failed.
  """
  _check_counts(task, members, coordinates, scores, base_scores)
  num_members, num_prompts = scores.shape
  gains = scores - base_scores[None]
  errors = np.full(num_members, np.nan)
  if num_prompts > 1:
    errors = np.std(gains, axis=1, ddof=1) / math.sqrt(num_prompts)
  return Landscape(
    task=task,
    members=tuple(members),
    coordinates=coordinates,
    scores=scores.mean(axis=1),
    errors=errors,
    base_score=float(base_scores.mean()),
    num_prompts=num_prompts,
    norms=norms,
  )


def _check_counts(
  task: str,
  members: Sequence[Member],
  coordinates: Float[np.ndarray, "_ 2"],
  scores: Float[np.ndarray, "P Q"],
  base_scores: Float[np.ndarray, " _"],
) -> None:
  """Counts are compared here and not by the annotations of `make_landscape`.

  Members and scores come out of different files, so a mismatch is the user's.
  """
  num_members, num_prompts = scores.shape
  if not len(members) == len(coordinates) == num_members:
    raise UserError(
      f"members, coordinates and scores of task {task!r} must be equally many,"
      f" got {len(members)}, {len(coordinates)} and {num_members}."
    )
  if num_prompts != len(base_scores):
    raise UserError(
      f"scores and base_scores of task {task!r} must be on the same prompts, got"
      f" {num_prompts} and {len(base_scores)} of them."
    )
  if not num_members or not num_prompts:
    raise UserError(
      f"scores of task {task!r} must have a member and a prompt, got shape"
      f" {scores.shape}."
    )
  if not np.isfinite(base_scores).all():
    raise UserError(
      f"base_scores of task {task!r} must be finite, got"
      f" {int((~np.isfinite(base_scores)).sum())} of {num_prompts} that are not."
      " Evaluate the base again."
    )


def _nan_median(values) -> float:
  values = values[~np.isnan(values)]
  return float(np.median(values)) if len(values) else math.nan


def _or_none(value) -> float | None:
  return float(value) if np.isfinite(value) else None
