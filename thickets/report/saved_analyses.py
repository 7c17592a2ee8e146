"""Saves the analyses of a run, and makes those that a report finds missing."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from thickets.analysis import measurement, neighbourhood, planes
from thickets.analysis.neighbourhood import Analysis, Settings
from thickets.analysis.planes import Planes
from thickets.errors import UserError
from thickets.report.figures import landscape_figures, neighbourhood_figures
from thickets.runs import json_files
from thickets.runs.locations import Location

DENSITY = "density.json"
LANDSCAPE = "landscape.json"

_NO_LANDSCAPE = (
  "There is no landscape here: the run has neither a slice nor a projection."
  " experiments.measure makes them with --config.project=true and"
  " --config.slice.resolution=13."
)
_NO_SHARES = (
  "There is no density and no landscape here: they are measured on tasks whose"
  " scores lie between 0 and 1, and these are squared errors."
)


def save_neighbourhood(out: Location, found: Analysis) -> None:
  """Writes density.json and the figures of an analysis.

  Args:
    out: the directory to write to, which exists.
    found: the results of `neighbourhood.analyse`.
  """
  json_files.write_json(out / DENSITY, found.to_json())
  neighbourhood_figures.draw_neighbourhood(out / "figures", found)


def save_landscapes(
  out: Location, found: Planes, *, composite: Sequence[str] = ()
) -> None:
  """Writes landscape.json and the figures of a run's landscapes.

  Args:
    out: the directory to write to, which exists.
    found: the landscapes of the run.
    composite: see `landscape_figures.draw_landscapes`.
  """
  landscape_figures.draw_landscapes(out / "figures", found, composite=composite)
  json_files.write_json(out / LANDSCAPE, found.to_json())


def complete_measure(workdir: Location, settings: Settings) -> list[str]:
  """Makes density and landscape of a run of `experiments.measure`.

  Args:
    workdir: the run's directory; what it holds of this version stays as it is.
    settings: what to measure of the density.

  Returns:
    A note for the page if there is no landscape.
  """
  _complete_density(workdir, settings)
  if (workdir / LANDSCAPE).exists():
    return []
  if not planes.has_planes(workdir):
    return [_NO_LANDSCAPE]
  logging.info("%s: %s is missing, and is made.", workdir, LANDSCAPE)
  save_landscapes(workdir, planes.read_planes(workdir))
  return []


def complete_randopt(workdir: Location, settings: Settings) -> list[str]:
  """Makes the density of a run of `experiments.randopt`, and says what it lacks.

  Args:
    workdir: the run's directory; what it holds of this version stays as it is.
    settings: what to measure of the density.
  """
  _complete_density(workdir, settings)
  return [] if (workdir / LANDSCAPE).exists() else [_NO_LANDSCAPE]


def complete_signals(workdir: Location, settings: Settings) -> list[str]:
  """Says why a run of `experiments.signals` has neither density nor landscape."""
  del workdir, settings
  return [_NO_SHARES]


def complete_diffusion(workdir: Location, settings: Settings) -> list[str]:
  """A run of `experiments.diffusion` has all its analyses in results.json."""
  del workdir, settings
  return []


def _complete_density(workdir: Location, settings: Settings) -> None:
  """Makes density.json where it is missing or of an earlier version."""
  path, stored = workdir / DENSITY, None
  if path.exists():
    stored = json_files.read_json(path)
    if stored.get("version") == neighbourhood.VERSION:
      return
  measured = measurement.read_measurement(workdir)
  if stored is None:
    logging.info("%s: %s is missing, and is made.", workdir, DENSITY)
  else:
    if set(stored.get("densities", ())) - set(measured.tasks):
      raise UserError(
        f"{path} must be of this version, got one of another version that holds"
        " other runs as well. Make it again with experiments.density, or delete"
        " it to have that of this run made."
      )
    logging.info(
      "%s: %s is of another version, and is made anew.", workdir, DENSITY
    )
    settings = _restore_settings(stored, settings)
  save_neighbourhood(workdir, neighbourhood.analyse(measured, settings))


def _restore_settings(
  stored: Mapping[str, Any], otherwise: Settings
) -> Settings:
  """The settings that a density.json was made with, as far as it says them."""
  known = {field.name for field in dataclasses.fields(Settings)}
  return dataclasses.replace(
    otherwise,
    **{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in stored.get("settings", {}).items()
      if name in known
    },
  )
