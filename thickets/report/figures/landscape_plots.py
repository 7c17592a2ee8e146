"""The figures of landscapes: slices and projections.

The colours run from dark blue (worse than the base) over grey (as good) to light
yellow (better): told apart by the colour-blind, and in greyscale by lightness.
The sign is said a second time, by contours or by the direction of markers.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import cm, colors, ticker

from thickets.analysis import interpolation
from thickets.analysis.interpolation import Explained
from thickets.analysis.landscape import Landscape
from thickets.errors import UserError
from thickets.report.figures.style import add_legend, make_axes, save_figure

_COLOURS = "cividis"
_RESOLUTION = 161  # Places to a side of an interpolated background.
_EDGE = {"markeredgecolor": "black", "linestyle": "", "zorder": 5}
BASE_MARK = {"color": "black", "marker": "P", "markersize": 9, **_EDGE}
BEST_MARK = {"color": "white", "marker": "*", "markersize": 14, **_EDGE}
_FAILED = {"color": "#c0392b", "marker": "x", "markersize": 5, "linestyle": ""}
_RING = {"color": "black", "linestyle": "--", "linewidth": 1.3, "zorder": 4}


def plot_slice(
  path: pathlib.Path,
  landscape: Landscape,
  *,
  sigmas: Sequence[float] = (),
) -> None:
  """Draws the scores of a grid of members, with contours of equal gain.

  Args:
    path: of the PNG file.
    landscape: of `slice_members`.
    sigmas: rings at which a point lies as far out as a plain member.

  Raises:
    UserError: if the members are no grid.
  """
  x, y, shown = _grid(landscape)
  fig, ax = make_axes(1, 1, width=6.8, height=5.9)
  norm = _norm(shown)
  mesh = ax.pcolormesh(x, y, shown, cmap=_COLOURS, norm=norm, shading="nearest")
  bar = fig.colorbar(mesh, ax=ax, label=landscape.unit, extend="both")
  levels = ticker.MaxNLocator(8).tick_values(-norm.vmax, norm.vmax)
  levels = levels[np.abs(levels) <= norm.vmax]
  bar.set_ticks(levels)
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
    xlabel="coefficient of the first noise direction, units of a weight",
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
  save_figure(fig, path)


def plot_projection(
  path: pathlib.Path,
  landscape: Landscape,
  *,
  explained: Explained | None = None,
) -> None:
  """Draws members as seen on a random plane, after Fig. 2 of the paper.

  Args:
    path: of the PNG file.
    landscape: of `project_members`.
    explained: how much of the scores' variance the plane explains, printed; its
      bandwidth draws the background. Without it the figure says that this was
      not measured.

  Raises:
    UserError: if fewer than three members have a score.
  """
  fig, ax = make_axes(1, 1, width=7.0, height=7.0)
  norm = _norm(landscape.shown)
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
  _scatter(ax, landscape, norm)
  distance = float(np.hypot(*landscape.coordinates.T).mean())
  _draw_rings(ax, [distance], f"mean distance in the plane, {distance:.3g}")
  mark_base(ax)
  mark_best(ax, landscape)
  ax.set(
    xlabel="noise along a random unit vector, units of a weight",
    ylabel="along a second, at right angles",
  )
  _set_title(
    ax,
    f"{landscape.task}: {len(landscape.members)} members on a random plane"
    " (background: mean of neighbours)",
    describe_noise(landscape),
    _describe_plane(landscape, distance),
    *_describe_explained(explained),
  )
  bar = fig.colorbar(
    cm.ScalarMappable(norm, _COLOURS),
    ax=ax,
    label=landscape.unit,
    extend="both",
    shrink=0.8,
  )
  bar.ax.axhline(0, color="black", linewidth=1)
  _legend_below(ax)
  save_figure(fig, path)


def colour_limit(shown: Float[np.ndarray, "..."]) -> float:
  """The 98 % quantile of |gain|: single members do not set a scale of colours."""
  sizes = np.abs(shown[~np.isnan(shown)])
  limit = float(np.quantile(sizes, 0.98)) if len(sizes) else 0.0
  return limit or float(sizes.max(initial=0.0)) or 1.0


def make_places(
  landscape: Landscape,
) -> tuple[Float[np.ndarray, " X"], Float[np.ndarray, "G 2"]]:
  """The one axis of a square around all members, and its places, G = X²."""
  half = 1.05 * float(np.abs(landscape.coordinates).max())
  axis = np.linspace(-half, half, _RESOLUTION)
  return axis, np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def mark_base(ax) -> None:
  """Marks the origin."""
  ax.plot(0, 0, **BASE_MARK, label="base")


def mark_best(ax, landscape: Landscape) -> None:
  """Marks the member of the highest score; the first of several."""
  if not landscape.failed.all():
    best = int(np.nanargmax(landscape.scores))
    label = f"best on these prompts, {100 * landscape.scores[best]:.1f} %"
    ax.plot(*landscape.coordinates[best], **BEST_MARK, label=label)


def describe_noise(landscape: Landscape) -> str:
  """How many prompts, and how well the gain of one member is known."""
  errors = landscape.shown_errors[~np.isnan(landscape.shown_errors)]
  count = f"n = {landscape.num_prompts} prompts"
  if not len(errors):
    return f"{count}, standard error unknown"
  unit = "% of the base" if landscape.is_relative else "points"
  median = np.median(errors)
  return f"{count}; standard error of one member's gain: {median:.2g} {unit}"


def _grid(landscape):
  """Axes [X] and [Y] and the colours [Y, X] of a slice."""
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


def _norm(shown) -> colors.Normalize:
  limit = colour_limit(shown)
  return colors.Normalize(-limit, limit)


def _draw_contours(ax, x, y, shown, levels) -> None:
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


def _draw_rings(ax, radii, label: str) -> None:
  angles = np.linspace(0, 2 * np.pi, 181)
  for index, radius in enumerate(radii):
    ring = radius * np.cos(angles), radius * np.sin(angles)
    ax.plot(*ring, **_RING, label=None if index else label)


def _write(ax, height: float | int, text: str) -> None:
  box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
  ax.text(
    0, height, text, ha="center", va="center", fontsize=7, bbox=box, zorder=6
  )


def _scatter(ax, landscape, norm) -> None:
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


def _mark_failed(ax, landscape) -> None:
  if landscape.failed.any():
    places = landscape.coordinates[landscape.failed]
    ax.plot(*places.T, **_FAILED, label=f"failed ({len(places)})")


def _describe_plane(landscape, distance: float) -> str:
  if landscape.norms is None:
    return "Members side by side here are not side by side in weight space."
  norm = float(landscape.norms.mean())
  return (
    f"In weight space they lie {norm:.3g} from the base, {norm / distance:.0f}"
    " times as far, and further from each other."
  )


def _describe_explained(explained) -> tuple[str, ...]:
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


def _set_title(ax, *lines: str) -> None:
  ax.set_title("\n".join(lines), loc="left", fontsize="small")


def _legend_below(ax) -> None:
  add_legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=3)
