"""What was compiled for a machine that is not here, as a reader sees it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from thickets.errors import NoRoomError
from thickets.generation.forecast import Forecast, Program
from thickets.report import console, tables
from thickets.search import targets
from thickets.search.targets import Target

_GIB = 2**30
# Beyond it, a step of decoding is said to move too much.
MOST_RATIO = 1.15
SUMMARY_HEADER = (
  "model",
  "machine",
  "chips a member",
  "members × rows",
  "layers",
  "GiB planned",
  "GiB compiled",
  "step, GB",
  "over least",
  "members an hour",
)


@dataclasses.dataclass(frozen=True)
class Row:
  """A model on a machine.

  Attributes:
    model: what it is called.
    target: the machine.
    outcome: what the machine would do, or why it has no room.
  """

  model: str
  target: Target
  outcome: Forecast | NoRoomError


def describe(row: Row) -> list[str]:
  """The lines that say what one machine would do."""
  target, forecast = row.target, row.outcome
  if isinstance(forecast, NoRoomError):
    return [f"{row.model}, {target.name}: {forecast}"]
  chip = target.chip
  header = (
    "program",
    "compile s",
    "GiB a device",
    "planned",
    "temporaries",
    "GB moved",
    "over least",
    "exchanged",
  )
  lines = [
    f"{row.model}, {target.name}: {target.num_devices} x {chip.title}"
    f" ({target.cloud}), {forecast.devices_per_member} a member,"
    f" {forecast.lanes} members x {forecast.rows} prompts at once on each, layers"
    f" {forecast.layout}",
    *console.align_columns(
      header, [_describe_program(program) for program in forecast.programs]
    ),
  ]
  share = forecast.memory_bytes / chip.memory_bytes
  lines.append(
    f"memory {forecast.memory_bytes / _GIB:.2f} of"
    f" {chip.memory_bytes / _GIB:.2f} GiB a device"
    + ("" if share <= 1 else ": DOES NOT FIT")
  )
  lines.append(
    f"roofline {forecast.members_per_hour(target.num_devices):.0f} members/h:"
    f" rebuild {forecast.rebuild_s:.3g} s, prefill {forecast.prefill_s:.3g} s,"
    f" decode {forecast.decode_s:.3g} s for"
    f" {forecast.count_members(target.num_devices)} members, at"
    f" {chip.flops_per_s / 1e12:.0f} TFLOP/s and"
    f" {chip.bytes_per_s / 1e9:.0f} GB/s a device"
  )
  return [*lines, *_advise(forecast, target)]


def write_markdown(rows: Sequence[Row]) -> str:
  """The rows as a table under `SUMMARY_HEADER`."""
  lines = [
    SUMMARY_HEADER,
    ["---"] * len(SUMMARY_HEADER),
    *map(_summarise, rows),
  ]
  return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def to_json(rows: Sequence[Row]) -> dict[str, Any]:
  """All that is known of the rows; bytes, seconds, and members an hour."""
  return {"rows": [_row_to_json(row) for row in rows]}


def from_json(content: Mapping[str, Any]) -> list[Row]:
  """Reads what `to_json` returned."""

  def read(row: Mapping[str, Any]) -> Forecast | NoRoomError:
    if "refused" not in row:
      return Forecast.from_json(row["forecast"])
    return NoRoomError(row["refused"], row["needed_bytes"], row["size_bytes"])

  return [
    Row(row["model"], targets.parse(row["machine"]), read(row))
    for row in content["rows"]
  ]


def _row_to_json(row: Row) -> dict[str, Any]:
  target, outcome = row.target, row.outcome
  content: dict[str, Any] = {
    "model": row.model,
    "machine": target.name,
    "cloud": target.cloud,
    "num_devices": target.num_devices,
    "device_bytes": target.chip.memory_bytes,
  }
  if isinstance(outcome, NoRoomError):
    return {
      **content,
      "refused": str(outcome),
      "needed_bytes": outcome.needed_bytes,
      "size_bytes": outcome.size_bytes,
    }
  return {
    **content,
    "members_per_hour": outcome.members_per_hour(target.num_devices),
    "num_members": outcome.count_members(target.num_devices),
    "forecast": outcome.to_json(),
  }


def _summarise(row: Row) -> tuple[str, ...]:
  """One row under `SUMMARY_HEADER`."""
  target, outcome = row.target, row.outcome
  size = target.chip.memory_bytes
  if isinstance(outcome, NoRoomError):
    return _summarise_misfit(
      row, outcome.needed_bytes, outcome.size_bytes or size
    )
  if outcome.memory_bytes > size:
    return _summarise_misfit(row, outcome.memory_bytes, size)
  steps, ratio = outcome.steps, outcome.step_ratio
  held = f"{outcome.memory_bytes / _GIB:.1f}"
  if not outcome.is_compiled:  # Nothing is known but what was planned.
    steps, ratio, held = (), None, tables.DASH
  return (
    row.model,
    target.name,
    str(outcome.devices_per_member),
    f"{outcome.count_members(target.num_devices)} × {outcome.rows}",
    outcome.layout,
    f"{outcome.planned_bytes / _GIB:.1f} of {size / _GIB:.1f}",
    held,
    f"{steps[-1].moved_bytes / 1e9:.2f}" if steps else tables.DASH,
    tables.DASH if ratio is None else f"{ratio:.2f}",
    f"{outcome.members_per_hour(target.num_devices):.0f}",
  )


def _summarise_misfit(
  row: Row, needed: float | None, size: float
) -> tuple[str, ...]:
  said = "more than" if needed is None else f"needs {needed / _GIB:.1f} of"
  known = (row.model, row.target.name, "does not fit", *[tables.DASH] * 2)
  rest = len(SUMMARY_HEADER) - len(known) - 1
  return (*known, f"{said} {size / _GIB:.1f}", *[tables.DASH] * rest)


def _describe_program(program: Program) -> tuple[str, ...]:
  exchanged = ", ".join(
    f"{one.times} {one.opcode} along {' and '.join(one.axes)}"
    for one in program.exchanges
  )
  name = program.name
  if program.num_slots:
    name = f"{name}, {program.num_slots} tokens"
  return (
    name,
    f"{program.compile_s:.1f}",
    f"{program.memory_bytes / _GIB:.2f}",
    tables.DASH
    if program.planned_bytes is None
    else f"{program.planned_bytes / _GIB:.2f}",
    f"{program.temporary_bytes / _GIB:.2f}",
    f"{program.moved_bytes / 1e9:.2f}",
    f"{program.moved_bytes / program.least_bytes:.2f}",
    exchanged or "nothing",
  )


def _advise(forecast: Forecast, target: Target) -> list[str]:
  """What to change."""
  advice = []
  if forecast.memory_bytes > target.chip.memory_bytes:
    advice.append(
      "change: fewer rows (rows), fewer lanes, or more devices a member than"
      f" {forecast.devices_per_member}"
    )
  for step in forecast.steps:
    if step.moved_bytes > MOST_RATIO * step.least_bytes:
      moved = ", ".join(
        f"{name} {num_bytes / 1e6:.0f} MB" for name, num_bytes in step.largest
      )
      advice.append(
        f"note: a step with {step.num_slots} tokens moves more than it must;"
        f" most of it: {moved}"
      )
  return advice
