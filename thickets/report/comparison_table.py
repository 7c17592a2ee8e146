"""Methods beside each other, for the console."""

from collections.abc import Mapping
from typing import Any

from thickets.analysis.method_comparison import ONE_PASS, VOTES
from thickets.report import console
from thickets.report.tables import DASH, format_interval, format_percent

_COSTS = (
  *("what it costs", "steps", "responses", "FLOPs", "by formula"),
  *("watching dev", "tuning", "FLOPs/answer", "voted"),
)


def format_comparison(results: Mapping[str, Any]) -> str:
  """Lays out what `method_comparison.compare_methods` found, and what it cost."""
  reference, count = results["reference"], results["num_votes"]
  header = (
    f"% of {results['num_judge']} prompts x {results['num_seeds']} seeds",
    *("one pass", "[95 %]", "over base", "[95 %]"),
    *(f"{count} votes", "[95 %]", "over base", "[95 %]"),
    *(f"over {reference}'s", "[95 %]"),
  )
  rows = results["rows"]
  over = rows[0]["right"][ONE_PASS]["over"]
  return "\n".join(
    [
      *console.align_columns(header, [_format_row(row) for row in rows]),
      f"Intervals are over {over}.",
      *map(_say_chosen, results["chosen"].items()),
      "",
      *console.align_columns(_COSTS, [_format_costs(row) for row in rows]),
      "FLOPs of the model, mean of seeds; by formula: the paper's count; tuning: the"
      " search of all runs among which dev chose the setting, once for all seeds. The"
      " answers to dev in these runs, and the samples that choose temperatures there, are"
      " not counted.",
    ]
  )


def _format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
  cells = [row["name"]]
  for way in (ONE_PASS, VOTES):
    right = row["right"][way]
    cells += [
      format_percent(right["mean"]),
      format_interval(right["low"], right["high"]),
      *_format_gain(row.get("over_base"), way),
    ]
  return (*cells, *_format_gain(row.get("over_reference"), VOTES))


def _format_gain(gains: Mapping[str, Any] | None, way: str) -> tuple[str, str]:
  if gains is None:
    return DASH, ""
  gain = gains[way]
  return (
    format_percent(gain["mean"], sign=True),
    format_interval(gain["low"], gain["high"], sign=True),
  )


def _say_chosen(item: tuple[str, Mapping[str, Any]]) -> str:
  name, found = item
  tried = ", ".join(str(row["value"]) for row in found["tried"])
  return f"{name}: dev chose {found['key']}={found['value']} of {tried}."


def _format_costs(row: Mapping[str, Any]) -> tuple[str, ...]:
  def count(key: str) -> str:
    value = row.get(key, 0)
    return f"{value:.3g}" if value else DASH

  responses = row.get("num_responses", 0)
  steps = row.get("num_steps", 0)
  return (
    row["name"],
    f"{steps:g}" if steps else DASH,
    f"{responses:,.0f}" if responses else DASH,
    *map(count, ("search_flops", "paper_flops", "dev_flops", "tuning_flops")),
    *(f"{row['answer_flops'][way]:.3g}" for way in (ONE_PASS, VOTES)),
  )
