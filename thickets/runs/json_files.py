"""Files of a run: written whole or not at all, and how two JSON contents differ."""

import contextlib
import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from thickets.runs.locations import Location, StorePath

# What a JSON object holds, where its keys are not known beforehand.
JsonObject = dict[str, Any]
ABSENT = "absent"  # In place of a value that is missing, where two differ.
# Lists of more entries are said by the first that differs.
_MOST_LISTED = 8


def write_json(path: Location, content: Mapping[str, Any]) -> Location:
  """Writes a JSON file whole or not at all; returns its path."""
  text = json.dumps(content, indent=2, allow_nan=False) + "\n"
  return write_text(path, text)


def write_text(path: Location, text: str) -> Location:
  """Writes a text file whole or not at all; returns its path."""
  if isinstance(path, StorePath):
    path.write_bytes(text.encode("utf-8"))
    return path
  with replacing(path) as temporary:
    temporary.write_text(text, encoding="utf-8")
  return path


@contextlib.contextmanager
def replacing(path: Location) -> Iterator[pathlib.Path]:
  """Replaces a file or object once all of it is written; else leaves it as it was.

  Args:
    path: the file or object.

  Yields:
    The file of this machine to write what becomes of it to.
  """
  if isinstance(path, StorePath):
    with tempfile.TemporaryDirectory(prefix="thickets-upload-") as folder:
      whole = pathlib.Path(folder) / path.name
      yield whole
      path.write_bytes(whole.read_bytes())
    return
  temporary = path.with_name(f".{path.name}.{os.getpid()}")
  try:
    with naming_file(path):
      yield temporary
      temporary.replace(path)
  except BaseException:
    with contextlib.suppress(OSError):
      temporary.unlink()
    raise


@contextlib.contextmanager
def naming_file(path: pathlib.Path) -> Iterator[None]:
  """Has the system's errors name a file; those of writing name none."""
  try:
    yield
  except OSError as error:
    if error.filename is None and error.errno is not None:
      error.filename = str(path)
    raise


def read_json(path: Location) -> Any:
  """Reads a JSON file.

  Raises:
    OSError: if it cannot be read.
    ValueError: if it is not JSON.
  """
  return json.loads(path.read_text(encoding="utf-8"))


def as_read(content: Mapping[str, Any]) -> JsonObject:
  """The content as a reader of its file would see it, where tuples are lists."""
  return json.loads(json.dumps(content))


@dataclasses.dataclass(frozen=True)
class Difference:
  """One field in which two JSON values differ.

  Attributes:
    key: the dotted path of the field.
    old: its value in the first, "absent" where it has none.
    new: its value in the second, "absent" where it has none.
  """

  key: str
  old: Any
  new: Any

  def __str__(self) -> str:
    old, new = self.old, self.new
    if not (isinstance(old, list) and isinstance(new, list)):
      return f"{self.key} was {old!r}, now {new!r}"
    if max(len(old), len(new)) <= _MOST_LISTED:
      return f"{self.key} was {old!r}, now {new!r}"
    others = [
      place
      for place, (one, other) in enumerate(zip(old, new, strict=False))
      if one != other
    ]
    parts = []
    if len(old) != len(new):
      parts.append(f"{self.key} had {len(old)} entries, now {len(new)}")
    if others:
      first = others[0]
      parts.append(
        f"{self.key}[{first}] was {old[first]!r}, now {new[first]!r}, the first"
        f" of {len(others)} entries that differ"
      )
    return "; ".join(parts)


def find_differences(old: Any, new: Any, key: str = "") -> list[Difference]:
  """Lists the fields in which two JSON values differ.

  Args:
    old: the first value.
    new: the second value.
    key: the dotted path of both.
  """
  if isinstance(old, dict) and isinstance(new, dict):
    keys = [*old, *(name for name in new if name not in old)]
    return [
      difference
      for name in keys
      for difference in find_differences(
        old.get(name, ABSENT),
        new.get(name, ABSENT),
        f"{key}.{name}" if key else str(name),
      )
    ]
  # As in JSON, 1 and true differ, but 1 and 1.0 are the same number.
  same = old == new and isinstance(old, bool) == isinstance(new, bool)
  return [] if same else [Difference(key, old, new)]
