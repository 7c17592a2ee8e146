"""The figure of a comparison: what methods reach, against what they cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import ticker
from matplotlib.axes import Axes

from thickets.analysis.method_comparison import ONE_PASS, VOTES
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import BASE, add_legend, save_figure
from thickets.runs.locations import Location

_MARKERS = {ONE_PASS: "o", VOTES: "^"}
_AXES = (
  ("num_steps", "step", "steps that wait for each other"),
  ("search_flops", "flops", "FLOPs of search or training"),
)


def plot_comparison(path: Location, results: Mapping[str, Any]) -> None:
  """Draws right answers against sequential steps, and against FLOPs.

  Args:
    path: the PNG file to write.
    results: what `compare_results.summarise` found.
  """
  fig, panels = plt.subplots(
    1, 2, figsize=(9.6, 4.0), sharey=True, layout="constrained"
  )
  base, *methods = results["rows"]
  for ax, (key, along, label) in zip(panels, _AXES, strict=True):
    ax.axhline(
      100 * base["right"][ONE_PASS]["mean"], **BASE, label="base, one pass"
    )
    ax.axhline(
      100 * base["right"][VOTES]["mean"],
      **(BASE | {"linestyle": ":"}),
      label=f"base, {results['num_votes']} votes",
    )
    for number, row in enumerate(methods):
      color = f"C{number}"
      _draw_watched(ax, results["watched"].get(row["name"], []), along, color)
      _draw_points(ax, row, row.get(key, 0.0), color)
    if key == "num_steps":
      ax.set_xscale("symlog")
      ax.xaxis.set_major_formatter(ticker.ScalarFormatter())
    ax.set(xlabel=label)
    ax.grid(alpha=0.2)
  panels[0].set_ylabel("right answers, %")
  # Beside the panels, which have no empty corner in common.
  add_legend(
    fig,
    handles=panels[0].get_legend_handles_labels()[0],
    loc="outside right center",
  )
  fig.suptitle(f"{results['model']} on {results['task']}")
  caption = (
    f"Right answers on {results['task']}, {results['num_seeds']} seeds with"
    f" {results['num_judge']} prompts each: one pass (circles) and"
    f" {results['num_votes']} votes (triangles) with 95 % intervals over"
    f" {base['right'][ONE_PASS]['over']}, against the steps that wait for each other"
    " and the FLOPs of the model that a search or training took. Thin lines: one"
    " pass on dev on the way there, one for each seed."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _draw_watched(
  ax: Axes,
  runs: Sequence[Sequence[Mapping[str, Any]]],
  along: str,
  color: str,
) -> None:
  for rows in runs:
    ax.plot(
      [row[along] for row in rows],
      [100 * row["right"] for row in rows],
      color=color,
      linewidth=0.8,
      alpha=0.5,
    )


def _draw_points(
  ax: Axes, row: Mapping[str, Any], place: float, color: str
) -> None:
  for way, marker in _MARKERS.items():
    place *= 1 if way == ONE_PASS else 1.03  # Side by side.
    right = row["right"][way]
    mean = 100 * right["mean"]
    ax.errorbar(
      [place],
      [mean],
      yerr=[[mean - 100 * right["low"]], [100 * right["high"] - mean]],
      marker=marker,
      color=color,
      capsize=2,
      markersize=6,
      linestyle="none",
      label=row["name"] if way == ONE_PASS else None,
    )
