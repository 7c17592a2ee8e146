"""The landscapes of a finished run: those of its projection and of its slice.

What is read here are the records and the projection of a run of
`experiments.measure`; no model is needed.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import interpolation, landscape, measurement
from thickets.analysis.interpolation import Explained
from thickets.analysis.landscape import Landscape
from thickets.analysis.measurement import Measurement
from thickets.errors import UserError
from thickets.runs import locations
from thickets.runs.locations import Location, Place

PROJECTION = "projection.json"  # Where members lie on a random plane.


@dataclasses.dataclass(frozen=True)
class Planes:
  """The landscapes of a run, by task.

  Attributes:
    projections: members on a random plane; empty without a projection.
    explained: how much of the scores' variance each projection explains.
    slices: members on a grid that two noise directions span; empty without a
      slice.
    sigmas: the sigmas of the population, ascending, at which the members of the
      slice may be compared with it.
  """

  projections: Mapping[str, Landscape]
  explained: Mapping[str, Explained]
  slices: Mapping[str, Landscape]
  sigmas: tuple[float, ...]

  def to_json(self) -> dict[str, Any]:
    """Returns the contents of landscape.json."""
    return {
      "projections": {
        task: found.to_json() | {"explained": self.explained[task].to_json()}
        for task, found in self.projections.items()
      },
      "slices": {task: found.to_json() for task, found in self.slices.items()},
    }


def has_planes(workdir: Place) -> bool:
  """Says whether a run has a projection or a slice."""
  return (locations.locate(workdir) / PROJECTION).exists() or (
    measurement.read_slice(workdir) is not None
  )


def read_planes(workdir: Place) -> Planes:
  """Reads the scores of a run, and puts them on its planes.

  Args:
    workdir: the directory of a run of `experiments.measure`.

  Raises:
    UserError: if the run has neither a projection nor a slice, or one of them is
      not finished; it names the file.
  """
  folder = locations.locate(workdir)
  measured = measurement.read_measurement(folder)
  projections = _read_projections(folder, measured)
  slices = _read_slices(folder)
  if projections is None and slices is None:
    raise UserError(
      f"{folder} must have a projection or a slice, got neither. Measure with"
      " --config.project=true or --config.slice.resolution=13."
    )
  projections = projections or {}
  return Planes(
    projections=projections,
    explained={
      task: interpolation.measure_explained(
        found.coordinates, found.scores, seed=0, groups=found.sigmas
      )
      for task, found in projections.items()
    },
    slices=slices or {},
    sigmas=tuple(np.unique(measured.sigmas[measured.sigmas > 0]).tolist()),
  )


def _read_projections(
  folder: Location, measured: Measurement
) -> dict[str, Landscape] | None:
  """Reads where members lie on a random plane; None where a run has not that."""
  path = folder / PROJECTION
  if not path.exists():
    return None
  found = json.loads(path.read_text(encoding="utf-8"))
  coordinates = np.array(found["coordinates"])
  if len(coordinates) != len(measured.members):
    raise UserError(
      f"{path} must hold all {len(measured.members)} members that were measured,"
      f" got {len(coordinates)}. Let the run finish: the same command continues"
      " it."
    )
  return _put_on_plane(measured, coordinates, np.array(found["norms"]))


def _put_on_plane(
  measured: Measurement,
  coordinates: Float[np.ndarray, "P 2"],
  norms: Float[np.ndarray, " P"],
) -> dict[str, Landscape]:
  return {
    name: landscape.make_landscape(
      name,
      measured.members,
      coordinates,
      task.scores,
      task.base_scores,
      norms=norms,
    )
    for name, task in measured.tasks.items()
  }


def _read_slices(folder: Location) -> dict[str, Landscape] | None:
  """Reads the members of a grid; None where a run has no slice."""
  found = measurement.read_slice(folder)
  if found is None:
    return None
  members, tasks = found
  if math.isqrt(len(members)) ** 2 != len(members):
    raise UserError(
      f"{folder} must hold a whole slice, got {len(members)} members, which is"
      " not a square number. Let the run finish: the same command continues it."
    )
  coordinates = np.array([[s for _, s in m.terms] for m in members])
  return {
    name: landscape.make_landscape(
      name, members, coordinates, task.scores, task.base_scores
    )
    for name, task in tasks.items()
  }
