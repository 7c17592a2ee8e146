"""Which regime a model is in on a task: needle, thicket, plateau or undecided.

A density alone cannot tell them apart. At a model that was never trained all members
hover about the base, and at a model that solves its task there is nothing to gain:
both have few experts at a margin above zero. So the base's score, the density on new
prompts and the gain of the ensemble are read together, each by the end of its
interval that would have to be wrong for the call to be wrong.

The rule, in this order:

1. Experts are *dense* if the low end of the corrected density is at least
   `min_density`, and *rare* if its high end is below that.
2. The ensemble *gains* if the low end of its gain is above `min_gain`, and is *flat*
   if its high end is below `flat_gain`.
3. Thicket: experts are dense and the ensemble gains.
4. Plateau: experts are rare, the ensemble is flat and the base's score is in the top
   `plateau_frac` of the score's range.
5. Needle: experts are rare, the ensemble is flat and the base is below the plateau.
6. Undecided: all else, with the reason. More prompts narrow both intervals.

Reference: Gan and Isola (2026), arXiv:2603.12228, section 3, names the regimes.
"""

import dataclasses
import math
from typing import Any

from thickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class RegimeCall:
  """A call and why it was made.

  Attributes:
    regime: "needle", "thicket", "plateau" or "undecided".
    reason: one sentence with the numbers that decided.
    margin: least gain that makes an expert, in score.
  """

  regime: str
  reason: str
  margin: float

  def to_json(self) -> dict[str, Any]:
    """Plain values."""
    return dataclasses.asdict(self)


def call_regime(
  *,
  base_score: float,
  margin: float,
  density: float,
  density_interval: tuple[float, float],
  ensemble_gain: float,
  ensemble_interval: tuple[float, float],
  score_range: tuple[float, float] = (0.0, 1.0),
  min_density: float = 0.05,
  min_gain: float = 0.0,
  flat_gain: float = 0.05,
  plateau_frac: float = 0.2,
) -> RegimeCall:
  """Calls the regime by the rule at the top of this file, and says why.

  Args:
    base_score: the base's mean score on the prompts of the density.
    margin: least gain that makes an expert, in score; above zero, since at zero
      copies of the base are experts.
    density: corrected density at this margin, in [0, 1]; NaN if unknown.
    density_interval: low and high end of the density's interval.
    ensemble_gain: score of the vote minus the base's, on prompts that chose
      neither members nor settings.
    ensemble_interval: low and high end of the gain's interval.
    score_range: least and largest score of the task.
    min_density: 0.05, because a vote of K members out of N = 100 K, as in the
      paper, then has five experts to choose from for each vote.
    min_gain: 0, so that any gain that is beyond chance counts.
    flat_gain: 0.05 of score, because with 400 prompts the interval of a paired
      difference is about that wide: a smaller one could rarely be excluded.
    plateau_frac: 0.2 of the range: in the paper's tasks, bases above 80 %
      (3B on GSM8K) gain the least.

  Raises:
    UserError: if the margin is not above zero, an interval is not in order or
      does not hold its estimate, or a score lies outside its range.
  """
  _check(base_score, margin, score_range)
  low, high = _check_interval("density", density, density_interval)
  gain_low, gain_high = _check_interval(
    "ensemble_gain", ensemble_gain, ensemble_interval
  )
  floor, ceiling = score_range
  threshold = ceiling - plateau_frac * (ceiling - floor)
  facts = (
    f"density {density:.3f} [{low:.3f}, {high:.3f}] at margin {margin:g},"
    f" ensemble gain {ensemble_gain:+.3f} [{gain_low:+.3f}, {gain_high:+.3f}]"
    f" (flat below {flat_gain:.3g}), base {base_score:.3f} on the density's prompts"
  )
  regime, why = _apply_rule(
    is_dense=low >= min_density,
    is_rare=high < min_density,
    gains=gain_low > min_gain,
    is_flat=gain_high < flat_gain,
    is_high=base_score >= threshold,
    threshold=threshold,
  )
  return RegimeCall(regime, f"{why}: {facts}.", float(margin))


def _apply_rule(
  *,
  is_dense: bool,
  is_rare: bool,
  gains: bool,
  is_flat: bool,
  is_high: bool,
  threshold: float,
) -> tuple[str, str]:
  """The regime, and what decided it in words."""
  if is_dense and gains:
    return "thicket", "experts are dense and the vote gains"
  if is_rare and is_flat and is_high:
    return "plateau", f"nothing to gain, base at least {threshold:g}"
  if is_rare and is_flat:
    return "needle", f"experts are rare, base below {threshold:g}"
  if is_dense:
    return "undecided", "experts are dense, but the vote is not shown to gain"
  if is_rare and gains:
    return "undecided", "the vote gains, but experts at this margin are rare"
  if is_rare:
    return (
      "undecided",
      "experts are rare, but a gain of the vote is not excluded",
    )
  return "undecided", "the density is neither shown to be dense nor rare"


def _check(base_score, margin, score_range) -> None:
  floor, ceiling = score_range
  if not floor <= base_score <= ceiling:
    raise UserError(
      f"base_score must lie within score_range {floor:g} to {ceiling:g}, got"
      f" {base_score:g}."
    )
  if not (math.isfinite(floor) and math.isfinite(ceiling)):
    raise UserError(
      "score_range must be finite to tell a plateau, got"
      f" {floor:g} to {ceiling:g}. Give the best score that can be reached."
    )
  if not margin > 0:
    raise UserError(
      f"margin must be above zero, got {margin:g}. At zero, copies of the base"
      " count as experts; take a density at a margin such as 0.02."
    )


def _check_interval(name: str, value, interval) -> tuple[float, float]:
  low, high = map(float, interval)
  # An unknown value leaves an interval that says so; the call is undecided.
  if not low <= high or not (math.isnan(value) or low <= value <= high):
    raise UserError(
      f"{name} must lie within its interval, got {value:g} in"
      f" [{low:g}, {high:g}]."
    )
  return low, high
