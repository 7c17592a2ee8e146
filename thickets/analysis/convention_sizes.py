"""Density against size, over trainings at the stage where all know as much.

Each training is one point: sizes and seeds differ, the loss by either convention is
the same up to a tolerance, and sigma has the same norm relative to the weights. What
the log-odds still lean to is a covariate. Intervals of slopes come from the scatter
of the trainings about a line (`trends.fit_trend`).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thickets.analysis import choice_predictions, convention_claims, trends
from thickets.analysis.convention_claims import Claim
from thickets.analysis.convention_points import (
  MARGIN,
  Point,
  mean_density,
  say_size,
)
from thickets.analysis.intervals import Estimate
from thickets.analysis.paired_tasks import SKILL
from thickets.errors import UserError

_MIN_TRAININGS = 3  # A trend needs them, and one more beside another.


@dataclasses.dataclass(frozen=True)
class SizePoint:
  """One training of one size, with what is around it at one sigma.

  Attributes:
    group: name of the size.
    seed: seed of the training.
    num_weights: number of the model's weights.
    step: number of steps of the stage that was chosen.
    loss: its loss by either convention, in nats per question of development, by
      which the stage was chosen.
    leaning: distance of its log-odds from zero, mean of families, in nats, on other
      questions than those by which the stage was chosen.
    sigma: standard deviation of the members' noise.
    relative_norm: norm of the noise relative to that of the weights.
    spread: standard deviation of the members' log-odds in first order, sigma times
      the norm of the gradient, mean of families, in nats.
    density: share of members that gain 5 points, on new prompts, mean of tasks.
    gain: what the vote has right more than the base, mean of tasks.
    right: what the base has right by either convention, mean of families.
    n: what this rests on, in words.
  """

  group: str
  seed: int
  num_weights: int
  step: int
  loss: float
  leaning: float
  sigma: float
  relative_norm: float
  spread: float
  density: float
  gain: float
  right: float
  n: str

  def to_json(self) -> dict[str, Any]:
    """As plain values."""
    return dataclasses.asdict(self)


def read_points(points: Sequence[Point]) -> list[SizePoint]:
  """Reads one point for each training and sigma, by number of weights and seed.

  Args:
    points: those of the study `sizes`, with one population each.
  """
  found = []
  for point in points:
    densities, gains = mean_density(point), point.values("vote", "base")
    right = point.values("base", sets=(SKILL,))
    for place, (run,) in enumerate(point.runs):
      # Those of the stage are a minimum over stages, and so are too small.
      leanings = [abs(of["log_odds"]) for of in run["preferences"].values()]
      norms = [of["gradient_norm"] for of in run["preferences"].values()]
      sigma = float(point.sigma)
      found.append(
        SizePoint(
          group=point.group,
          seed=run["seed"],
          num_weights=run["num_weights"],
          step=point.step,
          loss=run["stage"]["loss"],
          leaning=float(np.mean(leanings)),
          sigma=sigma,
          relative_norm=run["relative_norms"][point.sigma],
          spread=sigma * float(np.mean(norms)),
          density=float(densities[place, 0]),
          gain=float(gains[place].mean()),
          right=float(right[place].mean()),
          n=say_size(point),
        )
      )
  return sorted(found, key=lambda p: (p.num_weights, p.seed, p.relative_norm))


def find_left_out(study: Mapping[str, Any]) -> dict[str, float]:
  """The trainings of which no stage knows what was asked for.

  Args:
    study: what `experiments.convention_study` wrote.

  Returns:
    The lowest loss by either convention that each of them reached, by its name.
  """
  return {
    name: found["lowest_loss"]
    for name, found in study.get("chosen", {}).items()
    if found["chosen"] is None
  }


def read_real(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
  """Reads the densities of a real model, one row for each sigma.

  Args:
    folder: holds density.json, from `experiments.density`, and preferences.json,
      from `experiments.preferences`, which knows the size of the model.

  Returns:
    Rows with `name` and `num_weights` of the model, `sigma`, `relative_norm`,
    `tasks` with the density of each at +5 points and its interval, and `density`,
    their mean.

  Raises:
    UserError: if a file is missing, or they have no sigma in common.
  """
  where = pathlib.Path(folder)
  model = choice_predictions.read_preferences(folder)
  found = _read(where / "density.json")
  rows = []
  for sigma, norm in model["relative_norms"].items():
    tasks = {
      name: [row["corrected"], row["corrected_low"], row["corrected_high"]]
      for name, density in found["densities"].items()
      for row in density["rows"]
      if row["sigma"] == float(sigma)
      and row["margin"] == float(MARGIN)
      and row["ratio"] is None
    }
    if tasks:
      rows.append(
        {
          "name": model["model"].rpartition(":")[2],
          "num_weights": model["num_weights"],
          "sigma": float(sigma),
          "relative_norm": norm,
          "tasks": tasks,
          "density": float(np.mean([value for value, _, _ in tasks.values()])),
        }
      )
  if not rows:
    raise UserError(
      f"{where} must hold densities at +{MARGIN} at the sigmas"
      f" {[*model['relative_norms']]} of preferences.json, got none. Measure the"
      " same sigmas."
    )
  return rows


def _read(path: pathlib.Path) -> dict[str, Any]:
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise UserError(f"{path} must be a JSON file, got {error}.") from error


def group_by_norm(
  points: Sequence[SizePoint],
) -> dict[float, list[SizePoint]]:
  """Sorts points by their relative norm, to two digits; sigmas have four."""
  found: dict[float, list[SizePoint]] = {}
  for point in points:
    found.setdefault(float(f"{point.relative_norm:.2g}"), []).append(point)
  return dict(sorted(found.items()))


# What is compared at each relative norm, also among bases that lean as far: its name,
# the number, and its unit.
_TRENDS: tuple[tuple[str, Callable[[SizePoint], float], str], ...] = (
  (f"the density at +{MARGIN}", lambda p: p.density, "share of members"),
  ("the gain of the vote over the base", lambda p: p.gain, "share of prompts"),
)
# What is said of the noise in first order, at each relative norm.
_SPREAD = (
  "the standard deviation of log-odds among members, in first order,",
  lambda p: p.spread,
  "nats",
)
# What ought to be the same at all sizes; it does not depend on sigma.
_CHECKS: tuple[tuple[str, Callable[[SizePoint], float], str], ...] = (
  (
    "the loss by either convention, on the questions that chose the stage,",
    lambda p: p.loss,
    "nats",
  ),
  (
    "what the base has right by either convention",
    lambda p: p.right,
    "share of prompts",
  ),
  ("the distance of the log-odds from zero", lambda p: p.leaning, "nats"),
)


def judge_sizes(points: Sequence[SizePoint]) -> list[Claim]:
  """Whether density and gain rise with the logarithm of the size.

  Every slope is per factor of ten in weights; shown if its interval lies above zero,
  refuted if it lies below.

  Args:
    points: what `read_points` returned.
  """
  if not points:
    why = "no training reaches a stage that meets the target"
    text = f"the density at +{MARGIN} rises with size"
    return [convention_claims.judge(text, None, why)]
  groups = group_by_norm(points)
  any_norm = next(iter(groups.values()))
  claims = [
    _judge_trend(any_norm, f"{name} rises with size", read, unit)
    for name, read, unit in _CHECKS
  ]
  for norm, chosen in groups.items():
    where = f"at a relative norm of {norm:g}"
    for name, read, unit in _TRENDS:
      claims += [
        _judge_trend(chosen, f"{where} {name} rises with size", read, unit),
        _judge_trend(
          chosen,
          f"{where} {name} rises with size, among bases that lean as far",
          read,
          unit,
          beside=lambda p: p.leaning,
        ),
      ]
    name, read, unit = _SPREAD
    claims.append(
      _judge_trend(chosen, f"{where} {name} rises with size", read, unit)
    )
  return claims


def _judge_trend(
  points: Sequence[SizePoint],
  text: str,
  read: Callable[[SizePoint], float],
  unit: str,
  *,
  beside: Callable[[SizePoint], float] | None = None,
) -> Claim:
  sizes = {p.num_weights for p in points}
  n = (
    f"{len(points)} trainings of {len(sizes)} sizes, {min(sizes)} to"
    f" {max(sizes)} weights; each: {points[0].n}"
  )
  unit = f"{unit} per factor of ten"
  least = _MIN_TRAININGS + (beside is not None)
  if len(points) < least or len(sizes) < 2:
    why = f"a trend needs {least} trainings of two sizes; {n}"
    return convention_claims.judge(text, None, why, unit=unit)
  trend = trends.fit_trend(
    [math.log10(p.num_weights) for p in points],
    [read(p) for p in points],
    beside=None if beside is None else [beside(p) for p in points],
  )
  found = Estimate(trend.slope, *trend.slope_interval, "trainings")
  return convention_claims.judge(text, found, n, unit=unit)


def can_fit(points: Sequence[SizePoint]) -> bool:
  """Whether a line can be laid through the trainings of each relative norm."""
  return bool(points) and all(
    len(chosen) >= _MIN_TRAININGS and len({p.num_weights for p in chosen}) > 1
    for chosen in group_by_norm(points).values()
  )
