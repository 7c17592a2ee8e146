"""All figures of an analysis of a neighbourhood, as a directory holds them."""

from collections.abc import Mapping, Sequence

from thickets.analysis.decomposition import Decomposition
from thickets.analysis.neighbourhood import Analysis, Diversity
from thickets.report.figures import (
  decomposition_plots,
  density_plots,
  diversity_plots,
)
from thickets.report.figures.style import name_file
from thickets.runs.locations import Location


def draw_neighbourhood(folder: Location, found: Analysis) -> None:
  """Draws densities, diversity, and what the gains of the votes consist of.

  Args:
    folder: where the PNG files go, made if it is missing.
    found: the results of `neighbourhood.analyse`; what was not measured is not
      drawn.
  """
  density_plots.plot_density(folder / "density.png", found.densities)
  density_plots.plot_density_by_sigma(
    folder / "density_by_sigma.png",
    found.densities,
    margin=found.settings.margin,
  )
  _draw_diversity(folder, found.diversity)
  _draw_decompositions(folder, found.parts)


def _draw_diversity(folder: Location, by_sigma: Sequence[Diversity]) -> None:
  measured = []
  for one in by_sigma:
    name, at = f"sigma_{one.sigma:g}.png", f" at sigma {one.sigma:g}"
    if one.discordance is not None:
      measured.append(one.discordance)
      diversity_plots.plot_correlation(
        folder / f"correlation_{name}", one.discordance
      )
    if one.lines is not None:
      diversity_plots.plot_rank_lines(
        folder / f"rank_lines_{name}", one.lines, at=at
      )
    if one.overlap is not None:
      diversity_plots.plot_overlap(
        folder / f"overlap_{name}", one.overlap, at=at
      )
    if one.embedding is not None:
      diversity_plots.plot_clusters(
        folder / f"clusters_{name}", one.embedding, at=at
      )
  if measured:
    diversity_plots.plot_discordance(folder / "discordance.png", measured)


def _draw_decompositions(
  folder: Location,
  by_task: Mapping[str, Mapping[float, Sequence[Decomposition]]],
) -> None:
  for task, by_sigma in by_task.items():
    for sigma, parts in by_sigma.items():
      decomposition_plots.plot_decomposition(
        folder / f"parts_{name_file(task)}_sigma_{sigma:g}.png",
        parts,
        of=f" of {task} at sigma {sigma:g}",
      )
