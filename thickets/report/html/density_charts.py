"""The interactive charts of densities."""

import dataclasses
import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from thickets.analysis.density import ESTIMANDS
from thickets.report import tables
from thickets.report.html import chart
from thickets.report.html.chart import Chart, CheckBox

# As in the figures of `density_plots`: name, label, dashes, marker, whether its
# box is ticked when the page opens.
_ESTIMATES = (
  ("plain", "plain: these prompts", "dash", "square", True),
  ("corrected", "corrected: new prompts", "solid", "circle", True),
  ("confirmed", "confirmed: both halves", "dashdot", "triangle-up", False),
  ("null", "null: no true gain", "dot", "x-thin", False),
)


# Differ in lightness as well; more lines than colours begin anew.
_COLOURS = (
  *("#12436d", "#c0392b", "#b58900", "#3d3d3d", "#7b4fa3", "#2a8a6a"),
  *("#e07a5f", "#5aa9e6"),
)


_WIDTH = 46  # The width of a hover text, in characters.


def list_estimates() -> list[tuple[str, str]]:
  """Returns the estimates that the charts and tables show, with what they are."""
  return [(name, ESTIMANDS[name]) for name, *_ in _ESTIMATES]


def chart_density(density: Mapping[str, Any]) -> Chart:
  """Makes the chart of density against margin, a line per sigma and estimate.

  Args:
    density: the contents of density.json.
  """
  found = density["densities"]
  levels = sorted({r["sigma"] for one in found.values() for r in one["rows"]})
  places = {f"{sigma:g}": place for place, sigma in enumerate(levels)}
  figures = {}
  for task, one in found.items():
    lines = [
      _Line(
        "sigma",
        f"{sigma:g}",
        f"sigma {sigma:g}",
        places[f"{sigma:g}"],
        [row for row in one["rows"] if row["sigma"] == sigma],
      )
      for sigma in sorted({row["sigma"] for row in one["rows"]})
    ]
    figures[task] = _draw_densities(lines, one["level"])
  return Chart(
    "Density against margin",
    "Bars are the intervals, those of the null its central range; lines of one"
    " margin are drawn side by side. Point at a marker for its numbers; the table"
    " below holds them too.",
    (*_list_boxes(), *chart.list_sigmas([*places])),
    figures,
  )


def chart_compared_densities(
  runs: Mapping[str, Mapping[str, Any]],
) -> Chart | None:
  """Makes the chart of the densities of several runs, with a colour per run.

  Args:
    runs: the contents of density.json of each run, by the run's name.

  Returns:
    The chart; None if no run has a density.
  """
  figures: dict[str, Any] = {}
  tasks = dict.fromkeys(t for run in runs.values() for t in run["densities"])
  for task in tasks:
    lines, levels = [], set()
    for place, (name, run) in enumerate(runs.items()):
      one = run["densities"].get(task, {"rows": []})
      levels |= {one["level"]} if "level" in one else set()
      lines += [
        _Line(
          "run",
          name,
          f"{name}, sigma {sigma:g}",
          place,
          [row for row in one["rows"] if row["sigma"] == sigma],
          is_open=bool(rank % 2),
        )
        for rank, sigma in enumerate(sorted({r["sigma"] for r in one["rows"]}))
      ]
    figures[task] = _draw_densities(lines, min(levels))
  if not figures:
    return None
  return Chart(
    "Densities of all runs against margin",
    "A colour per run; every second sigma of a run has open markers. Bars are"
    " the intervals; lines of one margin are drawn side by side. Point at a"
    " marker for its numbers; the table below holds them too.",
    (
      *_list_boxes(("corrected",)),
      *(CheckBox("run", name, name) for name in runs),
    ),
    figures,
  )


@dataclasses.dataclass(frozen=True)
class _Line:
  """The rows of one sigma: four lines, one for each estimate."""

  group: str
  value: str
  label: str
  place: int
  rows: Sequence[Mapping[str, Any]]
  is_open: bool = False


def _list_boxes(checked: Sequence[str] | None = None) -> list[CheckBox]:
  return [
    CheckBox(
      "estimate", name, label, first if checked is None else name in checked
    )
    for name, label, _, _, first in _ESTIMATES
  ]


def _draw_densities(lines: Sequence[_Line], level: float) -> dict[str, Any]:
  margins = [100 * row["margin"] for line in lines for row in line.rows]
  figure = go.Figure(layout=chart.make_layout())
  for style in _ESTIMATES:
    for line in lines:
      figure.add_trace(_draw_estimate(line, style))
  figure.update_xaxes(title_text="margin m, points of score")
  figure.update_yaxes(
    title_text=f"density, % of members ({100 * level:g} % intervals)",
    range=[-3, 103],
  )
  figure.update_layout(height=460, hovermode="closest")
  # By which the page puts the lines that are seen side by side, so that bars of
  # one margin do not hide each other.
  step = 0.01 * max(max(margins) - min(margins), 1.0)
  return chart.to_plain(figure) | {"step": step}


def _draw_estimate(
  line: _Line, style: tuple[str, str, str, str, bool]
) -> go.Scatter:
  name, _, dash, marker, _ = style
  rows = sorted(
    (row for row in line.rows if row[name] is not None),
    key=lambda row: row["margin"],
  )
  colour = _COLOURS[line.place % len(_COLOURS)]
  ends = {
    end: [
      chart.round_value(100 * abs(row[f"{name}_{end}"] - row[name]))
      for row in rows
    ]
    for end in ("low", "high")
  }
  return go.Scatter(
    x=[chart.round_value(100 * row["margin"]) for row in rows],
    y=[chart.round_value(100 * row[name]) for row in rows],
    error_y={
      "type": "data",
      "symmetric": False,
      "array": ends["high"],
      "arrayminus": ends["low"],
      "thickness": 1.2,
      "width": 3,
    },
    mode="lines+markers",
    line={"color": colour, "dash": dash, "width": 2},
    marker={
      "symbol": f"{marker}-open" if line.is_open else marker,
      "size": 9,
      # Thin crosses are drawn by their outline alone.
      "line": {"width": 1.5, "color": colour},
    },
    name=f"{html.escape(line.label)}, {name}",
    text=[_describe_density(row, name, line.label) for row in rows],
    hoverinfo="text",
    meta={line.group: line.value, "estimate": name},
  )


def _describe_density(row: Mapping[str, Any], name: str, label: str) -> str:
  ends = tables.format_interval(row[f"{name}_low"], row[f"{name}_high"])
  lines = [
    f"<b>{html.escape(label)}</b>",
    f"margin {tables.format_margin(row['margin'], row['ratio'])} points",
    f"{name} density {tables.format_percent(row[name])} % {ends}",
    f"n = {row['num_members']} members ({row['num_failed']} failed),"
    f" {row['num_prompts']} prompts",
    f"base {tables.format_percent(row['base_score'])} %",
    *textwrap.wrap(ESTIMANDS[name], _WIDTH),
  ]
  return "<br>".join(lines)
