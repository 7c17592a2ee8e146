"""Compiles what evaluates members of a pipeline, for machines that are not here.

    python -m experiments.compile_pictures --config=configs/compile_pictures.py:sdxl \
      --target=h100:1

Prints, for each machine, what the program holds and moves, the operations of a
member, and the members per hour that published peaks allow. Each device evaluates
one member at a time, and exchanges nothing with others. Needs no accelerator, no
weights and no data: only the compiler, which the extra compile-tpu or
compile-cuda installs.
"""

from absl import flags

from experiments import launch
from experiments.launch import absent_machines, compiling_pictures
from thickets.errors import NoRoomError
from thickets.generation.images import forecast
from thickets.report import picture_forecast_table
from thickets.search import targets

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.compile_pictures"
  " --config=configs/compile_pictures.py:sdxl --target=h100:1",
)
FLAGS.define_config()
_TARGET = flags.DEFINE_list(
  "target",
  None,
  "The machine, by the compiler's name: h100:1, v5e:2x4; or several, divided by"
  " commas.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags, compiles, prints."""
  launch.refuse([] if _TARGET.value else ["--target must name a machine."])
  machines = [targets.parse(name) for name in _TARGET.value]
  case = compiling_pictures.read_case(FLAGS.config)
  absent_machines.start(FLAGS)
  for target in machines:  # A compiler that is missing is missed at once.
    target.make_devices()
  rows = []
  try:
    for target in machines:
      try:
        rows.append((target, forecast.make_forecast(case, target)))
      except NoRoomError as error:
        if len(machines) == 1:
          raise
        print(f"{target.name}: {error}", flush=True)
  finally:  # What was found, if the compiler of a later machine fails.
    print(picture_forecast_table.write_markdown(rows) if rows else "", end="")


if __name__ == "__main__":
  launch.run(main, FLAGS)
