"""The table of bases of conventions, for the console."""

from collections.abc import Mapping
from typing import Any

from thickets.analysis.vote_comparisons import DIFFERENCES

_ROWS = (
  ("base", "base"),
  ("best", "best member"),
  ("vote", "vote of the best"),
  ("random", "vote of random members"),
  ("samples", "self-consistency"),
)


def format_columns(columns: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns what each base's neighbourhood reached, and its regime by task.

  Args:
    columns: by name, what `Column.describe` returns.
  """
  return "\n".join(
    line for found in columns.values() for line in _format_column(found)
  )


def _format_column(found: Mapping[str, Any]) -> list[str]:
  lines = ["", f"{found['title']}, {found['num_members']} members"]
  for sigma, votes in found["votes"].items():
    mean = votes["mean of tasks"]
    lines.append(
      f"  sigma {sigma}, mean of {len(votes['tasks'])} tasks with"
      f" {mean['num_prompts'] // len(votes['tasks'])} prompts each, in %"
      f" [95 % over {mean['right']['base']['over']}], K={mean['k']}"
    )
    lines += [
      f"    {label:28s}{_percent(mean['right'][row], 'mean')}"
      for row, label in _ROWS
      if row in mean["right"]
    ]
    lines += [
      f"    {name:28s}{_percent(mean['differences'][name], 'mean', sign='+')}"
      for name in DIFFERENCES
      if name in mean["differences"]
    ]
    if mean["either"]:
      lines += [
        f"    {label + ', either way':28s}{_percent(mean['either'][row], 'mean')}"
        for row, label in _ROWS
        if row in mean["either"]
      ]
  counts = found["num_tasks_by_regime"]
  lines.append(
    "  regimes: "
    + ", ".join(f"{counts[regime]} {regime}" for regime in sorted(counts))
  )
  lines += [
    f"  {task}: {call['regime']} ({call['reason']})"
    for task, call in found["regimes"].items()
  ]
  return lines


def _percent(found: Mapping[str, Any], name: str, *, sign: str = "") -> str:
  value, low, high = (100 * found[key] for key in (name, "low", "high"))
  return f"{value:{sign}z6.1f} [{low:{sign}z.1f}, {high:{sign}z.1f}]"
