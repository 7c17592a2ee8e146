"""What machines were measured to do, a row for each shape and way of its layers."""

import datetime
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.errors import UserError
from thickets.report import tables
from thickets.runs import json_files

HEADER = (
  "machine",
  "shape",
  "layers",
  "members at once",
  "members/h",
  "perturb, prefill, decode, s a member",
  "foretold at best",
  "decode, share of its roofline",
  "TFLOP/s, GB/s",
  "compile, s",
  "`transformers`, s",
  "speed-up",
  "day, commit",
)


def make_row(
  shape: str,
  layers: str,
  figures: Mapping[str, Any],
  theirs_s: float | None,
  foretold: Mapping[str, Any] | None,
  day: datetime.date,
) -> tuple[str, ...]:
  """One row under `HEADER`.

  Args:
    shape: what the model is called.
    layers: how its layers lay.
    figures: what the benchmark's subject `language` measured, with
      `environment`.
    theirs_s: seconds of `transformers` for the prompts of one member, where it was
      measured apart from the figures.
    foretold: the row of `forecast_table.to_json` for the same, if there is one.
    day: when it was measured.
  """
  theirs_s = figures.get("transformers_s", theirs_s)
  environment = figures["environment"]
  machine = environment["device_kind"]
  if environment["num_devices"] > 1:
    machine = f"{environment['num_devices']} × {machine}"
  speedup = None if theirs_s is None else theirs_s / figures["member_s"]
  phases = (figures[f"{phase}_s"] for phase in ("perturb", "prefill", "decode"))
  rate = tables.format_number(figures["matmul_gflops"] / 1e3)
  return (
    machine,
    shape,
    layers,
    str(figures["members_at_once"]),
    f"{figures['members_per_hour']:.0f}",
    ", ".join(map(tables.format_number, phases)),
    _describe_forecast(foretold),
    tables.format_number(figures["decode_roofline_frac"]),
    f"{rate}, {figures['copy_gbytes_per_s']:.0f}",
    tables.format_number(figures["compile_s"]),
    tables.format_number(theirs_s),
    tables.format_number(speedup),
    f"{day.isoformat()}, {environment['commit'] or tables.DASH}",
  )


def _describe_forecast(foretold: Mapping[str, Any] | None) -> str:
  """Members an hour, members at once, and seconds of each phase a member."""
  if foretold is None:
    return tables.DASH
  if "refused" in foretold:
    return "does not fit"
  num_members, forecast = foretold["num_members"], foretold["forecast"]
  phases = ", ".join(
    tables.format_number(forecast[f"{phase}_s"] / num_members)
    for phase in ("rebuild", "prefill", "decode")
  )
  return (
    f"{foretold['members_per_hour']:.0f}/h, {num_members} at once, {phases} s"
  )


def write_markdown(rows: Sequence[Sequence[str]]) -> str:
  """The table of some rows."""
  return "".join(map(_write_row, (HEADER, ["---"] * len(HEADER), *rows)))


def append_rows(page: pathlib.Path, rows: Sequence[Sequence[str]]) -> None:
  """Adds rows to the end of the table of a page.

  Raises:
    UserError: if the page has no table with this header.
  """
  lines = page.read_text("utf-8").splitlines(keepends=True)
  header = _write_row(HEADER)
  if header not in lines:
    raise UserError(
      f"{page} must have the table of machines, got none with the header"
      f" {header.strip()}. Add it, or name another page with --config.table."
    )
  end = lines.index(header)
  while end < len(lines) and lines[end].startswith("|"):
    end += 1
  lines[end:end] = map(_write_row, rows)
  json_files.write_text(page, "".join(lines))


def _write_row(cells: Sequence[str]) -> str:
  return f"| {' | '.join(cells)} |\n"
