"""Runs Python programs that nobody has read, and returns what their calls give.

A candidate runs in a process of its own that sees an empty network, no other
process, no environment, the standard library read-only and a throw-away
directory, within limits of time, memory and size. It only returns values:
whoever compares them does so outside, where the candidate cannot reach.
`docs/sandbox.md` says what this does and does not protect from.
"""

import atexit
import dataclasses
import functools
import json
import math
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from thickets.errors import UserError
from thickets.tasks.sandbox import values

__all__ = ["Limits", "Outcome", "Result", "check_protection", "run_calls"]

# Sets of equal strings come in the same order every time.
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
_ZYGOTE = pathlib.Path(__file__).with_name("zygote.py")
_NUM_TRIES = 5
_PATIENCE_S = 60.0  # Beyond the limit of time, for a machine that is busy.
_KINDS = ("syntax", "memory", "unencodable", "exception", "output")


@dataclasses.dataclass(frozen=True)
class Limits:
  """What one candidate may use, its code and all of its calls together.

  Attributes:
    cpu_s: whole seconds of processor time.
    wall_s: seconds by the clock, which end what sleeps. Much larger than
      `cpu_s`, so that a machine with other work to do judges alike.
    memory_bytes: of address space, the interpreter's 30 MB included.
    disk_bytes: of the throw-away directory, and of one file.
    result_bytes: of all values together, as they are sent.
  """

  cpu_s: int = 2
  wall_s: int | float = 20
  memory_bytes: int = 512 << 20
  disk_bytes: int = 16 << 20
  result_bytes: int = 256 << 10

  def __post_init__(self):
    """Raises ValueError for a limit that nothing could keep."""
    for name, value in dataclasses.asdict(self).items():
      if not (math.isfinite(value) and value > 0):
        raise ValueError(f"limits.{name} must be above 0, got {value!r}.")


class Result(NamedTuple):
  """What one call gave.

  Attributes:
    kind: `value`; or why there is none: `syntax`, `exception` (exits included),
      `memory`, `unencodable` (a type that `values.dump` does not take), `output`
      (too large), `timeout`, `crash` (the process ended or sent what it should
      not).
    value: of plain built-in types where the kind is `value`, else None.
    detail: the exception's type or another reason, for people; the candidate
      may have chosen it.
  """

  kind: str
  value: Any = None
  detail: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of one candidate.

  Attributes:
    loaded: of the code and setup before any call: kind `value` if they ran.
    results: one for each call; where the code did not run, or the process
      ended in between, the rest say why.
    cpu_s: processor time.
    wall_s: from the start to the end of its process.
  """

  loaded: Result
  results: tuple[Result, ...]
  cpu_s: float
  wall_s: float


def run_calls(
  code: str,
  calls: Sequence[str],
  *,
  setup: str = "",
  limits: Limits | None = None,
  allow_unprotected: bool = False,
) -> Outcome:
  """Executes a program, then evaluates expressions in its name space.

  May be called from many threads at once; each keeps a processor busy.

  Args:
    code: Python source, hostile.
    calls: expressions, evaluated in this order in the same process. The
      candidate can read them; do not say there what is expected.
    setup: source that is executed after the code.
    limits: None for the default ones.
    allow_unprotected: whether to go on without namespaces where there are none;
      see `check_protection`.

  Raises:
    UserError: if there are no namespaces and the user did not opt in.
    RuntimeError: if the sandbox itself fails, which no candidate can bring about.
  """
  is_protected = _find_trouble() is None
  if not is_protected and not allow_unprotected:
    check_protection()
  return _run(code, calls, setup, limits or Limits(), is_protected)


def check_protection() -> None:
  """Makes sure that candidates can be kept apart from all else.

  Raises:
    UserError: if not, with the reason.
  """
  if (trouble := _find_trouble()) is not None:
    raise UserError(
      "Programs that a model wrote must run in user, PID, mount and network"
      f" namespaces, got: {trouble}. Allow them (on Linux: sysctl"
      " user.max_user_namespaces, kernel.unprivileged_userns_clone,"
      " kernel.apparmor_restrict_unprivileged_userns; in a container: its seccomp"
      " profile), or pass allow_unprotected=True: then a program can reach what"
      " you can reach."
    )


@functools.cache
def _find_trouble() -> str | None:
  if sys.platform != "linux":
    return f"namespaces are a feature of Linux, this is {sys.platform}"
  reply, _ = _zygote(True).run(_make_request("", [], "", Limits()), Limits())
  return reply.get("trouble")


def _run(code, calls, setup, limits, is_protected) -> Outcome:
  request = _make_request(code, calls, setup, limits)
  for attempt in range(_NUM_TRIES):
    try:
      reply, data = _zygote(is_protected).run(request, limits)
    except OSError as error:
      # The zygote has gone, for instance killed for want of memory.
      reply, data = {"trouble": str(error)}, b""
      _drop_zygote(is_protected)
    if "trouble" not in reply:
      return _read_outcome(reply, data, len(calls), limits)
    # The kernel clears away old namespaces in its own time.
    time.sleep(0.05 * 4**attempt)
  raise RuntimeError(
    f"The sandbox must start within {_NUM_TRIES} tries, got:"
    f" {reply['trouble']}."
  )


def _make_request(code, calls, setup, limits) -> bytes:
  request = {
    "code": code,
    "setup": setup,
    "calls": list(calls),
    "limits": dataclasses.asdict(limits),
  }
  return json.dumps(request).encode()


def _read_outcome(reply, data, num_calls, limits) -> Outcome:
  """Reads what a candidate sent, which may be anything."""
  *lines, _ = data.split(b"\n")  # The last one is empty or cut off.
  sent = [_read_result(line) for line in lines[: 1 + num_calls]]
  ending = _name_ending(reply, data, limits)
  loaded = sent[0] if sent else ending
  if loaded.kind != "value":
    results = [loaded] * num_calls
  else:
    results = sent[1:]
    results += [ending] * (num_calls - len(results))
  return Outcome(loaded, tuple(results), reply["cpu_s"], reply["wall_s"])


def _read_result(line) -> Result:
  try:
    kind, content = json.loads(line)
    if kind == "value":
      return Result("value", values.load(content))
    if kind in _KINDS and isinstance(content, str):
      return Result(kind, detail=content)
  except (ValueError, TypeError, RecursionError) as error:
    return Result("crash", detail=f"malformed result: {error}"[:200])
  return Result("crash", detail="malformed result")


def _name_ending(reply, data, limits) -> Result:
  """Why there is no result where there is none."""
  status = reply["status"]
  if len(data) > limits.result_bytes:
    return Result("output", detail=f"more than {limits.result_bytes} bytes")
  if reply["is_late"]:
    return Result("timeout", detail=f"{limits.wall_s} s by the clock")
  # The limit counts in ticks, the report exactly; who else kills is rare.
  is_spent = reply["cpu_s"] > 0.5 * limits.cpu_s
  if status == -signal.SIGXCPU or (status == -signal.SIGKILL and is_spent):
    return Result("timeout", detail=f"{limits.cpu_s} s of processor time")
  return Result("crash", detail=f"the process ended with status {status}")


class _Zygote:
  """A process that starts candidates; see `zygote`."""

  def __init__(self, is_protected):
    self.owner = os.getpid()
    self._jobs, theirs = socket.socketpair()
    options = json.dumps({"is_protected": is_protected})
    command = [sys.executable, "-S", "-s", "-P", "-X", "utf8"]
    with theirs:
      self._process = subprocess.Popen(
        [*command, str(_ZYGOTE), options],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
      )

  def run(self, request, limits):
    """Runs one candidate.

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

  def close(self):
    self._jobs.close()
    if self.owner == os.getpid():
      self._process.wait(_PATIENCE_S)


def _drain(results, report, limits) -> bytes:
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
        results.close()  # So that who goes on writing fails, and does not wait.
    elif report.fileno() in ready:
      return data


def _read_reply(report):
  parts = []
  while part := report.recv(1 << 16):
    parts.append(part)
  if not parts:
    raise ConnectionError("the sandbox went away")
  return json.loads(b"".join(parts))


def _read_rest(results, data, limits) -> bytes:
  """What is left in the pipe, without waiting for who still holds it."""
  rest = b""
  if not results.closed:
    os.set_blocking(results.fileno(), False)
    while part := results.read(limits.result_bytes + 1 - len(data) - len(rest)):
      rest += part
  return rest


_lock = threading.Lock()
_zygotes: dict[bool, _Zygote] = {}


def _zygote(is_protected) -> _Zygote:
  """The one of this process, started when it is first needed."""
  with _lock:
    zygote = _zygotes.get(is_protected)
    if zygote is None or zygote.owner != os.getpid():
      zygote = _zygotes[is_protected] = _Zygote(is_protected)
    return zygote


def _drop_zygote(is_protected) -> None:
  with _lock:
    if (zygote := _zygotes.pop(is_protected, None)) is not None:
      zygote.close()


@atexit.register
def _close_zygotes() -> None:
  for is_protected in tuple(_zygotes):
    _drop_zygote(is_protected)
