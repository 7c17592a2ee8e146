"""Where the records of a run are: in logs on a disk, or in objects of a store.

A disk has one log per process, to which chunks are appended. A store cannot append:
there each chunk is an object of its own that is written once, and looks like a log
of that one chunk, its header first. Readers get paths of logs, and need not know
which of the two they read.

    records/process_0000.jsonl                   the log of process 0; in a store its
                                                 header alone
    records/select/000120-8-1f2e3d4c5b6a7988.jsonl  in a store: 8 members from 120 on
"""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from thickets.members import Member
from thickets.runs import leases, mirror, record_log
from thickets.runs.json_files import JsonObject
from thickets.runs.leases import Lease
from thickets.runs.locations import Location, StorePath
from thickets.runs.mirror import Mirror
from thickets.runs.record_log import Record

_RECORDS = "records"


@runtime_checkable
class OpenLog(Protocol):
  """What a process writes its records to, as `open_log` returns it."""

  header: JsonObject | None

  def __enter__(self) -> "OpenLog": ...
  def __exit__(self, *exception: object) -> None: ...

  def write_header(self, header: JsonObject) -> None:
    """See `record_log.RecordLog.write_header`."""
    ...

  def append(
    self,
    split: str,
    positions: Sequence[int],
    members: Sequence[Member],
    scores: np.ndarray,
    channels: dict[str, np.ndarray],
  ) -> list[Record]:
    """See `record_log.RecordLog.append`."""
    ...


def open_log(workdir: Location, process: int) -> OpenLog:
  """Opens the log of one process for writing.

  Raises:
    UserError: if another process has it open, or it is corrupt.
  """
  if isinstance(workdir, StorePath):
    return _open_objects(workdir / _RECORDS, process)
  return record_log.open_log(workdir / _RECORDS / _name_log(process))


def list_logs(workdir: Location) -> list[pathlib.Path]:
  """Lists the logs of a run, as files of this machine.

  Where several hold a record of one member, that of the first counts.
  """
  if isinstance(workdir, StorePath):
    return mirror.find_mirror(workdir / _RECORDS).sync()
  # Those of a run that was copied from a store lie one folder deeper.
  return sorted((workdir / _RECORDS).glob("**/*.jsonl"))


def find_log(workdir: Location, process: int) -> pathlib.Path:
  """The log of one process, which holds at least its header, once it has begun."""
  name = _name_log(process)
  if isinstance(workdir, StorePath):
    return mirror.find_mirror(workdir / _RECORDS).refetch(name)
  return workdir / _RECORDS / name


@contextlib.contextmanager
def open_copies(workdir: StorePath) -> Iterator[Mirror]:
  """Yields the copies of a run in a store, and keeps all others from writing.

  Raises:
    UserError: if a process has one of the logs open.
  """
  copies = mirror.find_mirror(workdir / _RECORDS)
  names = {pathlib.Path(n).stem for n in copies.list_names() if "/" not in n}
  with contextlib.ExitStack() as leases_held:
    for name in sorted({*names, pathlib.Path(_name_log(0)).stem}):
      lease = leases.take_lease(copies.records / f"{name}.lease")
      leases_held.callback(lease.close)
    yield copies


class ObjectLog:
  """Writes one process's records as objects; closing it gives up its lease.

  Args:
    records: the folder of the run's records in the store.
    name: the name of the object that holds the header.
    copies: the local copies of all records.
    lease: the right to write, which other processes respect.
    header: what the records mean, None in a new log.

  Attributes:
    header: what the records mean, None in a new log.
  """

  def __init__(
    self,
    records: StorePath,
    name: str,
    copies: Mirror,
    lease: Lease,
    header: JsonObject | None,
  ):
    self.header = header
    self._records, self._name = records, name
    self._copies, self._lease = copies, lease

  def __enter__(self) -> "ObjectLog":
    return self

  def __exit__(self, *exception: object) -> None:
    self._lease.close()

  def write_header(self, header: JsonObject) -> None:
    """Writes what the records mean, unless the log says that already.

    Another header, behind which there must be no records, is replaced.
    """
    if self.header == header:
      return
    self._lease.check()
    path = self._copies.find(self._name)
    assert not (path.exists() and record_log.has_records(path))
    line = record_log.encode_line({"header": header})
    (self._records / self._name).write_bytes(line)
    self._copies.add(self._name, line)
    self.header = header

  def append(
    self,
    split: str,
    positions: Sequence[int],
    members: Sequence[Member],
    scores: np.ndarray,
    channels: dict[str, np.ndarray],
  ) -> list[Record]:
    """Writes the records of a chunk as one object, and reads it back.

    The arguments and the result are those of `record_log.RecordLog.append`.
    """
    assert self.header is not None, "A log begins with its header."
    self._lease.check()
    found = record_log.describe_records(
      positions, members, scores, channels, split=split
    )
    header = record_log.encode_line({"header": self.header})
    lines = [record_log.encode_line(fields) for fields in found]
    data = b"".join([header, *lines])
    name = mirror.name_chunk(split, positions, data)
    target = self._records / name
    target.store.put(target.key, data)
    path = self._copies.add(name, data)
    return record_log.place_records(found, lines, path, len(header))


def _open_objects(records: StorePath, process: int) -> ObjectLog:
  name = _name_log(process)
  lease = leases.take_lease(records / f"{pathlib.Path(name).stem}.lease")
  try:
    copies = mirror.find_mirror(records)
    path = copies.refetch(name)
    header = record_log.read_header(path) if path.exists() else None
  except BaseException:
    lease.close()
    raise
  return ObjectLog(records, name, copies, lease, header)


def _name_log(process: int) -> str:
  return f"process_{process:04d}.jsonl"
