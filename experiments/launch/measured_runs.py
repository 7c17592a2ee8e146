"""What the binaries that analyse finished runs share."""

import pathlib
from collections.abc import Sequence

from experiments import launch
from thickets.analysis import measurement
from thickets.analysis.measurement import Measurement
from thickets.errors import UserError


def read_workdirs(argv: Sequence[str]) -> list[pathlib.Path]:
  """The directories that the command names.

  Raises:
    UserError: if it names none, or one that is not there.
  """
  workdirs = [pathlib.Path(name) for name in argv[1:]]
  if not workdirs:
    raise UserError("Name the directory of a run, got none.")
  for workdir in workdirs:
    if not workdir.is_dir():
      raise UserError(f"{workdir} must be the directory of a run; it is none.")
  return workdirs


def read_runs(workdirs: Sequence[pathlib.Path]) -> Measurement:
  """One measurement of all runs, which measure different tasks of one base."""
  found = [measurement.read_measurement(workdir) for workdir in workdirs]
  return found[0] if len(found) == 1 else measurement.join_measurements(found)


def find_out(workdirs: Sequence[pathlib.Path]) -> pathlib.Path:
  """Where results go, made if it is missing."""
  out = pathlib.Path(launch.OUT.value) if launch.OUT.value else workdirs[0]
  (out / "figures").mkdir(parents=True, exist_ok=True)
  return out


def name_file(task: str) -> str:
  """A task's name as a part of a file's."""
  return (
    pathlib.PurePath(task).stem
    if task.endswith(".py")
    else (task.replace("/", "_"))
  )
