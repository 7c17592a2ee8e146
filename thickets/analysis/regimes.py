"""Which regime a model is in on a task: needle, thicket, plateau or undecided.

A density alone cannot tell them apart. At a model that was never trained all members
hover about the base, and at a model that solves its task there is nothing to gain:
both have few experts at a margin above zero. So the base's score, the density on new
prompts and the gain of the ensemble are read together, each by the end of its
interval that would have to be wrong for the call to be wrong.

A regime is a property of the model, and not of a sigma: one large enough destroys any
model, and one small enough changes no answer. So one call is made over all sigmas
that were measured. The rule, in this order:

1. Thicket: at one sigma at least, experts are *dense* (the low end of the corrected
   density is at least `min_density`) and the ensemble *gains* (the low end of its
   gain is above `min_gain`). As the best of several sigmas is looked for, these low
   ends belong to intervals that hold at all sigmas together.
2. Undecided: the base scores less than the margin above the floor of the score, and
   what could stand in for its score is missing. At the floor a member can still gain,
   so that few experts among enough prompts mean few experts. But no score can show
   who is worse. So the base must answer in the form on `min_form` of the prompts at
   least, by which a sigma that destroys members is told, and there must be so many
   prompts that a member with a gain of the margin would hardly miss them all. (At
   the ceiling there is nothing to gain, which is a plateau.)
3. A sigma is set aside if it is *destructive* (the members lose more than
   `max_lost_frac` of what the base scores above the floor, on average; where the base
   is at the floor, of the answers in the form) or *inert* (a smaller share of their
   answers differs from the base's than the margin, so that no typical member could
   gain as much). Undecided if no sigma is left.
4. At every sigma that is left, experts are *rare* (the high end of the density is
   below `min_density`) and the ensemble is *flat* (the high end of its gain is below
   `flat_gain`), and at those set aside neither experts nor a gain are shown. Plateau
   if the base's score is in the top `plateau_frac` of the score's range, needle
   otherwise. All sigmas must agree, so each interval is one of its own sigma.
5. Undecided: all else, with the reason. More prompts narrow both intervals.

Reference: Gan and Isola (2026), arXiv:2603.12228, section 3, names the regimes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.analysis.intervals import Estimate
from thickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class SigmaFacts:
  """What was measured at one sigma.

  Attributes:
    sigma: standard deviation of the members' noise.
    member_score: mean score of the members on the prompts of the density.
    member_form: share of the members' answers that are in the form asked for, in
      [0, 1].
    changed_frac: share of the members' answers that differ from the base's on the
      same prompt, in what they vote for or in score, in [0, 1].
    density: corrected density at the margin, in [0, 1], with its interval; the
      value is NaN if unknown.
    gain: score of the vote minus the base's, on prompts that chose neither members
      nor settings, with its interval.
    joint_density_low: low end of an interval of the density that is wide enough to
      hold at all sigmas of the call together; that of `density` if there is one.
    joint_gain_low: the same of the gain.
  """

  sigma: float
  member_score: float
  member_form: float
  changed_frac: float
  density: Estimate
  gain: Estimate
  joint_density_low: float
  joint_gain_low: float


@dataclasses.dataclass(frozen=True)
class RegimeCall:
  """A call and why it was made.

  Attributes:
    regime: "needle", "thicket", "plateau" or "undecided".
    reason: one sentence with the numbers that decided.
    margin: least gain that makes an expert, in score.
    sigma: the sigma whose numbers the reason gives: for a thicket the one that
      shows it, and otherwise the one with the largest gain among those that say
      something of the model.
    set_aside: why a sigma says nothing of the model, by sigma.
  """

  regime: str
  reason: str
  margin: float
  sigma: float
  set_aside: Mapping[float, str]

  def to_json(self) -> dict[str, Any]:
    """Plain values, sigmas as text."""
    return {
      **dataclasses.asdict(self),
      "set_aside": {f"{sigma:g}": why for sigma, why in self.set_aside.items()},
    }


@dataclasses.dataclass(frozen=True)
class Thresholds:
  """Where the rule draws its lines.

  Attributes:
    min_density: 0.05, because a vote of K members out of N = 100 K, as in the
      paper, then has five experts to choose from for each vote.
    min_gain: 0, so that any gain that is beyond chance counts.
    flat_gain: 0.05 of score, because with 400 prompts the interval of a paired
      difference is about that wide: a smaller one could rarely be excluded.
    plateau_frac: 0.2 of the range: in the paper's tasks, bases above 80 %
      (3B on GSM8K) gain the least.
    max_lost_frac: 0.5: a sigma at which the typical member has lost half of what
      the base can do is far from where experts could be.
    min_form: 0.5: a base at the floor that has the form less often than that has
      little of it to lose.
    chance: 0.05, the probability at which a member with a gain of the margin may
      miss every prompt at the floor: at a margin of 0.02 it takes 149 prompts.
  """

  min_density: float = 0.05
  min_gain: float = 0.0
  flat_gain: float = 0.05
  plateau_frac: float = 0.2
  max_lost_frac: float = 0.5
  min_form: float = 0.5
  chance: float = 0.05


def call_regime(
  levels: Sequence[SigmaFacts],
  *,
  base_score: float,
  base_form: float,
  num_prompts: int,
  margin: float,
  score_range: tuple[float, float] = (0.0, 1.0),
  thresholds: Thresholds | None = None,
) -> RegimeCall:
  """Calls the regime by the rule at the top of this file, and says why.

  Args:
    levels: what was measured at each sigma, at least one.
    base_score: the base's mean score on the prompts of the density.
    base_form: share of its answers there that are in the form asked for.
    num_prompts: number of these prompts, or of the groups that they come in.
    margin: least gain that makes an expert, in score; above zero, since at zero
      copies of the base are experts.
    score_range: least and largest score of the task.
    thresholds: where the rule draws its lines, `Thresholds()` by default.

  Raises:
    UserError: if there is no sigma or one stands twice, the margin is not above
      zero, an interval is not in order or does not hold its estimate, or a score
      lies outside its range.
  """
  limits = Thresholds() if thresholds is None else thresholds
  levels = sorted(levels, key=lambda level: level.sigma)
  _check(levels, base_score, margin, score_range)
  floor, ceiling = score_range
  is_at_floor = base_score - floor < margin
  set_aside = (
    _set_aside_by_form(levels, base_form, limits)
    if is_at_floor
    else _set_aside_by_score(levels, base_score, floor, limits)
  ) | _find_inert(levels, margin / (ceiling - floor))

  def call(regime: str, why: str, level: SigmaFacts) -> RegimeCall:
    facts = _describe(level, base_score, margin, limits.flat_gain)
    return RegimeCall(
      regime, f"{why}: {facts}.", float(margin), level.sigma, set_aside
    )

  if thickets := [v for v in levels if _shows_thicket(v, limits)]:
    best = max(thickets, key=lambda level: level.gain.value)
    return call("thicket", "experts are dense and the vote gains", best)
  telling = [level for level in levels if level.sigma not in set_aside]
  best = max(telling or levels, key=lambda level: level.gain.value)
  if is_at_floor and (
    lacking := _find_lacking(
      base_form, num_prompts, margin / (ceiling - floor), limits
    )
  ):
    why = f"the base is at the floor of the score, {floor:g}, and {lacking}"
    return call("undecided", why, best)
  if not telling:
    reasons = "; ".join(f"at {s:g} {why}" for s, why in set_aside.items())
    why = f"no sigma says anything of the model ({reasons})"
    return call("undecided", why, best)
  if doubt := _find_doubt(levels, set_aside, limits):
    return call("undecided", *doubt)
  threshold = ceiling - limits.plateau_frac * (ceiling - floor)
  number = f"at all {len(telling)} sigmas" if len(telling) > 1 else "here"
  if base_score >= threshold:
    why = f"nothing to gain {number}, base at least {threshold:g}"
    return call("plateau", why, best)
  why = f"experts are rare {number}, base below {threshold:g}"
  return call("needle", why, best)


def _shows_thicket(level: SigmaFacts, limits: Thresholds) -> bool:
  return (
    level.joint_density_low >= limits.min_density
    and level.joint_gain_low > limits.min_gain
  )


def _find_lacking(
  base_form: float, num_prompts: int, margin_frac: float, limits: Thresholds
) -> str:
  """What keeps scores at the floor from saying anything; nothing if they do."""
  if base_form < limits.min_form:
    return (
      f"answers in the form on {base_form:.0%} of the prompts only, so that a"
      " sigma that destroys members cannot be told"
    )
  # A mean score of the margin is reached by as many answers that are all right, or
  # by more that are right in part.
  needed = math.ceil(
    math.log(limits.chance) / math.log1p(-min(margin_frac, 0.999))
  )
  if num_prompts < needed:
    return (
      f"{num_prompts} prompts are too few to see a member that gains the margin"
      f" ({needed} are enough)"
    )
  return ""


def _set_aside_by_score(
  levels: Sequence[SigmaFacts],
  base_score: float,
  floor: float,
  limits: Thresholds,
) -> dict[float, str]:
  """By sigma, how far members have fallen below a base that is above the floor."""
  left = (1 - limits.max_lost_frac) * (base_score - floor)
  return {
    level.sigma: (
      f"members score {level.member_score:.3f} and have lost more than"
      f" {limits.max_lost_frac:.0%} of the base's score"
    )
    for level in levels
    if level.member_score - floor < left
  }


def _set_aside_by_form(
  levels: Sequence[SigmaFacts], base_form: float, limits: Thresholds
) -> dict[float, str]:
  """By sigma, how often members no longer answer in the form, as the base does."""
  left = (1 - limits.max_lost_frac) * base_form
  return {
    level.sigma: (
      f"members answer in the form on {level.member_form:.0%} of the prompts and"
      f" have lost more than {limits.max_lost_frac:.0%} of the base's"
    )
    for level in levels
    if level.member_form < left
  }


def _find_inert(
  levels: Sequence[SigmaFacts], margin_frac: float
) -> dict[float, str]:
  """By sigma, how few answers it changes.

  Args:
    levels: what was measured at each sigma.
    margin_frac: the margin, relative to the range by which a score can change.
  """
  return {
    level.sigma: (
      f"only {level.changed_frac:.1%} of the members' answers differ from the"
      " base's"
    )
    for level in levels
    if level.changed_frac < margin_frac
  }


def _find_doubt(
  levels: Sequence[SigmaFacts],
  set_aside: Mapping[float, str],
  limits: Thresholds,
) -> tuple[str, SigmaFacts] | None:
  """What speaks against a needle and a plateau, and the sigma that says so."""
  dense = [v for v in levels if v.density.low >= limits.min_density]
  gaining = [v for v in levels if v.gain.low > limits.min_gain]
  telling = [v for v in levels if v.sigma not in set_aside]
  both = [v for v in dense if v in gaining]
  unsure = [v for v in telling if not v.density.high < limits.min_density]
  steep = [v for v in telling if not v.gain.high < limits.flat_gain]
  for found, why in (
    (
      both,
      "experts are dense and the vote gains, but not beyond chance over"
      f" {len(levels)} sigmas",
    ),
    (dense, "experts are dense, but the vote is not shown to gain"),
    (
      gaining,
      "the vote gains, but experts at this margin are not shown to be dense",
    ),
    (unsure, "the density is neither shown to be dense nor rare"),
    (steep, "experts are rare, but a gain of the vote is not excluded"),
  ):
    if found:
      return why, max(found, key=lambda level: level.gain.value)
  return None


def _describe(
  level: SigmaFacts, base_score: float, margin: float, flat_gain: float
) -> str:
  density, gain = level.density, level.gain
  return (
    f"at sigma {level.sigma:g} density {density.value:.3f}"
    f" [{density.low:.3f}, {density.high:.3f}] at margin {margin:g},"
    f" ensemble gain {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    f" (flat below {flat_gain:.3g}), base {base_score:.3f} and members"
    f" {level.member_score:.3f} on the density's prompts"
  )


def _check(levels, base_score, margin, score_range) -> None:
  floor, ceiling = score_range
  if not levels or len({level.sigma for level in levels}) < len(levels):
    raise UserError(
      "levels must hold at least one sigma, and each once, got"
      f" {[level.sigma for level in levels]}."
    )
  for name, score in (
    ("base_score", base_score),
    *(("member_score", level.member_score) for level in levels),
  ):
    if not floor <= score <= ceiling:
      raise UserError(
        f"{name} must lie within score_range {floor:g} to {ceiling:g}, got"
        f" {score:g}."
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
  for level in levels:
    _check_interval("density", level.density, level.joint_density_low)
    _check_interval("gain", level.gain, level.joint_gain_low)


def _check_interval(name: str, found: Estimate, joint_low: float) -> None:
  value, low, high = found.value, found.low, found.high
  # An unknown value leaves an interval that says so; the call is undecided.
  if not low <= high or not (math.isnan(value) or low <= value <= high):
    raise UserError(
      f"{name} must lie within its interval, got {value:g} in"
      f" [{low:g}, {high:g}]."
    )
  if not joint_low <= low + 1e-9:  # Tolerant of rounding, for one sigma.
    raise UserError(
      f"joint_{name}_low must not be above the low end of {name}, as an interval"
      f" that holds at all sigmas is wider, got {joint_low:g} > {low:g}."
    )
