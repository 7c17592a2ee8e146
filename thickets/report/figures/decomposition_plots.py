"""The figure of what the gains of an ensemble and of its members consist of."""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes

from thickets.analysis import decomposition
from thickets.analysis.decomposition import Decomposition
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  TRUTH,
  add_legend,
  make_panel,
  save_figure,
)
from thickets.runs.locations import Location

# From dark to light, and hatched, so that greyscale tells them apart.
_STYLES = {
  "kept": ("#4d4d4d", "", "kept: base right, in form"),
  "format": ("#e9967a", "///", "format: base right, form wrong"),
  "reasoning": ("#d4a017", "", "reasoning: base wrong"),
  "regression": ("#c0392b", "\\\\\\", "regression: base right, in form"),
  "lost": ("#f2d7c9", "...", "lost: base right, form wrong"),
  "both_wrong": ("#f4f4f4", "", "both wrong"),
}
_NARROW = 0.05  # A part below this share has no room for its number.


def plot_decomposition(
  path: Location, parts: Sequence[Decomposition], *, of: str = ""
) -> None:
  """Draws the six parts as stacked bars, one per way of answering.

  Args:
    path: the PNG file to write.
    parts: the decompositions to draw, all of the same base and prompts; the
      base's accuracies are marked.
    of: which task and members these are, for the caption, such as
      " of drills/sorting at sigma 0.01".
  """
  fig, ax = make_panel(10.0, 1.3 + 0.5 * len(parts))
  with matplotlib.rc_context({"hatch.linewidth": 0.6}):
    for place, one in enumerate(parts):
      _draw_bar(ax, place, one)
  first = parts[0]
  marks = (
    (first.base_strict, "base, strict", BASE),
    (first.base_lenient, "base, lenient", TRUTH),
  )
  for share, label, style in marks:
    ax.axvline(100 * share, **style, label=f"{label}: {100 * share:.1f}")
  ax.set_yticks(range(len(parts)), [_name_bar(one) for one in parts])
  ax.invert_yaxis()
  ax.set(
    xlim=(0, 100),
    xlabel=(
      f"% of {first.num_prompts} prompts; black bar: right, with its 95 %"
      " interval over prompts"
    ),
  )
  ax.tick_params(axis="y", length=0)
  handles, labels = ax.get_legend_handles_labels()
  distinct = dict(zip(labels, handles, strict=True))
  add_legend(
    ax,
    handles=list(distinct.values()),
    labels=list(distinct),
    loc="upper left",
    bbox_to_anchor=(1, 1),
  )
  caption = (
    f"What the answers of the vote and of single members consist of{of}: kept,"
    " format, reasoning, regression, lost and both wrong, in % of prompts."
  )
  save_figure(fig, path, Caption(Topic.VOTES, caption))


def _draw_bar(ax: Axes, place: int, one: Decomposition) -> None:
  left = 0.0
  for part in decomposition.PARTS:
    colour, hatch, label = _STYLES[part]
    share = one.shares[part]
    right = "right" if part in ("kept", "format", "reasoning") else "wrong"
    ax.barh(
      place,
      100 * share,
      left=100 * left,
      height=0.62,
      color=colour,
      hatch=hatch,
      edgecolor="white" if part == "kept" else "0.35",
      linewidth=0.4,
      label=label if part == "both_wrong" else f"{label}; method {right}",
    )
    if share > _NARROW:
      ax.text(
        100 * (left + share / 2),
        place,
        f"{100 * share:.1f}",
        ha="center",
        va="center",
        fontsize=7,
        color="white" if part in ("kept", "regression") else "black",
        bbox=None
        if not hatch
        else {"facecolor": colour, "edgecolor": "none", "pad": 0.6},
      )
    left += share
  accuracy = one.to_json()["accuracy"]
  ax.errorbar(
    100 * accuracy["mean"],
    place + 0.38,
    xerr=[
      [100 * (accuracy["mean"] - accuracy["low"])],
      [100 * (accuracy["high"] - accuracy["mean"])],
    ],
    color="black",
    marker="|",
    markersize=5,
    linewidth=1.2,
    capsize=2,
  )


def _name_bar(one: Decomposition) -> str:
  failed = f"\n{one.num_failed} failed" if one.num_failed else ""
  return f"{one.name}\n{100 * one.accuracy:.1f} right{failed}"
