"""Figures of solution densities: against the margin, and against sigma."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thickets.analysis.density import Density
from thickets.errors import UserError
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  Style,
  add_legend,
  make_panels,
  save_figure,
)
from thickets.runs.locations import Location

# Line styles and markers too, so that the curves differ in greyscale.
_CURVES: dict[str, tuple[str, Style]] = {
  "corrected": (
    "corrected: new prompts",
    {"color": "#1f5fa8", "linestyle": "-", "marker": "o"},
  ),
  "plain": (
    "plain: these prompts",
    {"color": "#c0392b", "linestyle": "--", "marker": "s"},
  ),
  "confirmed": (
    "confirmed: both halves",
    {"color": "#a87c00", "linestyle": "-.", "marker": "^"},
  ),
  "null": (
    "null: no true gain",
    {"color": "0.45", "linestyle": ":", "marker": "x"},
  ),
}
_BANDS = {"corrected": 0.2, "null": 0.15}  # Opacity; the others get bars.
_MAX_LEVELS = 12

_AGAINST_MARGIN = Caption(
  Topic.DENSITY,
  "Solution density against the margin, with a row for each task and a panel for"
  " each sigma. The lines are the four estimates; bands and bars are their"
  " intervals.",
)
_AGAINST_SIGMA = Caption(
  Topic.DENSITY,
  "Solution density against sigma at one margin, with a panel for each task. The"
  " lines are the four estimates; bands and bars are their intervals.",
)


def plot_density(path: Location, densities: Mapping[str, Density]) -> None:
  """Draws the densities against the margin: a row per name, a panel per sigma.

  Bands and bars are the intervals of the estimates in `density.ESTIMANDS`.

  Args:
    path: the PNG file to write.
    densities: the densities to draw, by the name of a task or model.

  Raises:
    UserError: if one of them has too many sigmas for a row of panels.
  """
  columns = max(_count_levels(name, found) for name, found in densities.items())
  fig, axes = _make_grid(len(densities), columns)
  for row, (name, found) in zip(axes, densities.items(), strict=True):
    order = np.argsort(found.margins, kind="stable")
    for s, ax in enumerate(row):
      if s >= len(found.sigmas):
        ax.set_axis_off()
        continue
      _draw_curves(ax, 100 * found.margins, found, (s, order))
      title = f"{name}, sigma {found.sigmas[s]:g}\n{_size(found, [s])}"
      ax.set_title(title, fontsize="medium")
      ax.set(xlabel="margin m, points", ylim=(-3, 103))
    row[0].set_ylabel(
      f"density, % of members\n({100 * found.level:g} % intervals)"
    )
  _finish(fig, axes, path, _AGAINST_MARGIN)


def plot_density_by_sigma(
  path: Location,
  densities: Mapping[str, Density],
  *,
  margin: float = 0.02,
) -> None:
  """Draws the densities at one margin against sigma, a panel per name.

  Args:
    path: the PNG file to write.
    densities: the densities to draw, by the name of a task or model.
    margin: the margin, in score; one of those that were measured.

  Raises:
    UserError: if the margin was not measured, or there are too many sigmas.
  """
  columns = min(3, len(densities))
  fig, axes = _make_grid(math.ceil(len(densities) / columns), columns)
  panels = axes.ravel()
  for ax, (name, found) in zip(panels, densities.items(), strict=False):
    _count_levels(name, found)
    place = np.full(1, _find_margin(name, found, margin))
    _draw_curves(ax, found.sigmas, found, (slice(None), place[0]))
    title = f"{name}, margin {100 * margin:g} points\n"
    title += _size(found, np.arange(len(found.sigmas)))
    ax.set_title(title, fontsize="medium")
    ax.set(
      xlabel="sigma, in the units of the weights",
      ylabel=f"density, % of members\n({100 * found.level:g} % intervals)",
      ylim=(-3, 103),
    )
    if np.all(found.sigmas > 0):
      ax.set_xscale("log")
      ax.minorticks_off()
    ax.set_xticks(found.sigmas)
    ax.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    ax.tick_params(axis="x", rotation=30)
  for ax in panels[len(densities) :]:
    ax.set_axis_off()
  _finish(fig, axes, path, _AGAINST_SIGMA)


def _draw_curves(ax: Axes, x, found: Density, place) -> None:
  """Draws the four estimates of one panel.

  Args:
    ax: the panel.
    x: margins or sigmas, of which a panel shows those that `place` selects.
    found: the densities [S, M].
    place: the indices (sigmas, margins) that the panel shows.
  """
  levels, margins = place
  at = x[margins] if np.ndim(margins) else x
  for name, (label, style) in _CURVES.items():
    values = 100 * getattr(found, name)[levels, margins]
    ends = 100 * getattr(found, f"{name}_interval")[levels, margins]
    ax.plot(at, values, **style, markersize=4, linewidth=1.4, label=label)
    # A band over a single point would have no width.
    if len(np.atleast_1d(at)) > 1 and (opacity := _BANDS.get(name)):
      low, high = ends.T
      ax.fill_between(at, low, high, color=style["color"], alpha=opacity, lw=0)
      edge: Style = {key: style[key] for key in ("color", "linestyle")}
      ax.plot(at, ends, **edge, linewidth=0.6)
    else:
      ax.vlines(at, *ends.T, color=style["color"], linewidth=1.2)


def _make_grid(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
  return make_panels(
    rows, columns, width=1.2 + 2.9 * columns, height=0.7 + 2.5 * rows
  )


def _finish(
  fig: Figure, axes: np.ndarray, path: Location, caption: Caption
) -> None:
  handles, labels = axes[0, 0].get_legend_handles_labels()
  add_legend(
    fig, handles=handles, labels=labels, loc="outside lower center", ncols=2
  )
  save_figure(fig, path, caption)


def _size(found: Density, levels) -> str:
  """Numbers of members at these sigmas, failures and prompts."""
  counts, failed = found.num_members[levels], found.num_failed[levels].sum()
  size = (
    f"{counts.min()}"
    if np.ptp(counts) == 0
    else (f"{counts.min()}-{counts.max()}")
  )
  each = " each" if len(counts) > 1 else ""
  note = f" ({failed} failed)" if failed else ""
  return f"n={size}{each}{note}, {found.num_prompts} prompts"


def _count_levels(name: str, found: Density) -> int:
  if len(found.sigmas) > _MAX_LEVELS:
    raise UserError(
      f"sigmas must have at most {_MAX_LEVELS} distinct values in a figure, got"
      f" {len(found.sigmas)} ({name}). Group the members by rounded sigma."
    )
  return len(found.sigmas)


def _find_margin(name: str, found: Density, margin: float) -> int:
  is_near = np.isclose(found.margins, margin, rtol=0, atol=1e-9)
  if not is_near.any():
    known = ", ".join(f"{value:g}" for value in np.unique(found.margins))
    raise UserError(
      f"margin must be one that was measured, got {margin:g} ({name}). Take one"
      f" of {known}."
    )
  return int(np.argmax(is_near))
