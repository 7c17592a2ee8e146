"""The results of a RandOpt run on a regression task, for the console."""

from collections.abc import Mapping
from typing import Any

from thickets.report import console


def format_signals_results(results: Mapping[str, Any]) -> str:
  """Lays out what `signals_results.summarise_signals` found."""
  fields = ("select_mse", "judge_mse", "judge_se")
  lines = console.align_columns(
    ("mean squared error", "select", "judge", "s.e."),
    [
      (row["name"], *(format_error(row.get(field)) for field in fields))
      for row in results["table"]
    ],
  )
  whole = results["population"]
  share = whole["better_than_base"]
  return "\n".join(
    [
      *lines,
      "",
      f"{whole['size']} members, {whole['num_failed']} failed;"
      f" {share['count']} better than the base on select:"
      f" {share['frac']:.1%} [{share['low']:.1%}, {share['high']:.1%}]",
      results["note"]
      or (
        f"select: {results['num_select']} prompts that chose; judge:"
        f" {results['num_judge']} drawn independently"
      ),
    ]
  )


def format_error(value: float | None) -> str:
  """Writes an error with three significant digits, or a dash for none."""
  return "–" if value is None else f"{value:.3g}"
