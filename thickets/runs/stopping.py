"""Ending a run that was told to end, between two chunks if there is time.

Whoever takes a machine away sends SIGTERM and allows some seconds. Within
`deferring`, work that is under way is finished first; elsewhere the program ends
at once. The records are the checkpoint, so nothing else has to be saved.
"""

import contextlib
import threading
from collections.abc import Iterator

_asked = threading.Event()
_is_deferring = False


class StoppedError(BaseException):
  """Ends a run that was told to end, as KeyboardInterrupt ends others.

  No `except Exception` takes it for a failure.
  """


def ask() -> None:
  """Asks this process to end; in its main thread, raises unless work is deferring.

  Asked again, it does nothing: the process may be about to end.

  Raises:
    StoppedError: if nothing has to be finished first.
  """
  was_asked = _asked.is_set()
  _asked.set()
  is_main = threading.current_thread() is threading.main_thread()
  if is_main and not was_asked and not _is_deferring:
    raise StoppedError


def is_asked() -> bool:
  """Whether this process was told to end."""
  return _asked.is_set()


def is_deferring() -> bool:
  """Whether there is work to finish first."""
  return _is_deferring


@contextlib.contextmanager
def deferring() -> Iterator[None]:
  """Finishes the work within before it ends, once asked to.

  The work looks at `is_asked` to leave out what it has not begun.

  Raises:
    StoppedError: behind the work, if this process was told to end.
  """
  global _is_deferring
  _is_deferring = True
  try:
    yield
  finally:
    _is_deferring = False
  if _asked.is_set():
    raise StoppedError
