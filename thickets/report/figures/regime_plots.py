"""Bases side by side: members, base, votes and regime by task."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from thickets.analysis.measurement import Measurement
from thickets.analysis.neighbourhood import Analysis
from thickets.analysis.vote_comparisons import TaskVotes
from thickets.report.figures import vote_plots
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import add_legend, make_panels, save_figure

# What one base's neighbourhood holds: records, analysis, votes by sigma and task.
Neighbourhood = tuple[
  Measurement, Analysis, Mapping[float, Mapping[str, TaskVotes]]
]


def plot_regimes(
  path: pathlib.Path, columns: Sequence[tuple[str, Neighbourhood]]
) -> None:
  """Draws a panel for each base, at the sigma whose best members score most on select.

  Args:
    path: the PNG file to write.
    columns: what the figure says of each base, and its neighbourhood.
  """
  fig, axes = make_panels(1, len(columns), width=4.2 * len(columns), height=4.6)
  for ax, (title, found) in zip(axes[0], columns, strict=True):
    _draw_column(ax, title, *found)
  axes[0, 0].set_ylabel("% right on prompts that chose nothing")
  handles, labels = axes[0, 0].get_legend_handles_labels()
  add_legend(
    fig, handles=handles, labels=labels, loc="outside lower center", ncols=6
  )
  caption = (
    "Every dot is one member: its accuracy on prompts that chose nothing. Dashed is"
    " the base. Lines across are 95 % intervals over prompts. Below each task stands"
    " its regime, called by the rule of docs/density.md over all sigmas."
  )
  save_figure(fig, path, Caption(Topic.VOTES, caption))


def _draw_column(
  ax: Axes,
  title: str,
  measured: Measurement,
  analysis: Analysis,
  votes: Mapping[float, Mapping[str, TaskVotes]],
) -> None:
  sigma = max(votes, key=lambda s: _score_chosen(measured, s, votes[s]))
  rows = np.flatnonzero(measured.sigmas == sigma)
  labels = []
  for place, (name, found) in enumerate(votes[sigma].items()):
    task = measured.tasks[name]
    right = task.members.lenient[rows, task.num_select :].mean(axis=1)
    vote_plots.draw_task(ax, place, right, found)
    regime = analysis.regimes.get(name)
    labels.append(f"{_shorten(name)}\n{regime.regime if regime else ''}")
  ax.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
  ax.set(ylim=(-3, 103), title=f"{title}\n(σ = {sigma:g}, {len(rows)} members)")


def _score_chosen(
  measured: Measurement, sigma: float, votes: Mapping[str, TaskVotes]
) -> float:
  """Mean score of the chosen members on select, which may choose a sigma."""
  rows = np.flatnonzero(measured.sigmas == sigma)
  means = []
  for name, found in votes.items():
    task = measured.tasks[name]
    scores = task.scores[rows, : task.num_select].mean(axis=1)
    means.append(np.sort(scores[np.isfinite(scores)])[-found.k :].mean())
  return float(np.mean(means))


def _shorten(task: str) -> str:
  """The part of a task's name that tells it from the others of its kind."""
  return " ".join(task.split("/")[1:3])
