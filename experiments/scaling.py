"""What changes with size and training, from a finished ladder.

    python -m experiments.scaling LADDER [--out=DIR]

Of the directory of `experiments.ladder`. Writes ladder.json and figures: density,
discordance and gains at every size and stage, and the paper's claims as trends
with intervals. No model is needed.
"""

import os
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments import launch
from experiments.launch import estimator_flags, measured_runs
from thickets.analysis import claims, scaling
from thickets.errors import UserError
from thickets.report.figures import scaling_plots
from thickets.runs import json_files

_TOP_K = flags.DEFINE_integer("top_k", 16, "Members of an ensemble.")
_MEASURED = flags.DEFINE_string(
  "measured", "measure", "Folder of each rung's measurements, or final."
)
_MANNERS = flags.DEFINE_list(
  "manners",
  [],
  "Two rungs to compare that differ in the diversity of their text alone, such as"
  " w96,w96-one.",
)


def main(argv: Sequence[str]) -> None:
  """Reads the flags, measures, prints the claims."""
  with launch.ending_plainly():
    workdirs = measured_runs.read_workdirs(argv)
    if len(workdirs) > 1:
      raise UserError(f"Name one ladder, got {len(workdirs)}.")
    if len(_MANNERS.value) not in (0, 2):
      raise UserError(f"--manners must name two rungs, got {_MANNERS.value}.")
    if _TOP_K.value < 1:
      raise UserError(f"--top_k must be at least 1, got {_TOP_K.value}.")
    settings = estimator_flags.read_settings()
    points = scaling.read_ladder(
      workdirs[0], settings, top_k=_TOP_K.value, measured=_MEASURED.value
    )
    out = measured_runs.find_out(workdirs)
    compared = (
      claims.compare_manners(points, *_MANNERS.value) if _MANNERS.value else []
    )
    results = {
      "units": "densities, accuracies and gains are shares; 95 % intervals",
      "margin": settings.margin,
      "top_k": _TOP_K.value,
      "claims": claims.fit_claims(points),
      "manners": compared,
      "points": [point.to_json() for point in points],
    }
    json_files.write_json(out / "ladder.json", results)
    scaling_plots.plot_ladder(out / "figures" / "ladder.png", points)
    if compared:
      scaling_plots.plot_manners(
        out / "figures" / "manners.png", points, *_MANNERS.value
      )
    print(format_points(points))
    print(format_claims(results["claims"]))
    print(f"ladder.json and figures are in {os.fspath(out)}.")


def format_points(points: Sequence[scaling.LadderPoint]) -> str:
  """A row for each model."""
  lines = [
    f"{'rung':10s}{'weights':>9s}{'steps':>7s}{'loss':>7s}{'base':>7s}"
    f"{'random':>8s}{'best':>7s}{'vote':>7s}{'vote - base':>24s}"
    "  density (corrected) by sigma"
  ]
  for point in points:
    gain = point.gain("vote", "base")
    densities = " ".join(f"{e.value:.3f}" for e in point.density["corrected"])
    lines.append(
      f"{point.rung:10s}{point.num_weights:9d}{point.step:7d}{point.loss:7.3f}"
      f"{point.accuracy('base'):7.3f}{point.random:8.3f}"
      f"{point.accuracy('best'):7.3f}{point.accuracy('vote'):7.3f}"
      f"{gain.value:+8.3f} [{gain.low:+.3f}, {gain.high:+.3f}]  {densities}"
    )
  return "\n".join(lines)


def format_claims(claims: dict[str, Any]) -> str:
  """A line for each claim and level of sigma."""
  lines = []
  for name, found in claims.items():
    for label, one in _flatten(name, found):
      if one is None:
        lines.append(f"{label}: too few points")
      elif "slope" in one:
        low, high = one["slope_interval"]
        lines.append(
          f"{label}: slope {one['slope']:+.3f} [{low:+.3f}, {high:+.3f}],"
          f" {one['num_points']} points: {one['verdict']}"
        )
      else:
        low, high = one["interval"]
        lines.append(
          f"{label}: {one['value']:+.3f} [{low:+.3f}, {high:+.3f}],"
          f" {one['num_points']} models, {one['num_prompts']} prompts"
        )
  return "\n".join(lines)


def _flatten(name: str, found: Any) -> list[tuple[str, Any]]:
  if name in ("units", "final"):
    return []
  if isinstance(found, list):
    return [
      (f"{name}, sigma level {level + 1}", one)
      for level, one in enumerate(found)
    ]
  if isinstance(found, dict) and not {"slope", "value"} & found.keys():
    return [
      part
      for key, inner in found.items()
      for part in _flatten(f"{name}, {key}", inner)
    ]
  return [(name, found)]


if __name__ == "__main__":
  launch.run(main)
