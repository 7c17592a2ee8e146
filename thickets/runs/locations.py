"""Where a run may lie: in a directory, or below an address in an object store.

`locate` reads either. A `StorePath` is to objects what `pathlib.Path` is to files,
as far as runs need it, so that what reads and writes a run does not ask which of
the two it has. The records of a run are the exception, since a store cannot
append: `record_files` has them.
"""

import dataclasses
import difflib
import errno
import fnmatch
import io
import os
import pathlib
import re
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

from thickets.errors import UserError
from thickets.runs import fsspec_objects
from thickets.runs.object_store import ObjectStore

# Two slashes make an address; `pathlib` would leave one of them.
_ADDRESS = re.compile(
  r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*(?=://)|s3(?=:/)|gs(?=:/)):/(?P<rest>.*)"
)


@dataclasses.dataclass(frozen=True)
class StorePath:
  """An address in an object store.

  Attributes:
    store: the store.
    key: the bucket and what is behind it, without a slash at the end.
  """

  store: ObjectStore
  key: str

  def __str__(self) -> str:
    return f"{self.store.scheme}://{self.key}"

  def __lt__(self, other: "StorePath") -> bool:
    return str(self) < str(other)

  def __truediv__(self, name: str) -> "StorePath":
    return StorePath(self.store, f"{self.key}/{name}")

  @property
  def name(self) -> str:
    """The part behind the last slash."""
    return self.key.rpartition("/")[2]

  @property
  def stem(self) -> str:
    """The name without its suffix."""
    return pathlib.PurePosixPath(self.name).stem

  @property
  def suffix(self) -> str:
    """What the name ends with from its last dot on."""
    return pathlib.PurePosixPath(self.name).suffix

  @property
  def parent(self) -> "StorePath":
    """The address without its last part; that of a bucket is its own."""
    return StorePath(self.store, self.key.rpartition("/")[0] or self.key)

  def with_name(self, name: str) -> "StorePath":
    """The address with another last part."""
    return self.parent / name

  def resolve(self) -> "StorePath":
    """The same, since no address leads to another."""
    return self

  def is_relative_to(self, other: object) -> bool:
    """Whether the address is another one or lies below it."""
    return isinstance(other, StorePath) and f"{self}/".startswith(f"{other}/")

  def mkdir(self, **_: bool) -> None:
    """Does nothing: objects lie in no folder that must be there before."""

  def exists(self) -> bool:
    """Whether there is an object, or objects below the address."""
    return self.is_file() or self.is_dir()

  def is_file(self) -> bool:
    """Whether there is an object."""
    try:
      self.store.get(self.key)  # What is new may be read before it is listed.
    except FileNotFoundError:
      return False
    return True

  def is_dir(self) -> bool:
    """Whether there are objects below the address."""
    return bool(self.store.list(f"{self.key}/"))

  def iterdir(self) -> Iterator["StorePath"]:
    """Yields the objects and folders that lie at once below the address."""
    start = len(self.key) + 1
    keys = self.store.list(f"{self.key}/")
    for name in sorted({key[start:].partition("/")[0] for key in keys}):
      yield self / name

  def glob(self, pattern: str) -> list["StorePath"]:
    """Lists what lies at once below the address and has such a name."""
    assert "/" not in pattern, "No run needs more."
    return [
      path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern)
    ]

  def read_bytes(self) -> bytes:
    """Returns the content of the object."""
    try:
      return self.store.get(self.key)
    except FileNotFoundError as error:
      raise FileNotFoundError(
        errno.ENOENT, "There is no such object", str(self)
      ) from error

  def read_text(self, encoding: str = "utf-8") -> str:
    """Returns the content of the object as text."""
    return self.read_bytes().decode(encoding)

  def open(self, mode: str) -> BinaryIO:
    """Opens the object for reading; `mode` is "rb"."""
    assert mode == "rb", "Objects are written whole."
    return io.BytesIO(self.read_bytes())

  def write_bytes(self, data: bytes) -> None:
    """Replaces the object once all of the new one is there."""
    self.store.replace(self.key, data)

  def unlink(self) -> None:
    """Deletes the object, if it is there."""
    self.store.delete(self.key)


Location: TypeAlias = pathlib.Path | StorePath
Place: TypeAlias = str | os.PathLike[str] | StorePath  # What `locate` reads.


def locate(place: Place) -> Location:
  """Returns the directory, file or address that a place names.

  Args:
    place: a path of this machine, or an address that begins with s3:// or gs://.

  Raises:
    UserError: if it is an address that no store has, or of a store whose library
      is not installed.
  """
  if isinstance(place, StorePath):
    return place
  found = _ADDRESS.fullmatch(os.fspath(place))
  if found is None:
    return pathlib.Path(place)
  scheme, rest = found["scheme"], found["rest"]
  parts = [part for part in rest.split("/") if part]
  if (
    scheme not in fsspec_objects.SCHEMES
    or not rest.startswith("/")
    or not parts
    or {".", ".."} & set(parts)
  ):
    near = difflib.get_close_matches(
      scheme.lower(), fsspec_objects.SCHEMES, n=1, cutoff=0.5
    )
    known = near[0] if near else "s3"
    raise UserError(
      "An address must begin with s3:// or gs:// and a bucket, and have no . or"
      f" .. behind it, got {place}. Write {known}://BUCKET/FOLDER, or name a"
      " directory of this machine."
    )
  return StorePath(fsspec_objects.connect(scheme), "/".join(parts))


def locate_on_disk(place: Place, name: str, why: str) -> pathlib.Path:
  """Returns a path of this machine, and refuses an address in a store.

  Args:
    place: what the user named.
    name: what it is called, such as "--out".
    why: why it cannot lie in a store, a full sentence.

  Raises:
    UserError: if it is an address.
  """
  if isinstance(place, StorePath) or _ADDRESS.fullmatch(os.fspath(place)):
    raise UserError(
      f"{name} must be a path of this machine, got {place}. {why} Name a path"
      " here, and copy what is written there."
    )
  return pathlib.Path(place)
