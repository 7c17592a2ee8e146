"""What the binaries that analyse finished runs share."""

import pathlib
from collections.abc import Sequence

from absl import flags

from experiments import launch
from thickets import measurements
from thickets.analysis import Settings
from thickets.errors import UserError
from thickets.measurements import Measurement

_MARGINS = flags.DEFINE_list(
  "margins", ["0", "0.02", "0.05"], "Absolute margins, in score."
)
_RATIOS = flags.DEFINE_list(
  "ratios", [], "Relative margins: score over the base's, such as 1.05."
)
_TOP_SHARE = flags.DEFINE_float(
  "top_share", 0.1, "K/N of ensembles and of sets of best members."
)
_RESAMPLES = flags.DEFINE_integer("resamples", 1000, "Of each bootstrap.")
_SEED = flags.DEFINE_integer("resampling_seed", 0, "Of every draw.")


def read_settings() -> Settings:
  """What the flags ask to be measured.

  Raises:
    UserError: if one of them cannot be.
  """
  if _RESAMPLES.value < 1:
    raise UserError(f"--resamples must be at least 1, got {_RESAMPLES.value}.")
  return Settings(
    margins=_read_numbers("margins", _MARGINS.value),
    ratios=_read_numbers("ratios", _RATIOS.value),
    top_share=_TOP_SHARE.value,
    num_resamples=_RESAMPLES.value,
    seed=_SEED.value,
  )


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
  found = [measurements.read_measurement(workdir) for workdir in workdirs]
  return found[0] if len(found) == 1 else measurements.join_measurements(found)


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


def _read_numbers(name: str, texts: Sequence[str]) -> tuple[float, ...]:
  try:
    return tuple(float(text) for text in texts)
  except ValueError as error:
    raise UserError(
      f"--{name} must be numbers with commas between, got {','.join(texts)}."
    ) from error
