"""What the interactive charts of a report share: boxes to tick, axes, plain values.

One chart shows one task at a time; the page has the switch for it, and boxes
that show and hide lines. Every line carries, as `meta`, the boxes that must be
ticked for it to be seen.
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
class Choice:
  """A box to tick.

  Attributes:
    group: what it is of, as in the lines' `meta`.
    value: as in the lines' `meta`.
    label: beside the box.
    checked: at first.
  """

  group: str
  value: str
  label: str
  checked: bool = True


@dataclasses.dataclass(frozen=True)
class Chart:
  """An interactive chart.

  Attributes:
    title: what it shows, for those who cannot see it as well.
    caption: how to read it.
    choices: boxes by which lines are shown or hidden.
    figures: by task, `data` and `layout` of plotly.js as plain values; `step`
      where lines are to be put side by side.
    is_square: whether both axes have one scale.
  """

  title: str
  caption: str
  choices: tuple[Choice, ...]
  figures: Mapping[str, Mapping[str, Any]]
  is_square: bool = False

  @property
  def groups(self) -> list[str]:
    """The groups of the choices, in their order."""
    return [*dict.fromkeys(choice.group for choice in self.choices)]


def list_sigmas(names: Sequence[str]) -> list[Choice]:
  """Boxes where there is a choice."""
  if len(names) < 2:
    return []
  return [Choice("sigma", name, f"sigma {name}") for name in names]


def make_layout() -> go.Layout:
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
  found = figure.to_plotly_json()
  found["layout"].pop("template", None)
  return {"data": found["data"], "layout": found["layout"]}


def round_value(value: float) -> float:
  """Five digits, which no eye tells from more."""
  return float(f"{value:.5g}")
