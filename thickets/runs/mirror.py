"""Local copies of the records that a run has in an object store.

Objects of records never change, so that each is fetched once. It counts only if it
is what its name says: an upload of which a part is missing is left out, and its
chunk is computed again. What was seen once stays, whatever a later list of the
store lacks.
"""

import hashlib
import pathlib
import re
import tempfile
from collections.abc import Sequence

from absl import logging

from thickets.runs.locations import StorePath

_SUFFIX = ".jsonl"
_DIGEST_LENGTH = 16  # 64 bits: enough against damage, and names stay short.
# As in select/000120-8-1f2e3d4c5b6a7988.jsonl; the base is at no position.
_CHUNK = re.compile(r"(?:\d{6,}|base)-\d+-([0-9a-f]{16})\.jsonl")
_DOWNLOADS = 3  # So often is an object fetched that is not what its name says.
_AT_ONCE = 64  # Objects that are in memory together.


def name_chunk(label: str, positions: Sequence[int], data: bytes) -> str:
  """The name of an object of records, below the folder of all records.

  Args:
    label: that of the split.
    positions: [P] those of the members in the population.
    data: the content.
  """
  folder = re.sub(r"[^a-z0-9.]+", "_", label.lower())
  first = "base" if positions[0] < 0 else f"{positions[0]:06d}"
  return f"{folder}/{first}-{len(positions)}-{_digest(data)}{_SUFFIX}"


_mirrors: dict[StorePath, "Mirror"] = {}


def find_mirror(records: StorePath) -> "Mirror":
  """The one mirror of a run that this process keeps.

  Args:
    records: the folder of the run's records in the store.
  """
  if records not in _mirrors:
    _mirrors[records] = Mirror(records)
  return _mirrors[records]


def remove_mirrors() -> None:
  """Deletes the copies, for a process that ends without Python's own cleanup."""
  while _mirrors:
    _mirrors.popitem()[1].remove()


class Mirror:
  """A folder of this machine with the sound records of one run.

  Args:
    records: the folder of the run's records in the store.

  Attributes:
    records: the same.
  """

  def __init__(self, records: StorePath):
    self.records = records
    self._temporary = tempfile.TemporaryDirectory(
      prefix="thickets-records-", ignore_cleanup_errors=True
    )
    self._folder = pathlib.Path(self._temporary.name) / records.key
    self._damaged: set[str] = set()

  def remove(self) -> None:
    """Deletes the folder."""
    self._temporary.cleanup()

  def sync(self) -> list[pathlib.Path]:
    """Fetches what is new, and lists the local copies of all logs by name."""
    wanted = [
      name
      for name in self.list_names()
      if not (_is_chunk(name) and self.find(name).exists())
    ]
    for start in range(0, len(wanted), _AT_ONCE):
      for name, data in self._fetch(wanted[start : start + _AT_ONCE]).items():
        if is_sound(name, data):
          self.add(name, data)
        else:
          self._fetch_again(name)
    return sorted(self._folder.rglob(f"*{_SUFFIX}"))

  def list_names(self) -> list[str]:
    """Lists the names of all logs as the store has them now."""
    start = len(self.records.key) + 1
    keys = self.records.store.list(f"{self.records.key}/")
    names = [key[start:] for key in keys if key.endswith(_SUFFIX)]
    # What `ObjectStore.replace` has left half done begins with a dot.
    return [n for n in names if not n.rpartition("/")[2].startswith(".")]

  def find(self, name: str) -> pathlib.Path:
    """Where the local copy of a log is, or would be."""
    return self._folder / name

  def name(self, path: pathlib.Path) -> str:
    """The name of a log in the store, from the path of its local copy."""
    return path.relative_to(self._folder).as_posix()

  def refetch(self, name: str) -> pathlib.Path:
    """Fetches one log anew by its name, as far as the store has it."""
    for found, data in self._fetch([name]).items():
      self.add(found, data)
    return self.find(name)

  def add(self, name: str, data: bytes) -> pathlib.Path:
    """Keeps a copy of what the store has under a name."""
    path = self.find(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path

  def list_damaged(self) -> dict[str, bytes]:
    """What the store has instead of chunks that were torn, by name."""
    names = [n for n in self.list_names() if not self.find(n).exists()]
    found = self._fetch(names)
    return {n: data for n, data in found.items() if not is_sound(n, data)}

  def _fetch(self, names: Sequence[str]) -> dict[str, bytes]:
    keys = {(self.records / name).key: name for name in names}
    found = self.records.store.get_all(keys)
    return {keys[key]: data for key, data in found.items()}

  def _fetch_again(self, name: str) -> None:
    """Tells a download that failed from an object that is damaged."""
    for _ in range(_DOWNLOADS - 1):
      data = self._fetch([name]).get(name)
      if data is not None and is_sound(name, data):
        self.add(name, data)
        return
    if name not in self._damaged:
      logging.warning(
        "%s: left out, as it is not what was uploaded; its members are evaluated"
        " again.",
        self.records / name,
      )
      self._damaged.add(name)


def is_sound(name: str, data: bytes) -> bool:
  """Whether a log is what its name says, as far as its name says something."""
  found = _CHUNK.fullmatch(name.rpartition("/")[2])
  return found is None or found[1] == _digest(data)


def _is_chunk(name: str) -> bool:
  return _CHUNK.fullmatch(name.rpartition("/")[2]) is not None


def _digest(data: bytes) -> str:
  return hashlib.sha256(data).hexdigest()[:_DIGEST_LENGTH]
