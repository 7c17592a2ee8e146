"""The figure of a training: what its weights reach, step by step."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import ticker
from matplotlib.axes import Axes

from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  CHOSEN,
  MEMBER,
  TRUTH,
  Style,
  add_legend,
  make_panel,
  save_figure,
)
from thickets.runs.locations import Location

_WEIGHTS: Style = TRUTH | {"linestyle": "-", "marker": "o", "markersize": 3}


def plot_steps(
  path: Location,
  watched: Sequence[Mapping[str, Any]],
  populations: Sequence[Mapping[str, Any]],
  *,
  task: str,
) -> None:
  """Draws scores and right answers against the number of steps.

  Args:
    path: the PNG file to write.
    watched: by step, what `trained_results.describe_watched` found on `dev`; may
      be empty.
    populations: by step, what `trained_results.describe_populations` found.
    task: name of the task, for the title.
  """
  fig, ax = make_panel(5.6, 3.6)
  # The members of a step lie around the weights before it.
  steps = [row["step"] - 1 for row in populations]
  ax.fill_between(
    steps,
    [row["lowest"] for row in populations],
    [row["highest"] for row in populations],
    color=MEMBER["color"],
    alpha=0.25,
    label="members, lowest to highest",
  )
  ax.plot(
    steps,
    [row["mean"] for row in populations],
    **CHOSEN,
    label="mean score of the members (select)",
  )
  _finish_steps(ax, watched, task)
  caption = (
    f"Scores on {task} against the steps so far: the weights that the steps have"
    " moved, on the prompts of dev, with the 95 % interval of the share that they"
    " have right, and the members around them, on the prompts of selection."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def plot_rollouts(
  path: Location,
  watched: Sequence[Mapping[str, Any]],
  steps: Sequence[Mapping[str, Any]],
  *,
  task: str,
) -> None:
  """Draws what a policy reaches against the number of steps.

  Args:
    path: the PNG file to write.
    watched: by step, what `trained_results.describe_watched` found on `dev`; may
      be empty.
    steps: the `mean` score of the roll-outs of each `step`, counted from 1.
    task: name of the task, for the title.
  """
  fig, ax = make_panel(5.6, 3.6)
  ax.plot(
    # Roll-outs of a step are of the weights before it.
    [row["step"] - 1 for row in steps],
    [row["mean"] for row in steps],
    **CHOSEN,
    label="mean score of the roll-outs (select)",
  )
  _finish_steps(ax, watched, task)
  caption = (
    f"Scores on {task} against the steps so far: greedy responses to the prompts of"
    " dev, with the 95 % interval of the share that is right, and the roll-outs of"
    " each step, sampled at temperature 1 on prompts of selection."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _finish_steps(
  ax: Axes, watched: Sequence[Mapping[str, Any]], task: str
) -> None:
  """Draws what `dev` has watched, and labels the axes."""
  _draw_watched(ax, watched)
  ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  ax.set(xlabel="steps so far", ylabel="score", title=task)
  add_legend(ax)


def _draw_watched(ax: Axes, watched: Sequence[Mapping[str, Any]]) -> None:
  """Draws what the weights reach on `dev`, beside the base."""
  if not watched:
    return
  steps = [row["step"] for row in watched]
  scored = [row for row in watched if row["score"] is not None]
  ax.axhline(watched[0]["score"], **BASE, label="score of the base (dev)")
  ax.plot(
    [row["step"] for row in scored],
    [row["score"] for row in scored],
    **_WEIGHTS,
    label="score of the weights (dev)",
  )
  ax.fill_between(
    steps,
    [row["right"]["low"] for row in watched],
    [row["right"]["high"] for row in watched],
    color=TRUTH["color"],
    alpha=0.15,
    label="share right, 95 % over prompts (dev)",
  )


def plot_stages(
  path: Location,
  watched: Sequence[Mapping[str, Any]],
  *,
  chosen: int | None,
  task: str,
) -> None:
  """Draws what a distillation reached on `dev` against the number of steps.

  Args:
    path: the PNG file to write.
    watched: by step, what `trained_results.describe_watched` found on `dev`, that of
      the base first.
    chosen: the number of steps that was chosen; None for the base.
    task: name of the task, for the title.
  """
  fig, ax = make_panel(5.6, 3.6)
  steps = [row["step"] for row in watched]
  ax.axhline(watched[0]["right"]["mean"], **BASE, label="base")
  ax.plot(
    steps,
    [row["right"]["mean"] for row in watched],
    **_WEIGHTS,
    label="share right",
  )
  ax.fill_between(
    steps,
    [row["right"]["low"] for row in watched],
    [row["right"]["high"] for row in watched],
    color=TRUTH["color"],
    alpha=0.15,
    label="95 % over prompts",
  )
  if chosen is not None:
    ax.axvline(chosen, **CHOSEN, label="chosen, by the score")
  ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  ax.set(xlabel="steps so far", ylabel="right on dev", title=task)
  add_legend(ax)
  caption = (
    f"Right answers to {task} on the prompts of dev against the steps of a"
    " distillation, with the 95 % interval over prompts. The step of the highest"
    " score is chosen, and the base where none is above it."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))
