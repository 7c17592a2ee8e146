"""Run directories: everything that one run leaves behind, and how it resumes.

    <workdir>/config.json  base/  records/**/*.jsonl  experts.json  results.json
              figures/*.png

The records are the checkpoint: the same command again reads them, evaluates
only chunks of which a member is missing, and ends with the same files. The
directory may lie on a disk or in an object store (`locations`).
"""

import contextlib
import os
import pathlib
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float

from thickets.errors import UserError
from thickets.members import Member
from thickets.runs import (
  environment,
  json_files,
  locations,
  processes,
  record_files,
  record_log,
)
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import Location, Place, StorePath
from thickets.runs.record_files import OpenLog
from thickets.runs.record_log import Record
from thickets.runs.run_config import RunConfig

BASE_POSITION = -1
_RECORDS = "records"
_PAUSES_S = (0.1, 0.3, 1, 3, 8, 15, 15, 18)  # Between looks for records.


@contextlib.contextmanager
def open_run(workdir: Place, config: RunConfig) -> Iterator["Run"]:
  """Opens a run directory for one process, and closes its log at the end.

  Args:
    workdir: the directory, made if it is missing, or an address in an object
      store.
    config: what the run is asked to do.

  Yields:
    The run, with the records of all processes so far.

  Raises:
    UserError: if the directory cannot be written, is in use, is corrupt, or
      holds a run whose configuration means something else.
  """
  path = make_workdir(workdir)
  _refuse_other(path, config)
  with record_files.open_log(path, jax.process_index()) as log:
    run = Run(path, config, log)
    run.refresh()
    yield run


def check_config(workdir: Place, config: RunConfig) -> None:
  """Refuses to continue a run in a directory that means something else.

  A directory without any record is new, whatever a start that failed has left.

  Raises:
    UserError: if the configurations differ; the message lists the differences. If
      the directory is in an object store, and cannot be read or written.
  """
  path = locations.locate(workdir)
  if isinstance(path, StorePath):
    _try_writing(path)
  _refuse_other(path, config)


def _refuse_other(path: Location, config: RunConfig) -> None:
  if not is_new(path):
    config.check(path)


def is_new(workdir: Place) -> bool:
  """Whether a directory is missing, or holds no more than a failed start."""
  path = locations.locate(workdir)
  if not path.is_dir():
    return True
  # What another start tries out in an object store begins with a dot.
  names = {e.name for e in path.iterdir() if not e.name.startswith(".")}
  return names <= {"config.json", _RECORDS} and not _logs_with_records(path)


def read_header(workdir: Place) -> JsonObject | None:
  """What the records of a directory mean; None where it holds none."""
  logs = _logs_with_records(locations.locate(workdir))
  return next(filter(None, map(record_log.read_header, logs)), None)


class Run:
  """An open run directory, as `open_run` yields it.

  Args:
    workdir: the directory.
    config: what the run is asked to do.
    log: what this process writes its records to.
  """

  def __init__(self, workdir: Location, config: RunConfig, log: OpenLog):
    self.workdir = workdir
    self._config, self._log = config, log
    self._records: dict[tuple[str, int], Record] = {}

  @property
  def header(self) -> JsonObject | None:
    """What the records mean, as any process has written it; None at first."""
    return read_header(self.workdir)

  def write_header(self, header: JsonObject) -> None:
    """States what the records mean; with this the run begins.

    A header without records, which a start that failed has left, is replaced.

    Raises:
      UserError: if there are records that mean something else; it says in what
        they differ.
    """
    for path in _logs_with_records(self.workdir):
      record_log.check_header(path, header)
    self._log.write_header(header)
    if jax.process_count() > 1:
      # Each against what the others wrote: their bases may differ in bits.
      processes.wait_for_all("the header")
      for process in range(jax.process_count()):
        path = record_files.find_log(self.workdir, process)
        record_log.check_header(path, header)
    self.save_config()

  def save_config(self) -> None:
    """Writes config.json, on process 0."""
    if jax.process_index() == 0:
      self._config.save(self.workdir, environment.describe())

  def refresh(self) -> None:
    """Reads the records of all processes.

    Of several records of one member, the last of the first process that has one
    counts, however often and by whom the log is read.
    """
    for path in reversed(record_files.list_logs(self.workdir)):
      self._keep(record_log.read_log(path))

  def await_records(self, split: str, positions: Sequence[int]) -> None:
    """Reads the records of all processes until none of these is missing.

    A store, or a disk of the network, may show late what others have written.

    Args:
      split: name of the prompts.
      positions: those of members that some process has evaluated.

    Raises:
      UserError: if one is missing after a minute.
    """
    for pause_s in (0.0, *_PAUSES_S):
      time.sleep(pause_s)
      self.refresh()
      if all(self.find(split, p) is not None for p in positions):
        return
    missing = [p for p in positions if self.find(split, p) is None]
    raise UserError(
      f"{self.workdir} must show what all processes have written, got no record"
      f" of {len(missing)} members on {split} for {sum(_PAUSES_S):.0f} s. Start"
      " the same command again: it evaluates what is missing."
    )

  def _keep(self, found: Iterable[Record]) -> None:
    for record in found:
      self._records[record.split, record.position] = record

  def append(
    self,
    split: str,
    positions: Sequence[int],
    members: Sequence[Member],
    scores: Float[np.ndarray, " P"],
    channels: dict[str, np.ndarray],
  ) -> None:
    """Logs the records of a chunk; see `record_log.RecordLog.append`."""
    self._keep(self._log.append(split, positions, members, scores, channels))

  def find(self, split: str, position: int) -> Record | None:
    """The record of one member on one split, None where there is none yet."""
    return self._records.get((split, position))

  def records(self, split: str) -> list[Record]:
    """All records of a split, that of the base among them."""
    return [r for r in self._records.values() if r.split == split]

  def record(self, split: str, position: int) -> Record:
    """The record of one member (or `BASE_POSITION`) on one split."""
    return self._records[split, position]

  def channels(self, split: str, position: int) -> dict[str, np.ndarray]:
    """Channels [Q, ...] of one member on one split, read from the log."""
    return self.record(split, position).channels()

  def scores(
    self, split: str, positions: Sequence[int]
  ) -> Float[np.ndarray, " P"]:
    """[P] mean scores of members on a split; NaN where a member failed."""
    return np.array([self._records[split, int(p)].score for p in positions])

  def channel(
    self, split: str, positions: Sequence[int], name: str
  ) -> np.ndarray:
    """[P, Q, ...] a channel of members on a split, read from the log."""
    return np.stack(
      [self._records[split, int(p)].channels()[name] for p in positions]
    )

  def save_json(self, name: str, content: JsonObject) -> Location:
    """Writes a JSON file of the run, whole or not at all."""
    return json_files.write_json(self.workdir / name, content)


def _logs_with_records(workdir: Location) -> list[pathlib.Path]:
  logs = record_files.list_logs(workdir)
  return [path for path in logs if record_log.has_records(path)]


def make_workdir(workdir: Place) -> Location:
  """Makes a directory if it is missing, and checks that it can be written.

  Raises:
    UserError: if it cannot.
  """
  path = locations.locate(workdir)
  if isinstance(path, StorePath):
    _try_writing(path)
    return path
  try:
    path.mkdir(parents=True, exist_ok=True)
    probe = path / f".probe.{os.getpid()}"
    probe.touch()
    probe.unlink()
  except OSError as error:
    raise UserError(
      f"workdir must be a directory that can be written, got {path}"
      f" ({error.strerror}). Choose another with --workdir."
    ) from error
  return path


def _try_writing(path: StorePath) -> None:
  """Lists, writes, reads and deletes below an address, or says what is refused."""
  path.is_dir()
  probe = path / f".probe.{uuid.uuid4().hex}"
  try:
    path.store.put(probe.key, b"Can this be written?")
  finally:
    probe.unlink()
