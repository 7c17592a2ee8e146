"""What follows from studies of conventions: claims with a verdict.

A claim is *shown* if the interval of its number lies above what it names, *refuted* if
it lies below, and otherwise *not shown*. Where the runs have no such number, such as the
gain since a stage that has learnt something when none has, it *cannot be told*.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from thickets.analysis import convention_points, intervals
from thickets.analysis.convention_points import (
  MARGIN,
  MIN_DENSITY,
  Point,
  estimate_by_population,
  estimate_density,
  estimate_over_trainings,
  estimate_values,
  mean_density,
  say_size,
)
from thickets.analysis.intervals import Estimate
from thickets.analysis.paired_tasks import SKILL

_LEARNT = 0.02  # Right by either convention: below, a model has learnt nothing.


@dataclasses.dataclass(frozen=True)
class Claim:
  """A claim and what was found of it.

  Attributes:
    text: the claim.
    verdict: "shown", "refuted", "not shown" or "cannot be told".
    found: the number that decides, with its interval; None where there is none.
    n: what the interval rests on, in words.
    unit: unit of the number.
  """

  text: str
  verdict: str
  found: Estimate | None
  n: str
  unit: str

  def to_json(self) -> dict[str, Any]:
    """As plain values."""
    found = None if self.found is None else self.found.to_json()
    return {**dataclasses.asdict(self), "found": found}


def judge(
  text: str,
  found: Estimate | None,
  n: str,
  *,
  above: float = 0.0,
  unit: str = "points",
) -> Claim:
  """Gives a claim its verdict: whether the number lies above a bound.

  Args:
    text: the claim.
    found: the number; None where the runs have none.
    n: what it rests on, or why there is none.
    above: the bound.
    unit: unit of the number.
  """
  if found is None:
    return Claim(text, "cannot be told", None, n, unit)
  verdict = "not shown"
  if found.low > above:
    verdict = "shown"
  elif found.high < above:
    verdict = "refuted"
  return Claim(text, verdict, found, n, unit)


def judge_between(found: Estimate, low: float, high: float) -> str:
  """The verdict on a value that is claimed to lie between two others."""
  if low < found.low and found.high < high:
    return "shown"
  return "refuted" if found.high < low or found.low > high else "not shown"


def judge_seeds(points: Sequence[Point]) -> list[Claim]:
  """Claims on repeated trainings with hidden conventions, and on what controls there are."""
  hidden = [p for p in points if p.group == "hidden"]
  if not hidden:
    claims = [judge("hidden: the vote gains", None, "no such training")]
  elif len(last := convention_points.keep_last(hidden)) == 1:
    claims = _judge_hidden(last[0], "hidden")
  else:
    claims = [
      claim
      for point in last
      for claim in _judge_hidden(point, f"hidden, sigma {point.sigma}")
    ]
  for group, expected, sets in (
    ("one", "plateau", slice(0, None, 2)),
    ("one", "needle", slice(1, None, 2)),
    ("stated", "plateau", slice(None)),
  ):
    claims += [
      _judge_calls(point, group, expected, point.tasks[sets])
      for point in convention_points.without_sigmas(points)
      if point.group == group
    ]
  return claims


def _judge_hidden(hidden: Point, name: str) -> list[Claim]:
  """Gains and densities where the text hides its conventions."""
  n = say_size(hidden)
  claims = []
  for difference, (left, other) in hidden.differences.items():
    values = hidden.values(left, other)
    signs = int((values.mean(axis=(1, 2)) > 0).sum())
    above = 0.10 if difference == "vote - base" else 0.0
    claims.append(
      judge(
        f"{name}: {difference} is above {100 * above:g} points",
        estimate_values(values),
        f"{n}; {signs} of {len(values)} trainings above zero",
        above=above,
      )
    )
  for chosen, options in (
    ("members chosen by it", {"sets": (SKILL,)}),
    ("members chosen by one", {"accepted": "either"}),
  ):
    claims.append(
      judge(
        f"{name}: the vote raises what is right by either convention, {chosen}",
        hidden.estimate("vote", "base", **options),
        n,
      )
    )
  for task in hidden.tasks:
    dense = hidden.mean_by_run(task, "density", MARGIN)
    claims.append(
      judge(
        f"{name}: the density of {task} at +{MARGIN} is at least {MIN_DENSITY:g}",
        hidden.density(task),
        f"{dense.size} runs of {len(dense)} trainings; in"
        f" {hidden.count_dense(task)} the run's own interval lies above",
        above=MIN_DENSITY,
        unit="share of members",
      )
    )
  claims.append(
    judge(
      f"{name}: the density at +{MARGIN}, mean of tasks, is at least"
      f" {MIN_DENSITY:g}",
      estimate_density(hidden),
      n,
      above=MIN_DENSITY,
      unit="share of members",
    )
  )
  return claims


def judge_populations(points: Sequence[Point]) -> list[Claim]:
  """Claims on one model with several populations, each with its own prompts."""
  claims = []
  for point in points:
    if len(point.runs) != 1 or len(point.runs[0]) < 2:
      why = f"{len(point.runs)} trainings, {len(point.runs[0])} populations"
      claims.append(judge(f"{point.group}: the vote gains", None, why))
      continue
    n = say_size(point)
    for difference, (left, other) in point.differences.items():
      means = point.values(left, other)[0].mean(axis=1)
      above = 0.10 if difference == "vote - base" else 0.0
      claims.append(
        judge(
          f"{point.group}: {difference} is above {100 * above:g} points",
          estimate_by_population(means, (-1.0, 1.0)),
          f"{n}; {int((means > 0).sum())} of {len(means)} populations above zero",
          above=above,
        )
      )
    claims += [
      judge(
        f"{point.group}: the density of {task} at +{MARGIN} is at least"
        f" {MIN_DENSITY:g}",
        estimate_by_population(
          point.mean_by_run(task, "density", MARGIN)[0], (0.0, 1.0)
        ),
        n,
        above=MIN_DENSITY,
        unit="share of members",
      )
      for task in point.tasks
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
    for run in (run for of in point.runs for run in of):
      if not run.get("predicted"):
        continue  # Made without predictions.
      group = point.group
      if len(point.runs) * len(point.runs[0]) > 1:
        group += f", training {run['seed']}, population {run['population']}"
      rows += _compare_run(run, point, group)
  return rows


def _compare_run(
  run: Mapping[str, Any], point: Point, group: str
) -> list[dict[str, Any]]:
  """The rows of one run."""
  rows = []
  for task in point.tasks[::2]:
    found = run["levels"][point.sigma]["tasks"][task]
    family = task.split("/")[1]
    total = found["num_scored"]
    low, high = intervals.wilson_interval(
      round(found["leaning"] * total), total
    )
    rows.append(
      {
        "group": group,
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
    text = (
      f"at sigma {sigma:g} first order predicts the share of members that lean to a"
      " convention within 10 points"
    )
    if len(chosen) < 2:
      why = "fewer than two families and tilts with a share of 2 to 98 %"
      claims.append(judge(text, None, why, unit="mean absolute error"))
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
        text,
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
  *earlier, last = sorted(points, key=lambda point: point.step)
  learnt = [
    p for p in earlier if p.estimate("base", sets=(SKILL,)).value > _LEARNT
  ]
  if learnt:
    claims = _compare_stages(learnt[0], last)
  else:
    why = (
      f"no stage before {last.step} steps has more than {100 * _LEARNT:g} % right by"
      " either convention"
    )
    text = f"the {{}} is larger after {last.step} steps than before"
    claims = [
      judge(text.format("gain of the vote"), None, why),
      judge(text.format(f"density at +{MARGIN}"), None, why),
    ]
  return claims + [
    judge(
      f"after {point.step} steps the vote raises what is right by either"
      " convention",
      point.estimate("vote", "base", sets=(SKILL,)),
      say_size(point),
    )
    for point in (*earlier, last)
  ]


def _compare_stages(early: Point, last: Point) -> list[Claim]:
  """Whether gain and density are larger at a later stage of the same trainings."""
  early, last = convention_points.match(early, last)
  n, since = say_size(last), f"after {last.step} steps than after {early.step}"
  gained = last.values("vote", "base") - early.values("vote", "base")
  return [
    judge(
      f"the gain of the vote is larger {since}", estimate_values(gained), n
    ),
    judge(
      f"the density at +{MARGIN} is larger {since}",
      estimate_over_trainings(mean_density(last) - mean_density(early)),
      n,
      unit="share of members",
    ),
  ]


def judge_shares(points: Sequence[Point]) -> list[Claim]:
  """Whether more hidden conventions in the text give a larger gain."""
  points = sorted(points, key=lambda point: float(point.group.split()[0]))
  claims = [
    judge(
      f"with {point.group.split()[0]} of the questions hidden, the vote gains where"
      " they are",
      point.estimate("vote", "base"),
      say_size(point),
    )
    for point in points
  ]
  if len(points) > 1:
    few, many = convention_points.match(points[0], points[-1])
    gained = many.values("vote", "base") - few.values("vote", "base")
    claims.append(
      judge(
        f"the vote gains more with {many.group.split()[0]} of the questions hidden"
        f" than with {few.group.split()[0]}",
        estimate_values(gained),
        say_size(few),
      )
    )
  return claims
