"""What a sweep found, as files and as a table: medians of its groups, or pools."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from configs import sweeps
from experiments.launch import pooling
from thickets.analysis import pooled_runs
from thickets.report.figures import signals_plots
from thickets.runs import json_files

_COLUMNS = {  # Name of a column: role of a row in the results' table, and its field.
  "base": ("base", "judge_mse"),
  "population median (select)": ("median", "select_mse"),
  "top-1": ("top-1", "judge_mse"),
  "ensemble": ("primary", "judge_mse"),
}


def summarise_sweep(
  points: Sequence[sweeps.SweepPoint],
  done: Mapping[int, pathlib.Path],
  workdir: pathlib.Path,
) -> str:
  """Writes summary.json, summary.md and a figure; returns the table."""
  groups: dict[str, dict[str, list[float | None]]] = {}
  for index, folder in done.items():
    results = json_files.read_json(folder / "results.json")
    for name, value in _columns(results).items():
      columns = groups.setdefault(points[index].group, {})
      columns.setdefault(name, []).append(value)
  json_files.write_json(
    workdir / "summary.json",
    {"units": "mean squared error per predicted value", "groups": groups},
  )
  table = _format(groups)
  json_files.write_text(workdir / "summary.md", table + "\n")
  signals_plots.plot_groups(
    workdir / "figures" / "summary.png",
    {
      group: {name: _as_floats(columns[name]) for name in _COLUMNS}
      for group, columns in groups.items()
    },
    title=f"{len(done)} runs, one dot each",
  )
  return table


def pool_sweep(
  points: Sequence[sweeps.SweepPoint],
  done: Mapping[int, pathlib.Path],
  workdir: pathlib.Path,
) -> str:
  """Pools the runs of each group, which differ in their seed; returns the tables.

  A group with a single finished run has none yet.
  """
  groups: dict[str, list[pathlib.Path]] = {}
  for index, folder in done.items():
    groups.setdefault(points[index].group, []).append(folder)
  tables = []
  for group, folders in groups.items():
    if len(folders) == 1:
      tables.append(f"{group}: one run is done, and pooling needs two.")
      continue
    pool = pooled_runs.read_pool(folders)
    tables.append(f"{group}\n{pooling.write_pool(pool, workdir, group)}")
  return "\n\n".join(tables)


def _columns(results: dict[str, Any]) -> dict[str, float | None]:
  rows = {row["role"]: row for row in results["table"]}
  values = {
    column: rows[role][field] for column, (role, field) in _COLUMNS.items()
  }
  share = results["population"]["better_than_base"]["frac"]
  return values | {"share better than base": share}


def _as_floats(values: Sequence[float | None]) -> list[float]:
  """With what failed as infinite errors, so that medians count it."""
  return [np.inf if value is None else value for value in values]


def _format(groups: dict[str, dict[str, list[float]]]) -> str:
  """A Markdown table: the median of each group, with its range."""
  names = list(next(iter(groups.values())))
  lines = [
    "| | runs | " + " | ".join(names) + " |",
    "|---" * (len(names) + 2) + "|",
  ]
  for group, columns in groups.items():
    cells = [_format_cell(columns[name]) for name in names]
    lines.append(
      f"| {group} | {len(columns[names[0]])} | {' | '.join(cells)} |"
    )
  return "\n".join(lines)


def _format_cell(values: list[float | None]) -> str:
  values = _as_floats(values)
  if len(values) == 1:
    return f"{values[0]:.3g}"
  low, middle, high = np.min(values), np.median(values), np.max(values)
  return f"{middle:.3g} [{low:.3g}, {high:.3g}]"
