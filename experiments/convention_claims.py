"""What follows from finished studies of conventions: claims, tables and figures.

    python -m experiments.convention_claims DIR [--out=DIR]

DIR holds the files that `experiments.convention_study` wrote, such as seeds.json.
Writes claims.json, claims.md and figures. No model is needed.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments import launch
from experiments.launch import measured_runs
from thickets.analysis import convention_claims, convention_points
from thickets.analysis.convention_claims import Claim
from thickets.analysis.convention_points import Point
from thickets.analysis.vote_comparisons import DIFFERENCES
from thickets.report import claims_table
from thickets.report.figures import convention_plots
from thickets.runs import json_files

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.convention_claims docs/results/conventions",
  arguments="DIR",
)
measured_runs.define_out(FLAGS)


def main(argv: list[str]) -> None:
  """Reads the studies, judges the claims, draws and prints them."""
  folder = measured_runs.read_workdir(argv, what="folder of studies")
  studies = convention_points.read_studies(folder)
  out = measured_runs.find_out(FLAGS, [folder])
  results: dict[str, Any] = {}
  pages = []
  for name, study in studies.items():
    points = convention_points.make_points(study)
    claims = _STUDIES[name](out, points) if name in _STUDIES else []
    results[name] = {
      "points": [_describe_point(point) for point in points],
      "claims": [claim.to_json() for claim in claims],
    }
    pages.append(claims_table.format_claims(name, claims))
  page = "\n".join(pages)
  json_files.write_json(out / "claims.json", results)
  json_files.write_text(out / "claims.md", page)
  print(page)
  print(f"claims.json, claims.md and figures are in {out}.")


def _judge_seeds(out: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  convention_plots.plot_seeds(out / "figures" / "seeds.png", points)
  return convention_claims.judge_seeds(points)


def _judge_sigmas(out: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  rows = convention_claims.compare_predictions(points)
  convention_plots.plot_predictions(out / "figures" / "sigmas.png", rows)
  return convention_claims.judge_predictions(rows)


def _judge_stages(out: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  convention_plots.plot_stages(out / "figures" / "stages.png", points)
  return convention_claims.judge_stages(points)


def _judge_families(out: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  (point,) = points
  rows = convention_claims.measure_discordance_of_pairs(point)
  convention_plots.plot_discordance(out / "figures" / "families.png", rows)
  return convention_claims.judge_discordance(
    rows, convention_points.say_size(point)
  )


def _judge_shares(out: pathlib.Path, points: Sequence[Point]) -> list[Claim]:
  convention_plots.plot_shares(out / "figures" / "shares.png", points)
  return convention_claims.judge_shares(points)


_STUDIES: Mapping[
  str, Callable[[pathlib.Path, Sequence[Point]], list[Claim]]
] = {
  "seeds": _judge_seeds,
  "sigmas": _judge_sigmas,
  "stages": _judge_stages,
  "families": _judge_families,
  "shares": _judge_shares,
}


def _describe_point(point: Point) -> dict[str, Any]:
  """Who is right how often, by how much more, and the calls of all runs."""
  rows = point.levels[0]["sets"]["first"]["right"]
  return {
    "group": point.group,
    "step": point.step,
    "sigma": point.sigma,
    "n": convention_points.say_size(point),
    "right": {row: point.estimate(row).to_json() for row in rows},
    "differences": {
      name: point.estimate(left, other).to_json()
      for name, (left, other) in DIFFERENCES.items()
      if {left, other} <= rows.keys()
    },
    "regimes": point.count_regimes(point.tasks),
    "regimes_of_first": point.count_regimes(point.tasks[::2]),
    "regimes_of_second": point.count_regimes(point.tasks[1::2]),
    "regimes_of_skill": point.count_regimes(point.tasks[::2], "skill_regimes"),
  }


if __name__ == "__main__":
  launch.run(main, FLAGS)
