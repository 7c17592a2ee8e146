"""What all figures share: one visual style, and how a figure begins and ends.

Figures are legible in greyscale and for the colour-blind.
"""

import pathlib
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thickets.report.figures.captions import Caption
from thickets.runs import json_files
from thickets.runs.locations import Location

# Keyword arguments of matplotlib's functions that draw.
Style = dict[str, Any]

DPI = 150  # The resolution of PNG files, in pixels per inch.

# The paper's colours, told apart by line style and width as well.
BASE: Style = {"color": "black", "linestyle": "--", "linewidth": 1.6}
MEMBER: Style = {"color": "#e9967a", "linewidth": 0.7, "alpha": 0.6}
CHOSEN: Style = {"color": "#c0392b", "linewidth": 0.9, "alpha": 0.9}
ENSEMBLE: Style = {"color": "#d4a017", "linewidth": 2.6}
TRUTH: Style = {"color": "#1f5fa8", "linewidth": 1.8, "linestyle": (0, (1, 1))}

_SETTINGS: dict[Any, Any] = {
  "axes.spines.right": False,
  "axes.spines.top": False,
  "axes.titlesize": "medium",
  "figure.dpi": DPI,
  "font.size": 9,
}


def make_panel(width: float, height: float) -> tuple[Figure, Axes]:
  """Makes a figure of a single panel, without a display.

  Args:
    width: the width of the figure, in inches.
    height: the height of the figure, in inches.
  """
  fig, axes = make_panels(1, 1, width=width, height=height)
  return fig, axes[0, 0]


def make_panels(
  rows: int, columns: int, *, width: float, height: float
) -> tuple[Figure, np.ndarray]:
  """Makes a figure of several panels, without a display.

  Args:
    rows: number of rows of panels.
    columns: number of panels in a row.
    width: the width of the figure, in inches.
    height: the height of the figure, in inches.

  Returns:
    The figure, and its panels as an array [rows, columns].
  """
  with matplotlib.rc_context(_SETTINGS):
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(rows, columns, squeeze=False)


def add_legend(target: Axes | Figure, **options: Any) -> None:
  """Adds a small legend without a frame to a panel or to a whole figure.

  Args:
    target: the panel or figure.
    **options: passed on to matplotlib's `legend`.
  """
  target.legend(
    fontsize="small",
    frameon=False,
    handlelength=1.8,
    columnspacing=1.2,
    **options,
  )


def save_figure(fig: Figure, path: Location, caption: Caption) -> None:
  """Writes a figure as a PNG file that carries its caption, whole or not at all.

  Args:
    fig: the figure.
    path: the PNG file; its folder is made if it is missing.
    caption: what the figure shows.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with (
    json_files.replacing(path) as temporary,
    matplotlib.rc_context(_SETTINGS),
  ):
    fig.savefig(
      temporary, dpi=DPI, format="png", metadata=caption.to_metadata()
    )


def name_file(task: str) -> str:
  """Returns the part of a figure's file name that stands for a task.

  Args:
    task: name of a task, such as "drills/sorting", or the path of its file.
  """
  if task.endswith(".py"):
    return pathlib.PurePath(task).stem
  return task.replace("/", "_")
