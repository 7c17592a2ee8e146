"""Density, diversity, votes and regimes of finished runs, from their records.

    python -m experiments.density WORKDIR [WORKDIR ...] [--out=DIR]

Several runs must measure different tasks of one base with the same members.
Writes density.json and figures; no model is needed.
"""

import pathlib
from collections.abc import Sequence

from experiments import launch
from experiments.launch import estimator_flags, measured_runs
from thickets.analysis import neighbourhood
from thickets.analysis.neighbourhood import Analysis
from thickets.report.figures import (
  decomposition_plots,
  density_plots,
  diversity_plots,
)
from thickets.runs import json_files


def main(argv: Sequence[str]) -> None:
  """Reads the flags, measures, prints the tables."""
  with launch.ending_plainly():
    settings = estimator_flags.read_settings()
    workdirs = measured_runs.read_workdirs(argv)
    measurement = measured_runs.read_runs(workdirs)
    out = measured_runs.find_out(workdirs)
    found = neighbourhood.analyse(measurement, settings)
    json_files.write_json(out / "density.json", found.to_json())
    draw(found, out / "figures")
    print(format_analysis(found))
    print(f"density.json and figures are in {out}.")


def draw(found: Analysis, figures: pathlib.Path) -> None:
  """Draws the figures of an analysis."""
  density_plots.plot_density(figures / "density.png", found.densities)
  density_plots.plot_density_by_sigma(
    figures / "density_by_sigma.png",
    found.densities,
    margin=found.settings.margin,
  )
  for one in found.diversity:
    if one.discordance is None:
      continue
    name = f"sigma_{one.sigma:g}.png"
    diversity_plots.plot_correlation(
      figures / f"correlation_{name}", one.discordance
    )
    diversity_plots.plot_rank_lines(figures / f"rank_lines_{name}", one.lines)
    if one.overlap is not None:
      diversity_plots.plot_overlap(figures / f"overlap_{name}", one.overlap)
    if one.embedding is not None:
      diversity_plots.plot_clusters(figures / f"clusters_{name}", one.embedding)
  measured = [
    one.discordance for one in found.diversity if one.discordance is not None
  ]
  if measured:
    diversity_plots.plot_discordance(figures / "discordance.png", measured)
  for task, by_sigma in found.parts.items():
    for sigma, parts in by_sigma.items():
      decomposition_plots.plot_decomposition(
        figures / f"parts_{measured_runs.name_file(task)}_sigma_{sigma:g}.png",
        parts,
      )


def format_analysis(found: Analysis) -> str:
  """The tables of an analysis for the console."""
  lines = [
    f"{'density':26s}{'sigma':>9s}{'margin':>8s}{'base':>7s}"
    f"{'on these prompts':>21s}{'confirmed':>22s}{'on new prompts':>22s}"
    f"{'null, its range':>22s}"
  ]
  for task, density in found.densities.items():
    lines += [
      f"{task:26s}{row['sigma']:9g}{row['margin']:8.3f}{row['base_score']:7.3f}"
      f"{_format(row, 'plain'):>21s}{_format(row, 'confirmed'):>22s}"
      f"{_format(row, 'corrected'):>22s}{_format(row, 'null'):>22s}{_mark(row)}"
      for row in density.rows()
    ]
  lines.append(
    "~ gains are narrower than the shift that all members share: of the density on"
    " new prompts read the interval only. Where the share on these prompts lies"
    " inside the null's range, no experts are shown."
  )
  for one in found.diversity:
    if one.discordance is not None:
      low, high = one.discordance.interval
      floor = one.discordance.floor
      lines.append(
        f"discordance at sigma {one.sigma:g}: {one.discordance.value:.3f}"
        f" [{low:.3f}, {high:.3f}] of at most {one.discordance.bound:.3f};"
        f" {'unknown' if floor is None else f'{floor:.3f}'} if all tasks ranked"
        " members alike up to noise"
      )
  for task, calls in found.regimes.items():
    for sigma, call in calls.items():
      lines.append(f"{task}, sigma {sigma:g}: {call.regime} ({call.reason})")
  return "\n".join(lines)


def _mark(row) -> str:
  return " ~" if row["gain_sd"] <= row["shared_sd"] else ""


def _format(row, name: str) -> str:
  value = row[name]
  shown = "  –  " if value is None else f"{value:.3f}"
  return f"{shown} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"


if __name__ == "__main__":
  launch.run(main)
