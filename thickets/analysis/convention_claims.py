"""What follows from studies of conventions: claims with a verdict.

A claim is *shown* if the interval of its number lies above what it names, *refuted* if
it lies below, and otherwise *not shown*.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from thickets.analysis import intervals
from thickets.analysis.convention_points import (
  MARGIN,
  MIN_DENSITY,
  Point,
  estimate_over_trainings,
  estimate_values,
  mean_density,
  say_size,
)
from thickets.analysis.intervals import Estimate
from thickets.analysis.paired_tasks import SKILL
from thickets.analysis.vote_comparisons import DIFFERENCES


@dataclasses.dataclass(frozen=True)
class Claim:
  """A claim and what was found of it.

  Attributes:
    text: the claim.
    verdict: "shown", "refuted" or "not shown".
    found: the number that decides, with its interval.
    n: what the interval rests on, in words.
    unit: unit of the number.
  """

  text: str
  verdict: str
  found: Estimate
  n: str
  unit: str

  def to_json(self) -> dict[str, Any]:
    """As plain values."""
    return {**dataclasses.asdict(self), "found": self.found.to_json()}


def judge(
  text: str,
  found: Estimate,
  n: str,
  *,
  above: float = 0.0,
  unit: str = "points",
) -> Claim:
  """Gives a claim its verdict: whether the number lies above a bound."""
  verdict = "not shown"
  if found.low > above:
    verdict = "shown"
  elif found.high < above:
    verdict = "refuted"
  return Claim(text, verdict, found, n, unit)


def judge_seeds(points: Sequence[Point]) -> list[Claim]:
  """Claims on repeated trainings with hidden conventions, and on what controls there are."""
  (hidden,) = (
    p for p in points if p.group == "hidden" and p.step == _last(points)
  )
  n = say_size(hidden)
  claims = []
  for name, (left, other) in DIFFERENCES.items():
    values = hidden.values(left, other)
    signs = int((values.mean(axis=(1, 2)) > 0).sum())
    above = 0.10 if name == "vote - base" else 0.0
    claims.append(
      judge(
        f"hidden: {name} is above {100 * above:g} points",
        estimate_values(values),
        f"{n}; {signs} of {len(values)} trainings above zero",
        above=above,
      )
    )
  for name, options in (
    ("members chosen by it", {"sets": (SKILL,)}),
    ("members chosen by one", {"accepted": "either"}),
  ):
    claims.append(
      judge(
        f"hidden: the vote raises what is right by either convention, {name}",
        hidden.estimate("vote", "base", **options),
        n,
      )
    )
  for task in hidden.tasks:
    dense = hidden.mean_by_run(task, "density", MARGIN)
    claims.append(
      judge(
        f"hidden: the density of {task} at +{MARGIN} is at least {MIN_DENSITY:g}",
        hidden.density(task),
        f"{dense.size} runs of {len(dense)} trainings; in"
        f" {hidden.count_dense(task)} the run's own interval lies above",
        above=MIN_DENSITY,
        unit="share of members",
      )
    )
  claims.append(
    judge(
      f"hidden: the density at +{MARGIN}, mean of tasks, is at least"
      f" {MIN_DENSITY:g}",
      estimate_over_trainings(mean_density(hidden)),
      n,
      above=MIN_DENSITY,
      unit="share of members",
    )
  )
  for group, expected, sets in (
    ("one", "plateau", slice(0, None, 2)),
    ("one", "needle", slice(1, None, 2)),
    ("stated", "plateau", slice(None)),
  ):
    claims += [
      _judge_calls(point, group, expected, point.tasks[sets])
      for point in points
      if point.group == group
    ]
  return claims


def _judge_calls(
  point: Point, group: str, expected: str, tasks: Sequence[str]
) -> Claim:
  counts = point.count_regimes(tasks)
  total = sum(counts.values())
  share = intervals.estimate_share(counts.get(expected, 0), total, over="runs")
  which = {
    ("one", "plateau"): "tasks that the text taught",
    ("one", "needle"): "tasks that it did not",
  }.get((group, expected), "tasks")
  verdict = "shown" if counts.get(expected, 0) == total else "not shown"
  called = ", ".join(f"{count} {regime}" for regime, count in counts.items())
  return Claim(
    f"{group}: the {which} are called {expected}",
    verdict,
    share,
    f"{total} calls of {len(point.runs)} trainings: {called}",
    "share of calls",
  )


def compare_predictions(points: Sequence[Point]) -> list[dict[str, Any]]:
  """By point and task, the share of members that lean to it, and its prediction.

  Returns:
    Rows with `group`, `sigma`, `task`, `measured` with its Wilson `interval` over
    members, and `predicted`; for a pair of tasks only the first, since the share of
    the second is one minus it.
  """
  rows = []
  for point in points:
    (run,) = point.runs[0]
    for place, task in enumerate(point.tasks[::2]):
      found = point.levels[0]["tasks"][task]
      family = list(run["predicted"])[place]
      total = found["num_scored"]
      low, high = intervals.wilson_interval(
        round(found["leaning"] * total), total
      )
      rows.append(
        {
          "group": point.group,
          "sigma": float(point.sigma),
          "task": task,
          "measured": found["leaning"],
          "interval": [low, high],
          "n": total,
          "members": found["members"],
          "predicted": run["predicted"][family][point.sigma],
        }
      )
  return rows


def judge_predictions(rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
  """Whether first order predicts shares of members, at each sigma."""
  claims = []
  for sigma in sorted({row["sigma"] for row in rows}):
    # Where nearly all members must lean one way, any formula is right.
    chosen = [
      row
      for row in rows
      if row["sigma"] == sigma
      and max(_openness(row["measured"]), _openness(row["predicted"])) > 0.02
    ]
    if len(chosen) < 2:
      continue
    errors = np.array([abs(r["measured"] - r["predicted"]) for r in chosen])
    half = float(special.stdtrit(len(errors) - 1, 0.975)) * (
      intervals.standard_error(errors)
    )
    mean = float(errors.mean())
    found = Estimate(
      mean, max(0.0, mean - half), mean + half, "families and tilts"
    )
    # Shown if the error is below ten points, of shares from 0 to 1.
    verdict = "not shown"
    if found.high < 0.1:
      verdict = "shown"
    elif found.low > 0.1:
      verdict = "refuted"
    claims.append(
      Claim(
        f"at sigma {sigma:g} first order predicts the share of members that lean to"
        " a convention within 10 points",
        verdict,
        found,
        f"{len(chosen)} families and tilts with a share of 2 to 98 %,"
        f" {chosen[0]['n']} members each",
        "mean absolute error",
      )
    )
  return claims


def _openness(share: float) -> float:
  """How far a share is from 0 and from 1."""
  return min(share, 1 - share)


def judge_stages(points: Sequence[Point]) -> list[Claim]:
  """Whether gains and densities rise with training, and whether skill does."""
  points = sorted(points, key=lambda point: point.step)
  last = points[-1]
  trained = [
    p for p in points if p.estimate("base", sets=(SKILL,)).value > 0.02
  ]
  early = trained[0]
  n = say_size(last)
  claims = [
    judge(
      f"the gain of the vote is larger after {last.step} steps than after"
      f" {early.step}",
      estimate_values(
        last.values("vote", "base") - early.values("vote", "base")
      ),
      n,
    ),
    judge(
      f"the density at +{MARGIN} is larger after {last.step} steps than after"
      f" {early.step}",
      estimate_over_trainings(mean_density(last) - mean_density(early)),
      n,
      unit="share of members",
    ),
  ]
  for point in points:
    claims.append(
      judge(
        f"after {point.step} steps the vote raises what is right by either"
        " convention",
        point.estimate("vote", "base", sets=(SKILL,)),
        n,
      )
    )
  return claims


def measure_discordance_of_pairs(point: Point) -> list[dict[str, Any]]:
  """Discordance against the number of families, mean over all sets of so many.

  Returns:
    For each number of families `k` the D of both their tasks, of their first tasks
    alone (None for one), and the `bound` of the former, with intervals over
    trainings.
  """
  rows = []
  matrices = [
    np.array(level["discordance"]["correlation"]) for level in point.levels
  ]
  num_families = len(matrices[0]) // 2
  for k in range(1, num_families + 1):
    both, first = (
      np.array([_mean_discordance(matrix, k, alone) for matrix in matrices])
      for alone in (False, True)
    )
    rows.append(
      {
        "k": k,
        "both": estimate_over_trainings(both[:, None]).to_json(),
        "first": None
        if k == 1
        else estimate_over_trainings(first[:, None]).to_json(),
        "bound": 2 * k / (2 * k - 1),
      }
    )
  return rows


def _mean_discordance(matrix: np.ndarray, k: int, alone: bool) -> float:
  """D of k families, mean over the sets of so many; `alone` for first tasks."""
  size = len(matrix) // 2
  blocks = matrix.reshape(size, 2, size, 2)
  is_other = ~np.eye(size, dtype=bool)
  if alone:
    return 1 - blocks[:, 0, :, 0][is_other].mean() if k > 1 else math.nan
  within = np.mean([blocks[i, 0, i, 1] for i in range(size)])
  between = blocks.transpose(0, 2, 1, 3)[is_other].mean()
  return float(1 - (within + (2 * k - 2) * between) / (2 * k - 1))


def judge_discordance(rows: Sequence[Mapping[str, Any]], n: str) -> list[Claim]:
  """Whether tasks of independent conventions rank members independently."""
  last = rows[-1]
  first = Estimate(**last["first"])
  pair = Estimate(**rows[0]["both"])
  difference = Estimate(**last["both"])
  return [
    Claim(
      f"first tasks of {last['k']} families rank members independently: D lies"
      " within 0.1 of 1",
      _judge_between(first, 0.9, 1.1),
      first,
      n,
      "D",
    ),
    judge(
      "two conventions of one family rank members against each other: D is above 1",
      pair,
      n,
      above=1.0,
      unit="D",
    ),
    Claim(
      f"D of both tasks rises with the number of families (here of {last['k']};"
      f" of one it is {pair.value:.2f})",
      "refuted" if difference.high < pair.low else "not shown",
      difference,
      n,
      "D",
    ),
  ]


def _judge_between(found: Estimate, low: float, high: float) -> str:
  """The verdict on a value that is claimed to lie between two others."""
  if low < found.low and found.high < high:
    return "shown"
  return "refuted" if found.high < low or found.low > high else "not shown"


def judge_shares(points: Sequence[Point]) -> list[Claim]:
  """Whether more hidden conventions in the text give a larger gain."""
  points = sorted(points, key=lambda point: float(point.group.split()[0]))
  return [
    judge(
      f"with {point.group.split()[0]} of the questions hidden, the vote gains where"
      " they are",
      point.estimate("vote", "base"),
      say_size(point),
    )
    for point in points
  ] + [
    judge(
      f"the vote gains more with {points[-1].group.split()[0]} of the questions"
      f" hidden than with {points[0].group.split()[0]}",
      estimate_values(
        points[-1].values("vote", "base") - points[0].values("vote", "base")
      ),
      say_size(points[0]),
    )
  ]


def _last(points: Sequence[Point]) -> int:
  return max(point.step for point in points)
