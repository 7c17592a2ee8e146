"""The processes that start candidates, from the side of the caller.

A zygote takes a tenth of a second to start and milliseconds to run a candidate,
so each process keeps those that it has started. `ZYGOTES` is all the state that
the sandbox has outside of its functions.
"""

import atexit
import json
import os
import pathlib
import select
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from thickets.tasks.sandbox.limits import Limits

Reply = dict[str, Any]  # What a warden reports; see `zygote`.

# Sets of equal strings come in the same order every time.
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
_PROGRAM = pathlib.Path(__file__).with_name("zygote.py")
_PATIENCE_S = 60.0  # Beyond the limit of time, for a machine that is busy.


class Zygote:
  """A process that starts candidates; its program is `zygote`.

  Args:
    is_protected: whether candidates run in namespaces of their own.

  Attributes:
    owner: id of the process that started it and may use it.
    process: the running program.
  """

  def __init__(self, is_protected: bool):
    self.owner = os.getpid()
    self._jobs, theirs = socket.socketpair()
    options = json.dumps({"is_protected": is_protected})
    command = [sys.executable, "-S", "-s", "-P", "-X", "utf8"]
    with theirs:
      self.process = subprocess.Popen(
        [*command, str(_PROGRAM), options],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
      )

  def run(self, request: bytes, limits: Limits) -> tuple[Reply, bytes]:
    """Runs one candidate.

    Args:
      request: the program and its calls as JSON, which `zygote` reads.
      limits: what the candidate may use.

    Returns:
      The warden's reply and what the candidate sent.

    Raises:
      OSError: if there is no reply.
    """
    report, theirs = socket.socketpair()
    source, sink = os.pipe()
    with report, os.fdopen(source, "rb", buffering=0) as results:
      try:
        socket.send_fds(self._jobs, [b"j"], [theirs.fileno(), sink])
      finally:
        theirs.close()
        os.close(sink)
      report.settimeout(_PATIENCE_S)
      report.sendall(request)
      report.shutdown(socket.SHUT_WR)
      data = _drain(results, report, limits)
      return _read_reply(report), data + _read_rest(results, data, limits)

  def close(self) -> None:
    """Lets the process end, and waits for that in the process that owns it."""
    self._jobs.close()
    if self.owner == os.getpid():
      self.process.wait(_PATIENCE_S)


def _drain(results, report, limits: Limits) -> bytes:
  """Reads results until there is a reply, at most one byte beyond the limit."""
  deadline = time.monotonic() + limits.wall_s + _PATIENCE_S
  data = b""
  waiting = select.poll()
  for source in (results, report):
    waiting.register(source, select.POLLIN)
  while True:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
      raise TimeoutError("the sandbox does not answer")
    ready = {file for file, _ in waiting.poll(1000 * left_s)}
    if not results.closed and results.fileno() in ready:
      part = results.read(limits.result_bytes + 1 - len(data))
      data += part
      if not part or len(data) > limits.result_bytes:
        waiting.unregister(results)
        results.close()  # A candidate that goes on writing fails, not waits.
    elif report.fileno() in ready:
      return data


def _read_reply(report) -> Reply:
  parts = []
  while part := report.recv(1 << 16):
    parts.append(part)
  if not parts:
    raise ConnectionError("the sandbox went away")
  return json.loads(b"".join(parts))


def _read_rest(results, data, limits) -> bytes:
  """Reads what is left in the pipe, without waiting for more."""
  rest = b""
  if not results.closed:
    os.set_blocking(results.fileno(), False)
    while part := results.read(limits.result_bytes + 1 - len(data) - len(rest)):
      rest += part
  return rest


class ZygotePool:
  """The zygotes of this process: at most one of each kind, protected or not.

  A forked process shares none of its parent's: it starts zygotes of its own.
  """

  def __init__(self):
    self._lock = threading.Lock()
    self._zygotes: dict[bool, Zygote] = {}

  def get(self, is_protected: bool) -> Zygote:
    """Returns the zygote of this process, started when it is first needed."""
    with self._lock:
      zygote = self._zygotes.get(is_protected)
      if zygote is None or zygote.owner != os.getpid():
        zygote = self._zygotes[is_protected] = Zygote(is_protected)
      return zygote

  def drop(self, is_protected: bool) -> None:
    """Ends the zygote, if there is one; the next `get` starts another."""
    with self._lock:
      if (zygote := self._zygotes.pop(is_protected, None)) is not None:
        zygote.close()

  def close(self) -> None:
    """Ends all zygotes."""
    for is_protected in tuple(self._zygotes):
      self.drop(is_protected)


ZYGOTES = ZygotePool()
atexit.register(ZYGOTES.close)
