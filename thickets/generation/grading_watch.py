"""Watches over graders: which response each is at, for how long, and its end.

A grader is often a user's own code, which may hang or end its process. Each
grader posts what it grades in memory that it shares with the process that
waits, so that the message can name it: a worker that has died tells nothing.
"""

import collections
import contextlib
import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from absl import logging

WARN_AFTER_S = 30.0
# Seconds that one response may be graded. A program of the task mbpp may take
# 300 s on the clock, and so may its reference solution.
GRADE_LIMIT_S = 900.0
_PERIOD_S = 1.0
# How much of a response messages show; a character has 4 bytes at most.
_SHOWN_CHARS = 80

# As `grading.Grade`.
_Grade = Callable[[int, str], Mapping[str, Any]]


class _Post(ctypes.Structure):
  """What one thread grades: `turn` is raised with each response."""

  _fields_ = (
    ("pid", ctypes.c_int64),
    ("turn", ctypes.c_uint64),
    ("index", ctypes.c_int64),
    ("num_bytes", ctypes.c_int64),
    ("text", ctypes.c_ubyte * (4 * _SHOWN_CHARS)),
    ("is_busy", ctypes.c_bool),
  )


class Posts:
  """Where graders post which response they are at; sent to every worker once.

  Args:
    num_threads: threads that grade in one process.
    num_workers: processes that grade.
    context: what starts the processes; None for threads of this one.
  """

  def __init__(
    self,
    num_threads: int,
    num_workers: int = 1,
    context: SpawnContext | None = None,
  ):
    count = num_threads * num_workers
    self._num_threads = num_threads
    self._posts = (
      (_Post * count)() if context is None else context.RawArray(_Post, count)
    )
    self._num_claimed = None if context is None else context.Value("q", 0)
    self._free: collections.deque[int] | None = None

  def watch(self, grade: _Grade, pid: int) -> _Grade:
    """Makes `grade` post what it grades, from the process of that number."""
    self._free = collections.deque(self._claim())

    def watched(index: int, text: str) -> Mapping[str, Any]:
      with self._post(index, text, pid):
        return grade(index, text)

    return watched

  def busy(self) -> Iterator[tuple[int, int, int, int, str]]:
    """Yields (place, turn, pid, index, text) of what is being graded."""
    for place, post in enumerate(self._posts):
      if post.is_busy:
        text = bytes(post.text[: post.num_bytes])
        shown = text.decode("utf-8", "replace")
        yield place, post.turn, post.pid, post.index, shown

  def _claim(self) -> range:
    """The places of this process."""
    first = 0
    if self._num_claimed is not None:
      with self._num_claimed.get_lock():
        first = self._num_claimed.value
        self._num_claimed.value += self._num_threads
    return range(first, first + self._num_threads)

  @contextlib.contextmanager
  def _post(self, index: int, text: str, pid: int) -> Iterator[None]:
    assert self._free is not None  # `watch` has claimed them.
    place = self._free.popleft()
    post = self._posts[place]
    shown = text[:_SHOWN_CHARS].encode("utf-8", "replace")
    post.pid, post.index, post.num_bytes = pid, index, len(shown)
    post.text[: len(shown)] = shown
    post.turn += 1
    post.is_busy = True
    try:
      yield
    finally:
      post.is_busy = False
      self._free.append(place)


class Watch:
  """Warns of a grader that takes long, and ends one that takes too long.

  Args:
    posts: where graders post what they grade.
    name: names the grader and the example of an index, for messages.
    limit_s: seconds that one response may be graded.
    end: ends the process of that number, with a message.
  """

  def __init__(
    self,
    posts: Posts,
    name: Callable[[int], str],
    limit_s: float,
    end: Callable[[int, str], None],
  ):
    self._posts, self._name = posts, name
    self._limit_s, self._end = limit_s, end
    # By place: the turn, and the seconds that it has taken.
    self._seen: dict[int, tuple[int, float]] = {}

  @contextlib.contextmanager
  def watching(self) -> Iterator[None]:
    """Looks every second, from a thread of its own."""
    stop = threading.Event()

    def look() -> None:
      last = time.monotonic()
      while not stop.wait(_PERIOD_S):
        now = time.monotonic()
        # A machine or a process that was suspended has not graded meanwhile.
        self.step(min(now - last, 2 * _PERIOD_S))
        last = now

    threading.Thread(target=look, daemon=True).start()
    try:
      yield
    finally:
      stop.set()

  def step(self, elapsed_s: float) -> None:
    """Looks once, so many seconds after the last time."""
    for place, turn, pid, index, text in self._posts.busy():
      seen, before_s = self._seen.get(place, (0, 0.0))
      taken_s = before_s + elapsed_s if seen == turn else 0.0
      self._seen[place] = (turn, taken_s)
      if seen != turn:
        continue
      if taken_s >= self._limit_s > before_s:
        self._end(
          pid,
          f"{self._name(index)} must end within {self._limit_s:g} s for each"
          f" response, got none for the response {text!r} until then. Correct"
          " the grader, or raise compute.grade_limit_s.",
        )
      elif taken_s >= WARN_AFTER_S > before_s:
        logging.warning(
          "%s has taken %.0f s so far for the response %r; after %g s the run"
          " is ended (compute.grade_limit_s).",
          self._name(index),
          taken_s,
          text,
          self._limit_s,
        )

  def explain_end(self, ended: Mapping[int, BaseProcess]) -> str:
    """Says what processes were doing that have ended, by their number."""
    for _, _, pid, index, text in self._posts.busy():
      if pid in ended:
        return (
          f"{self._name(index)} must return a grade, but its process ended with"
          f" {describe_status(ended[pid].exitcode)} at the response {text!r}."
          " A grader must not end its process, nor need more memory than there"
          " is. Correct it."
        )
    statuses = {describe_status(child.exitcode) for child in ended.values()}
    return (
      "A process that grades must stay alive, but one ended with"
      f" {', '.join(sorted(statuses)) or 'an unknown status'}, while it graded"
      " nothing. Was it ended from outside, as by a system short of memory?"
      " Free memory, or lower compute.num_workers; the same command continues."
    )


def describe_status(status: int | None) -> str:
  """Names the exit status of a process, or the signal that ended it."""
  if status is None:
    return "an unknown status"
  if status >= 0:
    return f"status {status}"
  try:
    return f"the signal {signal.Signals(-status).name}"
  except ValueError:  # A number that has no name.
    return f"the signal {-status}"
