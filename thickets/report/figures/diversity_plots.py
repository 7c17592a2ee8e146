"""The figures of diversity: do tasks agree, who is good at what."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import patches
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from thickets.analysis.clusters import Embedding
from thickets.analysis.diversity import Discordance
from thickets.analysis.specialists import Overlap, RankLines
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  Style,
  add_legend,
  make_panel,
  save_figure,
)
from thickets.runs.locations import Location

_COLOURS = (
  "#1f5fa8",
  "#c0392b",
  "#d4a017",
  "#4d4d4d",
  "#e9967a",
  "#5fa8a0",
  "#8e5ea2",
  "#a87c00",
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def plot_correlation(path: Location, result: Discordance) -> None:
  """Draws the rank correlations of tasks, and their reliability on the diagonal.

  Args:
    path: the PNG file to write.
    result: the discordance of one neighbourhood, with its rank correlations.
  """
  matrix = result.correlation.copy()
  np.fill_diagonal(matrix, result.reliability)
  fig, ax = _make_square(len(result.names))
  image = _draw_matrix(ax, matrix, result.names, "PuOr", (-1, 1), "{:z.2f}")
  for place in range(len(matrix)):
    ax.add_patch(_frame(place))
  label = "rank correlation of tasks\n(framed: reliability, split halves)"
  fig.colorbar(image, ax=ax, shrink=0.8, label=label)
  low, high = result.interval
  ax.set_title(
    f"D = {result.value:z.2f} [{low:z.2f}, {high:z.2f}]\nn = {result.num_members}"
    f" members{_say_failed(result.num_failed)}{_say_sigma(result)}"
  )
  at = "" if result.sigma is None else f" at sigma {result.sigma:g}"
  caption = f"Rank correlations between the tasks' scores of the members{at}."
  save_figure(fig, path, Caption(Topic.DIVERSITY, caption))


def plot_overlap(path: Location, overlap: Overlap, *, at: str = "") -> None:
  """Draws the share of best members that each pair of tasks has in common.

  Args:
    path: the PNG file to write.
    overlap: the overlap of the sets of the K best members; entries that chance
      does not explain are framed.
    at: which members these are, for the caption, such as " at sigma 0.01".
  """
  fig, ax = _make_square(len(overlap.names))
  shown = np.where(
    np.eye(len(overlap.share), dtype=bool), np.nan, overlap.share
  )
  top = max(float(np.nanmax(shown)), 2 * overlap.expected, 1 / overlap.k)
  image = _draw_matrix(
    ax, 100 * shown, overlap.names, "Blues", (0, 100 * top), "{:z.0f}"
  )
  outside = (overlap.share < overlap.low) | (overlap.share > overlap.high)
  for row, column in np.argwhere(outside & ~np.isnan(shown)).tolist():
    ax.add_patch(_frame(row, column))
  label = f"members in both top {overlap.k}, %\n(framed: outside chance)"
  fig.colorbar(image, ax=ax, shrink=0.8, label=label)
  low, high = 100 * overlap.low[0, 0], 100 * overlap.high[0, 0]
  ax.set_title(
    f"by chance {100 * overlap.expected:.1f} % [{low:.1f}, {high:.1f}],"
    f" N = {overlap.num_members} members{_say_failed(max(overlap.num_failed))}"
  )
  caption = (
    "Share of the best members of one task that are among the best of another"
    f"{at}."
  )
  save_figure(fig, path, Caption(Topic.DIVERSITY, caption))


def plot_rank_lines(path: Location, lines: RankLines, *, at: str = "") -> None:
  """Draws each member's percentile rank over the tasks.

  The members that are best on one task each stand out, with a marker each.

  Args:
    path: the PNG file to write.
    lines: percentile ranks of the members to draw.
    at: which members these are, for the caption, such as " at sigma 0.01".
  """
  fig, ax = make_panel(2.6 + 1.0 * len(lines.names), 3.6)
  places = np.arange(len(lines.names))
  ax.plot(
    places, 100 * lines.percentiles.T, color="0.6", linewidth=0.5, alpha=0.6
  )
  best = lines.percentiles.argmax(axis=0)
  for number, line in enumerate(dict.fromkeys(best.tolist())):
    tasks = [lines.names[task] for task in np.flatnonzero(best == line)]
    ax.plot(
      places,
      100 * lines.percentiles[line],
      color=_COLOURS[number % len(_COLOURS)],
      marker=_MARKERS[number % len(_MARKERS)],
      markersize=4,
      linewidth=1.4,
      label=f"best drawn on {', '.join(tasks)}",
    )
  ax.set_xticks(
    places, lines.names, rotation=20, ha="right", rotation_mode="anchor"
  )
  ax.set(
    ylim=(0, 100),
    ylabel="percentile rank among members, %",
    title=(
      f"{len(lines.members)} of n = {lines.num_members} members"
      f"{_say_failed(lines.num_failed)}"
    ),
  )
  add_legend(ax, loc="upper left", bbox_to_anchor=(1, 1))
  caption = (
    f"Percentile rank of each member on each task, one line per member{at}. Lines"
    " that cross are members that are good at different tasks."
  )
  save_figure(fig, path, Caption(Topic.DIVERSITY, caption))


def plot_clusters(
  path: Location, embedding: Embedding, *, at: str = ""
) -> None:
  """Draws members in the plane of their main differences, with clusters.

  Args:
    path: the PNG file to write.
    embedding: the members in their two principal components, with clusters.
    at: which members these are, for the caption, such as " at sigma 0.01".
  """
  fig, ax = make_panel(7.4, 4.0)
  for label, name in enumerate(embedding.cluster_names):
    points = embedding.points[embedding.labels == label]
    ax.plot(
      *points.T,
      _MARKERS[label % len(_MARKERS)],
      color=_COLOURS[label % len(_COLOURS)],
      markersize=3.2,
      markeredgewidth=0,
      alpha=0.55,
      label=f"{name}, n = {len(points)}",
    )
  _draw_task_axes(ax, embedding)
  first, second = 100 * embedding.explained
  best = max(embedding.silhouettes.values())
  null = max(embedding.null_permuted, embedding.null_cloud)
  verdict = "clusters" if embedding.has_clusters else "no clusters"
  ax.set(
    xlabel=f"first component, {first:.0f} % of the variance",
    ylabel=f"second component, {second:.0f} %",
    title=(
      f"{verdict}: best silhouette {best:.2f}; shapeless clouds reach {null:.2f}\n"
      f"n = {len(embedding.members)} members"
      f"{_say_failed(embedding.num_failed)}"
    ),
  )
  add_legend(ax, loc="upper left", bbox_to_anchor=(1, 1), markerscale=1.6)
  caption = (
    "Members by their scores on all tasks, in principal components and clusters"
    f"{at}."
  )
  save_figure(fig, path, Caption(Topic.DIVERSITY, caption))


def plot_discordance(path: Location, results: Sequence[Discordance]) -> None:
  """Draws D against sigma, with intervals, and what noise alone would give.

  Args:
    path: the PNG file to write.
    results: one discordance for each sigma; one of all sigmas pooled, whose
      sigma is None, is drawn apart.
  """
  alone = [one for one in results if one.sigma is not None]
  pooled = [one for one in results if one.sigma is None]
  fig, ax = make_panel(7.6, 3.8)
  if alone:
    _draw_by_sigma(ax, alone)
  for place, one in enumerate(pooled, start=len(alone)):
    ax.errorbar(
      place,
      one.value,
      yerr=np.abs(np.array(one.interval)[:, None] - one.value),
      color="0.35",
      marker="x",
      capsize=3,
      linestyle="none",
      label="pooled: sigmas that harm all\ntasks pull D down",
    )
  bound = results[0].bound
  ax.axhline(1, color="0.6", linewidth=0.8, linestyle=(0, (5, 3)))
  ax.axhline(bound, color="black", linewidth=1.0, linestyle="-.")
  right = len(results) - 0.45
  note: Style = {"ha": "right", "va": "bottom", "fontsize": "x-small"}
  ax.text(right, bound, f"bound M/(M-1) = {bound:.2f}", **note)
  ax.text(right, 1, "unrelated", **note)
  ax.set_xticks(
    range(len(results)), [_name_group(one) for one in (*alone, *pooled)]
  )
  clean = [one.disattenuated or 0.0 for one in alone]
  ax.set(
    xlabel="sigma, and members n",
    ylabel=f"spectral discordance D of {len(results[0].names)} tasks",
    xlim=(-0.5, len(results) - 0.4),
    ylim=(min([0.0, *clean]) - 0.02, 1.08 * max([bound, *clean])),
  )
  add_legend(ax, loc="upper left", bbox_to_anchor=(1, 1))
  caption = (
    "Spectral discordance of the tasks' rankings of members at each sigma, with"
    " intervals, its upper bound, and the floor that noise alone gives."
  )
  save_figure(fig, path, Caption(Topic.DIVERSITY, caption))


def _draw_by_sigma(ax: Axes, alone: Sequence[Discordance]) -> None:
  """D, D without noise, and the floor, side by side at each sigma."""
  places = np.arange(len(alone))
  for one, place in zip(alone, places, strict=True):
    if one.interval_new_prompts is not None:
      ax.vlines(place, *one.interval_new_prompts, color="0.45", linewidth=0.9)
  value = np.array([one.value for one in alone])
  ends = np.array([one.interval for one in alone])
  clean = np.array([_or_nan(one.disattenuated) for one in alone])
  nowhere = (np.nan, np.nan)
  clean_ends = np.array(
    [one.disattenuated_interval or nowhere for one in alone]
  )
  ax.errorbar(
    places,
    value,
    yerr=[value - ends[:, 0], ends[:, 1] - value],
    color="#1f5fa8",
    marker="o",
    markersize=5,
    linewidth=1.6,
    capsize=3,
    label=f"D, {100 * alone[0].level:g} % over members\n(thin: over prompts too)",
  )
  ax.errorbar(
    places + 0.12,
    clean,
    yerr=[clean - clean_ends[:, 0], clean_ends[:, 1] - clean],
    color="#a87c00",
    marker="s",
    markersize=4.5,
    linestyle="--",
    linewidth=1.2,
    capsize=3,
    label="D with the noise taken out",
  )
  ax.plot(
    places,
    [_or_nan(one.floor) for one in alone],
    color="#c0392b",
    marker="^",
    markersize=4.5,
    linestyle=":",
    linewidth=1.4,
    label="floor: D that noise alone gives",
  )


def _make_square(size: int) -> tuple[Figure, Axes]:
  return make_panel(3.0 + 0.62 * size, 1.6 + 0.5 * size)


def _draw_matrix(
  ax: Axes,
  matrix: Float[np.ndarray, "M M"],
  names: Sequence[str],
  colours: str,
  limits: tuple[float, float],
  pattern: str,
) -> AxesImage:
  """Draws a matrix with its numbers; NaN stays blank.

  The limits are those of the scale, unless values lie beyond: a correlation that
  is corrected for noise may pass 1. A scale of both signs stays symmetric.
  """
  reached = matrix[np.isfinite(matrix)]
  most = max([limits[1], *np.abs(reached)])
  limits = (-most if limits[0] < 0 else min([limits[0], *reached]), most)
  image = ax.imshow(matrix, cmap=colours, vmin=limits[0], vmax=limits[1])
  middle, reach = np.mean(limits), np.ptp(limits) / 2
  # Scales of both signs are dark at both ends, others at the high end alone.
  darkness = (matrix - middle) / reach
  if limits[0] < 0:
    darkness = np.abs(darkness)
  for (row, column), value in np.ndenumerate(matrix):
    if np.isfinite(value):
      dark = darkness[row, column] > (0.7 if limits[0] < 0 else 0.3)
      ax.text(
        column,
        row,
        pattern.format(value),
        ha="center",
        va="center",
        fontsize="x-small",
        color="white" if dark else "black",
      )
  ax.set_xticks(
    range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor"
  )
  ax.set_yticks(range(len(names)), names)
  ax.tick_params(length=0)
  ax.spines[:].set_visible(False)
  return image


def _frame(row: int, column: int | None = None) -> patches.Rectangle:
  corner = ((row if column is None else column) - 0.46, row - 0.46)
  return patches.Rectangle(
    corner, 0.92, 0.92, fill=False, edgecolor="black", linewidth=1.3
  )


def _draw_task_axes(ax: Axes, embedding: Embedding) -> None:
  """An arrow per task towards the members that are strong in it."""
  reach = 0.8 * np.abs(embedding.points).max()
  length = np.linalg.norm(embedding.axes, axis=0).max()
  for task, name in enumerate(embedding.names):
    end = embedding.axes[:, task] * reach / length
    if name in embedding.constant:
      continue
    ax.annotate(
      "",
      end,
      (0, 0),
      arrowprops={"arrowstyle": "->", "color": "black", "linewidth": 0.9},
    )
    x, y = 1.08 * end
    ax.text(
      x,
      y,
      name,
      fontsize="x-small",
      ha="left" if end[0] >= 0 else "right",
      va="center",
      bbox={
        "facecolor": "white",
        "edgecolor": "none",
        "alpha": 0.7,
        "pad": 0.5,
      },
    )


def _name_group(one: Discordance) -> str:
  name = "pooled" if one.sigma is None else f"{one.sigma:g}"
  failed = f"\n{one.num_failed} failed" if one.num_failed else ""
  return f"{name}\nn={one.num_members}{failed}"


def _say_failed(count: int) -> str:
  return f", {count} failed" if count else ""


def _say_sigma(result: Discordance) -> str:
  return "" if result.sigma is None else f", sigma = {result.sigma:g}"


def _or_nan(value: float | None) -> float:
  return np.nan if value is None else value
