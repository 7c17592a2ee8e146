"""Three tasks on one picture of the neighbourhood: red, green and blue.

Reference: Gan and Isola (2026), arXiv:2603.12228, Fig. 2, last column.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import lines, patches
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thickets.analysis import interpolation
from thickets.analysis.landscape import Landscape
from thickets.errors import UserError
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.landscape_plots import (
  BASE_MARK,
  BEST_MARK,
  colour_limit,
  describe_noise,
  make_places,
  mark_base,
  mark_best,
)
from thickets.report.figures.style import (
  Style,
  add_legend,
  make_panels,
  save_figure,
)
from thickets.runs.locations import Location

_CHANNELS = ("red", "green", "blue")
_POINTS: Style = {
  "s": 16,
  "edgecolors": "black",
  "linewidths": 0.3,
  "zorder": 3,
}

_RGB = (
  "coloured by three tasks at once: red, green and blue are brighter where a task's"
  " gain is larger; grey is the base."
)
_SLICE_CAPTION = Caption(
  Topic.LANDSCAPE, f"A slice through weight space, {_RGB}"
)
_PROJECTION_CAPTION = Caption(
  Topic.LANDSCAPE,
  f"Members on a random plane, {_RGB} Places on this plane say nothing about"
  " neighbours in weight space.",
)

_LABELS = {  # By whether the members are a slice.
  False: (
    "noise along a random unit vector, in the units of a weight",
    "noise along a second one, at right angles to it",
  ),
  True: (
    "coefficient of the first noise direction, in the units of a weight",
    "coefficient of the second",
  ),
}


def plot_composite(path: Location, landscapes: Sequence[Landscape]) -> None:
  """Draws three tasks as the red, green and blue of one picture.

  Beside it stands every task alone in grey, for those who cannot tell these
  colours apart. Members without a score on one of the tasks are left out of the
  composite, and counted.

  Args:
    path: the PNG file to write.
    landscapes: the landscapes of three tasks, with the same members at the same
      places.

  Raises:
    UserError: if there are not three, or their members or places differ.
  """
  _check_same(landscapes)
  values, limits = zip(*map(channel, landscapes), strict=True)
  fig, axes = make_panels(2, 2, width=9.8, height=8.4)
  _draw_composite(axes[0, 0], landscapes, np.stack(values, axis=1))
  rest = zip(axes.flat[1:], landscapes, values, limits, _CHANNELS, strict=True)
  for ax, landscape, values_P, limit, name in rest:
    _draw_channel(fig, ax, landscape, values_P, limit, name)
  is_slice = _is_slice(landscapes[0])
  _label_axes(axes, landscapes[0], is_slice)
  add_legend(
    fig,
    handles=[*_list_colours(landscapes), *_list_marks()],
    loc="outside lower center",
    ncols=4,
  )
  save_figure(fig, path, _SLICE_CAPTION if is_slice else _PROJECTION_CAPTION)


def _label_axes(axes: np.ndarray, landscape: Landscape, is_slice: bool) -> None:
  """Gives all panels [2, 2] the same square, and names its directions."""
  axis, _ = make_places(landscape)
  for ax in axes.flat:
    ax.set(xlim=axis[[0, -1]], ylim=axis[[0, -1]])
    ax.set_box_aspect(1)
    ax.locator_params(nbins=5)
  x_label, y_label = _LABELS[is_slice]
  for ax in axes[1]:
    ax.set_xlabel(x_label)
  for ax in axes[:, 0]:
    ax.set_ylabel(y_label)


def _is_slice(landscape: Landscape) -> bool:
  """Says whether the members lie in the plane: each then has two terms."""
  return all(len(member.terms) == 2 for member in landscape.members)


def channel(landscape: Landscape) -> tuple[Float[np.ndarray, " P"], float]:
  """Maps gains to the brightness of one channel.

  1/2 + shown / (2 L), cut off at 0 and 1: 1/2 is the base, brighter is better. L
  is the 98 % quantile of |shown| over the members, so that tasks on which gains
  are large do not drown the others.

  Returns:
    [P] brightness, NaN for failed members, and L in the units of `shown`.
  """
  limit = colour_limit(landscape.shown)
  return np.clip(0.5 + landscape.shown / (2 * limit), 0, 1), limit


def _draw_composite(
  ax: Axes,
  landscapes: Sequence[Landscape],
  rgb_P3: Float[np.ndarray, "P 3"],
) -> None:
  coordinates = landscapes[0].coordinates
  good = ~np.isnan(rgb_P3).any(axis=1)
  axis, places = make_places(landscapes[0])
  picture = np.stack(
    [
      interpolation.interpolate(coordinates[good], values, places)
      for values in rgb_P3[good].T
    ],
    axis=1,
  ).reshape(len(axis), len(axis), 3)
  is_inside = ~np.isnan(picture[..., :1])
  ax.imshow(
    np.concatenate([np.nan_to_num(picture), is_inside], axis=2),
    origin="lower",
    extent=(axis[0], axis[-1], axis[0], axis[-1]),
  )
  ax.scatter(*coordinates[good].T, c=rgb_P3[good], **_POINTS)
  mark_base(ax)
  count = f"{good.sum()} members"
  if not good.all():
    count += f" ({(~good).sum()} more failed on a task)"
  ax.set_title(
    f"{count} {'of a slice' if _is_slice(landscapes[0]) else 'on a random plane'}"
    "\nbrightness of a channel: ½ + gain / 2L, cut at"
    " 0 and 1;\n½ is the base, ±L are the ends of its bar",
    loc="left",
    fontsize="small",
  )


def _draw_channel(
  fig: Figure,
  ax: Axes,
  landscape: Landscape,
  values_P: Float[np.ndarray, " P"],
  limit: float,
  name: str,
) -> None:
  good = ~np.isnan(values_P)
  points = ax.scatter(
    *landscape.coordinates[good].T,
    c=values_P[good],
    cmap="gray",
    vmin=0,
    vmax=1,
    **_POINTS,
  )
  unit = "% of the base" if landscape.is_relative else "points"
  bar = fig.colorbar(points, ax=ax, label=f"gain, {unit}", shrink=0.75)
  bar.set_ticks([0, 0.5, 1], labels=[f"≤ −{limit:.3g}", "0", f"≥ {limit:.3g}"])
  mark_base(ax)
  mark_best(ax, landscape)
  ax.set_title(
    f"{name}: {landscape.task}, base {100 * landscape.base_score:.1f} %\n"
    + describe_noise(landscape).replace("; ", "\n"),
    loc="left",
    fontsize="small",
  )


def _list_colours(landscapes: Sequence[Landscape]) -> list[patches.Patch]:
  """Explains the colours of a composite where gains are zero or large."""
  # Without the family's name, which all may share and the panels say in full.
  names = [landscape.task.rpartition("/")[2] for landscape in landscapes]
  handles = [
    patches.Patch(
      facecolor="0.5", edgecolor="black", label="as the base on all"
    )
  ]
  for code in (1, 2, 4, 3, 5, 6, 7):
    is_better = [bool(code >> place & 1) for place in range(3)]
    who = " + ".join(n for n, yes in zip(names, is_better, strict=True) if yes)
    # The others' channels stay half bright: as the base.
    red, green, blue = (1.0 if yes else 0.5 for yes in is_better)
    handles.append(
      patches.Patch(
        facecolor=(red, green, blue),
        edgecolor="black",
        label="better on all" if code == 7 else f"better on {who}",
      )
    )
  return handles


def _list_marks() -> list[lines.Line2D]:
  return [
    lines.Line2D([], [], **BASE_MARK, label="base"),
    lines.Line2D([], [], **BEST_MARK, label="best on these prompts"),
  ]


def _check_same(landscapes: Sequence[Landscape]) -> None:
  if len(landscapes) != 3:
    raise UserError(
      "landscapes of a composite must be three, one for each of red, green and"
      f" blue, got {len(landscapes)}."
    )
  first = landscapes[0]
  for other in landscapes[1:]:
    same = first.members == other.members and np.array_equal(
      first.coordinates, other.coordinates
    )
    if not same:
      raise UserError(
        "landscapes of a composite must have the same members at the same"
        f" places, got others for task {other.task!r} than for {first.task!r}."
      )
