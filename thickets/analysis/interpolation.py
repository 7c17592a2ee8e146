"""What a picture of scattered scores may claim: interpolation, and its worth.

The colours between the members of a projection are made by an interpolation,
which draws smooth regions through any scores. So its worth is measured beside
it: how well it predicts the score of a member that it has not seen.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import spatial

from thickets.errors import UserError

# Bandwidths of the interpolation, relative to the width of the cloud.
BANDWIDTHS = (0.1, 0.2, 0.4, 0.8, 1.6)
# Elements of a block of distances: 64 MiB in float64.
_BLOCK = 2**23
# Of a weight relative to the nearest member's: less would round to nothing, and
# subnormal numbers make a product of matrices slower a hundred times.
_LEAST_EXPONENT = -60.0


@dataclasses.dataclass(frozen=True)
class Explained:
  """How much of the scores' variance the two coordinates explain.

  Attributes:
    share: R² of members left out, at most 1; at most 0 where the plane says
      nothing; NaN where all scores are equal.
    null: median of the same measure of scores that were dealt out anew.
    null_high: 95 % quantile of it.
    p_value: share of the deals that reach `share`, the scores themselves counted
      among them.
    bandwidth: width of the best interpolation's weights, in units of the
      coordinates.
    num_members: number of members that have a score.
    num_deals: number of times the scores were dealt out for the null.
  """

  share: float
  null: float
  null_high: float
  p_value: float
  bandwidth: float
  num_members: int
  num_deals: int

  def to_json(self) -> dict[str, Any]:
    """The fields as JSON values; NaN is None."""
    fields = dataclasses.asdict(self)
    return {
      name: None if isinstance(value, float) and math.isnan(value) else value
      for name, value in fields.items()
    }


def measure_explained(
  coordinates: Float[np.ndarray, "P 2"],
  scores: Float[np.ndarray, " P"],
  *,
  seed: int,
  groups: Float[np.ndarray, " P"] | None = None,
  num_deals: int = 200,
  bandwidths: Sequence[float] = BANDWIDTHS,
) -> Explained:
  """Measures how well a member's score follows from its neighbours in the plane.

  Every member's score is predicted by `interpolate` from all other members. The
  share is 1 - sum of squared errors / sum of squared errors of the mean of the
  others, for the best of the bandwidths. The null deals the scores out anew
  among the members and also takes the best bandwidth, so that the choice is
  paid for.

  Args:
    coordinates: [P, 2] places of the members on the plane.
    scores: [P] each member's score; NaN where it failed, which leaves it out.
    seed: the seed by which scores are dealt out.
    groups: [P] such as the members' sigmas: scores count relative to the mean of
      their group and are dealt out within it. Without groups, several sigmas on
      one plane would seem explained: a larger one lies further out and scores less.
    num_deals: how many times the scores are dealt out for the null.
    bandwidths: those that are tried, relative to the cloud's width; see
      `interpolate`.

  Raises:
    UserError: if fewer than three members have a score, or all lie at one
      place.
  """
  good = _find_scored(coordinates, scores)
  coordinates, scores = coordinates[good], scores[good]
  groups = np.zeros(len(scores)) if groups is None else groups[good]
  _, group = np.unique(groups, return_inverse=True)
  means = np.bincount(group, scores) / np.bincount(group)
  rest = scores - means[group]
  if np.allclose(rest, 0, atol=1e-12 * max(1.0, np.abs(scores).max())):
    nothing = (math.nan,) * 5
    return Explained(*nothing, num_members=len(scores), num_deals=num_deals)
  dealt = _deal(rest, group, num_deals, np.random.default_rng(seed))
  # Single precision halves the time, and an R² needs no more digits.
  columns = np.concatenate([rest[:, None], dealt], axis=1).astype(np.float32)
  shares = np.stack(
    [_share(coordinates, columns, bandwidth) for bandwidth in bandwidths]
  )
  best, (share, *null) = shares[:, 0].argmax(), shares.max(axis=0)
  return Explained(
    share=float(share),
    null=float(np.median(null)),
    null_high=float(np.quantile(null, 0.95)),
    p_value=float((1 + (np.array(null) >= share).sum()) / (1 + num_deals)),
    bandwidth=float(bandwidths[int(best)] * _width(coordinates)),
    num_members=len(scores),
    num_deals=num_deals,
  )


def _find_scored(coordinates, scores) -> np.ndarray:
  """[P] whether members have a score; of those there must be three, apart."""
  good = ~np.isnan(scores)
  if good.sum() < 3:
    raise UserError(
      f"scores must have at least three members that did not fail, got"
      f" {int(good.sum())} of {len(scores)}."
    )
  if not _width(coordinates[good]) > 0:
    raise UserError("coordinates must differ, got one place for all members.")
  return good


def interpolate(
  coordinates: Float[np.ndarray, "P 2"],
  values: Float[np.ndarray, " P"],
  places: Float[np.ndarray, "G 2"],
  *,
  bandwidth: float | None = None,
) -> Float[np.ndarray, " G"]:
  """Averages the members around each place, nearer ones counting more.

  The weights are Gaussian in the distance. Of the ways to interpolate this one
  never leaves the range of the values, has an exact and cheap answer to leaving
  a member out, and takes noise for noise: splines through every point make hills
  of it.

  Args:
    coordinates: [P, 2] places of the members.
    values: [P] what to average; NaN at a failed member, which is left out.
    places: [G, 2] where to interpolate.
    bandwidth: standard deviation of the weights, in units of the coordinates; by
      default 0.4 times the cloud's width (the root mean square of its two standard
      deviations).

  Returns:
    [G] averages; NaN outside the convex hull of the members.

  Raises:
    UserError: if fewer than three members have a value, or all lie on a line.
  """
  good = ~np.isnan(values)
  coordinates, values = coordinates[good], values[good]
  try:
    hull = spatial.Delaunay(coordinates)
  except (spatial.QhullError, ValueError) as error:
    raise UserError(
      "coordinates must have at least three members with a value that are not on"
      f" a line, got {len(values)} members."
    ) from error
  bandwidth = 0.4 * _width(coordinates) if bandwidth is None else bandwidth
  averages = np.full(len(places), np.nan)
  inside = hull.find_simplex(places) >= 0
  averages[inside] = _average(
    coordinates, values[:, None], places[inside], bandwidth
  )[:, 0]
  return averages


def _share(coordinates, columns_PC, bandwidth) -> np.ndarray:
  """[C] R² of members left out, at a relative bandwidth."""
  size = len(columns_PC)
  predicted = _average(
    coordinates, columns_PC, None, bandwidth * _width(coordinates)
  )
  errors = np.square(columns_PC - predicted).sum(axis=0, dtype=np.float64)
  centred = columns_PC - columns_PC.mean(axis=0, keepdims=True)
  # By the mean of the others, which says no more than they know.
  scale = size / (size - 1)
  baseline = np.square(centred * scale).sum(axis=0, dtype=np.float64)
  return 1 - errors / baseline


def _average(coordinates, columns_PC, places, bandwidth) -> np.ndarray:
  """[G, C] weighted means at places; at each member without it, if None."""
  leave_out = places is None
  places = coordinates if leave_out else places
  rows = max(1, _BLOCK // len(coordinates))
  averages = np.empty((len(places), columns_PC.shape[1]), columns_PC.dtype)
  for start in range(0, len(places), rows):
    block = places[start : start + rows]
    squares = spatial.distance.cdist(block, coordinates, "sqeuclidean")
    if leave_out:
      row = np.arange(len(block))
      squares[row, start + row] = np.inf
    # Relative to the nearest, whose weight is one: far out all would vanish.
    squares -= squares.min(axis=1, keepdims=True)
    exponents = np.maximum(squares / (-2 * bandwidth**2), _LEAST_EXPONENT)
    weights = np.exp(exponents.astype(columns_PC.dtype))
    averages[start : start + rows] = (weights @ columns_PC) / weights.sum(
      axis=1, keepdims=True
    )
  return averages


def _deal(values, group, num_deals: int, rng) -> np.ndarray:
  """[P, num_deals] the values, dealt out anew within their groups."""
  places = np.argsort(group, kind="stable")
  dealt = np.empty((len(values), num_deals))
  for deal in range(num_deals):
    dealt[places, deal] = values[np.lexsort((rng.random(len(values)), group))]
  return dealt


def _width(coordinates) -> float:
  return float(np.sqrt(coordinates.var(axis=0).mean()))
