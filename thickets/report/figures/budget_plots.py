"""The figure of budgets: how good a vote is at what it may cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import ticker
from matplotlib.axes import Axes

from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.scaling_plots import ERROR_BARS, LEVELS
from thickets.report.figures.style import (
  BASE,
  add_legend,
  make_panels,
  save_figure,
)
from thickets.runs.locations import Location

_SHARES = (0.02, 0.1, 0.5, 1.0)  # K/N of the lines, as far as rows come near.


def plot_budgets(
  path: Location,
  rows: Sequence[Mapping[str, Any]],
  *,
  task: str,
  base: float,
) -> None:
  """Draws the accuracy of the vote against N, K/N and the prompts that choose.

  Args:
    path: the PNG file to write.
    rows: one row for each budget, by `votes.VoteAccuracy.describe`.
    task: name of the task, for title and caption.
    base: the base's accuracy on the same prompts, in [0, 1].
  """
  fig, axes = make_panels(1, 3, width=12.0, height=3.9)
  by_population, by_share, by_prompts = axes[0]
  most = max(row["num_select"] for row in rows)
  whole = [row for row in rows if row["num_select"] == most]
  sizes = sorted({row["population"] for row in whole})
  _draw_populations(by_population, whole, sizes)
  _draw_shares(by_share, whole, sizes)
  _draw_prompts(by_prompts, rows, sizes[-1])
  for ax in axes.flat:
    ax.axhline(100 * base, **BASE, label=f"base {100 * base:.1f}")
    ax.xaxis.set_minor_formatter(ticker.NullFormatter())
    ax.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    ax.set_ylabel("% right by vote")
    add_legend(ax)
  fig.suptitle(
    f"{task}: votes judged on {rows[0]['num_judge']} prompts, chosen on up to"
    f" {most}; bars: standard deviation over {max(r['num_draws'] for r in rows)}"
    " resampled populations",
    fontsize="medium",
  )
  caption = (
    f"Accuracy of the vote on {task} against the size N of the population, the"
    " share K/N that votes, and the number of prompts that choose. Bars are the"
    " standard deviation over resampled populations."
  )
  save_figure(fig, path, Caption(Topic.VOTES, caption))


def _draw_populations(
  ax: Axes, rows: Sequence[Mapping[str, Any]], sizes: Sequence[int]
) -> None:
  for share, style in zip(_SHARES, LEVELS, strict=True):
    found = [_find_nearest(rows, size, share) for size in sizes]
    _draw_rows(ax, sizes, found, style, f"K/N = {share:g}")
  ax.set(xscale="log", xlabel="population N", title="Population")
  ax.set_xticks(sizes)


def _draw_shares(
  ax: Axes, rows: Sequence[Mapping[str, Any]], sizes: Sequence[int]
) -> None:
  for size, style in zip(sizes[-4:], LEVELS, strict=False):
    found = [row for row in rows if row["population"] == size]
    x = [row["top_k"] / size for row in found]
    _draw_rows(ax, x, found, style, f"N = {size}")
  ax.set(xscale="log", xlabel="K/N", title="Share that votes")


def _draw_prompts(
  ax: Axes, rows: Sequence[Mapping[str, Any]], size: int
) -> None:
  largest = [row for row in rows if row["population"] == size]
  counts = sorted({row["num_select"] for row in largest})
  for share, style in zip(_SHARES[:3], LEVELS, strict=False):
    found = [
      _find_nearest(
        [row for row in largest if row["num_select"] == count], size, share
      )
      for count in counts
    ]
    _draw_rows(ax, counts, found, style, f"K/N = {share:g}")
  ax.set(
    xscale="log", xlabel="prompts that choose", title=f"Selection, N = {size}"
  )
  ax.set_xticks(counts)


def _draw_rows(
  ax: Axes,
  x: Sequence[float],
  rows: Sequence[Mapping[str, Any]],
  style: Mapping[str, Any],
  label: str,
) -> None:
  ax.errorbar(
    x,
    [100 * row["accuracy"] for row in rows],
    yerr=[100 * row["spread"] for row in rows],
    label=label,
    **style,
    **ERROR_BARS,
  )


def _find_nearest(
  rows: Sequence[Mapping[str, Any]], size: int, share: float
) -> Mapping[str, Any]:
  """Returns a population's row whose K/N is nearest to `share`, in ratio."""
  found = [row for row in rows if row["population"] == size]
  return min(
    found, key=lambda row: abs(math.log(row["top_k"] / size) - math.log(share))
  )
