"""Reads the rows of a data set: from a local file, or from the hub."""

import csv
import dataclasses
import hashlib
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from thickets import huggingface
from thickets.errors import UserError
from thickets.tasks.base import Row, Source

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")

# What a file holds, before rows are checked, and the place of each row.
_Rows = tuple[Sequence[Any], Sequence[str]]


@dataclasses.dataclass(frozen=True)
class DataTable:
  """Rows of one data set, in its own order.

  Attributes:
    rows: the rows, each a mapping from field to value.
    origin: the file, or the id on the hub with configuration and split.
    revision: commit on the hub, or hash of the file.
    places: where each row is, for messages, such as "line 3"; without them it
      is "row 3".
    folder: where relative paths in the rows begin; None where there are none.
  """

  rows: Sequence[Row]
  origin: str
  revision: str
  places: Sequence[str] = ()
  folder: pathlib.Path | None = None

  def place(self, number: int) -> str:
    """Says where a row is, for messages."""
    place = self.places[number] if self.places else f"row {number}"
    return f"{self.origin}, {place}"


def read_file(path: str | pathlib.Path) -> DataTable:
  """Reads a json, jsonl, csv or parquet file.

  Args:
    path: the file. A json file is a list of objects; jsonl has one per line.

  Raises:
    UserError: if the file is missing, of another kind, or malformed; it names
      the line.
  """
  path = pathlib.Path(path).expanduser()
  if path.suffix not in SUFFIXES:
    raise UserError(
      f"A data file must end in {', '.join(SUFFIXES)}, got {path}. Convert it,"
      " or rename it."
    )
  try:
    content = path.read_bytes()
  except OSError as error:
    raise UserError(
      f"A data file must be readable, got {path} ({error.strerror}). Correct"
      " the path."
    ) from error
  try:
    rows, places = _READERS[path.suffix](path, content)
  except UserError:
    raise
  except UnicodeDecodeError as error:
    raise UserError(
      f"A data file must be UTF-8, got {path} ({error}). Convert it."
    ) from error
  except Exception as error:  # Whatever the readers raise on damage.
    raise UserError(
      f"{path} must be a whole {path.suffix[1:]} file, got {error}."
    ) from error
  if not rows:
    raise UserError(f"A data file must hold rows, got none in {path}.")
  for number, row in enumerate(rows):
    if not isinstance(row, dict):
      place = places[number] if places else f"row {number}"
      raise UserError(
        f"Each row must be an object with fields, got {str(row)[:80]!r} ({path},"
        f" {place})."
      )
  digest = hashlib.sha256(content).hexdigest()
  revision = f"sha256:{digest[:16]}"
  return DataTable(rows, str(path), revision, places, path.parent)


def load_source(source: Source, revision: str | None = None) -> DataTable:
  """Loads a data set from the hub, or from its cache.

  Args:
    source: which data set, and which part of it.
    revision: branch, tag or commit; None for that of the source.

  Raises:
    UserError: if the library that loads data sets is missing, or the hub
      refuses or cannot be reached.
  """
  try:
    import datasets
  except ImportError as error:
    raise UserError(
      "Data sets of the hub need the library datasets, which is not installed."
      " Install the extra tasks, as in: pip install -e '.[tasks]'; or name"
      " local files with task.train and task.test."
    ) from error
  revision = revision or source.revision
  commit = _resolve(source.path, revision)
  files: dict[str, Any] = (
    {} if source.file is None else {"data_files": source.file}
  )

  def load():
    try:
      return datasets.load_dataset(
        source.path, source.name, split=source.split, revision=commit, **files
      )
    except ValueError as error:  # For instance for a split that it lacks.
      raise UserError(
        f"The data set {source.path} must have {source}, got: {error}."
      ) from error

  data = huggingface.ask_hub(
    load,
    source.path,
    revision,
    what="data set",
    local="file",
  )
  parts = (source.path, source.name, source.file, source.split)
  return DataTable(
    data.to_list(), ":".join(filter(None, parts)), commit or "cached"
  )


def _resolve(path: str, revision: str | None) -> str | None:
  """Returns the commit of a revision; offline, the revision that was asked for."""
  import huggingface_hub
  from huggingface_hub import constants

  if constants.HF_HUB_OFFLINE:
    return revision
  info = huggingface.ask_hub(
    lambda: huggingface.within(
      huggingface.DEADLINE_S,
      lambda: huggingface_hub.HfApi().dataset_info(
        path, revision=revision, timeout=huggingface.DEADLINE_S / 2
      ),
    ),
    path,
    revision,
    what="data set",
    local="file",
  )
  return info.sha


def _read_json(path: pathlib.Path, content: bytes) -> _Rows:
  rows = json.loads(content.decode("utf-8-sig"))
  if not isinstance(rows, list):
    raise UserError(
      f"{path} must hold a list of objects, got {type(rows).__name__}. Write"
      " one object to a line and name it .jsonl."
    )
  return rows, ()


def _read_jsonl(path: pathlib.Path, content: bytes) -> _Rows:
  rows, places = [], []
  # By newlines alone: texts may hold other line separators unescaped.
  lines = content.decode("utf-8-sig").split("\n")
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    try:
      rows.append(json.loads(line))
    except ValueError as error:
      raise UserError(
        f"Each line must be a JSON object, got {line[:80]!r} ({path}, line"
        f" {number}): {error}."
      ) from error
    places.append(f"line {number}")
  return rows, places


def _read_csv(path: pathlib.Path, content: bytes) -> _Rows:
  # By newlines alone again, and without changing those within quotes.
  text = io.StringIO(content.decode("utf-8-sig"), newline="")
  reader = csv.DictReader(text, strict=True)
  rows, places = [], []
  while True:
    try:
      row = next(reader, None)
    except csv.Error as error:
      raise UserError(
        f"Each row must be as csv writes it, got {error} ({path}, line"
        f" {reader.reader.line_num})."
      ) from error
    if row is None:
      return rows, places
    if None in row or None in row.values():
      num_columns = len(reader.fieldnames or ())
      raise UserError(
        f"Each row must have the {num_columns} columns of the"
        f" header, got another number ({path}, line {reader.line_num})."
      )
    rows.append(row)
    places.append(f"line {reader.line_num}")


def _read_parquet(path: pathlib.Path, content: bytes) -> _Rows:
  try:
    from pyarrow import parquet
  except ImportError as error:
    raise UserError(
      f"{path} needs the library pyarrow, which is not installed. Install the"
      " extra tasks, as in: pip install -e '.[tasks]'."
    ) from error
  return parquet.read_table(io.BytesIO(content)).to_pylist(), ()


_READERS = {
  ".json": _read_json,
  ".jsonl": _read_jsonl,
  ".csv": _read_csv,
  ".parquet": _read_parquet,
}
