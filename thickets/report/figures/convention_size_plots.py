"""The figure of density against size: made models, and real ones beside them."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from thickets.analysis import convention_sizes, trends
from thickets.analysis.convention_sizes import SizePoint
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  Style,
  add_legend,
  make_panels,
  save_figure,
)

# The marks of relative norms, from the smallest on.
_MADE: tuple[Style, ...] = (
  {"color": "#1f5fa8", "marker": "o"},
  {"color": "#c0392b", "marker": "s"},
  {"color": "#4d8c57", "marker": "^"},
)
_REAL: Style = {"color": "#2c2c2c", "marker": "*", "s": 80, "zorder": 3}
_APART = 2.0  # Factor between the places of two sigmas of one real model.
_TASK: Style = {"color": "#2c2c2c", "marker": "_", "s": 40, "alpha": 0.6}


def plot_sizes(
  path: pathlib.Path,
  points: Sequence[SizePoint],
  real: Sequence[Mapping[str, Any]],
) -> None:
  """Draws density, gain, and what was to be alike, against the number of weights.

  Args:
    path: the PNG file to write.
    points: made models, from `convention_sizes.read_points`, through which
      `convention_sizes.can_fit` says that lines can be laid.
    real: real models, from `convention_sizes.read_real`; none, if there are none.
  """
  fig, axes = make_panels(1, 3, width=12.0, height=4.0)
  density, gain, alike = axes[0]
  groups = convention_sizes.group_by_norm(points)
  for mark, (norm, chosen) in zip(_MADE, groups.items(), strict=False):
    label = f"made, relative norm {norm:g}"
    _draw_trend(density, chosen, lambda p: 100 * p.density, mark, label)
    _draw_trend(gain, chosen, lambda p: 100 * p.gain, mark, "")
    _draw_points(alike, chosen, lambda p: p.spread, mark, f"σ‖∇‖ at {norm:g}")
  first = next(iter(groups.values()))
  for read, mark, label in (
    (lambda p: p.loss, {"color": "#6b4c9a", "marker": "D"}, "loss"),
    (lambda p: p.leaning, {"color": "#d4a017", "marker": "v"}, "|log-odds|"),
  ):
    _draw_points(alike, first, read, mark, label)
  _draw_real(density, real)
  density.set(ylabel="% of members", title="Density at +5 points")
  gain.set(ylabel="points", title="Vote − base")
  gain.axhline(0, **BASE)
  alike.set(ylabel="nats", title="What the bases know and lean to")
  for ax in axes.flat:
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("weights")
  for ax in (density, alike):
    add_legend(ax)
  fig.suptitle(
    f"{len({(p.group, p.seed) for p in points})} trainings; each: {points[0].n}",
    fontsize="medium",
  )
  save_figure(fig, path, Caption(Topic.DENSITY, _say(real)))


def _say(real: Sequence[Mapping[str, Any]]) -> str:
  text = (
    "One symbol is one training with hidden conventions, at the stage where its loss"
    " by either convention is the same up to a tolerance and its log-odds are nearest"
    " to zero. Sigma has the same norm relative to the weights. Left: the share of"
    " members that are better than the base by 5 points on new prompts, mean of"
    " tasks; lines are least squares over trainings. Right: what ought to be alike,"
    " and the standard deviation of log-odds among members in first order."
  )
  if real:
    text += (
      " Stars are a real model on other tasks (bars: single tasks) at several sigmas,"
      " side by side about its size, with the relative norm of each; no line joins"
      " them to made models."
    )
  return text


def _draw_points(
  ax: Axes,
  points: Sequence[SizePoint],
  read: Callable[[SizePoint], float],
  mark: Style,
  label: str,
) -> None:
  ax.scatter(
    [p.num_weights for p in points],
    [read(p) for p in points],
    s=18,
    label=label,
    **mark,
  )


def _draw_trend(
  ax: Axes,
  points: Sequence[SizePoint],
  read: Callable[[SizePoint], float],
  mark: Style,
  label: str,
) -> None:
  _draw_points(ax, points, read, mark, label)
  x, y = np.log10([p.num_weights for p in points]), [read(p) for p in points]
  slope, _ = trends.fit_line(x, y)
  ends = np.array([x.min(), x.max()])
  ax.plot(
    10**ends,
    np.mean(y) + slope * (ends - x.mean()),
    color=mark["color"],
    linewidth=1.2,
  )


def _draw_real(ax: Axes, real: Sequence[Mapping[str, Any]]) -> None:
  """Draws the sigmas of a model side by side about its size."""
  by_name: dict[str, list[Mapping[str, Any]]] = {}
  for row in real:
    by_name.setdefault(row["name"], []).append(row)
  for name, rows in by_name.items():
    places = rows[0]["num_weights"] * _APART ** (
      np.arange(len(rows)) - (len(rows) - 1) / 2
    )
    for x, row in zip(places, rows, strict=True):
      values = [100 * found[0] for found in row["tasks"].values()]
      ax.scatter([x] * len(values), values, **_TASK)
      ax.scatter([x], [100 * row["density"]], **_REAL)
      ax.annotate(
        f"{row['relative_norm']:.2g}",
        (x, max(values)),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        rotation=90,
        fontsize="small",
      )
    ax.text(
      *(places[0], 0.9, name),
      transform=ax.get_xaxis_transform(),
      ha="right",
      fontsize="small",
    )
