"""What all figures share: one visual style, and how a figure begins and ends.

Legible in greyscale and for the colour-blind.
"""

import pathlib

import matplotlib
from matplotlib import figure

# The paper's colours, told apart by line style and width as well.
BASE = {"color": "black", "linestyle": "--", "linewidth": 1.6}
MEMBER = {"color": "#e9967a", "linewidth": 0.7, "alpha": 0.6}
CHOSEN = {"color": "#c0392b", "linewidth": 0.9, "alpha": 0.9}
ENSEMBLE = {"color": "#d4a017", "linewidth": 2.6}
TRUTH = {"color": "#1f5fa8", "linewidth": 1.8, "linestyle": (0, (1, 1))}

_STYLE = {
  "axes.spines.right": False,
  "axes.spines.top": False,
  "axes.titlesize": "medium",
  "figure.dpi": 150,
  "font.size": 9,
}


def make_axes(
  rows: int, columns: int, *, width: float | int, height: float | int
):
  """A figure without a display, and its axes: one, or an array of rows."""
  with matplotlib.rc_context(_STYLE):
    fig = figure.Figure(figsize=(width, height), layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=rows == columns == 1)
  return fig, axes


def add_legend(ax, **options) -> None:
  """Adds a small legend without a frame."""
  ax.legend(
    fontsize="small",
    frameon=False,
    handlelength=1.8,
    columnspacing=1.2,
    **options,
  )


def save_figure(fig, path: pathlib.Path) -> None:
  """Writes a figure as PNG."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with matplotlib.rc_context(_STYLE):
    fig.savefig(path, dpi=150)
