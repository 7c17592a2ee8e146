"""Compiles a run's programs for machines that are not here, and reads them.

    python -m experiments.compile --config=configs/compile.py:qwen2_5_7b \
      --target=v5e:4x4
    python -m experiments.compile --config=configs/randopt.py:qwen2_5_7b-gsm8k \
      --target=h100:8 --prompt_tokens=256
    python -m experiments.compile --config=configs/compile.py:all \
      --workdir=runs/machines --segments=last

Prints, for each machine, the programs with their memory and the bytes that they
move, and the members per hour that its published peaks allow. Needs no
accelerator, no weights and, with --prompt_tokens, no data: only the compiler,
which the extra compile-tpu or compile-cuda installs. With --workdir, what was
compiled is kept, and the same command goes on where it was ended; the table is
in machines.json and machines.md there.
"""

import pathlib

from absl import flags
from jax.sharding import Mesh

from experiments import launch
from experiments.benchmark import roofline
from experiments.launch import absent_machines, compiled_cells, compiling
from experiments.launch.compiled_cells import Cells
from experiments.launch.compiling import Case
from thickets.errors import NoRoomError
from thickets.generation.forecast import Forecast
from thickets.generation.rehearsal import Segments
from thickets.report import forecast_table
from thickets.runs import json_files
from thickets.search import targets
from thickets.search.targets import Target

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.compile --config=configs/compile.py:qwen2_5_7b"
  " --target=v5e:4x4",
)
FLAGS.define_config()
FLAGS.define_workdir(needs_disk="It keeps compiled texts there, on a disk.")
_TARGET = flags.DEFINE_list(
  "target",
  None,
  "The machine, by the compiler's name: v5e:4x4, v5p:2x2x2, v6e:2x4, h100:8,"
  " a100:1, h200:1, b200:8; or several, divided by commas. The config may name"
  " them, as configs/compile.py:all does.",
  flag_values=FLAGS.values,
)
_PROMPT_TOKENS = flags.DEFINE_integer(
  "prompt_tokens",
  None,
  "Tokens of the longest prompt of a run's config, in place of its data.",
  flag_values=FLAGS.values,
)
_SEGMENTS = flags.DEFINE_enum(
  "segments",
  Segments.ENDS.value,
  [segments.value for segments in Segments],
  "Which segments of decoding are compiled: the last, which holds and moves"
  " most; both ends; or every one. With none, nothing is compiled that was not"
  " before in --workdir: memory is estimated, and bytes are the least.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags, compiles, prints."""
  names = _TARGET.value or FLAGS.config.get("targets", ())
  launch.refuse([] if names else ["--target must name a machine."])
  machines = [targets.parse(name) for name in names]
  cases = compiling.read_cases(
    FLAGS.config, FLAGS.config_variant, _PROMPT_TOKENS.value
  )
  absent_machines.start(FLAGS)
  # Whatever is wrong with one of them, before any is compiled for.
  places = [
    (name, case, target, _place(case, target))
    for name, case in cases.items()
    for target in machines
  ]
  folder = pathlib.Path(FLAGS.workdir) if FLAGS.has_workdir else None
  if folder is not None:
    folder.mkdir(parents=True, exist_ok=True)
  cells = Cells(folder and folder / "cells")
  rows = []
  for name, case, target, place in places:
    outcome = _forecast(name, case, target, place, cells)
    if len(places) == 1 and isinstance(outcome, NoRoomError):
      raise outcome
    row = forecast_table.Row(name, target, outcome)
    print("\n".join(forecast_table.describe(row)), end="\n\n", flush=True)
    rows.append(row)
  page = forecast_table.write_markdown(rows)
  if folder is not None:
    content = forecast_table.to_json(rows)
    json_files.write_json(folder / "machines.json", content)
    json_files.write_text(folder / "machines.md", page)
  print(page, end="")


def _place(case: Case, target: Target) -> Mesh | NoRoomError:
  """The mesh on a machine, or why it has no room for one."""
  try:
    return case.place(target)
  except NoRoomError as error:
    return error


def _forecast(
  name: str, case: Case, target: Target, place: Mesh | NoRoomError, cells: Cells
) -> Forecast | NoRoomError:
  """What is compiled for a machine, or was; why it has no room."""
  if isinstance(place, NoRoomError):
    return place
  try:
    return compiled_cells.forecast(
      name,
      case,
      target,
      place,
      cells,
      segments=Segments(_SEGMENTS.value),
      noise_operations=roofline.count_noise_operations(),
    )
  except NoRoomError as error:
    return error


if __name__ == "__main__":
  launch.run(main, FLAGS)
