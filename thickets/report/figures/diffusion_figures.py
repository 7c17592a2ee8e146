"""The figures of RandOpt on pictures: the grid, hits and fidelity, and scores."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes

from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  ENSEMBLE,
  add_legend,
  make_panel,
  make_panels,
  save_figure,
)
from thickets.runs.locations import Location

_CELL = 0.72  # Inches of a small picture of the grid, ...
_LARGE_CELL = 1.3  # ... and of one with more than this many pixels a side.
_SMALL_SIDE = 64
_LABEL = 1.5  # Inches of the prompts beside it.
_MOST_SAMPLES = 2  # Pictures of each prompt in the grid.


@dataclasses.dataclass(frozen=True)
class Column:
  """One column of the grid.

  Attributes:
    name: who has drawn.
    pictures: [Q, H, W, 3] 8-bit RGB, the samples of a prompt one after the other.
  """

  name: str
  pictures: UInt8[np.ndarray, "Q H W 3"]


def plot_grid(
  path: Location,
  columns: Sequence[Column],
  prompts: Sequence[str],
  num_samples: int,
  results: Mapping[str, Any],
) -> None:
  """Draws pictures of prompts, one below the other, by all who drew them.

  Args:
    path: the PNG file to write.
    columns: who has drawn, and what.
    prompts: the prompts.
    num_samples: pictures of each prompt; the grid shows the first of them.
    results: the contents of results.json.
  """
  shown = min(num_samples, _MOST_SAMPLES)
  rows = [
    (prompt, place * num_samples + sample)
    for place, prompt in enumerate(prompts)
    for sample in range(shown)
  ]
  is_small = max(columns[0].pictures.shape[1:3]) <= _SMALL_SIDE
  cell = _CELL if is_small else _LARGE_CELL
  fig, axes = make_panels(
    len(rows),
    len(columns),
    width=_LABEL + cell * len(columns),
    height=0.4 + cell * len(rows),
  )
  for row, (prompt, place) in enumerate(rows):
    for number, column in enumerate(columns):
      ax = axes[row, number]
      # Nearest, so that small pictures show the pixels that they have.
      ax.imshow(
        column.pictures[place],
        interpolation="nearest" if is_small else "antialiased",
      )
      ax.set(xticks=[], yticks=[])
      ax.spines[:].set_visible(False)
      if row == 0:
        ax.set_title(column.name, fontsize="small")
    if row % shown == 0:
      axes[row, 0].set_ylabel(
        _wrap(prompt),
        rotation=0,
        ha="right",
        va="center",
        fontsize="small",
      )
  settings = results["settings"]
  caption = (
    f"Pictures of the prompts of judging, in a row with the same starting noise."
    f" Members were chosen for {results['target']}, which no prompt names:"
    f" N = {results['population']['size']}, K = {results['primary_k']}, sigma ="
    f" {', '.join(f'{s:g}' for s in settings['sigmas'])},"
    f" {settings['num_steps']} steps, guidance {settings['guidance']:g}."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def plot_shares(path: Location, results: Mapping[str, Any]) -> None:
  """Draws hits and fidelity of all who drew, where a judge sees hits.

  Args:
    path: the PNG file to write.
    results: the contents of results.json.
  """
  rows = results["table"]
  fig, axes = make_panels(1, 2, width=8.4, height=3.2)
  for ax, field in zip(axes[0], ("hits", "fidelity"), strict=True):
    _draw_bars(ax, rows, field)
  axes[0, 0].set_title(
    f"hits: {results['target']}, {results['num_judge']} pictures"
  )
  chance = 1 / len(results["targets"])
  axes[0, 0].axvline(chance, **BASE, label=f"1 of {len(results['targets'])}")
  add_legend(axes[0, 0])
  axes[0, 1].set_title("fidelity: what the prompt asks for")
  caption = (
    "What all who drew reach on the prompts of judging, with 95 % intervals over"
    " pictures; over members for random members."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _draw_bars(ax: Axes, rows: Sequence[Mapping[str, Any]], field: str) -> None:
  # Those who failed on all pictures have no share.
  rows = [row for row in rows if row.get(field)]
  means = np.array([row[field]["mean"] for row in rows])
  ends = np.array([(row[field]["low"], row[field]["high"]) for row in rows])
  places = np.arange(len(rows))
  ax.barh(
    places,
    means,
    xerr=np.abs(ends.T - means),
    color=[
      "#d4a017" if row["role"] in ("primary", "ensemble") else "0.6"
      for row in rows
    ],
    edgecolor="black",
    linewidth=0.6,
    capsize=3,
    height=0.7,
  )
  ax.set_yticks(places, [row["name"] for row in rows])
  ax.invert_yaxis()
  ax.set(xlim=(0, 1), xlabel="share of pictures")


def plot_gains(path: Location, results: Mapping[str, Any]) -> None:
  """Draws how far cosines are from the base's, where nothing but CLIP judges.

  Args:
    path: the PNG file to write.
    results: the contents of results.json.
  """
  rows = [row for row in results["table"] if row.get("score_gain")]
  names = {
    "score": f"the target: {results['target']}",
    "fidelity": "the prompt",
  }
  fig, axes = make_panels(1, 2, width=8.4, height=3.2)
  for ax, (field, name) in zip(axes[0], names.items(), strict=True):
    for place, row in enumerate(rows):
      found = row[f"{field}_gain"]
      is_chosen = row["role"] in ("primary", "ensemble")
      ax.plot(
        [found["low"], found["high"]], [place] * 2, color="black", linewidth=1
      )
      ax.plot(
        found["mean"], place, "o", color="#d4a017" if is_chosen else "0.4"
      )
    ax.axvline(0, **BASE, label="base")
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    ax.invert_yaxis()
    ax.set(xlabel="cosine of CLIP, over the base's", title=name)
  add_legend(axes[0, 0])
  caption = (
    f"How far the cosines of {results['num_judge']} pictures with the target and"
    " with their own prompts are above the base's on the same prompts and noise,"
    " with 95 % intervals over pictures; over members for random members. A gain"
    " for the target that is paid for with the prompt is no picture of it."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def plot_scores(
  path: Location,
  results: Mapping[str, Any],
  scores: Float[np.ndarray, " P"],
  sigmas: Float[np.ndarray, " P"],
) -> None:
  """Draws how the scores of members are spread on the prompts of selection.

  Args:
    path: the PNG file to write.
    results: the contents of results.json.
    scores: [P] the mean score of each member, NaN where it failed.
    sigmas: [P] its sigma.
  """
  fig, ax = make_panel(5.2, 3.2)
  whole = results["population"]
  finite = np.append(scores[np.isfinite(scores)], whole["base_score"])
  bins = np.linspace(finite.min() - 1e-6, finite.max() + 1e-6, 40).tolist()
  levels = np.unique(sigmas)
  for place, sigma in enumerate(levels):
    of_sigma = scores[(sigmas == sigma) & np.isfinite(scores)]
    ax.hist(
      of_sigma,
      bins=bins,
      histtype="step" if place % 2 else "stepfilled",
      color=matplotlib.colormaps["cividis"](
        0.8 * (1 - place / max(len(levels), 2))
      ),
      alpha=0.8,
      label=f"σ = {sigma:g} (n={len(of_sigma)})",
    )
  ax.axvline(
    whole["base_score"], **BASE, label=f"base {whole['base_score']:.3f}"
  )
  ordered = np.sort(scores[np.isfinite(scores)])[::-1]
  if len(ordered) >= results["primary_k"]:
    least = float(ordered[results["primary_k"] - 1])
    ax.axvline(
      least, **ENSEMBLE, label=f"best {results['primary_k']}: from {least:.3f}"
    )
  ax.set(
    xlabel=f"mean score of a member for {results['target']}",
    ylabel="members",
    title=f"{results['num_select']} pictures of selection",
  )
  add_legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.0))
  caption = (
    f"Scores of all members for {results['target']} on the prompts of selection;"
    " the dashed line is the base."
  )
  save_figure(fig, path, Caption(Topic.SUMMARY, caption))


def _wrap(prompt: str) -> str:
  """A prompt in lines of about twenty letters."""
  lines = [""]
  for word in prompt.split():
    if lines[-1] and len(lines[-1]) + len(word) > 19:
      lines.append("")
    lines[-1] = f"{lines[-1]} {word}".strip()
  return "\n".join(lines)
