"""Pictures within prompts: which bytes, by whom they are named, and how to get them.

A picture is known by the hash of its file's bytes. The bytes themselves are read
again where they are needed, so that examples stay small in memory and as pickles.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from thickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class Picture:
  """One picture of a prompt; two with the same bytes are equal.

  Attributes:
    digest: sha256 of the bytes of its file, in hexadecimal.
    where: where it comes from, for messages, such as its path.
    load: returns the bytes; it pickles.
  """

  digest: str
  where: str = dataclasses.field(compare=False)
  load: Callable[[], bytes] = dataclasses.field(compare=False, repr=False)

  def read(self) -> bytes:
    """Returns the bytes of the file.

    Raises:
      UserError: if they can no longer be read, or are others than before.
    """
    data = self.load()
    if hash_bytes(data) != self.digest:
      raise UserError(
        f"A picture must stay as it is while a run reads it, got other bytes in"
        f" {self.where}. Start the run again."
      )
    return data


@dataclasses.dataclass(frozen=True)
class ParquetCell:
  """A picture in a parquet file, which is read where it is needed.

  Attributes:
    path: the file.
    group: number of its group of rows.
    row: number of the row in the group.
    column: name of the column, whose cells are bytes or hold a field `bytes`.
  """

  path: str
  group: int
  row: int
  column: str

  def __call__(self) -> bytes:
    """Returns the bytes of the picture; none where the cell has none."""
    cell = _read_group(self.path, self.group, self.column)[self.row].as_py()
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    return data if isinstance(data, bytes) else b""


def index_parquet(
  path: str | pathlib.Path, *, key: str, column: str
) -> dict[str, ParquetCell]:
  """Finds the cells of a parquet file by the texts of another column.

  Args:
    path: the file.
    key: name of the column that says which cell is which.
    column: name of the column of the cells.

  Raises:
    UserError: if the file cannot be read, or has no such columns.
  """
  from pyarrow import parquet

  cells: dict[str, ParquetCell] = {}
  try:
    with parquet.ParquetFile(path) as file:
      names = file.schema_arrow.names
      if missing := {key, column}.difference(names):
        raise UserError(
          f"{path} must have the columns {key} and {column}, got {names} without"
          f" {' and '.join(sorted(missing))}. Name another file."
        )
      for group in range(file.num_row_groups):
        keys = file.read_row_group(group, columns=[key]).column(key)
        for row, found in enumerate(keys.to_pylist()):
          cells[str(found)] = ParquetCell(str(path), group, row, column)
  except UserError:
    raise
  except Exception as error:  # Whatever the reader raises on damage.
    raise UserError(
      f"{path} must be a whole parquet file, got {error}. Fetch it again."
    ) from error
  return cells


@functools.lru_cache(maxsize=2)
def _read_group(path: str, group: int, column: str):
  """The cells of one group of rows; a few are kept, as neighbours are read next."""
  from pyarrow import parquet

  with parquet.ParquetFile(path) as file:
    return file.read_row_group(group, columns=[column]).column(column)


def hash_bytes(data: bytes) -> str:
  """Returns the sha256 of bytes in hexadecimal, by which pictures are known."""
  return hashlib.sha256(data).hexdigest()


def make_picture(load: Callable[[], bytes], where: str) -> Picture:
  """Makes a picture of what a function returns.

  Args:
    load: returns the bytes of the file, always the same ones; it pickles.
    where: where they come from, for messages.

  Raises:
    UserError: if there are no bytes.
  """
  data = load()
  if not data:
    raise UserError(
      f"A picture must have bytes, got none in {where}. Give the whole file."
    )
  return Picture(hash_bytes(data), where, load)


def from_path(path: str | pathlib.Path) -> Picture:
  """Makes a picture of a file, which must stay where it is during a run.

  Raises:
    UserError: if the file cannot be read, or is empty.
  """
  path = expand_home(path)
  return make_picture(functools.partial(_read_file, path), str(path))


def expand_home(path: str | pathlib.Path) -> pathlib.Path:
  """The path of a picture with `~` and `~name` replaced by the home directory.

  Raises:
    UserError: if there is no such user, or no home directory.
  """
  try:
    return pathlib.Path(path).expanduser()
  except RuntimeError as error:
    raise UserError(
      f"A picture must be a readable file, got {path} (it begins with a home"
      " directory that is unknown). Correct the path."
    ) from error


def from_bytes(data: bytes, where: str) -> Picture:
  """Makes a picture of bytes that are held in memory, and pickled with it.

  Args:
    data: the bytes of a file in a format of pictures.
    where: where they come from, for messages.

  Raises:
    UserError: if there are none.
  """
  return make_picture(functools.partial(bytes, data), where)


def from_cell(
  cell: Any, where: str, *, folder: str | pathlib.Path = "."
) -> Picture:
  """Makes a picture of a cell of a table.

  Args:
    cell: a path, bytes, a mapping with `bytes` and `path`, as columns of pictures
      are stored in parquet files and data sets, whose bytes win, or a
      `ParquetCell`.
    where: where the cell is, for messages, such as the row and the column.
    folder: where relative paths begin.

  Raises:
    UserError: if the cell holds none of these, or the file cannot be read.
  """
  if isinstance(cell, Mapping) and {"bytes", "path"} & {*cell}:
    data, path = cell.get("bytes"), cell.get("path")
    if data is None and isinstance(path, str) and path:
      return from_path(pathlib.Path(folder) / expand_home(path))
    if isinstance(data, bytes):
      named = f"{where}, {path}" if path else where
      return from_bytes(data, named)
  elif isinstance(cell, ParquetCell):
    return make_picture(cell, f"{where}, {cell.path}")
  elif isinstance(cell, bytes):
    return from_bytes(cell, where)
  elif isinstance(cell, str) and cell:
    return from_path(pathlib.Path(folder) / expand_home(cell))
  raise UserError(
    "A picture must be a path, bytes, or a mapping with bytes and path, got"
    f" {type(cell).__name__} {str(cell)[:60]!r} ({where}). Write one of these."
  )


def _read_file(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except (OSError, ValueError) as error:  # No path has a null byte.
    is_path = isinstance(error, OSError)
    reason = error.strerror if is_path else error
    shown = path if is_path else ascii(str(path))
    raise UserError(
      f"A picture must be a readable file, got {shown} ({reason})."
      " Correct the path."
    ) from error
