"""What a training has come to, for the console."""

from collections.abc import Mapping
from typing import Any

from thickets.analysis import prompt_groups
from thickets.report import console
from thickets.report.tables import DASH, format_interval, format_percent

_HEADER = (
  "right",
  "[95 %]",
  "in form",
  "over base",
  "[95 %]",
  "won",
  "lost",
  "[95 %] over",
)


def format_trained(results: Mapping[str, Any]) -> str:
  """Lays out what `trained_results.summarise_trained` found."""
  prompts = prompt_groups.describe_groups(
    results["num_judge_groups"], results["num_judge"]
  )
  return "\n".join(
    console.align_columns(
      (f"% of {prompts}", *_HEADER), [_format_row(r) for r in results["table"]]
    )
  )


def _format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
  judge, gain = row["judge"], row.get("gain")
  return (
    row["name"],
    format_percent(judge["mean"]),
    format_interval(judge["low"], judge["high"]),
    format_percent(row["strict"]),
    DASH if gain is None else format_percent(gain["mean"], sign=True),
    ""
    if gain is None
    else format_interval(gain["low"], gain["high"], sign=True),
    str(row.get("won", DASH)),
    str(row.get("lost", DASH)),
    judge["over"],
  )
