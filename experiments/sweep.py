"""Runs the points of a sweep, all or one, and summarises those that are done.

    python -m experiments.sweep --config=configs/NAME.py --workdir=DIR [--index=I]

Points have numbered folders below the workdir. A finished point is not run
again, an unfinished one is resumed, so a job array may run one index per job
and one last call without --index gives the summary.
"""

import importlib.util
import pathlib
from collections.abc import Sequence

import jax
import ml_collections
from absl import flags, logging

from configs import sweeps
from experiments import launch
from experiments.launch import sweep_experiments
from thickets.errors import UserError
from thickets.runs import directory
from thickets.runs.run_config import RunConfig

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.sweep --config=configs/signals_approximation.py"
  " --workdir=runs/approximation",
)
FLAGS.define_config()
FLAGS.define_workdir(
  needs_disk="It keeps a folder for each of its runs there, on a disk."
)
FLAGS.define_cluster()
FLAGS.define_grace()
_INDEX = flags.DEFINE_integer(
  "index", None, "The only point to run.", flag_values=FLAGS.values
)


def main(_: list[str]) -> None:
  """Reads the flags, runs the points, prints the summary."""
  directory_name = FLAGS.workdir
  config = FLAGS.config
  points = _read_points(FLAGS.config_file)
  experiment = sweep_experiments.find_experiment(config)
  found = [experiment.read(_override(config, point)) for point in points]
  chosen = _chosen(len(points))
  launch.start_devices(FLAGS)
  for spec in found:  # All of them, before the first one runs.
    experiment.check(spec)
  workdir = directory.make_workdir(directory_name)
  if (workdir / "config.json").exists():
    raise UserError(
      f"workdir must be the folder of a sweep, got that of a run, {workdir}."
      " Choose another with --workdir."
    )
  if jax.config.jax_compilation_cache_dir is None:
    # Points share their programs.
    jax.config.update("jax_compilation_cache_dir", str(workdir / "cache"))
  for index in chosen:
    folder = workdir / f"{index:03d}"
    if not _is_done(folder, found[index].config):
      logging.info("point %d: %s %s", index, points[index].group, folder)
      experiment.run(found[index], str(folder))
  done = {
    index: workdir / f"{index:03d}"
    for index in range(len(points))
    if _is_done(workdir / f"{index:03d}", found[index].config)
  }
  logging.info("%d of %d points are done", len(done), len(points))
  if done:
    print(experiment.summarise(points, done, workdir))


def _is_done(folder: pathlib.Path, config: RunConfig) -> bool:
  """Whether a point has ended, with this very config; others are run again.

  A run whose config differs in more than its size is refused by the run itself.
  """
  everything = RunConfig(config.fields)
  finished = (folder / "results.json").exists()
  return finished and not everything.find_differences(folder)


def _read_points(path: str) -> list[sweeps.SweepPoint]:
  spec = importlib.util.spec_from_file_location(
    "sweep_config", path.split(":")[0]
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, "get_sweep"):
    raise UserError(f"--config must be a file with get_sweep(), got {path}.")
  return module.get_sweep()


def _override(
  config: ml_collections.ConfigDict, point: sweeps.SweepPoint
) -> ml_collections.ConfigDict:
  # Not ConfigDict(config), which shares the inner dicts among all points.
  changed = config.copy_and_resolve_references()
  changed.update_from_flattened_dict(dict(point.overrides))
  return changed


def _chosen(num_points: int) -> Sequence[int]:
  if _INDEX.value is None:
    return range(num_points)
  if not 0 <= _INDEX.value < num_points:
    raise UserError(
      f"--index must be within 0 and {num_points - 1}, got {_INDEX.value}."
    )
  return [_INDEX.value]


if __name__ == "__main__":
  launch.run(main, FLAGS)
