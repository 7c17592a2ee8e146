"""The figures of studies of conventions: one for each study."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from thickets.analysis import convention_points
from thickets.analysis.convention_points import MARGIN, MIN_DENSITY, Point
from thickets.analysis.intervals import Estimate
from thickets.analysis.paired_tasks import SKILL
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  CHOSEN,
  ENSEMBLE,
  MEMBER,
  TRUTH,
  Style,
  add_legend,
  make_panels,
  save_figure,
)

_MARKS: tuple[Style, ...] = (
  {"color": "#1f5fa8", "marker": "o"},
  {"color": "#c0392b", "marker": "s"},
  {"color": "#2c2c2c", "marker": "^"},
  {"color": "#d4a017", "marker": "D"},
  {"color": "#6b4c9a", "marker": "v"},
  {"color": "#4d8c57", "marker": "P"},
)
_BARS: Style = {"capsize": 3, "elinewidth": 1.1, "markersize": 5}
_RUNS: Style = {"s": 12, "color": MEMBER["color"], "linewidths": 0}


def plot_seeds(path: pathlib.Path, points: Sequence[Point]) -> None:
  """Draws gains and densities of repeated trainings with hidden conventions.

  Args:
    path: the PNG file to write.
    points: those of the study `seeds`.
  """
  *_, hidden = convention_points.keep_last(
    [point for point in points if point.group == "hidden"]
  )
  fig, axes = make_panels(1, 2, width=10.4, height=4.4)
  _draw_gains(axes[0, 0], hidden)
  _draw_densities(axes[0, 1], hidden)
  fig.suptitle(
    f"Hidden conventions: {convention_points.say_size(hidden)}",
    fontsize="medium",
  )
  caption = (
    "Left: what the best member and the vote gain, mean of tasks, on prompts that"
    " chose nothing. Right: the share of members that are better than the base by"
    " 5 points or more on new prompts, by task. Dots are single populations; a bar"
    " is the mean with its 95 % interval over trainings, populations and prompts"
    " (right: over trainings)."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _draw_gains(ax: Axes, hidden: Point) -> None:
  for place, (left, other) in enumerate(hidden.differences.values()):
    values = hidden.values(left, other)
    of_runs = 100 * values.mean(axis=2)
    places = place + np.linspace(-0.28, 0.08, len(of_runs))
    for x, of_training in zip(places, of_runs, strict=True):
      ax.scatter(np.full(len(of_training), x), of_training, **_RUNS)
    _draw_bar(
      ax,
      place + 0.25,
      convention_points.estimate_values(values),
      {"color": "black", "marker": "D"},
      unit=100,
    )
  ax.axhline(0, **BASE)
  names = [
    name.replace(" - ", "\n− ")
    .replace("random ", "random\n")
    .replace("self-", "self-\n")
    for name in hidden.differences
  ]
  ax.set_xticks(range(len(names)), names)
  ax.set(ylabel="points", title="Gains (dots: populations, by training)")


def _draw_densities(ax: Axes, hidden: Point) -> None:
  for place, task in enumerate(hidden.tasks):
    of_runs = 100 * hidden.mean_by_run(task, "density", MARGIN)
    places = place + np.linspace(-0.28, 0.08, len(of_runs))
    for x, of_training in zip(places, of_runs, strict=True):
      ax.scatter(np.full(len(of_training), x), of_training, **_RUNS)
    _draw_bar(
      *(ax, place + 0.25, hidden.density(task)),
      {"color": "black", "marker": "D"},
      unit=100,
    )
  ax.axhline(100 * MIN_DENSITY, **BASE)
  names = ["\n".join(task.split("/")[1:3]) for task in hidden.tasks]
  ax.set_xticks(range(len(names)), names)
  ax.set(
    ylabel="% of members",
    title="Density at +5 points (dashed: 5 %)",
    ylim=(-4, None),
  )


def plot_predictions(
  path: pathlib.Path, rows: Sequence[Mapping[str, Any]]
) -> None:
  """Draws the shares of members that lean to a convention, and their prediction.

  Args:
    path: the PNG file to write.
    rows: what `convention_claims.compare_predictions` returned.
  """
  families = list(dict.fromkeys(row["task"] for row in rows))
  fig, axes = make_panels(
    1, len(families), width=3.6 * len(families), height=4.2
  )
  for ax, task in zip(axes[0], families, strict=True):
    of_task = [row for row in rows if row["task"] == task]
    groups = list(dict.fromkeys(row["group"] for row in of_task))
    for group, mark in zip(groups, itertools.cycle(_MARKS)):
      chosen = sorted(
        (row for row in of_task if row["group"] == group),
        key=lambda row: row["sigma"],
      )
      x = [row["sigma"] for row in chosen]
      ax.plot(
        x,
        [100 * row["predicted"] for row in chosen],
        color=mark["color"],
        linewidth=1.2,
      )
      measured = 100 * np.array([row["measured"] for row in chosen])
      ends = 100 * np.array([row["interval"] for row in chosen])
      ax.errorbar(
        x,
        measured,
        [
          np.maximum(measured - ends[:, 0], 0),
          np.maximum(ends[:, 1] - measured, 0),
        ],
        linestyle="none",
        label=group if ax is axes[0, 0] else "",
        **mark,
        **_BARS,
      )
    ax.set_xscale("log")
    ticks = sorted({row["sigma"] for row in of_task})
    ax.set_xticks(ticks, [f"{sigma:g}" for sigma in ticks], rotation=45)
    ax.minorticks_off()
    ax.set(xlabel="σ", ylim=(-3, 103), title=" ".join(task.split("/")[1:3]))
  axes[0, 0].set_ylabel("% of members that lean to it")
  handles, labels = axes[0, 0].get_legend_handles_labels()
  add_legend(
    fig, handles=handles, labels=labels, loc="outside lower center", ncols=6
  )
  caption = (
    "The share of members that answer by the first convention more often than by the"
    " second, against sigma, for bases whose text has the first convention in a share"
    " (tilt) of its answers. Symbols: measured, with Wilson's 95 % intervals over"
    " members. Lines: Φ(log-odds / (σ‖∇‖)), with log-odds and gradient at the base."
  )
  save_figure(fig, path, Caption(Topic.DENSITY, caption))


def plot_stages(path: pathlib.Path, points: Sequence[Point]) -> None:
  """Draws base, gain, density and skill against the steps of training.

  Args:
    path: the PNG file to write.
    points: those of the study `stages`.
  """
  points = sorted(points, key=lambda point: point.step)
  x = [point.step for point in points]
  fig, axes = make_panels(1, 3, width=11.4, height=3.9)
  _draw_line(
    axes[0, 0],
    x,
    [p.estimate("base") for p in points],
    _MARKS[2],
    "by the convention that is wanted",
    unit=100,
  )
  _draw_line(
    axes[0, 0],
    x,
    [p.estimate("base", sets=(SKILL,)) for p in points],
    _MARKS[0],
    "by either convention",
    unit=100,
  )
  axes[0, 0].set(ylabel="% right", title="Base")
  for mark, sets, label in (
    ({"color": ENSEMBLE["color"], "marker": "s"}, {}, "wanted convention"),
    (_MARKS[0], {"sets": (SKILL,)}, "either (members chosen by it)"),
  ):
    _draw_line(
      axes[0, 1],
      x,
      [p.estimate("vote", "base", **sets) for p in points],
      mark,
      label,
      unit=100,
    )
  axes[0, 1].axhline(0, **BASE)
  axes[0, 1].set(ylabel="points", title="Vote − base")
  _draw_line(
    axes[0, 2],
    x,
    [convention_points.estimate_density(p) for p in points],
    {"color": CHOSEN["color"], "marker": "o"},
    "mean of tasks",
    unit=100,
  )
  axes[0, 2].set(
    ylabel="% of members", title="Density at +5 points", ylim=(-4, None)
  )
  for ax in axes.flat:
    ax.set_xlabel("steps of training")
    if ax is not axes[0, 2]:
      add_legend(ax)
  fig.suptitle(convention_points.say_size(points[-1]), fontsize="medium")
  caption = (
    "One size at eight stages of training, with conventions hidden: what the base has"
    " right, what the vote gains, and the density of experts, with 95 % intervals over"
    " trainings, populations and prompts (density: over trainings)."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def plot_discordance(
  path: pathlib.Path, rows: Sequence[Mapping[str, Any]]
) -> None:
  """Draws discordance against the number of families.

  Args:
    path: the PNG file to write.
    rows: what `convention_discordance.measure_discordance_of_pairs` returned.
  """
  fig, axes = make_panels(1, 1, width=5.6, height=4.0)
  ax = axes[0, 0]
  x = [row["k"] for row in rows]
  for name, mark, label in (
    ("both", _MARKS[1], "both conventions of each family"),
    ("first", _MARKS[0], "the first convention of each"),
  ):
    kept = [row for row in rows if row[name] is not None]
    _draw_line(
      ax,
      [row["k"] for row in kept],
      [Estimate(**row[name]) for row in kept],
      mark,
      label,
    )
  ax.plot(
    x, [row["bound"] for row in rows], **TRUTH, label="largest possible D"
  )
  ax.axhline(1, **BASE, label="independent rankings")
  ax.set(
    xlabel="families (independent conventions)",
    ylabel="spectral discordance D",
    title="Do tasks agree on which members are good?",
    ylim=(0, 2.1),
  )
  ax.set_xticks(x)
  add_legend(ax)
  caption = (
    "Spectral discordance of the members of one sigma against the number of families"
    " whose tasks rank them, mean over all sets of so many families, with 95 %"
    " intervals over trainings. The two conventions of one family want opposite"
    " things of the same question. The dotted line is the largest D of so many tasks."
  )
  save_figure(fig, path, Caption(Topic.DIVERSITY, caption))


def plot_shares(path: pathlib.Path, points: Sequence[Point]) -> None:
  """Draws gain and density against the share of questions that hide a convention.

  Args:
    path: the PNG file to write.
    points: those of the study `shares`; the name of a group begins with its share.
  """
  points = sorted(points, key=lambda point: float(point.group.split()[0]))
  x = [100 * float(point.group.split()[0]) for point in points]
  fig, axes = make_panels(1, 2, width=9.6, height=3.9)
  _draw_line(
    axes[0, 0],
    x,
    [p.estimate("vote", "base") for p in points],
    {"color": ENSEMBLE["color"], "marker": "s"},
    "vote − base",
    unit=100,
  )
  axes[0, 0].axhline(0, **BASE)
  axes[0, 0].set(ylabel="points", title="Vote − base, where questions hide it")
  for place, task in enumerate(points[0].tasks):
    axes[0, 1].plot(
      x,
      [100 * p.mean_by_run(task, "density", MARGIN).mean() for p in points],
      label=" ".join(task.split("/")[1:3]),
      markersize=4,
      linewidth=1,
      **_MARKS[place % len(_MARKS)],
    )
  axes[0, 1].set(ylabel="% of members", title="Density at +5 points")
  add_legend(axes[0, 1], loc="upper left", bbox_to_anchor=(1, 1))
  for ax in axes.flat:
    ax.set_xlabel("% of the questions of the text that hide the convention")
  fig.suptitle(convention_points.say_size(points[0]), fontsize="medium")
  caption = (
    "Gain of the vote and density of experts on questions that hide their convention,"
    " against the share of such questions in the text; the others state it. One"
    " training each; 95 % intervals over prompts."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _draw_line(
  ax: Axes,
  x: Sequence[float],
  estimates: Sequence[Estimate | None],
  mark: Style,
  label: str,
  *,
  unit: float = 1,
) -> None:
  """Draws what is known; of a single training there is no estimate over several."""
  known = [e for e in estimates if e is not None]
  if not known:
    return
  x = [at for at, e in zip(x, estimates, strict=True) if e is not None]
  estimates = known
  values = unit * np.array([[e.value, e.low, e.high] for e in estimates])
  value, low, high = values.T
  ax.errorbar(
    x,
    value,
    [np.maximum(value - low, 0), np.maximum(high - value, 0)],
    label=label,
    linewidth=1.2,
    **mark,
    **_BARS,
  )


def _draw_bar(
  ax: Axes, x: float, found: Estimate | None, mark: Style, *, unit: float = 1
) -> None:
  if found is None:
    return
  value, low, high = (unit * e for e in (found.value, found.low, found.high))
  ax.errorbar(x, value, [[value - low], [high - value]], **mark, **_BARS)
