"""The figures of landscapes: slices and projections.

The colours run from dark blue (worse than the base) over grey (as good) to light
yellow (better): told apart by the colour-blind, and in greyscale by lightness.
The sign is said a second time, by contours or by the direction of markers.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import cm, colors, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thickets.analysis import interpolation
from thickets.analysis.interpolation import Explained
from thickets.analysis.landscape import Landscape
from thickets.errors import UserError
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  Style,
  add_legend,
  make_panel,
  save_figure,
)
from thickets.runs.locations import Location

_COLOURS = "cividis"
_RESOLUTION = 161  # Places to a side of an interpolated background.
_EDGE: Style = {"markeredgecolor": "black", "linestyle": "", "zorder": 5}
BASE_MARK: Style = {"color": "black", "marker": "P", "markersize": 9, **_EDGE}
BEST_MARK: Style = {"color": "white", "marker": "*", "markersize": 14, **_EDGE}
_FAILED: Style = {
  "color": "#c0392b",
  "marker": "x",
  "markersize": 5,
  "linestyle": "",
}
_RING: Style = {
  "color": "black",
  "linestyle": "--",
  "linewidth": 1.3,
  "zorder": 4,
}


def plot_slice(
  path: Location,
  landscape: Landscape,
  *,
  sigmas: Sequence[float] = (),
) -> None:
  """Draws the scores of a grid of members, with contours of equal gain.

  Args:
    path: the PNG file to write.
    landscape: scores of the members that `landscape.slice_members` made.
    sigmas: radii of the rings to draw; a point on a ring lies as far from the
      base as a member of one term at that sigma.

  Raises:
    UserError: if the members do not form a grid.
  """
  x, y, shown = _grid(landscape)
  fig, ax = make_panel(6.8, 6.2)
  norm = _norm(shown)
  mesh = ax.pcolormesh(x, y, shown, cmap=_COLOURS, norm=norm, shading="nearest")
  bar = fig.colorbar(mesh, ax=ax, label=landscape.unit, extend="both")
  limit = colour_limit(shown)
  levels = np.asarray(ticker.MaxNLocator(8).tick_values(-limit, limit))
  levels = levels[np.abs(levels) <= limit]
  bar.set_ticks(levels.tolist())
  _draw_contours(ax, x, y, shown, levels)
  _draw_rings(ax, sigmas, "as far out as a member at σ")
  for sigma in sigmas:
    _write(ax, sigma, f"σ = {sigma:g}")
  _mark_failed(ax, landscape)
  mark_base(ax)
  mark_best(ax, landscape)
  step_x, step_y = x[1] - x[0], y[1] - y[0]
  ax.set(
    xlim=(x[0] - step_x / 2, x[-1] + step_x / 2),
    ylim=(y[0] - step_y / 2, y[-1] + step_y / 2),
    xlabel="coefficient of the first noise direction, in the units of a weight",
    ylabel="coefficient of the second",
  )
  ax.set_box_aspect(1)
  _set_title(
    ax,
    f"{landscape.task}: a slice, {len(x)} × {len(y)} members of two terms",
    describe_noise(landscape),
    "contours: bold at the base's score, dashed where worse; not smoothed",
  )
  _legend_below(ax)
  caption = (
    f"A slice through weight space of {landscape.task}: members on a grid that two"
    " noise directions span, coloured by their gain over the base, not smoothed."
  )
  save_figure(fig, path, Caption(Topic.LANDSCAPE, caption))


def plot_projection(
  path: Location,
  landscape: Landscape,
  *,
  explained: Explained | None = None,
) -> None:
  """Draws members as seen on a random plane, after Fig. 2 of the paper.

  Args:
    path: the PNG file to write.
    landscape: scores of members at the places that `project_members` gives.
    explained: how much of the scores' variance the plane explains. The title
      says so, and the background is smoothed with its bandwidth; without it the
      title says that this was not measured.

  Raises:
    UserError: if fewer than three members have a score.
  """
  fig, ax = make_panel(7.0, 7.0)
  norm = _norm(landscape.shown)
  _draw_background(ax, landscape, explained, norm)
  _scatter(ax, landscape, norm)
  distance = float(np.hypot(*landscape.coordinates.T).mean())
  _draw_rings(ax, [distance], f"mean distance in the plane, {distance:.3g}")
  mark_base(ax)
  mark_best(ax, landscape)
  ax.set(
    xlabel="noise along a random unit vector, in the units of a weight",
    ylabel="noise along a second one, at right angles to it",
  )
  _set_title(
    ax,
    f"{landscape.task}: {len(landscape.members)} members on a random plane"
    " (background: mean of neighbours)",
    describe_noise(landscape),
    _describe_plane(landscape, distance),
    *_describe_explained(explained),
  )
  _add_colour_bar(fig, ax, landscape.unit, norm)
  _legend_below(ax)
  caption = (
    f"Members on a random plane of {landscape.task}, coloured by their gain over"
    " the base. The background is the mean of neighbours in the plane; the title"
    " says whether it means anything."
  )
  save_figure(fig, path, Caption(Topic.LANDSCAPE, caption))


def colour_limit(shown: Float[np.ndarray, "..."]) -> float:
  """Returns the 98 % quantile of |gain|, at which a scale of colours ends.

  It is no maximum, so that single members do not set the scale.

  Args:
    shown: gains in any unit; NaN marks a failed member.
  """
  sizes = np.abs(shown[~np.isnan(shown)])
  limit = float(np.quantile(sizes, 0.98)) if len(sizes) else 0.0
  return limit or float(sizes.max(initial=0.0)) or 1.0


def make_places(
  landscape: Landscape,
) -> tuple[Float[np.ndarray, " X"], Float[np.ndarray, "G 2"]]:
  """Returns the axis of a square around all members, and its G = X² places."""
  half = 1.05 * float(np.abs(landscape.coordinates).max())
  axis = np.linspace(-half, half, _RESOLUTION)
  return axis, np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def mark_base(ax: Axes) -> None:
  """Marks the base, which lies at the origin."""
  ax.plot(0, 0, **BASE_MARK, label="base")


def mark_best(ax: Axes, landscape: Landscape) -> None:
  """Marks the member with the highest score; of several, the first."""
  if not landscape.failed.all():
    best = int(np.nanargmax(landscape.scores))
    label = f"best on these prompts, {100 * landscape.scores[best]:.1f} %"
    ax.plot(*landscape.coordinates[best], **BEST_MARK, label=label)


def describe_noise(landscape: Landscape) -> str:
  """Says how many prompts there are, and how well one member's gain is known."""
  errors = landscape.shown_errors[~np.isnan(landscape.shown_errors)]
  count = f"n = {landscape.num_prompts} prompts"
  if not len(errors):
    return f"{count}, standard error unknown"
  unit = "% of the base" if landscape.is_relative else "points"
  median = np.median(errors)
  return f"{count}; standard error of one member's gain: {median:.2g} {unit}"


def _grid(
  landscape: Landscape,
) -> tuple[
  Float[np.ndarray, " X"], Float[np.ndarray, " Y"], Float[np.ndarray, "Y X"]
]:
  """Returns the axes [X] and [Y] of a slice, and its gains [Y, X]."""
  x, y = (np.unique(column) for column in landscape.coordinates.T)
  expected = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
  if min(len(x), len(y)) < 2 or not np.array_equal(
    expected, landscape.coordinates
  ):
    raise UserError(
      f"members of the slice of task {landscape.task!r} must be a grid, row by"
      " row, as slice_members makes it; got other coordinates."
    )
  return x, y, landscape.shown.reshape(len(y), len(x))


def _norm(shown: Float[np.ndarray, "..."]) -> colors.Normalize:
  limit = colour_limit(shown)
  return colors.Normalize(-limit, limit)


def _draw_background(
  ax: Axes,
  landscape: Landscape,
  explained: Explained | None,
  norm: colors.Normalize,
) -> None:
  """Draws the mean of neighbours in the plane, bold where it equals the base."""
  x, places = make_places(landscape)
  background = interpolation.interpolate(
    landscape.coordinates,
    landscape.shown,
    places,
    bandwidth=None if explained is None else explained.to_json()["bandwidth"],
  ).reshape(len(x), len(x))
  ax.imshow(
    background,
    origin="lower",
    extent=(x[0], x[-1], x[0], x[-1]),
    cmap=_COLOURS,
    norm=norm,
  )
  _draw_contours(ax, x, x, background, np.zeros(1))


def _add_colour_bar(
  fig: Figure, ax: Axes, label: str, norm: colors.Normalize
) -> None:
  """Adds a bar that says what the colours mean, with a line at the base."""
  bar = fig.colorbar(
    cm.ScalarMappable(norm, _COLOURS),
    ax=ax,
    label=label,
    extend="both",
    shrink=0.8,
  )
  bar.ax.axhline(0, color="black", linewidth=1)


def _draw_contours(
  ax: Axes,
  x: Float[np.ndarray, " X"],
  y: Float[np.ndarray, " Y"],
  shown: Float[np.ndarray, "Y X"],
  levels: Float[np.ndarray, " L"],
) -> None:
  """Solid where better than the base, dashed where worse, bold at the base."""
  low, high = (
    np.nanmin(shown, initial=np.inf),
    np.nanmax(shown, initial=-np.inf),
  )
  for level in levels[(low < levels) & (levels < high)]:
    bold = abs(level) < 1e-9
    ax.contour(
      x,
      y,
      shown,
      [level],
      colors="black" if bold else "white",
      linestyles="-" if level > -1e-9 else "--",
      linewidths=1.8 if bold else 0.8,
    )


def _draw_rings(ax: Axes, radii: Sequence[float], label: str) -> None:
  angles = np.linspace(0, 2 * np.pi, 181)
  for index, radius in enumerate(radii):
    ring = radius * np.cos(angles), radius * np.sin(angles)
    ax.plot(*ring, **_RING, label=None if index else label)


def _write(ax: Axes, height: float, text: str) -> None:
  box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
  ax.text(
    0, height, text, ha="center", va="center", fontsize=7, bbox=box, zorder=6
  )


def _scatter(ax: Axes, landscape: Landscape, norm: colors.Normalize) -> None:
  """Members, with the sign of the gain in the direction of the marker."""
  signs = np.sign(landscape.shown)
  groups = ((1, "^", "better"), (0, "o", "as good"), (-1, "v", "worse"))
  for sign, marker, label in groups:
    chosen = signs == sign
    if chosen.any():
      ax.scatter(
        *landscape.coordinates[chosen].T,
        c=landscape.shown[chosen],
        cmap=_COLOURS,
        norm=norm,
        marker=marker,
        s=20,
        edgecolors="black",
        linewidths=0.4,
        zorder=3,
        label=f"{label} ({chosen.sum()})",
      )
  _mark_failed(ax, landscape)


def _mark_failed(ax: Axes, landscape: Landscape) -> None:
  if landscape.failed.any():
    places = landscape.coordinates[landscape.failed]
    ax.plot(*places.T, **_FAILED, label=f"failed ({len(places)})")


def _describe_plane(landscape: Landscape, distance: float) -> str:
  if landscape.norms is None:
    return "Members side by side here are not side by side in weight space."
  norm = float(landscape.norms.mean())
  return (
    f"In weight space they lie {norm:.3g} from the base, {norm / distance:.0f}"
    " times as far, and further from each other."
  )


def _describe_explained(explained: Explained | None) -> tuple[str, ...]:
  if explained is None:
    return (
      "How much of the scores' variance the plane explains: not measured.",
    )
  if np.isnan(explained.share):
    return ("All members score alike: there is no variance to explain.",)
  # Adding zero turns -0.0 into 0.0.
  share, null, high = (
    round(100 * value, 1) + 0.0
    for value in (explained.share, explained.null, explained.null_high)
  )
  return (
    f"The plane explains {share} % of the scores' variance (R², each member left"
    " out in turn).",
    f"Scores dealt out at random: {null} %, 95 % of deals below {high} %;"
    f" p = {explained.p_value:.2g}.",
  )


def _set_title(ax: Axes, *lines: str) -> None:
  ax.set_title("\n".join(lines), loc="left", fontsize="small")


def _legend_below(ax: Axes) -> None:
  add_legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=3)
