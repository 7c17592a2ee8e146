"""The results of a RandOpt run on a language task, for the console."""

from collections.abc import Mapping
from typing import Any

from thickets.report import console

_HEADER = (
  "responses",
  "score, select",
  "score, judge",
  "right",
  "[95 %]",
  "over base",
  "[95 %]",
)


def format_randopt_results(results: Mapping[str, Any]) -> str:
  """Lays out what `randopt_results.summarise_randopt` found."""
  rows = [_format_row(row) for row in results["table"]]
  lines = console.align_columns(
    (f"% of {results['num_judge']} prompts", *_HEADER), rows
  )
  lines += ["", "Paired differences at the primary K, points [95 %]:"]
  lines += [
    f"  {row['name']}: {_percent(row['mean'], sign=True)}"
    f" {_interval(row, sign=True)}"
    for row in results["differences"]
  ]
  lines += ["", *_describe_members(results)]
  if results["dev"]:
    tried = ", ".join(
      f"{row['temperature']:g}: {_percent(row['accuracy'])}"
      for row in results["dev"]
    )
    lines.append(
      f"Temperature of self-consistency, chosen on {results['dev'][0]['size']}"
      f" prompts of dev: {tried}"
    )
  if results["note"]:
    lines.append(results["note"])
  return "\n".join(lines)


def _format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
  return (
    row["name"],
    str(row["responses"]),
    _percent(row.get("select_score")),
    _percent(row.get("judge_score")),
    _percent(_mean(row.get("judge"))),
    _interval(row.get("judge")),
    _percent(_mean(row.get("gain")), sign=True),
    _interval(row.get("gain"), sign=True),
  )


def _describe_members(results: Mapping[str, Any]) -> list[str]:
  """Two lines: how many members beat the base, and the winner's curse."""
  whole, curse = results["population"], results["winners_curse"]
  share = whole["better_than_base"]
  return [
    f"{whole['size']} members, {whole['num_failed']} failed, mean"
    f" {_percent(whole['mean_score'])} on {results['num_select']} prompts of"
    f" selection; {share['count']} better than the base there:"
    f" {share['frac']:.1%} [{share['low']:.1%}, {share['high']:.1%}]",
    "Winner's curse: the best member was selected with a score of"
    f" {_percent(curse['select_score'])} and reaches"
    f" {_percent(curse['judge_score'])} on unseen prompts.",
  ]


def _mean(share: Mapping[str, Any] | None) -> float | None:
  return None if share is None else share["mean"]


def _percent(value: float | None, *, sign: bool = False) -> str:
  if value is None:
    return "–"
  return f"{100 * value:{'+' if sign else ''}.1f}"


def _interval(share: Mapping[str, Any] | None, *, sign: bool = False) -> str:
  if share is None:
    return ""
  low = _percent(share["low"], sign=sign)
  return f"[{low}, {_percent(share['high'], sign=sign)}]"
