"""Landscapes of a finished run: slices, projections, composites of three tasks.

    python -m experiments.landscape WORKDIR [--composite=TASK,TASK,TASK]

Of a run of `experiments.measure`. Writes landscape.json and figures; no model is
needed. What projections can show, and what they cannot: docs/landscape.md.
"""

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from experiments import launch, measure
from experiments.launch import measured_runs
from thickets.analysis import interpolation, landscape, measurement
from thickets.analysis.landscape import Landscape
from thickets.errors import UserError
from thickets.report.figures import composite_plots, landscape_plots
from thickets.runs import json_files

_COMPOSITE = flags.DEFINE_list(
  "composite", [], "Three tasks for red, green and blue; the first by default."
)


def main(argv: Sequence[str]) -> None:
  """Reads the flags, draws, prints how much of the scores a plane explains."""
  with launch.ending_plainly():
    workdirs = measured_runs.read_workdirs(argv)
    if len(workdirs) > 1:
      raise UserError(f"Name one run, got {len(workdirs)}.")
    out = measured_runs.find_out(workdirs)
    results = run(workdirs[0], out, _COMPOSITE.value)
    for task, found in results["projections"].items():
      explained = found["explained"]
      share = explained["share"]
      print(
        f"{task}: the plane explains"
        f" {_format(share, '.3f')} of the variance of unseen members"
        f" (p = {_format(explained['p_value'], '.2f')})"
      )
    print(f"landscape.json and figures are in {out}.")


def run(
  workdir: pathlib.Path, out: pathlib.Path, composite: Sequence[str] = ()
) -> dict[str, Any]:
  """Draws all landscapes of a run; returns the contents of landscape.json."""
  figures = out / "figures"
  results: dict[str, Any] = {"projections": {}, "slices": {}}
  measured = measurement.read_measurement(workdir)
  sliced = measurement.read_slice(workdir)
  plane = _read_projection(workdir, len(measured.members))
  if sliced is None and plane is None:
    raise UserError(
      f"{workdir} must have a projection or a slice, got neither. Measure with"
      " --config.project=true or --config.slice.resolution=13."
    )
  if plane is not None:
    seen = {
      name: _project(measured, task, plane)
      for name, task in measured.tasks.items()
    }
    for name, found in seen.items():
      explained = interpolation.measure_explained(
        found.coordinates, found.scores, seed=0, groups=found.sigmas
      )
      results["projections"][name] = found.to_json() | {
        "explained": explained.to_json()
      }
      landscape_plots.plot_projection(
        figures / f"projection_{measured_runs.name_file(name)}.png",
        found,
        explained=explained,
      )
    _draw_composite(figures / "composite_projection.png", seen, composite)
  if sliced is not None:
    members, tasks = sliced
    if math.isqrt(len(members)) ** 2 != len(members):
      raise UserError(
        f"{workdir} must hold a whole slice, got {len(members)} members of it, no"
        " square. Let the run finish: the same command continues it."
      )
    coordinates = np.array([[s for _, s in m.terms] for m in members])
    seen = {
      name: landscape.make_landscape(
        name, members, coordinates, task.scores, task.base_scores
      )
      for name, task in tasks.items()
    }
    rings = np.unique(measured.sigmas[measured.sigmas > 0]).tolist()
    for name, found in seen.items():
      results["slices"][name] = found.to_json()
      landscape_plots.plot_slice(
        figures / f"slice_{measured_runs.name_file(name)}.png",
        found,
        sigmas=rings,
      )
    _draw_composite(figures / "composite_slice.png", seen, composite)
  json_files.write_json(out / "landscape.json", results)
  return results


def _format(value: float | None, spec: str) -> str:
  return "–" if value is None else format(value, spec)


def _read_projection(workdir, num_members) -> dict[str, Any] | None:
  path = workdir / measure.PROJECTION
  if not path.exists():
    return None
  found = json.loads(path.read_text(encoding="utf-8"))
  if len(found["coordinates"]) != num_members:
    raise UserError(
      f"{path} must hold all {num_members} members that were measured, got"
      f" {len(found['coordinates'])}. Let the run finish: the same command"
      " continues it."
    )
  return found


def _project(measured, task, plane) -> Landscape:
  return landscape.make_landscape(
    task.name,
    measured.members,
    np.array(plane["coordinates"]),
    task.scores,
    task.base_scores,
    norms=np.array(plane["norms"]),
  )


def _draw_composite(path, seen, names) -> None:
  """Of the three tasks named, or the first three that vary."""
  for name in names:
    if name not in seen:
      raise UserError(f"--composite must name of {[*seen]}, got {name!r}.")
  if len(names) not in (0, 3):
    raise UserError(
      f"--composite must name three tasks, got {len(names)}: {[*names]}."
    )
  names = names or [n for n, s in seen.items() if np.nanstd(s.scores) > 0][:3]
  if len(names) == 3:
    composite_plots.plot_composite(path, [seen[name] for name in names])


if __name__ == "__main__":
  launch.run(main)
