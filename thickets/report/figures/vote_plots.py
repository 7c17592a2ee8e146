"""Tasks side by side: members, base, and what votes reach on new prompts."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from thickets.analysis.measurement import Measurement
from thickets.analysis.vote_comparisons import TaskVotes
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  CHOSEN,
  ENSEMBLE,
  MEMBER,
  TRUTH,
  add_legend,
  make_panel,
  save_figure,
)
from thickets.runs.locations import Location

_HALF = 0.36  # Half of the width of a task's place.
_SPREAD = 0.28  # Half of the width over which members are spread.
_CAPTION = Caption(
  Topic.VOTES,
  "Every dot is one member: its accuracy on prompts that chose nothing. Dashed is the"
  " base. Lines across are 95 % intervals over prompts. The best members are those of"
  " all sigmas that other prompts chose.",
)


def plot_votes(
  path: Location, measured: Measurement, votes: Mapping[str, TaskVotes]
) -> None:
  """Draws the tasks of one base side by side.

  Args:
    path: the PNG file to write.
    measured: the records.
    votes: by task, who is right on the prompts of `dev`.
  """
  fig, ax = make_panel(2 + 1.1 * len(votes), 4.6)
  for place, (name, found) in enumerate(votes.items()):
    task = measured.tasks[name]
    draw_task(
      ax,
      place,
      task.members.lenient[:, task.num_select :].mean(axis=1),
      found,
    )
  names = [name.rpartition("/")[2].replace("_", " ") for name in votes]
  ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
  ax.set(ylim=(-3, 103), ylabel="% right on prompts that chose nothing")
  handles, labels = ax.get_legend_handles_labels()
  add_legend(
    fig, handles=handles, labels=labels, loc="outside lower center", ncols=6
  )
  save_figure(fig, path, _CAPTION)


def draw_task(
  ax: Axes, place: int, members: Float[np.ndarray, " P"], found: TaskVotes
) -> None:
  """Draws the members as dots, the base as a line, and the votes as symbols.

  Args:
    ax: the panel; its unit is percent.
    place: the place of the task along the horizontal axis; the first one, 0, names
      what is drawn for the legend.
    members: [P] the share of prompts that each member has right.
    found: who is right on these prompts.
  """
  rng = np.random.default_rng(place)
  ax.scatter(
    place + rng.uniform(-_SPREAD, _SPREAD, len(members)),
    100 * members,
    s=7,
    color=MEMBER["color"],
    alpha=MEMBER["alpha"],
    linewidths=0,
    label="" if place else "a member",
  )
  base = 100 * float(found.right["base"].mean())
  ends = (place - _HALF, place + _HALF)
  ax.hlines(base, *ends, **BASE, label="" if place else "base")
  for offset, row, marker, color, label in (
    (-0.21, "best", "D", CHOSEN["color"], "best member on select"),
    (-0.07, "vote", "*", ENSEMBLE["color"], f"vote of the best {found.k}"),
    (0.07, "random", "s", "grey", f"vote of {found.k} random members"),
    (0.21, "samples", "o", TRUTH["color"], "self-consistency"),
  ):
    if row not in found.right:
      continue
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
      label="" if place else label,
    )
