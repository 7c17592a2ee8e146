"""Repairs a damaged record log: bad lines are dropped, all others stay.

A run refuses a log with a damaged line before its end, since nobody but its owner
can say whether to restore the file or to compute the lost records again.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NoReturn, TypeVar

from thickets.errors import UserError
from thickets.runs import record_files, record_log
from thickets.runs.locations import Location, StorePath
from thickets.runs.mirror import Mirror

_Path = TypeVar("_Path", pathlib.Path, StorePath)


@dataclasses.dataclass(frozen=True)
class DroppedLine:
  """A line that is no sound record.

  Attributes:
    number: its number in the file, from 1.
    num_bytes: its length.
    reason: what is wrong with it.
  """

  number: int
  num_bytes: int
  reason: str


@dataclasses.dataclass(frozen=True)
class Repair:
  """What a repair of one log keeps and drops.

  Attributes:
    path: the log, or the object of a store.
    num_records: records that are kept.
    dropped: the lines that are not.
    backup: a copy of the log as it was; None where nothing was changed.
  """

  path: Location
  num_records: int
  dropped: Sequence[DroppedLine]
  backup: Location | None = None


def repair_logs(workdir: Location, *, dry_run: bool = False) -> list[Repair]:
  """Drops the bad lines of all logs of a run, and keeps copies beside them.

  Bad are lines that are no JSON, whose checksum does not match, or that end in
  the middle, and records of which a later line has the same member and split. Of
  a run in a store, objects that are not what was uploaded are bad as well.

  Args:
    workdir: the run directory.
    dry_run: whether to change nothing, and only say what would be dropped.

  Raises:
    UserError: if the directory holds no run or is in use, or a log has lost its
      header, without which nobody knows what its records mean.
  """
  if isinstance(workdir, StorePath):
    with record_files.open_copies(workdir) as copies:
      return _repair_objects(copies, dry_run=dry_run)
  paths = record_files.list_logs(workdir)
  if not paths:
    _refuse_other(workdir)
  with contextlib.ExitStack() as locks:
    for path in paths:
      locks.enter_context(record_log.lock_log(path))
    # All logs are read before one is changed.
    found = [_inspect(path) for path in paths]
    if dry_run:
      return [repair for repair, _ in found]
    return [
      _rewrite(path, repair, kept)
      for path, (repair, kept) in zip(paths, found, strict=True)
    ]


def _repair_objects(copies: Mirror, *, dry_run: bool) -> list[Repair]:
  """Repairs what lies in a store, where chunks are sound or damaged as a whole."""
  paths = copies.sync()
  damaged = copies.list_damaged()
  if not paths and not damaged:
    _refuse_other(copies.records.parent)
  repairs = []
  for path in paths:
    if not record_log.has_records(path):  # The next start writes it anew.
      continue
    repair, kept = _inspect(path)
    target = copies.records / copies.name(path)
    repair = dataclasses.replace(repair, path=target)
    if repair.dropped and not dry_run:
      lines, keep = _read_lines(path), set(kept)
      data = b"".join(line for number, line in lines if number in keep)
      backup = _back_up(target, path.read_bytes())
      target.write_bytes(data)
      copies.add(copies.name(path), data)
      repair = dataclasses.replace(repair, backup=backup)
    repairs.append(repair)
  for name, data in damaged.items():
    target = copies.records / name
    reason = "the object is not what was uploaded, as its name says"
    repair = Repair(target, 0, [DroppedLine(1, len(data), reason)])
    if not dry_run:
      repair = dataclasses.replace(repair, backup=_back_up(target, data))
      target.unlink()
    repairs.append(repair)
  return sorted(repairs, key=lambda repair: str(repair.path))


def _back_up(target: StorePath, data: bytes) -> StorePath:
  backup = _find_free(target)
  target.store.put(backup.key, data)
  return backup


def _refuse_other(workdir: Location) -> NoReturn:
  raise UserError(
    f"{workdir} must be the directory of a run, got one without any log in"
    " records. Correct the path."
  )


def _inspect(path: pathlib.Path) -> tuple[Repair, list[int]]:
  """What to drop of a log, and the numbers of the lines to keep."""
  last: dict[tuple[str, int], tuple[int, int]] = {}
  kept, dropped = [], []
  for number, line in _read_lines(path):
    try:
      fields = record_log.decode_line(line)
    except ValueError as error:
      if number == 1:
        _refuse_header(path, str(error))
      dropped.append(DroppedLine(number, len(line), str(error)))
      continue
    if number == 1:
      if "header" not in fields:
        _refuse_header(path, "line 1 is a record")
      kept.append(number)
    elif "header" in fields:
      dropped.append(DroppedLine(number, len(line), "it is a second header"))
    else:
      key = fields["split"], fields["position"]
      if key in last:
        reason = f"line {number} has the same member and split"
        dropped.append(DroppedLine(*last[key], reason))
      last[key] = number, len(line)
  kept += sorted(number for number, _ in last.values())
  dropped.sort(key=lambda line: line.number)
  return Repair(path, len(last), dropped), kept


def _rewrite(path: pathlib.Path, repair: Repair, kept: Sequence[int]) -> Repair:
  """Writes a log without its bad lines, whole or not at all."""
  if not repair.dropped:
    return repair
  keep = set(kept)
  backup = _find_free(path)
  partial = path.with_name(f".{path.name}.{os.getpid()}")
  try:
    with partial.open("wb") as file:
      for number, line in _read_lines(path):
        if number in keep:
          file.write(line)
      file.flush()
      os.fsync(file.fileno())
    os.link(path, backup)
    partial.replace(path)
  finally:
    partial.unlink(missing_ok=True)
  return dataclasses.replace(repair, backup=backup)


def _read_lines(path: pathlib.Path) -> Iterator[tuple[int, bytes]]:
  with path.open("rb") as file:
    yield from enumerate(file, start=1)


def _find_free(path: _Path) -> _Path:
  """A name beside a log that no earlier copy of it has."""
  number = 1
  while (
    free := path.with_name(f"{path.name}.before_repair_{number}")
  ).exists():
    number += 1
  return free


def _refuse_header(path: pathlib.Path, why: str) -> NoReturn:
  raise UserError(
    f"{path} must begin with its header, which says what the records mean, got"
    f" {why}. Restore the file, or delete it to have its members evaluated"
    " again."
  )
