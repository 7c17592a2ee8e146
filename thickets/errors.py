"""What a user can mend, and how the message that says so names the remedy."""

import difflib
import signal
import threading
from collections.abc import Collection, Sequence


class UserError(ValueError):
  """Says what was wrong, where, and what to do; binaries print it alone.

  It is for what a user can mend, as opposed to what only a bug breaks.
  """


class NoRoomError(UserError):
  """Says that a device's memory is too small, and what would do.

  Args:
    message: what must be, what was got, and the remedy.
    needed_bytes: what a device would have to hold; None where nobody says.
    size_bytes: what it has room for; None where nobody says.
  """

  def __init__(
    self,
    message: str,
    needed_bytes: float | None = None,
    size_bytes: float | None = None,
  ):
    super().__init__(message)
    self.needed_bytes, self.size_bytes = needed_bytes, size_bytes


def is_interrupt(error: BaseException) -> bool:
  """Whether a person has interrupted the process, rather than its own code.

  Python raises a real interrupt in the main thread, unless it is ignored.
  """
  return (
    isinstance(error, KeyboardInterrupt)
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
  )


def describe_error(error: BaseException) -> str:
  """Names an error that a user's code raised, in one short line."""
  try:
    text = " ".join(str(error).split())
  except Exception:  # Its own `__str__` may raise as well.
    text = "(its message cannot be read)"
  name = type(error).__name__
  return f"{name}: {text[:200]}" if text else name


def nearest(word: str, known: Collection[str], *, count: int = 5) -> str:
  """Lists the known words nearest to a wrong one.

  Args:
    word: the wrong word.
    known: the words that would have been right.
    count: how many of them to list at most.

  Returns:
    The words, the nearest first; the first in the alphabet where none is near.
  """
  close = difflib.get_close_matches(word, known, n=count, cutoff=0.3)
  return ", ".join(close or sorted(known)[:count])


def shorten(words: Sequence[str], count: int) -> str:
  """Lists the first words, and says how many there are in all."""
  shown = ", ".join(words[:count])
  return f"{shown}, … ({len(words)} in all)" if len(words) > count else shown
