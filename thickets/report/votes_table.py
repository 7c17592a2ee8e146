"""The table of what votes reach beside base, random members and self-consistency."""

from collections.abc import Mapping
from typing import Any

from thickets.analysis.vote_comparisons import DIFFERENCES

# What is right, and how tables call it.
_ROWS = (
  ("base", "base"),
  ("best", "best member"),
  ("vote", "vote of the best"),
  ("random", "vote of random members"),
  ("samples", "self-consistency"),
)


def format_votes(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
  """Returns a block for each task: what is right, and the differences.

  Args:
    found: by task, and by sigma or "all sigmas", what `TaskVotes.describe` returns.
  """
  lines = []
  for task, levels in found.items():
    for level, votes in levels.items():
      lines.append(
        f"{task}, {level}, {votes['num_prompts']} prompts that chose nothing, in %"
        f" [95 % over {votes['right']['base']['over']}], K={votes['k']}"
      )
      lines += format_rows(votes)
  return "\n".join(lines)


def format_rows(votes: Mapping[str, Any]) -> list[str]:
  """Returns a line for each share that is right, and for each difference.

  Args:
    votes: what `TaskVotes.describe` returns.
  """
  shown = [(label, votes["right"], row, "") for row, label in _ROWS]
  shown += [(name, votes["differences"], name, "+") for name in DIFFERENCES]
  shown += [
    (f"{label}, either way", votes["either"], row, "") for row, label in _ROWS
  ]
  return [
    f"    {label:28s}{_percent(values[row], sign)}"
    for label, values, row, sign in shown
    if row in values
  ]


def _percent(found: Mapping[str, Any], sign: str) -> str:
  value, low, high = (100 * found[key] for key in ("mean", "low", "high"))
  return f"{value:{sign}z6.1f} [{low:{sign}z.1f}, {high:{sign}z.1f}]"
