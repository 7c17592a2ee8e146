"""Figures of ladders and of budgets."""

import itertools
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker

from thickets.analysis import claims
from thickets.analysis.intervals import Estimate
from thickets.analysis.scaling import LadderPoint
from thickets.report.figures.style import (
  BASE,
  CHOSEN,
  ENSEMBLE,
  TRUTH,
  add_legend,
  make_axes,
  save_figure,
)

# Told apart in greyscale by marker and line style.
_LEVELS = (
  {"color": "#1f5fa8", "marker": "o", "linestyle": "-"},
  {"color": "#c0392b", "marker": "s", "linestyle": "--"},
  {"color": "#2c2c2c", "marker": "^", "linestyle": ":"},
  {"color": "#d4a017", "marker": "D", "linestyle": "-."},
)
_MARKS = {"markersize": 4, "linewidth": 1.1, "capsize": 2, "elinewidth": 0.8}


def plot_ladder(path: pathlib.Path, points: Sequence[LadderPoint]) -> None:
  """Density, discordance and gains against size, and density against loss.

  Args:
    path: of the PNG file.
    points: of `scaling.read_ladder` or `scaling.load_points`.
  """
  final = claims.final_points(points)
  several = [p for p in points if p.manners == "several" and p.is_trained]
  fig, axes = make_axes(2, 2, width=9.8, height=7.4)
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
  _draw_levels(
    axes[1, 0],
    final,
    _size,
    lambda p: [r and r.discordance for r in p.rankings],
  )
  for level, style in zip(_levels(final), itertools.cycle(_LEVELS)):
    found = [
      (p.num_weights, r.floor) for p in final if (r := p.rankings[level])
    ]
    if found:
      axes[1, 0].plot(
        *zip(*found, strict=True), "_", color=style["color"], markersize=9
      )
  axes[1, 0].axhline(1, **BASE)
  axes[1, 0].set(
    ylabel="spectral discordance D",
    title="Discordance (– floor: one ranking, and noise)",
  )
  scratch = [p for p in points if p.manners == "several" and not p.is_trained]
  _draw_gains(axes[1, 1], final, scratch)
  for ax in (axes[0, 0], axes[1, 0], axes[1, 1]):
    ax.set_xscale("log")
    ax.set_xlabel("weights of the model")
  fig.suptitle(_count(points), fontsize="medium")
  save_figure(fig, path)


def plot_manners(
  path: pathlib.Path, points: Sequence[LadderPoint], several: str, one: str
) -> None:
  """Vote gain and density against base accuracy, by diversity of the text.

  Args:
    path: of the PNG file.
    points: of `scaling.read_ladder` or `scaling.load_points`.
    several: name of the rung whose text answers in several manners.
    one: name of the rung whose text answers in one.
  """
  fig, (axes,) = make_axes(1, 2, width=9.8, height=3.9)
  for name, style, label in (
    (several, _LEVELS[0], "several manners"),
    (one, _LEVELS[1], "one manner"),
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
  save_figure(fig, path)


def plot_budgets(
  path: pathlib.Path,
  rows: Sequence[Mapping[str, Any]],
  *,
  task: str,
  base: float,
) -> None:
  """Accuracy of the vote against N, K/N and the prompts that choose.

  Args:
    path: of the PNG file.
    rows: by `votes.Budget.describe`.
    task: name, for the title.
    base: the base's accuracy on the same prompts.
  """
  fig, (axes,) = make_axes(1, 3, width=12.0, height=3.9)
  most = max(row["num_select"] for row in rows)
  whole = [row for row in rows if row["num_select"] == most]
  sizes = sorted({row["population"] for row in whole})
  shares = (0.02, 0.1, 0.5, 1.0)
  for share, style in zip(shares, _LEVELS, strict=True):
    found = [_nearest_share(whole, size, share) for size in sizes]
    _draw_budgets(axes[0], sizes, found, style, f"K/N = {share:g}")
  axes[0].set(xscale="log", xlabel="population N", title="Population")
  axes[0].set_xticks(sizes)
  for size, style in zip(sizes[-4:], _LEVELS, strict=False):
    found = [row for row in whole if row["population"] == size]
    x = [row["top_k"] / size for row in found]
    _draw_budgets(axes[1], x, found, style, f"N = {size}")
  axes[1].set(xscale="log", xlabel="K/N", title="Share that votes")
  largest = [row for row in rows if row["population"] == sizes[-1]]
  counts = sorted({row["num_select"] for row in largest})
  for share, style in zip(shares[:3], _LEVELS, strict=False):
    found = [
      _nearest_share(
        [row for row in largest if row["num_select"] == count], sizes[-1], share
      )
      for count in counts
    ]
    _draw_budgets(axes[2], counts, found, style, f"K/N = {share:g}")
  axes[2].set(
    xscale="log",
    xlabel="prompts that choose",
    title=f"Selection, N = {sizes[-1]}",
  )
  axes[2].set_xticks(counts)
  for ax in axes.flat:
    ax.axhline(100 * base, **BASE, label=f"base {100 * base:.1f}")
    ax.xaxis.set_minor_formatter(ticker.NullFormatter())
    ax.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    ax.set_ylabel("% right by vote")
    add_legend(ax)
  first = rows[0]
  fig.suptitle(
    f"{task}: votes judged on {first['num_judge']} prompts, chosen on up to"
    f" {most}; bars: standard deviation over {max(r['num_draws'] for r in rows)}"
    " resampled populations",
    fontsize="medium",
  )
  save_figure(fig, path)


def _size(point: LadderPoint) -> float:
  return float(point.num_weights)


def _levels(points) -> range:
  return range(len(points[0].norms) if points else 0)


def _draw_levels(ax, points, x, read, *, connect=True) -> None:
  """One line for each level of sigma; rungs share relative norms."""
  levels = _levels(points)
  for level, style in zip(levels, itertools.cycle(_LEVELS)):
    found = [
      (x(p), estimate)
      for p in points
      if (estimate := read(p)[level]) is not None
    ]
    if not found:
      continue
    norm = np.median([p.norms[level] for p in points])
    shift = 1 + 0.03 * (
      level - (len(levels) - 1) / 2
    )  # So that bars stay apart.
    _errorbar(
      ax,
      [shift * place for place, _ in found],
      [e for _, e in found],
      style if connect else style | {"linestyle": "none"},
      f"‖σε‖/‖θ‖ = {norm:.2g}",
    )
  if ax.get_legend_handles_labels()[0]:  # A tiny ladder may rank on no task.
    add_legend(ax)


def _draw_gains(ax, final, scratch) -> None:
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
  ax, x, estimates: Sequence[Estimate], style, label: str, unit: float | int = 1
) -> None:
  """Points with their intervals."""
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
    **_MARKS,
  )


def _draw_budgets(ax, x, rows, style, label: str) -> None:
  ax.errorbar(
    x,
    [100 * row["accuracy"] for row in rows],
    yerr=[100 * row["spread"] for row in rows],
    label=label,
    **style,
    **_MARKS,
  )


def _nearest_share(rows, size, share) -> Mapping[str, Any]:
  """The row of a population whose K/N is nearest on a log scale."""
  found = [row for row in rows if row["population"] == size]
  return min(
    found, key=lambda row: abs(math.log(row["top_k"] / size) - math.log(share))
  )


def _count(points: Sequence[LadderPoint]) -> str:
  """What the points are of, and how many."""
  first = next(iter(points[-1].tasks.values()))
  members = {row["num_members"] for row in first["density"]}
  margins = sorted({row["margin"] for row in first["density"]})
  return (
    f"{len({p.rung for p in points})} pretrainings, {len(points)} models;"
    f" {len(points[-1].tasks)} tasks of {first['num_prompts']} prompts,"
    f" {min(members)} members a sigma, margin {margins[0]:g}; bars: 95 %"
  )
