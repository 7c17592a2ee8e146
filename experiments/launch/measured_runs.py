"""The finished runs that a binary is told to analyse, and where results go."""

from collections.abc import Sequence

from absl import flags

from experiments.launch.flags import BinaryFlags
from thickets.analysis import joined_measurements, measurement
from thickets.analysis.measurement import Measurement
from thickets.errors import UserError
from thickets.runs import directory, locations
from thickets.runs.locations import Location, Place

# These are the suffixes of files that a binary writes below --out, or that
# somebody may expect there.
_FILE_SUFFIXES = (
  *(".html", ".htm", ".json", ".jsonl", ".md", ".png", ".pdf", ".svg", ".csv"),
  *(".safetensors", ".bin", ".gguf", ".pt", ".txt", ".zip"),
)


def read_workdirs(argv: Sequence[str]) -> list[Location]:
  """Returns the directories of runs that the command names.

  Args:
    argv: the program's name, then the directories.

  Raises:
    UserError: if it names none, or one that is not there.
  """
  workdirs = [locations.locate(name) for name in argv[1:]]
  if not workdirs:
    raise UserError("Name the directory of a run, got none.")
  for workdir in workdirs:
    if not workdir.is_dir():
      raise UserError(f"{workdir} must be the directory of a run; it is not.")
  return workdirs


def read_sources(argv: Sequence[str]) -> list[Location]:
  """Returns the directories of runs that the command names, or the one file.

  Args:
    argv: the program's name, then the directories, or a file made of runs.

  Raises:
    UserError: if it names none, or one that is not there.
  """
  if len(argv) == 2 and (path := locations.locate(argv[1])).is_file():
    return [path]
  return read_workdirs(argv)


def read_workdir(argv: Sequence[str], *, what: str) -> Location:
  """Returns the one directory that the command names.

  Args:
    argv: the program's name, then the directory.
    what: what the directory holds, for messages: a "run" or a "ladder".

  Raises:
    UserError: if the command names none or several, or one that is not there.
  """
  if what != "run":
    for place in argv[1:]:
      locations.locate_on_disk(
        place, f"A {what}", "Only runs can be read from an object store."
      )
  workdirs = read_workdirs(argv)
  if len(workdirs) > 1:
    raise UserError(f"Name one {what}, got {len(workdirs)}.")
  return workdirs[0]


def read_as_one(workdirs: Sequence[Location]) -> Measurement:
  """Reads runs that measure different tasks of one base as one measurement."""
  found = [measurement.read_measurement(workdir) for workdir in workdirs]
  return (
    found[0]
    if len(found) == 1
    else joined_measurements.join_measurements(found)
  )


def define_out(binary: BinaryFlags) -> None:
  """Declares --out, the directory that results go to."""
  flags.DEFINE_string(
    "out",
    None,
    "The directory that results go to; by default that of the run, or the one"
    " above the first of several.",
    flag_values=binary.values,
  )


def find_out(binary: BinaryFlags, workdirs: Sequence[Location]) -> Location:
  """Returns the directory that results go to, and makes it if it is missing.

  Args:
    binary: with the flag --out.
    workdirs: the directories of the runs; the first one is the default.
  """
  out = make_out(binary.values["out"].value or workdirs[0])
  if (figures := out / "figures").is_file():
    raise UserError(
      f"{figures} must be a directory, to which figures go, got a file. Move it, or"
      " choose another --out."
    )
  return out


def make_out(out: Place) -> Location:
  """Makes the directory that results go to, if it is missing.

  Raises:
    UserError: if its name is that of a file, or it cannot be written.
  """
  path = locations.locate(out)
  refuse_file_name(path)
  try:
    return directory.make_workdir(path)
  except UserError as error:
    raise UserError(
      f"--out must be a directory that can be written, got {path}"
      f" ({_reason(error)}). Choose another with --out."
    ) from error


def refuse_file_name(path: Location) -> None:
  """Refuses as a directory what is a file, or has the name of one.

  Raises:
    UserError: if it is.
  """
  if path.is_file() or (
    not path.exists() and path.suffix.lower() in _FILE_SUFFIXES
  ):
    raise UserError(
      f"--out must be a directory, got the name of a file, {path}. Leave out the"
      f" name of the file: --out={path.parent}."
    )


def make_out_file(out: str) -> Location:
  """Makes the directory of the file that results go to, if it is missing.

  Raises:
    UserError: if its name is that of a directory, or it cannot be written.
  """
  path = locations.locate(out)
  if path.is_dir():
    raise UserError(
      f"--out must be a file, got the directory {path}. Name a file in it, such"
      f" as --out={path / 'results.json'}."
    )
  try:
    directory.make_workdir(path.parent)
  except UserError as error:
    raise UserError(
      f"--out must be a file that can be written, got {path}"
      f" ({_reason(error)}). Choose another with --out."
    ) from error
  return path


def _reason(error: UserError) -> str:
  cause = error.__cause__
  return (isinstance(cause, OSError) and cause.strerror) or str(error)
