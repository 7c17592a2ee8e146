"""Files of a run: written whole or not at all, and how two JSON contents differ."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

# What a JSON object holds, where its keys are not known beforehand.
JsonObject = dict[str, Any]
ABSENT = "absent"  # In place of a value that is missing, where two differ.


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> pathlib.Path:
  """Writes a JSON file whole or not at all; returns its path."""
  text = json.dumps(content, indent=2, allow_nan=False) + "\n"
  return write_text(path, text)


def write_text(path: pathlib.Path, text: str) -> pathlib.Path:
  """Writes a text file whole or not at all; returns its path."""
  with replacing(path) as temporary:
    temporary.write_text(text, encoding="utf-8")
  return path


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Replaces a file once all of it is written; else leaves it as it was.

  Args:
    path: the file.

  Yields:
    Where to write what becomes the file.
  """
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


def read_json(path: pathlib.Path) -> Any:
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
    return f"{self.key} was {self.old!r}, now {self.new!r}"


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
