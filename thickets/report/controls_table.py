"""How much answers depend on their pictures, for the console and for reports."""

from collections.abc import Mapping
from typing import Any

from thickets.analysis import prompt_groups
from thickets.report import console
from thickets.report.tables import TextTable

_NAMES = {
  "no_picture": "no picture",
  "anothers_picture": "another's picture",
}
_NOTE = (
  "own − it: how much worse it is without the own picture, in points; near zero, the"
  " pictures are not used."
)


def format_controls(results: Mapping[str, Any]) -> list[str]:
  """Lays out what `control_results.summarise_controls` found, for the console.

  Args:
    results: the results of a run; without `controls` there are no lines.
  """
  found = results.get("controls")
  if not found:
    return []
  lines = console.align_columns(
    (f"% of {_count_prompts(found)}", *_list_columns(found)),
    [_format_row(row) for row in found["rows"]],
  )
  return ["", "Controls of pictures:", *lines, _NOTE, *_list_left_out(found)]


def tabulate_controls(results: Mapping[str, Any]) -> list[TextTable]:
  """The same as a table of a report; none without `controls`."""
  found = results.get("controls")
  if not found:
    return []
  title = (
    f"Right answers in % of {_count_prompts(found)} with their pictures, without"
    f" any, and with that of another question. {_NOTE}"
  )
  header = ("who answers", *_list_columns(found))
  rows = tuple(_format_row(row) for row in found["rows"])
  return [TextTable(" ".join([title, *_list_left_out(found)]), header, rows)]


def _count_prompts(found: Mapping[str, Any]) -> str:
  return prompt_groups.describe_groups(
    found["num_groups"], found["num_prompts"]
  )


def _list_columns(found: Mapping[str, Any]) -> tuple[str, ...]:
  columns = ["own picture", "[95 %]"]
  for name in found["rows"][0]["controls"]:
    columns += [_NAMES.get(name, name), "[95 %]", "own − it", "[95 %]"]
  return (*columns, "[95 %] over")


def _list_left_out(found: Mapping[str, Any]) -> list[str]:
  return [
    f"Not asked with {_NAMES.get(name, name)}: {reason}"
    for name, reason in found.get("left_out", {}).items()
  ]


def _format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
  cells = [row["name"], *_share(row["own"])]
  for control in row["controls"].values():
    cells += [*_share(control["right"]), *_share(control["loss"], sign=True)]
  return (*cells, row["own"]["over"])


def _share(found: Mapping[str, Any], *, sign: bool = False) -> tuple[str, str]:
  form = "+.1f" if sign else ".1f"
  low, high = (format(100 * found[end], form) for end in ("low", "high"))
  return format(100 * found["mean"], form), f"[{low}, {high}]"
