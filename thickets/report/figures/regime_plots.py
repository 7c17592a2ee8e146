"""Needle, thicket and plateau side by side: members, base and votes by task."""

import pathlib
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from thickets.analysis.measurement import Measurement
from thickets.analysis.neighbourhood import Analysis
from thickets.analysis.vote_comparisons import TaskVotes
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  CHOSEN,
  ENSEMBLE,
  MEMBER,
  TRUTH,
  add_legend,
  make_panels,
  save_figure,
)

# What one base's neighbourhood holds: records, analysis, votes by sigma and task.
Neighbourhood = tuple[
  Measurement, Analysis, Mapping[float, Mapping[str, TaskVotes]]
]

_HALF = 0.36  # Half of the width of a task's place.
_SPREAD = 0.28  # Half of the width over which members are spread.


def plot_regimes(
  path: pathlib.Path, columns: Mapping[str, Neighbourhood]
) -> None:
  """Draws a panel for each base, at the sigma whose votes gain most.

  Args:
    path: the PNG file to write.
    columns: the neighbourhoods by what the figure says of the base.
  """
  fig, axes = make_panels(1, len(columns), width=4.2 * len(columns), height=4.6)
  for ax, (title, found) in zip(axes[0], columns.items(), strict=True):
    _draw_column(ax, title, *found)
  axes[0, 0].set_ylabel("% right on prompts that chose nothing")
  handles, labels = axes[0, 0].get_legend_handles_labels()
  add_legend(
    fig, handles=handles, labels=labels, loc="outside lower center", ncols=6
  )
  caption = (
    "Every dot is one member: its accuracy on prompts that chose nothing. Dashed is"
    " the base. Where many dots lie above the base, experts are dense, and the vote of"
    " the best gains over the base, over random members and over self-consistency; in"
    " the other columns there is nobody to choose, or nothing to gain. Bars are 95 %"
    " intervals over prompts."
  )
  save_figure(fig, path, Caption(Topic.VOTES, caption))


def _draw_column(
  ax: Axes,
  title: str,
  measured: Measurement,
  analysis: Analysis,
  votes: Mapping[float, Mapping[str, TaskVotes]],
) -> None:
  sigma = max(votes, key=lambda level: _mean_gain(votes[level]))
  rng = np.random.default_rng(0)
  rows = np.flatnonzero(measured.sigmas == sigma)
  for place, (name, found) in enumerate(votes[sigma].items()):
    task = measured.tasks[name]
    right = task.members.lenient[rows, task.num_select :].mean(axis=1)
    is_first = place == 0
    ax.scatter(
      place + rng.uniform(-_SPREAD, _SPREAD, len(right)),
      100 * right,
      s=5,
      color=MEMBER["color"],
      alpha=MEMBER["alpha"],
      linewidths=0,
      label="a member" if is_first else None,
    )
    ax.hlines(
      100 * found.right["base"].mean(),
      *(place - _HALF, place + _HALF),
      **BASE,
      label="base" if is_first else None,
    )
    for offset, row, marker, color, label in (
      (-0.21, "best", "D", CHOSEN["color"], "best member on select"),
      (-0.07, "vote", "*", ENSEMBLE["color"], f"vote of the best {found.k}"),
      (0.07, "random", "s", "grey", f"vote of {found.k} random members"),
      (0.21, "samples", "o", TRUTH["color"], "self-consistency"),
    ):
      if row in found.right:
        rate = found.rate(row)
        ax.errorbar(
          place + offset,
          100 * rate.value,
          [[100 * (rate.value - rate.low)], [100 * (rate.high - rate.value)]],
          fmt=marker,
          markersize=9 if marker == "*" else 5,
          color=color,
          markeredgecolor="black",
          markeredgewidth=0.6,
          elinewidth=1,
          ecolor="black",
          label=label if is_first else None,
        )
  labels = [
    f"{_shorten(name)}\n{analysis.regimes[name].regime}"
    if name in analysis.regimes
    else _shorten(name)
    for name in votes[sigma]
  ]
  ax.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
  ax.set(ylim=(-3, 103), title=f"{title}\n(σ = {sigma:g}, {len(rows)} members)")


def _mean_gain(votes: Mapping[str, TaskVotes]) -> float:
  gains = [
    found.right["vote"] - found.right["base"] for found in votes.values()
  ]
  return float(np.mean([gain.mean() for gain in gains]))


def _shorten(task: str) -> str:
  """The part of a task's name that tells it from the others of its kind."""
  return " ".join(task.split("/")[1:3])
