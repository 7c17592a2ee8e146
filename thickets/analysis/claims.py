"""What a ladder says about the paper's claims, each with an interval.

A rung is one initialisation and one order of the text, so intervals of trends come
from the scatter of the rungs about a line, not from those of the points alone.

* **With size**: over the rungs whose text has several manners, after the same number
  of steps each; slopes per factor of ten in the number of weights. All rungs count
  alike: the error of a share follows from the share, and weighting by it would pull
  every line towards zero.
* **With training**: the slope against the loss within each of these rungs, and the
  mean of these slopes, with Student's interval over rungs. Between rungs, training
  and size could not be told apart.
* **Gains**: paired differences on the prompts of `dev`, mean over tasks; the
  interval allows for other rungs and other prompts (`trends.fit_mean`).

A claim that rests on models at the floor or the ceiling of the score cannot be told
(`score_edges`).
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import logging
from scipy import stats

from thickets.analysis import intervals, prompt_groups, score_edges, trends
from thickets.analysis.intervals import Estimate
from thickets.analysis.scaling import ESTIMATES, LadderPoint
from thickets.errors import UserError

Claim = dict[str, Any] | None
Read = Callable[[LadderPoint], float | None]
_OVER_RUNGS = {"over": "rungs"}


def final_points(points: Sequence[LadderPoint]) -> list[LadderPoint]:
  """The trained models that differ in size: after the same steps, same text.

  The number of steps is the one at which most rungs on several manners end.
  Rungs that were trained longer, or are not finished, are left out.
  """
  several = [p for p in points if p.manners == "several"]
  ends = {
    p.rung: max(q.step for q in several if q.rung == p.rung) for p in several
  }
  if not ends:
    return []
  counts = collections.Counter(ends.values())
  common = max(counts, key=lambda step: (counts[step], step))
  if missing := sorted(rung for rung, end in ends.items() if end < common):
    logging.warning("No final point, not finished: %s.", ", ".join(missing))
  return sorted(
    (p for p in several if p.step == common == ends[p.rung]),
    key=lambda p: p.num_weights,
  )


def fit_claims(points: Sequence[LadderPoint]) -> dict[str, Any]:
  """Fits all claims.

  Args:
    points: the measured models, from `scaling.read_ladder` or
      `scaling.load_points`.

  Returns:
    JSON values by claim, lists by level of sigma. A claim that too few points
    speak of is None.
  """
  final = final_points(points)
  rungs = {p.rung for p in final}
  stages = [p for p in points if p.rung in rungs]
  # Rungs of one size start from the same weights: one of them counts.
  scratch = list({p.identity: p for p in points if not p.is_trained}.values())
  levels = range(len(points[0].norms)) if points else ()
  return {
    "units": (
      "slopes per factor of ten in weights, or per nat that the loss falls; gains"
      " are shares of prompts; 95 % intervals"
    ),
    "final": [p.rung for p in final],
    "density rises with size": {
      name: [_with_size(final, _density_at(name, level)) for level in levels]
      for name in ESTIMATES
    },
    "density rises with training": {
      name: [
        _with_training(stages, _density_at(name, level)) for level in levels
      ]
      for name in ESTIMATES
    },
    "discordance rises with size": [
      _with_size(final, _discordance_at(level)) for level in levels
    ],
    "discordance above its floor rises with size": [
      _with_size(final, _excess_at(level)) for level in levels
    ],
    "votes gain": _gain(final, "vote", "base"),
    "single members gain": _gain(final, "best", "base"),
    "votes gain more than single members": _gain(final, "vote", "best"),
    "votes gain more with size": _with_size(
      final, lambda p: p.gain("vote", "base").value
    ),
    "votes gain from scratch": _gain(scratch, "vote", "base"),
    "single members gain from scratch": _gain(scratch, "best", "base"),
  }


def compare_manners(
  points: Sequence[LadderPoint], several: str, one: str
) -> list[dict[str, Any]]:
  """Stage by stage, a rung on several manners of answering minus one on one.

  There is one training of each, so that intervals are over members and prompts
  only: another seed of either may differ by more.

  Args:
    points: the measured models, from `scaling.read_ladder` or
      `scaling.load_points`.
    several: name of the rung whose text answers in several manners.
    one: name of the rung of the same size whose text answers in one manner.

  Returns:
    For each stage that both have, base accuracies and differences, as JSON
    values, densities by level of sigma.

  Raises:
    UserError: if there is no such rung.
  """
  by_key = {(p.rung, p.step): p for p in points}
  known = sorted({p.rung for p in points})
  for name in (several, one):
    if name not in known:
      raise UserError(f"A rung must be one of {known}, got {name!r}.")
  rows = []
  for (rung, step), first in by_key.items():
    second = by_key.get((one, step))
    if rung == several and second is not None:
      rows.append(_compare(step, first, second))
  return rows


def _compare(
  step: int, first: LadderPoint, second: LadderPoint
) -> dict[str, Any]:
  # Each of the two gains lies within -1 and 1.
  gain = intervals.estimate_difference(
    first.gains("vote", "base") - second.gains("vote", "base"),
    reach=2.0,
    groups=first.all_groups,
  )
  return {
    "step": step,
    "base_several": first.accuracy("base"),
    "base_one": second.accuracy("base"),
    "edges": [score_edges.find_edge(point) for point in (first, second)],
    "vote_gain": gain.to_json(),
    **{
      f"density_{name}": [
        _subtract(a, b)
        for a, b in zip(first.density[name], second.density[name], strict=True)
      ]
      for name in ESTIMATES
    },
  }


def _subtract(first: Estimate, second: Estimate) -> dict[str, float | str]:
  """A difference of independent estimates, by the distances to their ends."""
  value = first.value - second.value
  below = math.hypot(first.value - first.low, second.high - second.value)
  above = math.hypot(first.high - first.value, second.value - second.low)
  return Estimate(value, value - below, value + above, first.over).to_json()


def _with_size(points: Sequence[LadderPoint], read: Read) -> Claim:
  read_points = [(p, y) for p in points if (y := read(p)) is not None]
  used = [point for point, _ in read_points]
  if len({point.num_weights for point in used}) < 3:
    return None
  trend = trends.fit_trend(
    [math.log10(point.num_weights) for point in used],
    [y for _, y in read_points],
  )
  return score_edges.judge_claim(
    trend.to_json() | _OVER_RUNGS,
    used,
    trend.slope_interval,
    ("rises", "falls"),
    num_needed=3,
  )


def _with_training(points: Sequence[LadderPoint], read: Read) -> Claim:
  """The mean of the rungs' slopes."""
  by_rung: dict[str, list[tuple[LadderPoint, float]]]
  by_rung = collections.defaultdict(list)
  for point in points:
    if point.is_trained and (y := read(point)) is not None:
      by_rung[point.rung].append((point, y))
  rungs = [
    rung for rung in by_rung.values() if len({p.loss for p, _ in rung}) > 2
  ]
  slopes = [
    trends.fit_line([-p.loss for p, _ in rung], [y for _, y in rung])[0]
    for rung in rungs
  ]
  if len(slopes) < 3:
    return None
  mean, spread = float(np.mean(slopes)), float(stats.sem(slopes))
  half = spread * float(stats.t.ppf(0.975, len(slopes) - 1))
  interval = [mean - half, mean + half]
  return score_edges.judge_claim(
    {
      "slope": mean,
      "slope_interval": interval,
      "num_points": len(slopes),
    }
    | _OVER_RUNGS,
    [point for rung in rungs for point, _ in rung],
    interval,
    ("rises", "falls"),
    num_needed=9,  # Three of each of three rungs.
  )


def _gain(points: Sequence[LadderPoint], name: str, over: str) -> Claim:
  if len(points) < 2:
    return None
  table = np.stack([point.gains(name, over) for point in points])
  groups = points[0].all_groups
  unit = prompt_groups.say_unit(groups, table.shape[1])
  found = trends.fit_mean(table, groups=groups)
  return score_edges.judge_claim(
    found.to_json() | {"over": f"rungs and {unit}"},
    points,
    found.interval,
    ("gains", "loses"),
    num_needed=2,
  )


def _density_at(name: str, level: int) -> Read:
  return lambda point: point.density[name][level].value


def _discordance_at(level: int) -> Read:
  """Where all tasks rank members: over fewer, D is another quantity."""

  def read(point):
    ranking = point.rankings[level]
    if ranking is None or ranking.num_tasks < len(point.tasks):
      return None
    return ranking.discordance.value

  return read


def _excess_at(level: int) -> Read:
  def read(point):
    value = _discordance_at(level)(point)
    if value is None or point.rankings[level].floor is None:
      return None
    return value - point.rankings[level].floor

  return read
