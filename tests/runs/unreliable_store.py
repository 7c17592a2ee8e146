"""An object store in memory that misbehaves on purpose, for tests.

What it holds outlives every client. A client stands for one process: once it has
been killed, none of its requests comes through.
"""

import itertools
from collections.abc import Iterable, Iterator

from thickets.runs.locations import StorePath
from thickets.runs.object_store import ObjectStore

FAULTS = ("busy", "lost answer", "torn", "lagging list", "kill", "torn kill")


class KilledError(BaseException):
  """Ends a process as SIGKILL does, without a word to the store."""


class Bucket:
  """The objects of a store, in the order in which they were written."""

  def __init__(self):
    self.objects: dict[str, bytes] = {}
    self.num_faults = 0


class UnreliableObjects:
  """One process's way to a bucket; see `object_store.Objects`.

  Args:
    bucket: what the store holds.
    faults: what goes wrong with each request in turn, None for nothing; after the
      last one nothing does.
  """

  def __init__(self, bucket: Bucket, faults: Iterable[str | None] = ()):
    self._bucket = bucket
    self._faults: Iterator[str | None] = itertools.chain(
      faults, itertools.repeat(None)
    )
    self._is_dead = False

  def get(self, key):
    if self._next() == "torn":
      return self._read(key)[:-3]
    return self._read(key)

  def put(self, key, data, *, new=False):
    fault = self._next()
    if new and key in self._bucket.objects:
      raise FileExistsError(key)
    torn = fault in ("torn", "torn kill")
    self._bucket.objects.pop(key, None)
    self._bucket.objects[key] = data[: 2 * len(data) // 3] if torn else data
    if fault == "torn kill":
      self._die()
    if fault == "lost answer":
      raise TimeoutError("no answer")

  def copy(self, source, target):
    self._next()
    self._bucket.objects[target] = self._read(source)

  def delete(self, key):
    self._next()
    self._bucket.objects.pop(key, None)

  def list(self, prefix):
    keys = list(self._bucket.objects)
    if self._next() == "lagging list":
      keys = keys[: len(keys) // 2]
    return [key for key in keys if key.startswith(prefix)]

  def _read(self, key):
    if key not in self._bucket.objects:
      raise FileNotFoundError(key)
    return self._bucket.objects[key]

  def _next(self) -> str | None:
    if self._is_dead:
      raise KilledError
    fault = next(self._faults)
    self._bucket.num_faults += fault is not None
    if fault == "kill":
      self._die()
    if fault == "busy":
      raise OSError("503 SlowDown")
    return fault

  def _die(self):
    self._is_dead = True
    raise KilledError


def start_process(
  bucket: Bucket, faults: Iterable[str | None] = ()
) -> StorePath:
  """The address of a run as a new process sees it, which waits for nothing."""
  objects = UnreliableObjects(bucket, faults)
  store = ObjectStore(objects, "s3", pause=lambda seconds: None)
  return StorePath(store, "bucket/run")
