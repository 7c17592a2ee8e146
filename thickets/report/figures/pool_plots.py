"""The figure of runs that differ in their seed alone."""

import numpy as np
from matplotlib.axes import Axes

from thickets.analysis.intervals import Estimate
from thickets.analysis.pooled_runs import Pool
from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import (
  BASE,
  MEMBER,
  Style,
  make_panels,
  save_figure,
)
from thickets.runs.locations import Location

_DOTS: Style = {"s": 22, "color": MEMBER["color"], "linewidths": 0, "zorder": 2}
_BAR: Style = {
  "fmt": "D",
  "color": "black",
  "capsize": 3,
  "markersize": 5,
  "zorder": 3,
}
_SPREAD = 0.2  # Half of the height over which the dots of a row are spread.
_CAPTION = Caption(
  Topic.SUMMARY,
  "Every dot is one run: it draws members, prompts and samples by a seed of its own."
  " Left: the share of new prompts that are answered rightly. Right: differences on"
  " these prompts, with the number of runs above zero. Diamonds are means over the"
  " runs with their 95 % intervals over populations and prompts.",
)


def plot_pool(path: Location, pool: Pool) -> None:
  """Draws who is right in each run, and the differences, with what is pooled.

  Args:
    path: the PNG file to write.
    pool: the runs.
  """
  k = pool.primary_k
  names = {
    "base": "base",
    "best": "best member",
    "vote": f"vote of the best {k}",
    "random": f"vote of {k} random",
    "samples": f"{k} samples of the base",
  }
  fig, axes = make_panels(1, 2, width=9.6, height=3.4)
  left, right = axes[0]
  for place, row in enumerate(pool.rows):
    _draw_row(left, place, pool.rates(row), pool.estimate_rate(row))
  left.axvline(100 * pool.estimate_rate("base").value, **BASE)
  left.set_yticks(range(len(pool.rows)), [names[row] for row in pool.rows])
  left.set(
    xlim=(-2, 102),
    xlabel="right, %",
    title=f"{len(pool.runs)} runs, one dot each",
  )
  for place, name in enumerate(pool.names):
    _draw_row(right, place, pool.gains(name), pool.estimate_gain(name))
    counts = pool.count_signs(name)
    right.annotate(
      f"{counts['num_above_zero']} of {counts['num_runs']} above 0",
      (1.0, place),
      xycoords=("axes fraction", "data"),
      va="center",
      fontsize="small",
    )
  right.axvline(0, **BASE)
  right.set_yticks(
    range(len(pool.names)), [name.replace(" - ", "\n− ") for name in pool.names]
  )
  right.set(xlabel="points", title="What is gained")
  for ax in (left, right):
    ax.invert_yaxis()
  save_figure(fig, path, _CAPTION)


def _draw_row(
  ax: Axes, place: int, values: list[float], pooled: Estimate
) -> None:
  """The runs as dots that do not hide each other, and the mean below them."""
  # A fixed spread in place of a random one, so that the picture stays the same.
  spread = np.linspace(-_SPREAD, _SPREAD, len(values)) - 0.12
  ax.scatter(100 * np.array(values), place + spread, **_DOTS)
  ends = [[pooled.value - pooled.low], [pooled.high - pooled.value]]
  ax.errorbar(
    100 * pooled.value,
    place + 0.26,
    xerr=100 * np.array(ends),
    **_BAR,
  )
