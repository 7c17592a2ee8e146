"""How much answers depend on their pictures, for the console and for reports."""

from collections.abc import Mapping
from typing import Any

from thickets.analysis import prompt_groups
from thickets.report import console

_NAMES = {
  "no_picture": "no picture",
  "anothers_picture": "another's picture",
}
NOTE = (
  "own − control: how much worse without the own picture, points; near zero, the"
  " pictures are not used."
)


def format_controls(results: Mapping[str, Any]) -> list[str]:
  """Lays out what `control_results.summarise_controls` found.

  Args:
    results: the results of a run; without `controls` there are no lines.
  """
  found = results.get("controls")
  if not found:
    return []
  prompts = prompt_groups.describe_groups(
    found["num_groups"], found["num_prompts"]
  )
  names = [*found["rows"][0]["controls"]]
  header = [f"% of {prompts}", "own picture", "[95 %]"]
  for name in names:
    header += [_NAMES.get(name, name), "[95 %]", "own − it", "[95 %]"]
  lines = console.align_columns(
    (*header, "[95 %] over"), [_format_row(row) for row in found["rows"]]
  )
  lines = ["", "Controls of pictures:", *lines, NOTE]
  return lines + [
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
