"""All figures of a run's landscapes, as a directory holds them."""

from collections.abc import Mapping, Sequence

import numpy as np

from thickets.analysis.landscape import Landscape
from thickets.analysis.planes import Planes
from thickets.errors import UserError
from thickets.report.figures import composite_plots, landscape_plots
from thickets.report.figures.style import name_file
from thickets.runs.locations import Location


def draw_landscapes(
  folder: Location, planes: Planes, *, composite: Sequence[str] = ()
) -> None:
  """Draws the projection and the slice of every task, and composites of three.

  Args:
    folder: where the PNG files go, made if it is missing.
    planes: the landscapes of a run; what it has not is not drawn.
    composite: names of the three tasks to draw in red, green and blue; by
      default the first three on which members differ, if there are three.

  Raises:
    UserError: if `composite` does not name three tasks of the run.
  """
  # Before anything is drawn, so that a wrong name costs nothing.
  composites = {
    kind: _choose_composite(by_task, composite)
    for kind, by_task in (
      ("projection", planes.projections),
      ("slice", planes.slices),
    )
    if by_task
  }
  for task, found in planes.projections.items():
    landscape_plots.plot_projection(
      folder / f"projection_{name_file(task)}.png",
      found,
      explained=planes.explained[task],
    )
  for task, found in planes.slices.items():
    landscape_plots.plot_slice(
      folder / f"slice_{name_file(task)}.png", found, sigmas=planes.sigmas
    )
  for kind, three in composites.items():
    if three:
      composite_plots.plot_composite(folder / f"composite_{kind}.png", three)


def _choose_composite(
  by_task: Mapping[str, Landscape], names: Sequence[str]
) -> list[Landscape]:
  """Returns the three landscapes of a composite; none if fewer than three vary."""
  for name in names:
    if name not in by_task:
      raise UserError(
        f"composite must name tasks among {[*by_task]}, got {name!r}."
      )
  if len(names) not in (0, 3):
    raise UserError(
      f"composite must name three tasks, got {len(names)}: {[*names]}."
    )
  if names:
    return [by_task[name] for name in names]
  varied = [seen for seen in by_task.values() if np.nanstd(seen.scores) > 0]
  return varied[:3] if len(varied) >= 3 else []
