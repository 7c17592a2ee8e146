"""Runs functions on hostile input, in a process that can be killed.

Three processes: the caller; a *keeper*, a fresh Python without JAX that loads
the functions once; and a *worker* that the keeper forks and that runs the calls.
A worker that exceeds its limits dies, and forking the next one takes
milliseconds, since nothing has to be imported again.

What a call may take is counted in processor time, by a kernel timer of the
worker, so that a busy machine does not fail calls that an idle one answers.
Time on the clock is only a backstop, for a worker that waits forever.

This file is also the keeper's program: it must not import the package, which
imports JAX, and a process with JAX cannot be forked.
"""

import contextlib
import importlib
import json
import os
import pathlib
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import types
import weakref
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

# A worker's caches grow, against its limit of memory; it is replaced in time.
_CALLS_PER_WORKER = 1000
_TIME_IS_UP = signal.SIGPROF  # What the timer of processor time sends.
_HEADER = struct.Struct("<Q")


class KillableOutcome(NamedTuple):
  """What became of a call.

  Attributes:
    value: what the function returned, None if it did not return.
    failure: None if the function returned, else `time`, `memory`, `crash` (the
      process ended), or `error: ` and the exception.
  """

  value: Any
  failure: str | None = None


class Killable:
  """Calls functions in a process that is killed where a call takes too much.

  Calls from several threads take turns. The processes start with the first
  call and end with this object, or with the process that it is in. It pickles,
  and works in a forked process as well: each process gets a keeper of its own.

  Memory is limited where the system enforces RLIMIT_AS: Linux does, macOS does
  not, and the limit of processor time must do there.

  Args:
    file: Python file that defines the functions, of JSON values to a JSON
      value. It is loaded alone, without the package that it is part of, but may
      import from its own folder (`from . import name`).
    cpu_s: processor time that a call may take, in seconds. Loading the file does
      not count.
    wall_s: time on the clock that a call may take, in seconds: the backstop.
    memory_bytes: address space that the worker may use.
    warm_up: calls, (name, *arguments) each, that the keeper makes before it
      forks, to fill caches that no later call then pays for. They are not
      limited.
  """

  def __init__(
    self,
    file: str | pathlib.Path,
    *,
    cpu_s: float = 0.6,
    wall_s: float = 30.0,
    memory_bytes: int = 1 << 30,
    warm_up: Sequence[Sequence[Any]] = (),
  ):
    self._settings = {
      "file": os.path.abspath(file),
      "cpu_s": cpu_s,
      "wall_s": wall_s,
      "memory_bytes": memory_bytes,
      "warm_up": [list(call) for call in warm_up],
    }
    self._reset()

  def _reset(self):
    self._lock = threading.Lock()
    self._keeper: subprocess.Popen | None = None
    self._finalizer: weakref.finalize | None = None
    self._owner = os.getpid()

  def __getstate__(self) -> dict[str, Any]:
    return self._settings

  def __setstate__(self, settings: dict[str, Any]) -> None:
    self._settings = settings
    self._reset()

  def __call__(self, name: str, *arguments: Any) -> KillableOutcome:
    """Calls the function of that name.

    Raises:
      RuntimeError: if the file does not load, or the keeper, which runs no call
        itself, was killed twice.
    """
    if self._owner != os.getpid():  # Forked: the pipes are the parent's.
      self._reset()
    with self._lock:
      for _ in range(2):
        keeper = self._start()
        try:
          _send(_descriptor(keeper.stdin), [name, *arguments])
          reply = _receive(_descriptor(keeper.stdout))
        except BrokenPipeError:
          reply = None
        if reply is not None:
          return KillableOutcome(*reply)
        self._close()  # Killed from outside, as by a system short of memory.
    raise RuntimeError(
      f"The process that keeps {self._settings['file']} loaded must stay alive,"
      " got killed twice in one call. Free memory, or use fewer workers."
    )

  def close(self) -> None:
    """Ends the processes; a later call starts them again."""
    if self._owner == os.getpid():
      with self._lock:
        self._close()

  def _close(self):
    if self._finalizer is not None:
      self._finalizer()
    self._keeper = None

  def _start(self) -> subprocess.Popen:
    if self._keeper is None:
      # -P: without the folder of this file on the path, whose names are ours.
      keeper = subprocess.Popen(
        [sys.executable, "-P", os.path.abspath(__file__)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        # Sets of strings have the same order in all processes and runs.
        env={**os.environ, "PYTHONHASHSEED": "0"},
        start_new_session=True,  # Ctrl-C is the caller's to handle.
      )
      self._finalizer = weakref.finalize(self, _end, keeper, os.getpid())
      _send(_descriptor(keeper.stdin), {**self._settings, "path": sys.path})
      refusal = _receive(_descriptor(keeper.stdout))
      if refusal is None or refusal != [None]:
        self._close()
        raise RuntimeError(
          f"{self._settings['file']} must load in a process of its own, got"
          f" {refusal[0] if refusal else 'its end'}."
        )
      self._keeper = keeper
    return self._keeper


def _descriptor(pipe: IO[bytes] | None) -> int:
  assert pipe is not None  # Keepers are started with pipes.
  return pipe.fileno()


def _end(keeper: subprocess.Popen[bytes], owner: int) -> None:
  if os.getpid() != owner:
    return
  assert keeper.stdin is not None and keeper.stdout is not None
  with contextlib.suppress(OSError):
    keeper.stdin.close()  # The keeper kills its worker, then ends.
  try:
    keeper.wait(timeout=1)
  except subprocess.TimeoutExpired:
    keeper.kill()  # Its worker sees its own pipe closed.
    keeper.wait()
  keeper.stdout.close()


def _send(fd, value):
  # JSON, not pickles: what a worker sends may have been made by hostile input.
  data = json.dumps(value).encode("ascii")
  data = _HEADER.pack(len(data)) + data
  while data:
    data = data[os.write(fd, data) :]


def _receive(fd, deadline=None):
  """Receives a value, or None at the end of the pipe.

  Raises:
    TimeoutError: after the deadline, a reading of `time.monotonic`.
  """
  header = _read(fd, _HEADER.size, deadline)
  if header is None:
    return None
  data = _read(fd, _HEADER.unpack(header)[0], deadline)
  return None if data is None else json.loads(data)


def _read(fd, size, deadline):
  parts = []
  while size:
    if deadline is not None:
      left = max(0.0, deadline - time.monotonic())
      if not select.select([fd], [], [], left)[0]:
        raise TimeoutError
    part = os.read(fd, min(size, 1 << 16))
    if not part:
      return None
    parts.append(part)
    size -= len(part)
  return b"".join(parts)


class _Worker(NamedTuple):
  pid: int
  to_worker: int
  from_worker: int


def _keep() -> None:
  """The keeper: loads the function, then passes calls on to a worker."""
  # The end of a job reaches all its processes; a call that it ended would count as
  # one that crashed.
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  # What the function prints must not get between the replies.
  caller_in, caller_out = os.dup(0), os.dup(1)
  null = os.open(os.devnull, os.O_RDWR)
  os.dup2(null, 0)
  os.dup2(null, 1)
  settings = _receive(caller_in)
  if settings is None:
    return
  sys.path[:] = settings["path"]
  try:
    functions = vars(_load_alone(settings["file"]))
    for name, *arguments in settings["warm_up"]:
      functions[name](*arguments)
  except Exception as error:  # Whatever the file raises; the caller says it.
    _send(caller_out, [f"{type(error).__name__}: {error}"])
    return
  _send(caller_out, [None])
  os.dup2(null, 2)
  worker, num_calls = None, 0
  while (call := _receive(caller_in)) is not None:
    if worker is None:
      worker = _fork(functions, settings, (caller_in, caller_out))
      num_calls = 0
    reply, is_late = _ask(worker, call, settings["wall_s"])
    num_calls += 1
    if reply is None:
      status = _kill(worker)
      worker = None
      is_late |= os.WIFSIGNALED(status) and os.WTERMSIG(status) == _TIME_IS_UP
      reply = [None, "time" if is_late else "crash"]
    elif reply[1] is not None or num_calls == _CALLS_PER_WORKER:
      _kill(worker)
      worker = None
    with contextlib.suppress(BrokenPipeError):
      _send(caller_out, reply)
  if worker is not None:
    _kill(worker)


def _load_alone(file):
  """Loads a file as part of a package that consists of its folder alone."""
  package = types.ModuleType("alone")
  package.__path__ = [os.path.dirname(file)]
  sys.modules["alone"] = package
  name = os.path.splitext(os.path.basename(file))[0]
  return importlib.import_module(f"alone.{name}")


def _ask(worker, call, wall_s):
  """The reply [value, failure] or None, and whether the clock ran out."""
  try:
    _send(worker.to_worker, call)
    return _receive(worker.from_worker, time.monotonic() + wall_s), False
  except BrokenPipeError:
    return None, False
  except TimeoutError:
    return None, True


def _kill(worker):
  """Ends a worker; returns its status, its own where it had ended before."""
  os.close(worker.to_worker)
  os.close(worker.from_worker)
  os.kill(worker.pid, signal.SIGKILL)  # It exists until it is waited for.
  return os.waitpid(worker.pid, 0)[1]


def _fork(functions, settings, callers):
  request_out, request_in = os.pipe()
  reply_out, reply_in = os.pipe()
  pid = os.fork()
  if pid:
    os.close(request_out)
    os.close(reply_in)
    return _Worker(pid, request_in, reply_out)
  status = 1
  try:
    for fd in (*callers, request_in, reply_out):
      os.close(fd)
    _limit_memory(settings["memory_bytes"])
    signal.signal(_TIME_IS_UP, signal.SIG_DFL)  # Its default is to end.
    while (call := _receive(request_out)) is not None:
      _send(reply_in, _run(functions, call, settings["cpu_s"]))
    status = 0
  finally:
    os._exit(status)  # Never up into the keeper's loop.


def _limit_memory(size):
  _, hard = resource.getrlimit(resource.RLIMIT_AS)
  limit = size if hard == resource.RLIM_INFINITY else min(size, hard)
  # macOS refuses a limit below what a process has mapped, which is all of it.
  with contextlib.suppress(ValueError, OSError):
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _run(functions, call, cpu_s):
  name, *arguments = call
  signal.setitimer(signal.ITIMER_PROF, cpu_s)
  try:
    return [functions[name](*arguments), None]
  except MemoryError:
    return [None, "memory"]
  except (
    Exception
  ) as error:  # Whatever the function raises; the caller says it.
    return [None, f"error: {type(error).__name__}: {error}"[:200]]
  finally:
    signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
  _keep()
