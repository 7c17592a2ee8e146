"""What was compiled for a machine that is not here, as a reader sees it."""

from collections.abc import Sequence

from thickets.generation.forecast import Forecast, Program
from thickets.generation.rehearsal import Rehearsal
from thickets.report import console, tables
from thickets.search.targets import Target

_GIB = 2**30
# Beyond it, a step of decoding is said to move too much.
MOST_RATIO = 1.15
SUMMARY_HEADER = (
  "model",
  "machine",
  "cloud",
  "chips a member",
  "members × rows",
  "GiB a chip",
  "step, GB",
  "over least",
  "members an hour",
)


def describe(
  forecast: Forecast, rehearsal: Rehearsal, target: Target
) -> list[str]:
  """The lines that say what one machine would do."""
  chip, plan = target.chip, rehearsal.plan
  header = (
    "program",
    "compile s",
    "GiB a device",
    "temporaries",
    "GB moved",
    "over least",
    "exchanged",
  )
  lines = [
    f"{target.name}: {target.num_devices} x {chip.title}"
    f" ({target.cloud}), {rehearsal.devices_per_member} a member,"
    f" {plan.lanes} members x {plan.rows} prompts at once on each, layers"
    f" {rehearsal.generator.layout.value}",
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
    f"roofline {forecast.members_per_hour:.0f} members/h: rebuild"
    f" {forecast.rebuild_s:.3g} s, prefill {forecast.prefill_s:.3g} s, decode"
    f" {forecast.decode_s:.3g} s for {forecast.num_members} members, at"
    f" {chip.flops_per_s / 1e12:.0f} TFLOP/s and"
    f" {chip.bytes_per_s / 1e9:.0f} GB/s a device"
  )
  return [*lines, *_advise(forecast, rehearsal, target)]


def summarise(
  name: str, forecast: Forecast, rehearsal: Rehearsal, target: Target
) -> tuple[str, ...]:
  """One row under `SUMMARY_HEADER`."""
  last = [p for p in forecast.programs if p.name == "segment"][-1]
  plan = rehearsal.plan
  return (
    name,
    target.name,
    target.cloud,
    str(rehearsal.devices_per_member),
    f"{plan.lanes} × {plan.rows}",
    f"{forecast.memory_bytes / _GIB:.1f} of"
    f" {target.chip.memory_bytes / _GIB:.1f}",
    f"{last.moved_bytes / 1e9:.2f}",
    f"{forecast.step_ratio:.2f}",
    f"{forecast.members_per_hour:.0f}",
  )


def summarise_misfit(name: str, target: Target) -> tuple[str, ...]:
  """The row of a machine that is too small."""
  known = (name, target.name, target.cloud, tables.DASH, tables.DASH)
  rest = len(SUMMARY_HEADER) - len(known) - 1
  return (*known, "does not fit", *[tables.DASH] * rest)


def write_markdown(
  header: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[str]:
  """A table as Markdown."""
  return [
    f"| {' | '.join(cells)} |"
    for cells in (header, ["---"] * len(header), *rows)
  ]


def _describe_program(program: Program) -> tuple[str, ...]:
  exchanged = ", ".join(
    f"{count} {opcode} along {' and '.join(axes)}"
    for (opcode, axes), count in sorted(program.collectives.items())
  )
  name = program.name
  if program.num_slots:
    name = f"{name}, {program.num_slots} tokens"
  return (
    name,
    f"{program.compile_s:.1f}",
    f"{program.memory_bytes / _GIB:.2f}",
    f"{program.temporary_bytes / _GIB:.2f}",
    f"{program.moved_bytes / 1e9:.2f}",
    f"{program.moved_bytes / program.least_bytes:.2f}",
    exchanged or "nothing",
  )


def _advise(
  forecast: Forecast, rehearsal: Rehearsal, target: Target
) -> list[str]:
  """What to change."""
  advice = []
  if forecast.memory_bytes > target.chip.memory_bytes:
    advice.append(
      "change: fewer rows (rows), fewer lanes, or more devices a member than"
      f" {rehearsal.devices_per_member}"
    )
  worst = max(
    (p for p in forecast.programs if p.name == "segment"),
    key=lambda program: program.moved_bytes / program.least_bytes,
  )
  if worst.moved_bytes > MOST_RATIO * worst.least_bytes:
    moved = ", ".join(
      f"{move.instruction.name} {move.num_bytes / 1e6:.0f} MB"
      for move in worst.largest[:4]
    )
    advice.append(f"note: a step moves more than it must; most of it: {moved}")
  return advice
