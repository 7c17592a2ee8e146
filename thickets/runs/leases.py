"""A lease on a log in an object store, where a disk would have a lock.

A store has no locks that end with the process. A lease is an object that its owner
renews every few seconds. Who finds one waits until it is either renewed, and then
gives way, or not renewed for long, and then takes it; no two clocks are compared.
An owner of this machine that is dead is seen at once.

Two owners, as after a machine was suspended for longer than a lease lasts, do no
harm: objects of records never change. The one that lost its lease ends.
"""

import dataclasses
import functools
import json
import math
import os
import pathlib
import socket
import threading
import time
import uuid
from collections.abc import Callable

from absl import logging

from thickets.errors import UserError
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import StorePath


@dataclasses.dataclass(frozen=True)
class Terms:
  """How long a lease lasts.

  Attributes:
    renewal_s: seconds between two renewals.
    patience_s: seconds without a renewal after which an owner is taken for dead.
  """

  renewal_s: float = 10.0
  patience_s: float = 60.0


class Lease:
  """A lease that this process holds and renews until it is closed.

  Args:
    path: the object of the lease.
    owner: the name of this holder, unlike any other.
    terms: how long it lasts.
  """

  def __init__(self, path: StorePath, owner: str, terms: Terms):
    self._path, self._owner, self._terms = path, owner, terms
    self._beat, self._is_lost = 0, False
    self._ended = threading.Event()
    self._thread = threading.Thread(target=self._renew_always, daemon=True)
    _HELD.add(owner)
    self._thread.start()

  def check(self) -> None:
    """Refuses to go on once another process has taken the lease.

    Raises:
      UserError: if one has.
    """
    if self._is_lost:
      raise UserError(
        f"{self._path} must be renewed every {self._terms.renewal_s:g} s, got"
        " another process that took it in the meantime, and that continues the"
        " run. Stop one of the two."
      )

  def close(self) -> None:
    """Stops to renew the lease, and gives it up."""
    self._ended.set()
    self._thread.join()
    _HELD.discard(self._owner)
    try:
      if not self._is_lost and _read_owner(self._path) == self._owner:
        self._path.unlink()
    except UserError as error:  # It ends by itself, when it is not renewed.
      logging.warning("%s could not be given up: %s", self._path, error)

  def _renew_always(self) -> None:
    while not self._ended.wait(self._terms.renewal_s):
      try:
        self._renew()
      except Exception as error:  # The store may answer again next time.
        logging.warning("%s could not be renewed: %s", self._path, error)
      if self._is_lost:
        return

  def _renew(self) -> None:
    if _read_owner(self._path) != self._owner:
      self._is_lost = True
      return
    self._beat += 1
    self._path.store.put(self._path.key, _describe(self._owner, self._beat))


# Owners of this process, to tell them from those of an earlier one with its number.
_HELD: set[str] = set()


def take_lease(
  path: StorePath,
  terms: Terms | None = None,
  *,
  sleep: Callable[[float], None] = time.sleep,
) -> Lease:
  """Takes a lease, once it is free or its owner is dead.

  Args:
    path: the object of the lease.
    terms: how long it lasts.
    sleep: waits for a number of seconds.

  Raises:
    UserError: if another process holds it and renews it.
  """
  terms = terms or Terms()
  owner = uuid.uuid4().hex
  while not path.store.create(path.key, _describe(owner, 0)):
    content = _read(path)
    if content is None or _is_dead(content):
      path.unlink()
      continue
    logging.info(
      "%s is held by process %s of %s; waiting up to %g s to see whether it is"
      " alive",
      path,
      content.get("pid"),
      content.get("host"),
      terms.patience_s,
    )
    now = _watch(path, content, terms, sleep)
    if now == content:
      path.unlink()  # Not renewed for so long: nobody is there any more.
    elif now is not None:
      raise UserError(
        f"{path} is in use by process {now.get('pid')} of {now.get('host')}. Wait"
        " for it to end, or choose another workdir."
      )
  return Lease(path, owner, terms)


def _watch(
  path: StorePath,
  content: JsonObject,
  terms: Terms,
  sleep: Callable[[float], None],
) -> JsonObject | None:
  """The content of a lease once it changes, or as it was after all patience."""
  num_looks = math.ceil(terms.patience_s / terms.renewal_s)
  for _ in range(num_looks):
    sleep(terms.renewal_s)
    if (now := _read(path)) != content:
      return now
  return content


def _describe(owner: str, beat: int) -> bytes:
  fields = {
    "owner": owner,
    "beat": beat,
    "host": socket.gethostname(),
    "pid": os.getpid(),
    "started": _find_start(os.getpid()),
    "machine": _identify_machine(),
  }
  return json.dumps(fields).encode("ascii")


def _read(path: StorePath) -> JsonObject | None:
  """The content of a lease; None where there is none."""
  try:
    found = json.loads(path.read_bytes())
  except FileNotFoundError:
    return None
  except ValueError:
    return {}  # Torn, by an owner that may live.
  return found if isinstance(found, dict) else {}


def _read_owner(path: StorePath) -> str | None:
  return (_read(path) or {}).get("owner")


def _is_dead(content: JsonObject) -> bool:
  """Whether the owner was a process of this machine that has ended."""
  machine = _identify_machine()
  if machine is None or content.get("machine") != machine:
    return False
  if content["pid"] == os.getpid():
    return content["owner"] not in _HELD
  return _find_start(content["pid"]) != content["started"]


@functools.cache
def _identify_machine() -> str | None:
  """The start and the process numbers of this machine; None where unknown."""
  try:
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    return f"{boot.strip()} {os.readlink('/proc/self/ns/pid')}"
  except OSError:  # Only Linux says it.
    return None


def _find_start(pid: int) -> int | None:
  """When a process began, in ticks of the machine; None where there is none."""
  try:
    text = pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8")
  except OSError:
    return None
  fields = text.rpartition(")")[2].split()  # Its name may hold blanks.
  return None if fields[0] in "ZX" else int(fields[19])
