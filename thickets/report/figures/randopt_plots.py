"""The figures of a RandOpt run on a language task, drawn from `results.json`."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from matplotlib import ticker

from thickets.members import Member
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  Style,
  add_legend,
  make_panel,
  make_panels,
  save_figure,
)
from thickets.runs.locations import Location

_VOTE: Style = {"color": "#a87c00", "linestyle": "-", "marker": "o"}
_RANDOM: Style = {"color": "#e9967a", "linestyle": "--", "marker": "s"}
_SAMPLES: Style = {"color": "#1f5fa8", "linestyle": ":", "marker": "^"}
_CURVES = {
  "vote": ("vote of the best K members", _VOTE),
  "random": ("vote of K random members", _RANDOM),
  "samples": ("self-consistency of the base", _SAMPLES),
}

_SUMMARY_CAPTION = Caption(
  Topic.SUMMARY,
  "Left: the score of every member on the prompts of selection; each dot is one"
  " perturbed model, those that vote are filled. Right: what the base, its best"
  " member and three votes of K answers each have right on prompts that chose"
  " nothing, with 95 % intervals (over prompts; those of random members over prompts"
  " and members).",
)
_SCORES_CAPTION = Caption(
  Topic.SUMMARY,
  "Score of each member on the prompts of selection, by sigma; the dashed line is"
  " the base.",
)
_VOTE_CAPTION = Caption(
  Topic.SUMMARY,
  "Accuracy against the number of votes K on prompts that chose nothing, with"
  " 95 % intervals: the best members, random members, and the base's own samples"
  " (self-consistency). The intervals are over prompts; those of random members are"
  " over prompts and members.",
)
_SELECTION_CAPTION = Caption(
  Topic.SUMMARY,
  "Gain over the base on the prompts of selection against the gain on unseen"
  " prompts: how much is left of what the members were chosen for.",
)


def draw_randopt(
  workdir: Location,
  members: Sequence[Member],
  scores: Float[np.ndarray, " P"],
  results: Mapping[str, Any],
) -> None:
  """Draws the figures of a run into its directory, as the first process.

  Args:
    workdir: the run directory.
    members: [P] the population.
    scores: [P] mean scores on the prompts of selection.
    results: the contents of results.json.
  """
  if jax.process_index():
    return
  folder = workdir / "figures"
  sigmas = np.array([member.sigma for member in members])
  plot_summary(folder / "summary.png", scores, results)
  plot_scores(folder / "scores.png", sigmas, scores, results)
  plot_vote_curves(folder / "vote.png", results)
  plot_selection(folder / "selection.png", results)


def plot_summary(
  path: Location,
  scores: Float[np.ndarray, " P"],
  results: Mapping[str, Any],
) -> None:
  """Draws all members against the base, and what the chosen reach on new prompts.

  Args:
    path: the PNG file to write.
    scores: [P] the score of each member on the prompts of selection; NaN marks a
      failure, which is left out.
    results: the contents of results.json.
  """
  fig, axes = make_panels(1, 2, width=8.4, height=3.6)
  _draw_members(axes[0, 0], scores, results)
  _draw_bars(axes[0, 1], results)
  save_figure(fig, path, _SUMMARY_CAPTION)


def _draw_members(ax, scores, results) -> None:
  finite = 100 * np.sort(scores[np.isfinite(scores)])
  num_chosen = min(results["primary_k"], len(finite))
  places = np.arange(len(finite))
  for part, face in (
    (places[:-num_chosen], "white"),
    (places[-num_chosen:], None),
  ):
    ax.plot(
      part,
      finite[part],
      "o",
      color=_VOTE["color"],
      markerfacecolor=face or _VOTE["color"],
      markersize=5,
      label="member" if face else f"the best {num_chosen}, which vote",
    )
  base = 100 * results["population"]["base_score"]
  ax.axhline(base, **BASE)
  ax.annotate(
    f"base {base:.0f} %",
    (0, base),
    xytext=(0, 4),
    textcoords="offset points",
  )
  size = results["population"]["size"]
  better = results["population"]["better_than_base"]["count"]
  ax.set(
    title=f"{better} of {size} perturbed models score above the base",
    xlabel="members, by score",
    ylabel=f"score on {results['num_select']} prompts\nthat choose, %",
    xticks=[],
  )
  add_legend(ax, loc="lower right")


def _draw_bars(ax, results) -> None:
  rows = {row["role"]: row for row in results["table"]}
  k = results["primary_k"]
  named = {
    "base": ("base", "0.75"),
    "best": ("best\nmember", _VOTE["color"]),
    "vote-primary": (f"vote of\nthe best {k}", _VOTE["color"]),
    "random-primary": (f"vote of\n{k} random", _RANDOM["color"]),
    "samples-primary": (f"{k} samples\nof the base", _SAMPLES["color"]),
  }
  shown = [
    (*named[role], rows[role]["judge"]) for role in named if role in rows
  ]
  for place, (_, colour, share) in enumerate(shown):
    mean, low, high = (100 * share[field] for field in ("mean", "low", "high"))
    ax.bar(place, mean, 0.72, color=colour)
    ax.errorbar(
      place, mean, [[mean - low], [high - mean]], color="black", capsize=3
    )
    ax.annotate(
      f"{mean:.0f}",
      (place - 0.3, mean),
      xytext=(0, 2),
      textcoords="offset points",
    )
  ax.axhline(100 * rows["base"]["judge"]["mean"], **BASE)
  names = [name for name, _, _ in shown]
  ax.set_xticks(range(len(shown)), names, fontsize="small")
  ax.set(
    title=f"What they have right on {results['num_judge']} new prompts",
    ylabel="right, % (line: 95 %)",
  )


def plot_scores(
  path: Location,
  sigmas: Float[np.ndarray, " P"],
  scores: Float[np.ndarray, " P"],
  results: Mapping[str, Any],
) -> None:
  """Draws every member's score at its sigma, with the base marked.

  Args:
    path: the PNG file to write.
    sigmas: [P] the sigma of each member.
    scores: [P] the score of each member on the prompts of selection; NaN marks a
      failure, which is left out and counted.
    results: the contents of results.json.
  """
  groups = results["population"]["by_sigma"]
  fig, ax = make_panel(2.6 + 1.1 * len(groups), 3.4)
  for place, group in enumerate(groups):
    values = np.sort(scores[(sigmas == group["sigma"]) & np.isfinite(scores)])
    # A fixed spread in place of a random one, so that runs look the same.
    spread = 0.36 * (np.arange(len(values)) * 0.618034 % 1 - 0.5)
    ax.plot(
      place + spread,
      100 * values,
      ".",
      color="#c0392b",
      alpha=0.45,
      markersize=4,
      label="member" if place == 0 else None,
    )
    if len(values):
      ax.hlines(
        100 * values.mean(),
        place - 0.3,
        place + 0.3,
        color="black",
        linewidth=1.4,
        label="" if ax.collections else "mean of members",
      )
  base = 100 * results["population"]["base_score"]
  ax.axhline(base, **BASE, label=f"base {base:.1f}")
  ax.set_xticks(range(len(groups)), [_name_group(group) for group in groups])
  ax.set(
    xlabel="sigma",
    ylabel=f"score on {results['num_select']} prompts of selection, %",
    xlim=(-0.6, len(groups) - 0.4),
  )
  add_legend(ax, loc="upper left", bbox_to_anchor=(1, 1))
  save_figure(fig, path, _SCORES_CAPTION)


def plot_vote_curves(path: Location, results: Mapping[str, Any]) -> None:
  """Draws accuracy against K for members, random members and the base's own.

  Args:
    path: the PNG file to write.
    results: the contents of results.json.
  """
  fig, ax = make_panel(6.4, 3.6)
  for name, curve in results["curves"].items():
    label, style = _CURVES[name]
    k = np.arange(1, len(curve) + 1)
    mean, low, high = (
      100 * np.array([point[field] for point in curve])
      for field in ("mean", "low", "high")
    )
    ax.fill_between(k, low, high, color=style["color"], alpha=0.15)
    ax.plot(
      k, mean, **style, markersize=3, markevery=_marks(len(curve)), label=label
    )
  base = next(r for r in results["table"] if r["role"] == "base")
  mean = 100 * base["judge"]["mean"]
  ax.axhline(mean, **BASE, label=f"base, greedy: {mean:.1f}")
  ax.axvline(results["primary_k"], color="0.6", linewidth=0.8, linestyle=":")
  ax.set(
    xscale="log",
    xlabel=f"K, responses per prompt (primary K={results['primary_k']})",
    ylabel=f"right on {results['num_judge']} unseen prompts, %\n(band: 95 %)",
  )
  longest = max(map(len, results["curves"].values()))
  ax.set_xticks([mark + 1 for mark in _marks(longest)], minor=False)
  ax.minorticks_off()
  ax.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
  add_legend(ax, loc="upper left", bbox_to_anchor=(1, 1))
  save_figure(fig, path, _VOTE_CAPTION)


def plot_selection(path: Location, results: Mapping[str, Any]) -> None:
  """Draws members' gains in selection against those on unseen prompts.

  Gains and not scores, since one set of prompts may be easier for the base.

  Args:
    path: the PNG file to write.
    results: the contents of results.json.
  """
  fig, ax = make_panel(5.6, 3.6)
  groups = (
    ("random", "random members", "s", "#e9967a"),
    ("chosen", "chosen members", "o", "#a87c00"),
  )
  rows = {row["role"]: row for row in results["winners_curse"]}
  for field, label, marker, colour in groups:
    select, judge = _pairs(results[field], rows["base"])
    ax.plot(
      select, judge, marker, color=colour, markersize=4, alpha=0.8, label=label
    )
  ax.plot(0, 0, "*", color="black", markersize=11, label="base")
  limits = [*ax.get_xlim(), *ax.get_ylim()]
  ends = (min(limits), max(limits))
  ax.plot(ends, ends, color="0.6", linewidth=0.8, zorder=0, label="same gain")
  ax.set(
    xlabel=f"gain on the {results['num_select']} prompts of selection, points",
    ylabel=f"gain on {results['num_judge']} unseen prompts, points",
  )
  add_legend(ax, loc="upper left", bbox_to_anchor=(1, 1))
  save_figure(fig, path, _SELECTION_CAPTION)


def _pairs(
  rows: Sequence[Mapping[str, Any]], base: Mapping[str, Any]
) -> tuple[list[float], list[float]]:
  """Gains over the base on both sets, of the members that failed on neither."""
  both = [
    [
      100 * (row[f"{side}_score"] - base[side]["score"])
      for side in ("select", "judge")
    ]
    for row in rows
    if row["select_score"] is not None and row["judge_score"] is not None
  ]
  return [pair[0] for pair in both], [pair[1] for pair in both]


def _name_group(group: Mapping[str, Any]) -> str:
  failed = f"\n{group['num_failed']} failed" if group["num_failed"] else ""
  return f"{group['sigma']:g}\nn={group['size']}{failed}"


def _marks(count: int) -> list[int]:
  """Indices of K = 1, 2, 5, 10, 20, 50, ... and the last."""
  steps = (m * 10**e for e in range(6) for m in (1, 2, 5))
  return sorted({k - 1 for k in steps if k <= count} | {count - 1})
