"""What one model reaches at test time, for the console."""

from collections.abc import Mapping
from typing import Any

from thickets.analysis import prompt_groups
from thickets.report import console
from thickets.report.tables import DASH, format_interval, format_percent

_HEADER = (
  *("responses", "right", "[95 %]", "over one pass", "[95 %]", "won", "lost"),
  "[95 %] over",
)


def format_test_time(results: Mapping[str, Any]) -> str:
  """Lays out what `test_time.summarise_test_time` found."""
  prompts = prompt_groups.describe_groups(
    results["num_judge_groups"], results["num_judge"]
  )
  lines = console.align_columns(
    (f"% of {prompts}", *_HEADER), [_format_row(r) for r in results["table"]]
  )
  lines.append(f"Samples are drawn at temperature {results['temperature']:g}.")
  if not results["is_checkable"]:
    lines.append(
      "The question does not say what is right, so that nobody could tell the best"
      " of several samples."
    )
  return "\n".join([*lines, *filter(None, [results["note"]])])


def _format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
  judge, gain = row["judge"], row.get("gain")
  shown = (DASH, "")
  if gain is not None:
    shown = (
      format_percent(gain["mean"], sign=True),
      format_interval(gain["low"], gain["high"], sign=True),
    )
  return (
    row["name"],
    str(row["num_responses"]),
    format_percent(judge["mean"]),
    format_interval(judge["low"], judge["high"]),
    *shown,
    str(row.get("won", DASH)),
    str(row.get("lost", DASH)),
    judge["over"],
  )
