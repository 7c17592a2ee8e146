"""Pools searches of pictures around several trainings, with several seeds each.

    python -m experiments.repeat_pictures RUN RUN ... --out=DIR

Reads finished runs of experiments.diffusion that differ in model.name and seed alone,
of each model one for each seed. Writes repeats.json: how many pictures are of the
target, with intervals over trainings, populations and pictures. No model is needed.
"""

from experiments import launch
from experiments.launch import measured_runs
from thickets.analysis import picture_repeats
from thickets.report import diffusion_table
from thickets.runs import json_files

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.repeat_pictures runs/t0s0 runs/t0s1 runs/t1s0 runs/t1s1"
  " --out=runs/pictures",
  arguments="RUN",
)
measured_runs.define_out(FLAGS)


def main(argv: list[str]) -> None:
  """Reads the runs, pools, writes and prints them."""
  folders = measured_runs.read_workdirs(argv)
  found = picture_repeats.summarise_repeats(folders)
  out = measured_runs.find_out(FLAGS, [folders[0].parent])
  json_files.write_json(out / "repeats.json", found)
  print(diffusion_table.format_repeats(found))
  print(f"repeats.json is in {out}.")


if __name__ == "__main__":
  launch.run(main, FLAGS)
