"""The figure and the claims of each study of conventions."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thickets.analysis import (
  convention_claims,
  convention_discordance,
  convention_points,
  convention_sizes,
)
from thickets.analysis.convention_claims import Claim
from thickets.analysis.convention_points import Point
from thickets.report.figures import convention_plots, convention_size_plots
from thickets.runs import json_files
from thickets.runs.locations import Location


def judge_study(
  name: str,
  figures: Location,
  points: Sequence[Point],
  real: Sequence[Mapping[str, Any]] = (),
) -> list[Claim]:
  """Draws the figures of a study and judges its claims, at each sigma if need be.

  Args:
    name: that of the study; one without claims has none.
    figures: the folder of the figures.
    points: what was measured around each group of trainings.
    real: real models that stand beside made sizes.
  """
  if name == "sizes":
    return _judge_sizes(figures / f"{name}.png", points, real)
  if name in _WHOLE:
    return _WHOLE[name](figures / f"{name}.png", points)
  if name not in _BY_SIGMA:
    return []
  levels = convention_points.by_sigma(points)
  if len(levels) == 1:
    return _BY_SIGMA[name](figures / f"{name}.png", points)
  return [
    dataclasses.replace(claim, text=f"at sigma {sigma}: {claim.text}")
    for sigma, level in levels.items()
    for claim in _BY_SIGMA[name](figures / f"{name}_{sigma}.png", level)
  ]


def _judge_seeds(path: Location, points: Sequence[Point]) -> list[Claim]:
  if any(point.group == "hidden" for point in points):
    convention_plots.plot_seeds(path, points)
  return convention_claims.judge_seeds(points)


def _judge_populations(_: Location, points: Sequence[Point]) -> list[Claim]:
  return convention_claims.judge_populations(points)


def _judge_sigmas(path: Location, points: Sequence[Point]) -> list[Claim]:
  rows = convention_claims.compare_predictions(points)
  if rows:
    convention_plots.plot_predictions(path, rows)
  return convention_claims.judge_predictions(rows)


def _judge_stages(path: Location, points: Sequence[Point]) -> list[Claim]:
  convention_plots.plot_stages(path, points)
  return convention_claims.judge_stages(points)


def _judge_families(path: Location, points: Sequence[Point]) -> list[Claim]:
  point = max(points, key=lambda point: point.step)
  rows = convention_discordance.measure_discordance_of_pairs(point)
  if len(rows) > 1 and rows[0]["both"] is not None:
    convention_plots.plot_discordance(path, rows)
  return convention_discordance.judge_discordance(
    rows, convention_discordance.say_families(point)
  )


def _judge_sizes(
  path: Location, points: Sequence[Point], real: Sequence[Mapping[str, Any]]
) -> list[Claim]:
  found = convention_sizes.read_points(points)
  if convention_sizes.can_fit(found):
    convention_size_plots.plot_sizes(path, found, real)
  json_files.write_json(
    path.parent.parent / "size_points.json",
    {"made": [point.to_json() for point in found], "real": [*real]},
  )
  return convention_sizes.judge_sizes(found)


def _judge_shares(path: Location, points: Sequence[Point]) -> list[Claim]:
  convention_plots.plot_shares(path, points)
  return convention_claims.judge_shares(points)


_Judge = Callable[[Location, Sequence[Point]], list[Claim]]
# What is said of all sigmas together, and what of each by itself.
_WHOLE: Mapping[str, _Judge] = {"seeds": _judge_seeds, "sigmas": _judge_sigmas}
_BY_SIGMA: Mapping[str, _Judge] = {
  "populations": _judge_populations,
  "stages": _judge_stages,
  "families": _judge_families,
  "shares": _judge_shares,
}
