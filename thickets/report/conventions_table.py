"""The table of bases of conventions, for the console."""

from collections.abc import Mapping
from typing import Any

from thickets.report import votes_table


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
    lines += votes_table.format_rows(mean)
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
