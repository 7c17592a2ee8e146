"""The processes of a run on several hosts: they join, watch each other, and leave.

Each process says every few seconds that it lives, in the store that process 0 keeps
(`jax.distributed`). One that has said nothing for a stated time is lost, and ends
the others; one that ends for a reason says which, and ends the others at once.
JAX itself would abort them, without saying who was lost.
"""

import contextlib
import ctypes
import dataclasses
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
from jax._src import distributed  # Nothing public tells the coordinator.

from experiments.launch.cluster_flags import Cluster
from thickets.errors import UserError
from thickets.runs import processes, stopping

_BEAT_S = 2.0  # Between two signs of life.
_ANSWER_S = 2.0  # What the store may take for an answer, as a process ends.
_ABORT_S = 5.0  # Within which JAX aborts, where process 0 is gone.
# JAX's own watch, should ours fail, is to be the later.
_SPARE_S = 30
_JOINING_S = 300  # What the others may take to start.
# How long process 0 waits for the others to leave, before the end (beyond what
# they may take to finish members, once told to end) and at it.
_LEAVING_S, _FINISHING_S = 30.0, 300.0
_BEATS, _ENDINGS, _LEFT = (
  f"thickets/{name}/" for name in ("beat", "ending", "left")
)


@dataclasses.dataclass(frozen=True)
class Ending:
  """Why a process ends.

  Attributes:
    process: its number.
    code: its exit status.
    why: the reason, as a message.
    is_stop: whether it was told to end, so that chunks under way may be finished.
  """

  process: int
  code: int
  why: str
  is_stop: bool = False


def join(
  cluster: Cluster, end: Callable[[Ending], None], grace_s: float
) -> None:
  """Joins the other processes.

  Args:
    cluster: how they find each other.
    grace_s: seconds that some may live longer than others, once told to end.
    end: ends this process, if JAX is about to abort it for want of another.

  Raises:
    UserError: if they are not found.
  """
  # Which would take SIGTERM for itself.
  jax.config.update("jax_enable_preemption_service", False)
  _compile_alone()
  _heed_aborts(end)
  try:
    jax.distributed.initialize(
      cluster.coordinator,
      cluster.num_processes,
      cluster.process_id,
      initialization_timeout=_JOINING_S,
      heartbeat_timeout_seconds=round(cluster.lost_after_s + grace_s)
      + _SPARE_S,
      shutdown_timeout_seconds=round(_LEAVING_S),
    )
  except (ValueError, RuntimeError) as error:
    reason = " ".join(str(error).split()).rstrip(".")
    raise UserError(
      "--distributed must find the other processes of a pod or cluster, got:"
      f" {reason}. Name them with --coordinator=HOST:PORT, --num_processes and"
      " --process_id, or leave out --distributed."
    ) from error
  global _is_joined
  _is_joined = True


def _compile_alone() -> None:
  """Lets each process of GPUs time kernels by itself.

  XLA would share the timing out among all processes and wait for each, but a
  program is compiled by the processes of one member only.
  """
  flags = os.environ.get("XLA_FLAGS", "")
  if "xla_gpu_shard_autotuning" not in flags:
    os.environ["XLA_FLAGS"] = (
      f"{flags} --xla_gpu_shard_autotuning=false".strip()
    )


class Watch:
  """Watches the other processes in a thread, and tells them how this one ends.

  Args:
    lost_after_s: seconds without a sign of life after which a process is lost.
    end: ends this process for the reason that another gives, or is lost for.
    store: the client of the store.
    grace_s: seconds in which members may be finished, once told to end.
  """

  def __init__(
    self,
    lost_after_s: float,
    end: Callable[[Ending], None],
    store: Any,
    grace_s: float = 0.0,
  ):
    self._lost_after_s, self._end, self._store = lost_after_s, end, store
    self._me, self._count = jax.process_index(), jax.process_count()
    self._seen = _Seen(range(self._count), time.monotonic())
    self._answered = time.monotonic()  # When the store last did.
    self._is_over = threading.Event()
    self._grace_s = grace_s
    self._count_beats = itertools.count(1)
    self._is_finished = False

  def start(self) -> None:
    """Starts watching."""
    threading.Thread(target=self._run, daemon=True).start()
    if self._me:
      threading.Thread(target=self._guard, daemon=True).start()

  def finish(self) -> None:
    """Waits until all processes are done; whoever ends from here on is not lost."""
    processes.wait_for_all("the end")
    self._is_over.set()
    self._is_finished = True

  @property
  def leaving_s(self) -> float:
    """Seconds that `leave` may take in process 0, as long as the others live."""
    if self._is_finished:
      return _FINISHING_S
    return _LEAVING_S + (self._grace_s if stopping.is_asked() else 0.0)

  def announce(self, ending: Ending) -> None:
    """Tells the others that this process ends, and why."""
    content = json.dumps(dataclasses.asdict(ending))
    _try(self._store.key_value_set, f"{_ENDINGS}{self._me}", content, True)

  def leave(self) -> None:
    """Says that this process is gone. Process 0, on which the others hang, waits."""
    self._is_over.set()
    content = json.dumps(self._is_finished or stopping.is_asked())
    _try(self._store.key_value_set, f"{_LEFT}{self._me}", content, True)
    deadline = time.monotonic() + self.leaving_s
    while self._me == 0 and time.monotonic() < deadline:
      _try(self._beat)  # It still lives, and sees who does.
      left = _try(self._store.key_value_dir_get, _LEFT) or []
      gone = {_number(key) for key, _ in left} | set(self.find_lost())
      if len(gone) == self._count:
        return
      time.sleep(0.1)

  def find_lost(self, after_s: float | None = None) -> list[int]:
    """The processes that have given no sign of life for a while."""
    after_s = self._lost_after_s if after_s is None else after_s
    lost = self._seen.find_silent(after_s, time.monotonic())
    return [process for process in lost if process != self._me]

  def wait_for_lost(self) -> None:
    """Gives the watch the time to find whoever is lost, which ends this process."""
    time.sleep(self._lost_after_s + 2 * _BEAT_S)

  def _run(self) -> None:
    while not self._is_over.is_set():
      try:
        self._look()
      except jax.errors.JaxRuntimeError:
        self._bear_failure()
      self._is_over.wait(_BEAT_S)

  def _bear_failure(self) -> None:
    """Lets the store fail for a while, unless process 0 is known to be gone."""
    time.sleep(_ABORT_S)
    if time.monotonic() - self._answered > self._lost_after_s:
      self._lose([0])
      return
    address = distributed.global_state.coordinator_address or ""
    if _refuses(address) and not self._is_over.is_set():
      self._end(_describe_unreachable(self._count))

  def _guard(self) -> None:
    """Ends this process where the store neither answers nor fails."""
    while not self._is_over.wait(_BEAT_S):
      if time.monotonic() - self._answered > self._lost_after_s:
        self._lose([0])
        return

  def _beat(self) -> None:
    """Gives a sign of life, and notes those of the others."""
    beat = str(next(self._count_beats))
    self._store.key_value_set(f"{_BEATS}{self._me}", beat, True)
    found = self._store.key_value_dir_get(_BEATS)
    self._answered = time.monotonic()
    self._seen.note({_number(k): v for k, v in found}, self._answered)

  def _look(self) -> None:
    """Lives, and ends this process where another is lost or ends the run."""
    self._beat()
    excused = self._find_excused()
    for key, content in self._store.key_value_dir_get(_ENDINGS):
      ending = Ending(**json.loads(content))
      if ending.is_stop:
        excused.add(_number(key))
      if _number(key) != self._me:
        self._end(ending)
    if lost := [p for p in self.find_lost() if p not in excused]:
      self._lose(lost)

  def _find_excused(self) -> set[int]:
    """The processes that left because the run is done, or was told to end.

    Others may still finish what is under way.
    """
    left = self._store.key_value_dir_get(_LEFT)
    return {_number(key) for key, content in left if json.loads(content)}

  def _lose(self, lost: list[int]) -> None:
    if not self._is_over.is_set():
      self._end(describe_lost(lost, self._count, self._lost_after_s))


class _Seen:
  """When each process last gave a sign of life, by this process's clock."""

  def __init__(self, numbers: Any, now: float):
    self._beats: dict[int, str] = {}
    self._times = dict.fromkeys(numbers, now)

  def note(self, beats: dict[int, str], now: float) -> None:
    """Notes the signs of life, of which a new one differs from the one before."""
    for process, beat in beats.items():
      if self._beats.get(process) != beat:
        self._beats[process], self._times[process] = beat, now

  def find_silent(self, after_s: float, now: float) -> list[int]:
    """The processes of which nothing new was seen for so many seconds."""
    return [p for p, seen in self._times.items() if now - seen > after_s]


def describe_lost(lost: list[int], count: int, after_s: float) -> Ending:
  """Why a process ends that has lost others."""
  words = " and ".join(f"process {process}" for process in lost)
  return Ending(
    lost[0],
    os.EX_TEMPFAIL,
    f"All {count} processes must live as long as the run, got no sign of life"
    f" from {words} for {after_s:.0f} s: it was killed, or its host or network"
    " failed.",
  )


def _heed_aborts(end: Callable[[Ending], None]) -> None:
  """Says why, where JAX aborts this process since it lost others.

  JAX gives no other word of it. Other aborts are bugs, and stay aborts.

  Args:
    end: ends this process.
  """
  libc = ctypes.CDLL(None)

  def handle(_: int) -> None:
    if (ending := _explain_abort()) is not None:
      end(ending)
    libc.signal(signal.SIGABRT, None)  # The default, by which abort() ends.

  # In the thread that aborts, at once. Python's own handlers would only run in the
  # main thread, once that is back from compiled code.
  global _abort_handler
  _abort_handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(handle)
  libc.signal(signal.SIGABRT, _abort_handler)


def _explain_abort() -> Ending | None:
  """Why JAX aborts this process; None where it is not for want of another."""
  state = distributed.global_state
  coordinator = state.coordinator_address or ""
  if not _is_joined:
    return Ending(
      state.process_id,
      1,
      "--distributed must find the other processes of a pod or cluster, got not"
      f" all of them within {_JOINING_S} s at {coordinator}. Start the command on"
      " every host, with addresses by which they reach each other.",
    )
  if state.process_id == 0 or _answers(coordinator):
    return None
  return _describe_unreachable(state.num_processes)


def _describe_unreachable(count: int | None) -> Ending:
  return Ending(
    0,
    os.EX_TEMPFAIL,
    f"All {count} processes must reach process 0 as long as the run"
    " lasts, got no answer from it: it was killed, or its host or network failed.",
  )


_is_joined = False  # Whether this process has met the others.
_abort_handler: Any = None  # Kept, since C holds only its address.


def _answers(address: str) -> bool:
  try:
    _connect(address)
  except (OSError, ValueError):
    return False
  return True


def _refuses(address: str) -> bool:
  """Whether a host lives, on which no process listens to an address."""
  try:
    _connect(address)
  except ConnectionRefusedError:
    return True
  except (OSError, ValueError):
    return False
  return False


def _connect(address: str) -> None:
  host, _, port = address.rpartition(":")
  socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()


def _number(key: str) -> int:
  return int(key.rsplit("/", 1)[1])


def _try(function: Callable[..., Any], *arguments: Any) -> Any:
  """What a call of the store returns; None where it does not answer soon."""
  results = []

  def call():
    with contextlib.suppress(jax.errors.JaxRuntimeError):
      results.append(function(*arguments))

  # Without process 0, a call fails at once, late or never.
  caller = threading.Thread(target=call, daemon=True)
  caller.start()
  caller.join(_ANSWER_S)
  return results[0] if results else None
