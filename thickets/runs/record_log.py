"""The record log: one append-only JSON-lines file per process, on a disk.

The first line is a header that names everything the records' meaning depends
on; every other line is one record: the scores of one member on one split, with
its per-example channels compressed. A line ends with a checksum of itself, and
lines of a chunk are written at once and flushed to the disk, so `kill -9` costs
the chunks in flight and at worst tears the last line, which is then dropped.
"""

import contextlib
import dataclasses
import fcntl
import io
import json
import os
import pathlib
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from thickets.errors import UserError
from thickets.members import Member
from thickets.runs import json_files, packed_arrays
from thickets.runs.json_files import JsonObject

_CHECKSUM = b', "crc32": '


@dataclasses.dataclass(frozen=True)
class Record:
  """One member's result on one split, without its channels.

  Attributes:
    split: name of the prompts it answered.
    position: its index in the population, -1 for the base.
    member: its terms.
    score: mean over prompts, higher is better; NaN if the member failed.
    source: file, offset and length of the line that holds its channels.
  """

  split: str
  position: int
  member: Member
  score: float
  source: tuple[pathlib.Path, int, int]

  def channels(
    self, names: Sequence[str] | None = None
  ) -> dict[str, np.ndarray]:
    """Reads channels [Q, ...] back from the log, all by default.

    Raises:
      UserError: if the record lacks one of the names.
    """
    path, offset, length = self.source
    with path.open("rb") as file:
      file.seek(offset)
      found = decode_line(file.read(length))["channels"]
    missing = [name for name in names or () if name not in found]
    if missing:
      raise UserError(
        f"{path} must have the channels {list(names or ())}, got {list(found)}."
        " It is no run on a language task."
      )
    return {
      name: packed_arrays.decode_array(found[name])
      for name in (found if names is None else names)
    }


def open_log(path: pathlib.Path) -> "RecordLog":
  """Opens one process's log for writing.

  Opening takes a lock that lasts until the log is closed or the process ends,
  and drops a torn last line.

  Raises:
    UserError: if another process has the log open, or a line before the last is
      corrupt.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with contextlib.ExitStack() as closing:
    file = closing.enter_context(path.open("ab", buffering=0))
    _lock(path, file)  # Before the end of another process's log is called torn.
    end = path.stat().st_size
    header, last_good = None, 0
    for line in _read_lines(path):
      header = line.fields.get("header", header)
      last_good = line.offset + line.length
    if last_good < end and not _is_blank(path, last_good):
      logging.warning(
        "%s: dropped a torn record of %d bytes at byte %d; its chunk will be"
        " computed again.",
        path,
        end - last_good,
        last_good,
      )
    if last_good < end:
      os.truncate(path, last_good)
    closing.pop_all()  # From here on the log closes its file.
    return RecordLog(path, file, header, last_good)


class RecordLog:
  """Writes one process's log; a context manager that closes it at the end.

  Made by `open_log`; `read_log` reads any log.

  Args:
    path: the file.
    file: the same, open for appending without a buffer.
    header: what the records mean, None in a new log.
    size: bytes of the file so far.

  Attributes:
    header: what the records mean, None in a new log.
  """

  def __init__(
    self,
    path: pathlib.Path,
    file: io.RawIOBase,
    header: JsonObject | None,
    size: int,
  ):
    self.header = header
    self._path, self._file, self._size = path, file, size

  def __enter__(self) -> "RecordLog":
    return self

  def __exit__(self, *exception: object) -> None:
    self.close()

  def close(self) -> None:
    """Closes the file, which gives up its lock."""
    self._file.close()

  def write_header(self, header: JsonObject) -> None:
    """Starts a log with what its records mean, unless it says that already.

    Another header, behind which there must be no records, is replaced.
    """
    if self.header == header:
      return
    if self.header is not None:
      assert not has_records(self._path), "Records keep their header."
      os.truncate(self._path, 0)
      self._size = 0
    self._write(encode_line({"header": header}))
    self.header = header

  def append(
    self,
    split: str,
    positions: Sequence[int],
    members: Sequence[Member],
    scores: np.ndarray,
    channels: dict[str, np.ndarray],
  ) -> list[Record]:
    """Writes the records of a chunk, whole and flushed to the disk.

    Args:
      split: name of the prompts.
      positions: [P] of each member in the population, -1 for the base.
      members: [P] of them.
      scores: [P] their means; what is not finite is recorded as failed.
      channels: [P, Q, ...] per name.

    Returns:
      [P] the records, as `read_log` would read them.
    """
    assert self.header is not None, "A log begins with its header."
    found = describe_records(positions, members, scores, channels, split=split)
    lines = [encode_line(fields) for fields in found]
    written = place_records(found, lines, self._path, self._size)
    self._write(b"".join(lines))
    return written

  def _write(self, data: bytes) -> None:
    rest = memoryview(data)
    with json_files.naming_file(self._path):
      while rest:  # What is left, where a disk has room for a part.
        rest = rest[self._file.write(rest) :]
      os.fsync(self._file.fileno())
    self._size += len(data)


@contextlib.contextmanager
def lock_log(path: pathlib.Path) -> Iterator[None]:
  """Keeps all others from writing to a log.

  Raises:
    UserError: if another process has it open.
  """
  with path.open("ab", buffering=0) as file:
    _lock(path, file)
    yield


def _lock(path: pathlib.Path, file: io.RawIOBase) -> None:
  try:
    fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError as error:
    raise UserError(
      f"{path} is in use by another process. Wait for it to end, or choose"
      " another workdir."
    ) from error
  except OSError as error:  # For example a network disk without locks.
    raise UserError(
      f"{path} must be on a disk with file locks, got {error.strerror}. Choose"
      " another workdir."
    ) from error


def read_log(path: pathlib.Path) -> Iterator[Record]:
  """Yields the records of a log; a torn last line is left out with a warning.

  Raises:
    UserError: if a line before the last is corrupt; it names the line.
  """
  end = 0
  for line in _read_lines(path):
    end = line.offset + line.length
    if "header" not in line.fields:
      yield _make_record(line.fields, path, line.offset, line.length)
  torn = path.stat().st_size - end
  if torn > 0 and not _is_blank(path, end):
    logging.warning(
      "%s: left out a torn record of %d bytes at byte %d.", path, torn, end
    )


def has_records(path: pathlib.Path) -> bool:
  """Whether a log holds anything whole behind its header."""
  with path.open("rb") as file:
    file.readline()
    return file.readline().endswith(b"\n")


def read_header(path: pathlib.Path) -> JsonObject | None:
  """Returns the header of a log, None if it has none yet."""
  first = next(_read_lines(path), None)
  return first.fields.get("header") if first else None


def check_header(path: pathlib.Path, header: JsonObject) -> None:
  """Checks that a log, if it has a header, means the same as `header`.

  Raises:
    UserError: if they differ; the message lists the differences.
  """
  different = json_files.find_differences(read_header(path) or header, header)
  if different:
    raise UserError(
      f"{path} holds records that mean something else:"
      f" {'; '.join(map(str, different))}. Choose another workdir, or go back to"
      " what it was made with."
    )


def describe_records(
  positions: Sequence[int],
  members: Sequence[Member],
  scores: np.ndarray,
  channels: dict[str, np.ndarray],
  *,
  split: str,
) -> list[JsonObject]:
  """Returns the fields of the records of a chunk; see `RecordLog.append`."""
  found = []
  for row, (position, member) in enumerate(
    zip(positions, members, strict=True)
  ):
    failed = not np.isfinite(scores[row])
    found.append(
      {
        "split": split,
        "position": int(position),
        "terms": [list(term) for term in member.terms],
        "score": None if failed else float(scores[row]),
        "channels": {
          name: packed_arrays.encode_array(array[row])
          for name, array in channels.items()
        },
      }
    )
  return found


def place_records(
  found: Sequence[JsonObject],
  lines: Sequence[bytes],
  path: pathlib.Path,
  offset: int,
) -> list[Record]:
  """Returns the records whose lines lie in a file from an offset on.

  Args:
    found: [P] their fields.
    lines: [P] the same, encoded.
    path: the file.
    offset: where the first line begins in it.
  """
  placed = []
  for fields, line in zip(found, lines, strict=True):
    placed.append(_make_record(fields, path, offset, len(line)))
    offset += len(line)
  return placed


def _make_record(
  fields: JsonObject, path: pathlib.Path, offset: int, length: int
) -> Record:
  terms = fields["terms"]
  return Record(
    split=fields["split"],
    position=fields["position"],
    member=Member(tuple(t[0] for t in terms), tuple(t[1] for t in terms)),
    score=float("nan") if fields["score"] is None else fields["score"],
    source=(path, offset, length),
  )


def _is_blank(path: pathlib.Path, start: int) -> bool:
  """Whether a file holds nothing from there on but blank lines."""
  with path.open("rb") as file:
    file.seek(start)
    return not any(line.strip() for line in file)


@dataclasses.dataclass(frozen=True)
class _Line:
  offset: int
  length: int
  fields: JsonObject


def _read_lines(path: pathlib.Path) -> Iterator[_Line]:
  if not path.exists():
    return
  offset, problem = 0, None
  with path.open("rb") as file:
    for number, line in enumerate(file, start=1):
      if not line.strip():  # As an editor leaves it; no record begins so.
        if not problem:
          problem = f"line {number} (it is blank)"
        continue
      if problem:
        raise UserError(
          f"{path} is corrupt: {problem}. Restore the file, or drop what is"
          " corrupt with experiments.repair: its members are evaluated again."
        )
      try:
        fields = decode_line(line)
      except ValueError as error:
        problem = f"line {number} ({error})"
        continue
      if (number == 1) != ("header" in fields):
        raise UserError(
          f"{path} is corrupt: its header must be line 1 and nowhere else (line"
          f" {number}). Without it nobody knows what the records mean. Restore"
          " the file, or delete it to have its members evaluated again."
        )
      yield _Line(offset, len(line), fields)
      offset += len(line)


def encode_line(fields: JsonObject) -> bytes:
  """Writes the header or a record as one line, with its checksum at the end."""
  body = json.dumps(fields).encode("ascii")[:-1]
  return body + _CHECKSUM + str(zlib.crc32(body)).encode("ascii") + b"}\n"


def decode_line(line: bytes) -> JsonObject:
  """Reads one line of a log, the header or a record.

  Raises:
    ValueError: if it is damaged, in words.
  """
  body, mark, rest = line.rpartition(_CHECKSUM)
  if not (mark and rest.endswith(b"}\n")):
    raise ValueError("it has no checksum at its end")
  if rest[:-2] != str(zlib.crc32(body)).encode("ascii"):
    raise ValueError("its checksum does not match")
  return json.loads(body + b"}")
