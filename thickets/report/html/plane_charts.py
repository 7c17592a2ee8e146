"""The interactive charts of landscapes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thickets.report import tables
from thickets.report.figures import landscape_plots
from thickets.report.html import chart
from thickets.report.html.chart import Chart, CheckBox

_SIGNS = (
  ("better", "▲ better than the base", "triangle-up"),
  ("as good", "● as good", "circle"),
  ("worse", "▼ worse", "triangle-down"),
  ("failed", "× failed: no score", "x-thin"),
)


def chart_plane(planes: Mapping[str, Any], *, is_slice: bool) -> Chart:
  """Makes the chart of members on a plane, coloured by their gain.

  Args:
    planes: the landscapes by task, as landscape.json holds them.
    is_slice: whether the members lie in the plane, on a grid, as those of a slice
      do.
  """
  figures = {
    task: _draw_plane(one, is_slice=is_slice) for task, one in planes.items()
  }
  signs = [CheckBox("gain", name, label) for name, label, _ in _SIGNS]
  how = (
    "Colour is the gain over the base, light where better; the direction of a"
    " marker says the sign again, and the cross is the base. Point at a member"
    " for its number, seed, sigma, score and gain."
  )
  if is_slice:
    title = "Slice: members on a grid that two noise directions span"
    return Chart(title, how, tuple(signs), figures, is_square=True)
  levels = {p["sigma"] for one in planes.values() for p in one["points"]}
  sigmas = chart.list_sigmas([f"{sigma:g}" for sigma in sorted(levels)])
  return Chart(
    "Projection: members seen along a random plane",
    f"{how} Members that lie side by side here are as far apart in weight space"
    " as any two.",
    (*signs, *sigmas),
    figures,
    is_square=True,
  )


def _draw_plane(one: Mapping[str, Any], *, is_slice: bool) -> dict[str, Any]:
  shown = np.array(
    [math.nan if p["shown"] is None else p["shown"] for p in one["points"]]
  )
  limit = landscape_plots.colour_limit(shown)
  figure = go.Figure(layout=chart.make_layout())
  if is_slice:
    figure.add_trace(_draw_cells(one["points"]))
  # Below the members, as the middle one of a slice lies there too.
  figure.add_trace(_draw_base(one["base_score"]))
  groups: dict[tuple[str, str], list[int]] = {}
  for number, point in enumerate(one["points"]):
    sigma = "" if is_slice else f"{point['sigma']:g}"
    groups.setdefault((_sign(point), sigma), []).append(number)
  symbols = {name: symbol for name, _, symbol in _SIGNS}
  for (sign, sigma), numbers in sorted(groups.items()):
    trace = _draw_members(
      one["points"], numbers, symbols[sign], is_coloured=not is_slice
    )
    trace.update(name=sign, meta={"gain": sign} | _label("sigma", sigma))
    figure.add_trace(trace)
  axis = (
    "{} noise direction, in the units of a weight"
    if is_slice
    else "{} random direction, in the units of a weight"
  )
  # Square, however wide the window is.
  figure.update_xaxes(title_text=axis.format("first"), constrain="domain")
  figure.update_yaxes(
    title_text=axis.format("second"), scaleanchor="x", constrain="domain"
  )
  figure.update_layout(
    height=620,
    hovermode="closest",
    showlegend=False,
    coloraxis={
      "colorscale": "Cividis",
      "cmin": -limit,
      "cmax": limit,
      "colorbar": {
        "title": {"text": one["unit"], "side": "right"},
        "thickness": 16,
      },
    },
  )
  return chart.to_plain(figure)


def _draw_cells(points: Sequence[Mapping[str, Any]]) -> go.Heatmap:
  xs, ys = (sorted({point[axis] for point in points}) for axis in "xy")
  cells = np.full((len(ys), len(xs)), None, dtype=object)
  for point in points:
    if point["shown"] is not None:
      cells[ys.index(point["y"]), xs.index(point["x"])] = chart.round_value(
        point["shown"]
      )
  return go.Heatmap(
    x=[chart.round_value(x) for x in xs],
    y=[chart.round_value(y) for y in ys],
    z=cells.tolist(),
    coloraxis="coloraxis",
    hoverinfo="skip",
  )


def _draw_members(
  points: Sequence[Mapping[str, Any]],
  numbers: Sequence[int],
  symbol: str,
  *,
  is_coloured: bool,
) -> go.Scatter:
  chosen = [points[number] for number in numbers]
  is_failed = chosen[0]["shown"] is None
  columns = [
    (
      number,
      tables.format_seeds(point["terms"]),
      f"{point['sigma']:.4g}",
      tables.format_percent(point["score"]),
      tables.format_percent(point["gain"], sign=True),
      tables.format_percent(point["error"]),
    )
    for number, point in zip(numbers, chosen, strict=True)
  ]
  marker: dict[str, Any] = {"symbol": symbol, "size": 10}
  if is_failed:
    marker |= {"line": {"color": "#c0392b", "width": 2}}
  elif is_coloured:
    marker |= {
      "color": [chart.round_value(point["shown"]) for point in chosen],
      "coloraxis": "coloraxis",
      "line": {"color": "black", "width": 0.8},
    }
  else:  # The cell below has the colour.
    marker |= {"color": "white", "line": {"color": "black", "width": 0.8}}
  return go.Scatter(
    x=[chart.round_value(point["x"]) for point in chosen],
    y=[chart.round_value(point["y"]) for point in chosen],
    mode="markers",
    marker=marker,
    customdata=columns,
    hovertemplate=(
      "<b>member %{customdata[0]}</b><br>seed %{customdata[1]}<br>sigma"
      " %{customdata[2]}<br>score %{customdata[3]} %<br>gain %{customdata[4]}"
      " points, s.e. %{customdata[5]}<extra></extra>"
    ),
  )


def _draw_base(score: float) -> go.Scatter:
  return go.Scatter(
    x=[0],
    y=[0],
    mode="markers",
    marker={
      "symbol": "cross",
      "size": 18,
      "color": "black",
      "line": {"color": "white", "width": 1},
    },
    hovertemplate=(
      f"<b>base</b><br>score {tables.format_percent(score)} %<extra></extra>"
    ),
    name="base",
    meta={},
  )


def _sign(point: Mapping[str, Any]) -> str:
  if point["shown"] is None:
    return "failed"
  if abs(point["gain"]) < 1e-9:  # What rounding leaves of equal scores.
    return "as good"
  return "better" if point["gain"] > 0 else "worse"


def _label(group: str, value: str) -> dict[str, str]:
  return {group: value} if value else {}
