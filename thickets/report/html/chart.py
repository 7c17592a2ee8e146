"""What the interactive charts of a report share: check boxes, axes, plain values.

A chart shows one task at a time. The page has a switch for the task, and check
boxes that show and hide lines. Every line carries, as `meta`, the boxes that must
be ticked for it to be seen.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

_FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#1a1a1a"}


_AXIS = {
  "showline": True,
  "linecolor": "#444",
  "gridcolor": "#e4e4e4",
  "zeroline": False,
  "ticks": "outside",
  "automargin": True,
  "title": {"font": {"size": 13}, "standoff": 10},
}


@dataclasses.dataclass(frozen=True)
class CheckBox:
  """A check box that shows and hides lines of a chart.

  Attributes:
    group: what the box is about, such as "sigma"; a key of the lines' `meta`.
    value: which lines it shows: those with this value under `group` in `meta`.
    label: the words beside the box.
    checked: whether it is ticked when the page opens.
  """

  group: str
  value: str
  label: str
  checked: bool = True


@dataclasses.dataclass(frozen=True)
class Chart:
  """An interactive chart.

  Attributes:
    title: what the chart shows, also for those who cannot see it.
    caption: how to read the chart.
    boxes: check boxes by which lines are shown or hidden.
    figures: for each task, `data` and `layout` of plotly.js as plain values, and
      `step`, the distance between lines that are put side by side, if they are.
    is_square: whether both axes have the same scale.
  """

  title: str
  caption: str
  boxes: tuple[CheckBox, ...]
  figures: Mapping[str, Mapping[str, Any]]
  is_square: bool = False

  @property
  def groups(self) -> list[str]:
    """Returns the groups of the check boxes, in their order."""
    return [*dict.fromkeys(box.group for box in self.boxes)]


def list_sigmas(names: Sequence[str]) -> list[CheckBox]:
  """Returns a check box for each sigma, or none if there is a single sigma."""
  if len(names) < 2:
    return []
  return [CheckBox("sigma", name, f"sigma {name}") for name in names]


def make_layout() -> go.Layout:
  """Makes the layout that all charts begin with."""
  return go.Layout(
    template="none",
    font=_FONT,
    paper_bgcolor="white",
    plot_bgcolor="white",
    xaxis=_AXIS,
    yaxis=_AXIS,
    margin={"l": 60, "r": 20, "t": 20, "b": 60},
    hoverlabel={
      "bgcolor": "white",
      "bordercolor": "#444",
      "font": {"color": "#1a1a1a"},
      "align": "left",
    },
    # Boxes beside the chart do this, which the keyboard reaches.
    legend={
      "orientation": "h",
      "y": -0.2,
      "yanchor": "top",
      "itemclick": False,
      "itemdoubleclick": False,
    },
  )


def to_plain(figure: go.Figure) -> dict[str, Any]:
  """Returns `data` and `layout` of a figure as plain values for plotly.js."""
  found = figure.to_plotly_json()
  found["layout"].pop("template", None)
  return {"data": found["data"], "layout": found["layout"]}


def round_value(value: float) -> float:
  """Rounds a value to five digits, which no eye tells from more."""
  return float(f"{value:.5g}")
