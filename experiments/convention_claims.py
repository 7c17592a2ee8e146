"""What follows from finished studies of conventions: claims, tables and figures.

    python -m experiments.convention_claims DIR [--real=DIR] [--out=DIR]

DIR holds the files that `experiments.convention_study` wrote, such as seeds.json.
--real names the results of a real model: preferences.json of `experiments.preferences`,
which is judged and drawn as well, and, to be set beside made sizes, density.json of
`experiments.density`. Writes claims.json, claims.md and figures. No model is needed.
"""

from typing import Any

from absl import flags

from experiments import launch
from experiments.launch import judged_studies, measured_runs
from thickets.analysis import (
  choice_predictions,
  convention_points,
  convention_sizes,
)
from thickets.analysis.convention_points import Point
from thickets.report import claims_table
from thickets.report.figures import choice_plots
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
  "The results of a real model, judged and drawn beside made ones.",
  flag_values=FLAGS.values,
)


def main(argv: list[str]) -> None:
  """Reads the studies, judges the claims, draws and prints them."""
  folder = measured_runs.read_workdir(argv, what="folder of studies")
  studies = convention_points.read_studies(folder)
  out = measured_runs.find_out(FLAGS, [folder])
  real = convention_sizes.read_real(_REAL.value) if _REAL.value else []
  results: dict[str, Any] = {}
  pages = []
  for name, study in studies.items():
    points = convention_points.make_points(study)
    claims = judged_studies.judge_study(name, out / "figures", points, real)
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
    choice_plots.plot_choices(
      out / "figures" / "preferences.png",
      choice_predictions.compare_levels(found),
      choice_predictions.say_what(found),
    )
    claims = choice_predictions.judge_levels(found)
    results["real"] = {"claims": [claim.to_json() for claim in claims]}
    pages.append(claims_table.format_claims("a real model", claims))
  page = "\n".join(pages)
  json_files.write_json(out / "claims.json", results)
  json_files.write_text(out / "claims.md", page)
  print(page)
  print(f"claims.json, claims.md and figures are in {out}.")


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
