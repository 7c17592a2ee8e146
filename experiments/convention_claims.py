"""What follows from finished studies of conventions: claims, tables and figures.

    python -m experiments.convention_claims DIR [--real=DIR] [--out=DIR]

DIR holds the files that `experiments.convention_study` wrote, such as seeds.json.
Beside made sizes, --real sets a real model: its folder holds density.json of
`experiments.density` and preferences.json of `experiments.preferences`. Writes
claims.json, claims.md and figures. No model is needed.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

from experiments import launch
from experiments.launch import measured_runs
from thickets.analysis import (
  choice_predictions,
  convention_claims,
  convention_discordance,
  convention_points,
  convention_sizes,
)
from thickets.analysis.convention_claims import Claim
from thickets.analysis.convention_points import Point
from thickets.report import claims_table
from thickets.report.figures import convention_plots, convention_size_plots
from thickets.runs import json_files

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.convention_claims docs/results/conventions",
  arguments="DIR",
)
measured_runs.define_out(FLAGS)
_REAL = flags.DEFINE_string(
  "real",
  None,
  "The results of a real model, to be set beside made sizes.",
  flag_values=FLAGS.values,
)


def main(argv: list[str]) -> None:
  """Reads the studies, judges the claims, draws and prints them."""
  folder = measured_runs.read_workdir(argv, what="folder of studies")
  studies = convention_points.read_studies(folder)
  out = measured_runs.find_out(FLAGS, [folder])
  results: dict[str, Any] = {}
  pages = []
  for name, study in studies.items():
    points = convention_points.make_points(study)
    claims = _judge_study(name, out / "figures", points)
    results[name] = {
      "points": [_describe_point(point) for point in points],
      "regimes": [
        *map(_describe_calls, convention_points.without_sigmas(points))
      ],
      "claims": [claim.to_json() for claim in claims],
    }
    pages.append(claims_table.format_claims(name, claims))
    if left_out := convention_sizes.find_left_out(study):
      results[name]["left_out"] = left_out
      losses = ", ".join(f"{k} ({v:.2f})" for k, v in left_out.items())
      pages.append(
        "Left out, since no stage meets the target (lowest loss by either"
        f" convention, nats): {losses}.\n"
      )
  if _REAL.value:
    found = choice_predictions.read_preferences(_REAL.value)
    claims = choice_predictions.judge_levels(found)
    results["real"] = {"claims": [claim.to_json() for claim in claims]}
    pages.append(claims_table.format_claims("a real model", claims))
  page = "\n".join(pages)
  json_files.write_json(out / "claims.json", results)
  json_files.write_text(out / "claims.md", page)
  print(page)
  print(f"claims.json, claims.md and figures are in {out}.")


def _judge_study(
  name: str, figures: pathlib.Path, points: Sequence[Point]
) -> list[Claim]:
  """Draws the figures of a study and judges its claims, at each sigma if need be."""
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


def _judge_seeds(path: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  if any(point.group == "hidden" for point in points):
    convention_plots.plot_seeds(path, points)
  return convention_claims.judge_seeds(points)


def _judge_sigmas(path: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  rows = convention_claims.compare_predictions(points)
  if rows:
    convention_plots.plot_predictions(path, rows)
  return convention_claims.judge_predictions(rows)


def _judge_stages(path: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  convention_plots.plot_stages(path, points)
  return convention_claims.judge_stages(points)


def _judge_families(path: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  point = max(points, key=lambda point: point.step)
  rows = convention_discordance.measure_discordance_of_pairs(point)
  if len(rows) > 1 and rows[0]["both"] is not None:
    convention_plots.plot_discordance(path, rows)
  return convention_discordance.judge_discordance(
    rows, convention_discordance.say_families(point)
  )


def _judge_sizes(path: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  found = convention_sizes.read_points(points)
  real = convention_sizes.read_real(_REAL.value) if _REAL.value else []
  convention_size_plots.plot_sizes(path, found, real)
  json_files.write_json(
    path.parent.parent / "size_points.json",
    {"made": [point.to_json() for point in found], "real": real},
  )
  return convention_sizes.judge_sizes(found)


def _judge_shares(path: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  convention_plots.plot_shares(path, points)
  return convention_claims.judge_shares(points)


_Judge = Callable[[pathlib.Path, Sequence[Point]], list[Claim]]
# What is said of all sigmas together, and what of each by itself.
_WHOLE: Mapping[str, _Judge] = {
  "seeds": _judge_seeds,
  "sigmas": _judge_sigmas,
  "sizes": _judge_sizes,
}
_BY_SIGMA: Mapping[str, _Judge] = {
  "stages": _judge_stages,
  "families": _judge_families,
  "shares": _judge_shares,
}


def _describe_point(point: Point) -> dict[str, Any]:
  """Who is right how often, and by how much more."""
  rows = point.levels[0]["sets"]["first"]["right"]
  return {
    "group": point.group,
    "step": point.step,
    "sigma": point.sigma,
    "n": convention_points.say_size(point),
    "right": {row: point.estimate(row).to_json() for row in rows},
    "differences": {
      name: point.estimate(left, other).to_json()
      for name, (left, other) in point.differences.items()
    },
  }


def _describe_calls(point: Point) -> dict[str, Any]:
  """The calls of all runs, which are over all of their sigmas."""
  return {
    "group": point.group,
    "step": point.step,
    "all": point.count_regimes(point.tasks),
    "first": point.count_regimes(point.tasks[::2]),
    "second": point.count_regimes(point.tasks[1::2]),
    "skill": point.count_regimes(point.tasks[::2], "skill_regimes"),
  }


if __name__ == "__main__":
  launch.run(main, FLAGS)
