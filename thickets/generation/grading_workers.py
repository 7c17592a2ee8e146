"""Where graders run: in worker processes, or in a thread of this process.

A worker process gets the grader once, when it starts. The grader must pickle,
since workers are started afresh: a process that runs JAX cannot be forked. A
worker that ends, or a response that takes too long, ends the run with a message
that names the grader and the example.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from thickets.errors import UserError
from thickets.generation.decoding import Responses
from thickets.generation.grading import Grade, Grader
from thickets.generation.grading_watch import GRADE_LIMIT_S, Posts, Watch
from thickets.search.evaluator import Channels


@dataclasses.dataclass(frozen=True)
class Grading:
  """What grades members, and where.

  Attributes:
    host_fn: maps one member's responses [Q, T] and the batch of prompts to
      channels [Q]; it pickles if `executor` has processes.
    executor: runs it; None for a thread of this process.
    text_fn: maps the indices [Q] of examples and texts [Q] that answer them to
      channels [Q], in the same place; None where texts are not graded.
  """

  host_fn: Callable[[Responses, Mapping[str, np.ndarray]], Channels]
  executor: concurrent.futures.Executor | None = None
  text_fn: Callable[[Iterable[int], Sequence[str]], Channels] | None = None

  def grade_texts(
    self, indices: Iterable[int], texts: Sequence[str]
  ) -> Channels:
    """Grades texts [Q] that answer the examples of these indices [Q].

    Raises:
      UserError: if the grader fails, ends its process, or takes too long.
    """
    assert self.executor is not None and self.text_fn is not None
    return self.executor.submit(self.text_fn, list(indices), texts).result()


@contextlib.contextmanager
def start_grading(
  grader: Grader, num_workers: int, *, limit_s: float = GRADE_LIMIT_S
) -> Iterator[Grading]:
  """Starts processes that grade while the device generates, and ends them.

  Args:
    grader: sent to every process once.
    num_workers: how many processes; with 0 a thread of this process grades,
      which a grader that ends its process ends as well.
    limit_s: seconds that one response may be graded.
  """
  if num_workers:
    with _start_workers(grader, num_workers, limit_s) as started:
      yield started
  else:
    with _start_thread(grader, limit_s) as started:
      yield started


@contextlib.contextmanager
def _start_thread(grader: Grader, limit_s: float) -> Iterator[Grading]:
  executor = _ThreadExecutor()
  posts = Posts(grader.num_threads)
  watched = dataclasses.replace(
    grader, grade=posts.watch(grader.grade, os.getpid())
  )
  watch = Watch(
    posts, _make_name(grader.grade), limit_s, lambda _, why: executor.fail(why)
  )
  with watch.watching():
    try:
      yield Grading(watched, executor, watched.grade_texts)
    finally:
      executor.shutdown()


@contextlib.contextmanager
def _start_workers(
  grader: Grader, num_workers: int, limit_s: float
) -> Iterator[Grading]:
  context = multiprocessing.get_context("spawn")
  posts = Posts(grader.num_threads, num_workers, context)
  with concurrent.futures.ProcessPoolExecutor(
    num_workers,
    mp_context=context,
    initializer=_start_worker,
    initargs=(grader, posts),
  ) as pool:
    executor = _WorkerExecutor(pool)
    watch = Watch(posts, _make_name(grader.grade), limit_s, executor.end)
    executor.explain = watch.explain_end
    with watch.watching():
      try:
        yield Grading(_grade_in_worker, executor, _grade_texts_in_worker)
      except BaseException:
        executor.kill()  # Nobody waits for what they grade.
        raise
      finally:
        pool.shutdown(cancel_futures=True)


class _WorkerExecutor(concurrent.futures.Executor):
  """A pool of processes that says why one of them ended."""

  def __init__(self, pool: concurrent.futures.ProcessPoolExecutor):
    self.explain: Callable[[Mapping[int, BaseProcess]], str] = str
    self._pool = pool
    self._workers: dict[int, BaseProcess] = {}
    self._verdict: str | None = None
    self._lock = threading.Lock()

  def submit(self, fn, /, *args, **kwargs):
    outer = concurrent.futures.Future()
    try:
      inner = self._pool.submit(fn, *args, **kwargs)
    except concurrent.futures.BrokenExecutor as error:
      outer.set_exception(self._translate(error))
      return outer
    self._note_workers()
    inner.add_done_callback(lambda done: self._pass_on(done, outer))
    return outer

  def end(self, pid: int, why: str) -> None:
    """Ends a worker, which ends the pool, for this reason."""
    with self._lock:
      self._verdict = self._verdict or why
    with contextlib.suppress(ProcessLookupError):
      os.kill(pid, signal.SIGKILL)

  def kill(self) -> None:
    """Ends all workers, whatever they are at."""
    for worker in self._note_workers():
      worker.kill()

  def _note_workers(self) -> list[BaseProcess]:
    children = multiprocessing.active_children()
    self._workers |= {w.pid: w for w in children if w.pid is not None}
    return children

  def _pass_on(self, done, outer) -> None:
    error = (
      concurrent.futures.CancelledError()
      if done.cancelled()
      else done.exception()
    )
    if error is None:
      outer.set_result(done.result())
      return
    try:
      error = self._translate(error)
    finally:  # Whoever waits must not wait forever.
      outer.set_exception(error)

  def _translate(self, error: BaseException) -> BaseException:
    if not isinstance(error, concurrent.futures.BrokenExecutor):
      return error
    with self._lock:  # The first look counts: the pool then ends the others.
      if self._verdict is None:
        self._verdict = self.explain(self._wait_for_ended())
    return UserError(self._verdict)

  def _wait_for_ended(self) -> dict[int, BaseProcess]:
    """The workers that have ended: their pipe closes a moment before they do."""
    ended: dict[int, BaseProcess] = {}
    for _ in range(100):
      alive = {worker.pid for worker in self._note_workers()}
      ended = {p: w for p, w in self._workers.items() if p not in alive}
      if ended:
        break
      time.sleep(0.02)
    return ended


class _ThreadExecutor(concurrent.futures.Executor):
  """One thread, which does not keep a program from ending where it hangs."""

  def __init__(self):
    self._calls: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
    self._unfinished: set[concurrent.futures.Future] = set()
    self._failure: str | None = None
    threading.Thread(target=self._work, daemon=True).start()

  def submit(self, fn, /, *args, **kwargs):
    future = concurrent.futures.Future()
    if self._failure is not None:
      future.set_exception(UserError(self._failure))
      return future
    self._unfinished.add(future)
    self._calls.put((future, fn, args, kwargs))
    return future

  def fail(self, why: str) -> None:
    """Gives all calls up that have not ended, for this reason."""
    self._failure = why
    for future in list(self._unfinished):
      with contextlib.suppress(concurrent.futures.InvalidStateError):
        future.set_exception(UserError(why))

  def shutdown(self, wait: bool = True, *, cancel_futures: bool = False):
    """Ends the thread behind its calls, without waiting for it."""
    del wait, cancel_futures
    self._calls.put(None)

  def _work(self) -> None:
    while (call := self._calls.get()) is not None:
      future, fn, args, kwargs = call
      with contextlib.suppress(concurrent.futures.InvalidStateError):
        if not future.done():
          try:
            future.set_result(fn(*args, **kwargs))
          except concurrent.futures.InvalidStateError:
            raise
          except BaseException as error:  # For whoever waits for the result.
            future.set_exception(error)
      self._unfinished.discard(future)


def _make_name(grade: Grade) -> Callable[[int], str]:
  """How a grader calls itself and an example, for messages."""
  name = getattr(grade, "name_example", None)
  return name or (lambda index: f"grade, for example {index},")


# The grader of a worker process. It is global because a pool's initialiser and
# its tasks share nothing else: sending the grader, with all its examples, with
# each task would cost more than most grading.
_worker_grader: Grader | None = None


def _start_worker(grader: Grader, posts: Posts) -> None:
  global _worker_grader
  # The parent answers signals, so that one in here is the grader's own. Those that
  # end a job reach all its processes, and work under way may still be finished.
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
  watched = posts.watch(grader.grade, os.getpid())
  _worker_grader = dataclasses.replace(grader, grade=watched)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  """A parent that is killed cannot end its workers, which would wait forever."""
  parent = multiprocessing.parent_process()
  assert parent is not None
  parent.join()
  os._exit(1)


def _grade_in_worker(
  responses: Responses, batch: Mapping[str, np.ndarray]
) -> Channels:
  assert _worker_grader is not None
  return _worker_grader(responses, batch)


def _grade_texts_in_worker(
  indices: Iterable[int], texts: Sequence[str]
) -> Channels:
  assert _worker_grader is not None
  return _worker_grader.grade_texts(indices, texts)
