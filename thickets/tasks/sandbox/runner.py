"""Runs a program that nobody has read, and returns what its calls give."""

import dataclasses
import functools
import json
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from thickets.errors import UserError
from thickets.tasks.sandbox import values
from thickets.tasks.sandbox.limits import Limits
from thickets.tasks.sandbox.zygote_pool import ZYGOTES, Reply

_NUM_TRIES = 5
_KINDS = ("syntax", "memory", "unencodable", "exception", "output")


class CallResult(NamedTuple):
  """What one call gave.

  Attributes:
    kind: `value`, or the reason why there is none: `syntax`, `exception` (which
      includes exits), `memory`, `unencodable` (a type that `values.encode` does
      not take), `output` (too large), `timeout`, or `crash` (the process ended,
      or sent something malformed).
    value: the value, of plain built-in types, if the kind is `value`; else None.
    detail: type of the exception or another reason, for people to read; the
      candidate may have chosen it.
  """

  kind: str
  value: Any = None
  detail: str = ""


@dataclasses.dataclass(frozen=True)
class ProgramOutcome:
  """What became of one candidate.

  Attributes:
    loaded: result of the code and the setup, before any call; its kind is
      `value` if they ran.
    results: one result for each call; if the code did not run, or the process
      ended early, the results that are missing say why.
    cpu_s: processor time that its process used, in seconds.
    wall_s: time from the start to the end of its process, in seconds.
  """

  loaded: CallResult
  results: tuple[CallResult, ...]
  cpu_s: float
  wall_s: float


def run_calls(
  code: str,
  calls: Sequence[str],
  *,
  setup: str = "",
  limits: Limits | None = None,
  allow_unprotected: bool = False,
) -> ProgramOutcome:
  """Executes a program, then evaluates expressions in its name space.

  Many threads may call this at once; each call keeps one processor busy.

  Args:
    code: Python source, which may be hostile.
    calls: expressions, evaluated in this order in the same process. The
      candidate can read them, so they must not say what is expected.
    setup: source that is executed after the code.
    limits: what the candidate may use; None for the defaults.
    allow_unprotected: whether to go on where there are no namespaces; see
      `check_protection`.

  Raises:
    UserError: if there are no namespaces and the user did not opt in.
    RuntimeError: if the sandbox fails, which no candidate can bring about.
  """
  is_protected = find_trouble() is None
  if not is_protected and not allow_unprotected:
    check_protection()
  return _run(code, calls, setup, limits or Limits(), is_protected)


def check_protection() -> None:
  """Makes sure that candidates can be kept apart from everything else.

  Raises:
    UserError: if they cannot; it says why.
  """
  if (trouble := find_trouble()) is not None:
    raise UserError(
      "Programs that a model wrote must run in user, PID, mount and network"
      f" namespaces, got: {trouble}. Allow them (on Linux: sysctl"
      " user.max_user_namespaces, kernel.unprivileged_userns_clone,"
      " kernel.apparmor_restrict_unprivileged_userns; in a container: its seccomp"
      " profile), or pass allow_unprotected=True: then a program can reach what"
      " you can reach."
    )


@functools.cache  # The answer does not change while a process lives.
def find_trouble() -> str | None:
  """Says why candidates cannot be kept apart on this machine, None if they can."""
  if sys.platform != "linux":
    return f"namespaces are a feature of Linux, this is {sys.platform}"
  reply, _ = ZYGOTES.get(True).run(
    _make_request("", [], "", Limits()), Limits()
  )
  return reply.get("trouble")


def _run(
  code: str,
  calls: Sequence[str],
  setup: str,
  limits: Limits,
  is_protected: bool,
) -> ProgramOutcome:
  request = _make_request(code, calls, setup, limits)
  reply: Reply = {}
  for attempt in range(_NUM_TRIES):
    try:
      reply, data = ZYGOTES.get(is_protected).run(request, limits)
    except OSError as error:
      # The zygote has gone, for instance killed for want of memory.
      reply, data = {"trouble": str(error)}, b""
      ZYGOTES.drop(is_protected)
    if "trouble" not in reply:
      return _read_outcome(reply, data, len(calls), limits)
    # The kernel clears away old namespaces in its own time.
    time.sleep(0.05 * 4**attempt)
  raise RuntimeError(
    f"The sandbox must start within {_NUM_TRIES} tries, got:"
    f" {reply['trouble']}."
  )


def _make_request(
  code: str, calls: Sequence[str], setup: str, limits: Limits
) -> bytes:
  request = {
    "code": code,
    "setup": setup,
    "calls": list(calls),
    "limits": dataclasses.asdict(limits),
  }
  return json.dumps(request).encode()


def _read_outcome(
  reply: Reply, data: bytes, num_calls: int, limits: Limits
) -> ProgramOutcome:
  """Reads what a candidate sent, which may be anything at all."""
  *lines, _ = data.split(b"\n")  # The last one is empty or cut off.
  sent = [_read_result(line) for line in lines[: 1 + num_calls]]
  ending = _name_ending(reply, data, limits)
  loaded = sent[0] if sent else ending
  if loaded.kind != "value":
    results = [loaded] * num_calls
  else:
    results = sent[1:]
    results += [ending] * (num_calls - len(results))
  return ProgramOutcome(loaded, tuple(results), reply["cpu_s"], reply["wall_s"])


def _read_result(line: bytes) -> CallResult:
  try:
    kind, content = values.load_json(line)
    if kind == "value":
      return CallResult("value", values.decode(content))
    if kind in _KINDS and isinstance(content, str):
      return CallResult(kind, detail=content)
  except (ValueError, TypeError, RecursionError) as error:
    return CallResult("crash", detail=f"malformed result: {error}"[:200])
  return CallResult("crash", detail="malformed result")


def _name_ending(reply: Reply, data: bytes, limits: Limits) -> CallResult:
  """Says why the results that are missing do not exist."""
  status = reply["status"]
  if len(data) > limits.result_bytes:
    return CallResult("output", detail=f"more than {limits.result_bytes} bytes")
  if reply["is_late"]:
    return CallResult("timeout", detail=f"{limits.wall_s} s by the clock")
  # The limit counts in ticks, the report exactly; other killers are rare.
  is_spent = reply["cpu_s"] > 0.5 * limits.cpu_s
  if status == -signal.SIGXCPU or (status == -signal.SIGKILL and is_spent):
    return CallResult("timeout", detail=f"{limits.cpu_s} s of processor time")
  return CallResult("crash", detail=f"the process ended with status {status}")
