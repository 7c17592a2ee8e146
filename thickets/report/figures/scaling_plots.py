"""The figures of a ladder: what changes with size and with training."""

import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from thickets.analysis import claims
from thickets.analysis.intervals import Estimate
from thickets.analysis.scaling import LadderPoint
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  CHOSEN,
  ENSEMBLE,
  TRUTH,
  Style,
  add_legend,
  make_panels,
  save_figure,
)

# Told apart in greyscale by marker and line style.
LEVELS: tuple[Style, ...] = (
  {"color": "#1f5fa8", "marker": "o", "linestyle": "-"},
  {"color": "#c0392b", "marker": "s", "linestyle": "--"},
  {"color": "#2c2c2c", "marker": "^", "linestyle": ":"},
  {"color": "#d4a017", "marker": "D", "linestyle": "-."},
)
ERROR_BARS: Style = {
  "markersize": 4,
  "linewidth": 1.1,
  "capsize": 2,
  "elinewidth": 0.8,
}


def plot_ladder(path: pathlib.Path, points: Sequence[LadderPoint]) -> None:
  """Draws density, discordance and gains against size, and density against loss.

  Args:
    path: the PNG file to write.
    points: the models of the ladder, by `scaling.read_ladder` or
      `scaling.load_points`.
  """
  final = claims.final_points(points)
  several = [p for p in points if p.manners == "several" and p.is_trained]
  fig, axes = make_panels(2, 2, width=9.8, height=7.4)
  _draw_levels(axes[0, 0], final, _size, lambda p: p.density["corrected"])
  steps = final[0].step if final else 0
  axes[0, 0].set(
    ylabel="density at the margin, mean of tasks",
    title=f"Density on new prompts, after {steps} steps",
  )
  _draw_levels(
    axes[0, 1],
    several,
    lambda p: p.loss,
    lambda p: p.density["corrected"],
    connect=False,
  )
  axes[0, 1].set(
    xlabel="loss on unseen text, nats per weighted token (falls to the right)",
    ylabel="density at the margin, mean of tasks",
    title="Density on new prompts, all trained stages",
  )
  axes[0, 1].invert_xaxis()
  _draw_discordance(axes[1, 0], final)
  scratch = [p for p in points if p.manners == "several" and not p.is_trained]
  _draw_gains(axes[1, 1], final, scratch)
  for ax in (axes[0, 0], axes[1, 0], axes[1, 1]):
    ax.set_xscale("log")
    ax.set_xlabel("weights of the model")
  fig.suptitle(_count(points), fontsize="medium")
  caption = (
    "Density, discordance and gains of RandOpt against the size of the model, and"
    " density against the loss of all trained stages, with 95 % intervals."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def plot_manners(
  path: pathlib.Path, points: Sequence[LadderPoint], several: str, one: str
) -> None:
  """Draws the vote's gain and the density against the base's accuracy.

  Two rungs are compared that differ in the diversity of their text alone.

  Args:
    path: the PNG file to write.
    points: the models of the ladder, by `scaling.read_ladder` or
      `scaling.load_points`.
    several: name of the rung whose text answers in several manners.
    one: name of the rung whose text answers in a single manner.
  """
  fig, (axes,) = make_panels(1, 2, width=9.8, height=3.9)
  for name, style, label in (
    (several, LEVELS[0], "several manners"),
    (one, LEVELS[1], "one manner"),
  ):
    found = [p for p in points if p.rung == name]
    x = [100 * p.accuracy("base") for p in found]
    gains = [p.gain("vote", "base") for p in found]
    _errorbar(axes[0], x, gains, style, label, 100)
    middle = len(found[0].norms) // 2
    densities = [p.density["corrected"][middle] for p in found]
    _errorbar(axes[1], x, densities, style, label)
    for place, point, gain in zip(x, found, gains, strict=True):
      axes[0].annotate(
        f"{point.step}",
        (place, 100 * gain.value),
        textcoords="offset points",
        xytext=(4, 5),
        fontsize="x-small",
      )
  axes[0].axhline(0, **BASE)
  axes[0].set(
    xlabel="base, % right on dev (mean of tasks)",
    ylabel="vote − base, points",
    title="Gain of the vote (numbers: steps of training)",
  )
  norm = found[0].norms[middle]
  axes[1].set(
    xlabel="base, % right on dev (mean of tasks)",
    ylabel="density at the margin, mean of tasks",
    title=f"Density on new prompts, ‖σε‖/‖θ‖ = {norm:.2g}",
  )
  for ax in axes.flat:
    add_legend(ax)
  fig.suptitle(f"{_count(points)}; one training each", fontsize="medium")
  caption = (
    "Gain of the vote and density against the base's accuracy, of two rungs that"
    " differ in the diversity of their text alone, with 95 % intervals."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _size(point: LadderPoint) -> float:
  return float(point.num_weights)


def _levels(points: Sequence[LadderPoint]) -> range:
  return range(len(points[0].norms) if points else 0)


def _draw_levels(
  ax: Axes,
  points: Sequence[LadderPoint],
  x: Callable[[LadderPoint], float],
  read: Callable[[LadderPoint], Sequence[Estimate | None]],
  *,
  connect: bool = True,
) -> None:
  """Draws one line for each level of sigma; rungs share relative norms.

  Args:
    ax: the panel.
    points: the models to draw.
    x: where a model stands on the horizontal axis.
    read: the estimates of a model, one for each level of sigma, None where it
      has none.
    connect: whether a line joins the models of one level.
  """
  levels = _levels(points)
  for level, style in zip(levels, itertools.cycle(LEVELS)):
    found = [
      (x(p), estimate)
      for p in points
      if (estimate := read(p)[level]) is not None
    ]
    if not found:
      continue
    norm = np.median([p.norms[level] for p in points])
    # So that bars stay apart.
    shift = 1 + 0.03 * (level - (len(levels) - 1) / 2)
    _errorbar(
      ax,
      [shift * place for place, _ in found],
      [e for _, e in found],
      style if connect else style | {"linestyle": "none"},
      f"‖σε‖/‖θ‖ = {norm:.2g}",
    )
  if ax.get_legend_handles_labels()[0]:  # A tiny ladder may rank on no task.
    add_legend(ax)


def _draw_discordance(ax: Axes, final: Sequence[LadderPoint]) -> None:
  """Draws D against size, and as dashes what noise alone would make of it."""
  _draw_levels(
    ax, final, _size, lambda p: [r and r.discordance for r in p.rankings]
  )
  for level, style in zip(_levels(final), itertools.cycle(LEVELS)):
    found = [
      (p.num_weights, r.floor) for p in final if (r := p.rankings[level])
    ]
    if found:
      ax.plot(
        *zip(*found, strict=True), "_", color=style["color"], markersize=9
      )
  ax.axhline(1, **BASE)
  ax.set(
    ylabel="spectral discordance D",
    title="Discordance (dashes: the floor, which noise alone gives)",
  )


def _draw_gains(
  ax: Axes, final: Sequence[LadderPoint], scratch: Sequence[LadderPoint]
) -> None:
  lines = (
    (final, "vote", {"color": ENSEMBLE["color"], "marker": "s"}, "vote"),
    (final, "best", {"color": CHOSEN["color"], "marker": "o"}, "best member"),
    (
      scratch,
      "vote",
      {"color": TRUTH["color"], "marker": "x", "linestyle": ":"},
      "vote, from scratch",
    ),
  )
  for place, (points, name, style, label) in enumerate(lines):
    points = sorted(points, key=_size)
    _errorbar(
      ax,
      [(0.97 + 0.03 * place) * p.num_weights for p in points],
      [p.gain(name, "base") for p in points],
      style,
      label,
      100,
    )
  ax.axhline(0, **BASE)
  ax.set(
    ylabel="gain over the base on dev, points",
    title="RandOpt, mean of tasks",
  )
  add_legend(ax)


def _errorbar(
  ax: Axes,
  x: Sequence[float],
  estimates: Sequence[Estimate],
  style: Mapping[str, Any],
  label: str,
  unit: float = 1,
) -> None:
  """Draws estimates with their intervals, times `unit`."""
  values = np.array([[e.value, e.low, e.high] for e in estimates])
  if not len(values):
    return
  value, low, high = unit * values.T
  ax.errorbar(
    x,
    value,
    yerr=[np.maximum(value - low, 0), np.maximum(high - value, 0)],
    label=label,
    **style,
    **ERROR_BARS,
  )


def _count(points: Sequence[LadderPoint]) -> str:
  """Says how many pretrainings, models, tasks, prompts and members there are."""
  first = next(iter(points[-1].tasks.values()))
  members = {row["num_members"] for row in first["density"]}
  margins = sorted({row["margin"] for row in first["density"]})
  return (
    f"{len({p.rung for p in points})} pretrainings, {len(points)} models;"
    f" {len(points[-1].tasks)} tasks of {first['num_prompts']} prompts,"
    f" {min(members)} members a sigma, margin {margins[0]:g}; bars: 95 %"
  )
