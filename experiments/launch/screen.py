"""What a person sees of a running binary: its log, and one line that renews itself.

Log lines begin with the time of day. In a terminal the progress of the work is
one line at the bottom, which the next one replaces, and log lines pass above it;
anywhere else it is a line of the log every few seconds. A character that the
output cannot show is replaced by one that it can.
"""

import codecs
import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator

import absl.logging

from thickets.search import progress

_ERASE = "\r\x1b[K"  # To the beginning of the line, and clears to its end.

# What stands for the characters of messages and tables in plainer encodings.
_PLAIN = {
  **{"–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "·": "*", "→": "->"},
  **{"σ": "sigma", "±": "+/-", "≤": "<=", "≥": ">=", "’": "'", "‘": "'"},
  **{"“": '"', "”": '"', "²": "^2", "\u202f": " ", "\xa0": " "},
}
_ERRORS = "thickets_plain"  # Name of the handler of such characters.

_line: "LiveLine | None" = None  # That of this process, while a log is shown.


def prepare_output() -> None:
  """Lets standard output and error show what they can, and never fail."""
  codecs.register_error(_ERRORS, _replace)
  for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
      stream.reconfigure(errors=_ERRORS)


@contextlib.contextmanager
def showing_log() -> Iterator[None]:
  """Shows the log with a clock and, in a terminal, progress as one line."""
  global _line
  handler = absl.logging.get_absl_handler()
  handler.setFormatter(ClockFormatter())
  if not is_terminal(sys.stderr):
    yield
    return
  _line = LiveLine(sys.stderr)
  handler.setFormatter(ClockFormatter(before=_line.erase))
  handler.addFilter(_is_kept)
  progress.LOGGER.setLevel(logging.DEBUG)  # Every renewal of the line.
  # Behind absl's, so that it draws the line again below what that has written.
  logging.root.addHandler(_line)
  try:
    yield
  finally:
    finish_line()
    logging.root.removeHandler(_line)
    progress.LOGGER.setLevel(logging.NOTSET)
    handler.removeFilter(_is_kept)
    _line = None


def finish_line() -> None:
  """Clears the line, before something else is printed."""
  if _line is not None:
    _line.clear()


def is_terminal(stream) -> bool:
  """Whether a stream is a terminal whose lines can be renewed."""
  return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class ClockFormatter(logging.Formatter):
  """Lines such as `12:03:44 warning: ...`, the level only where it is news.

  Args:
    before: returns what is written before a line, such as what erases another.
  """

  def __init__(self, before=str):
    super().__init__()
    self._before = before

  def format(self, record: logging.LogRecord) -> str:
    """Returns the line of a record."""
    clock = time.strftime("%H:%M:%S", time.localtime(record.created))
    level = record.levelname.lower()
    shown = "" if record.levelno <= logging.INFO else f"{level}: "
    return f"{self._before()}{clock} {shown}{super().format(record)}"


class LiveLine(logging.Handler):
  """Draws the latest line of progress at the bottom of a terminal.

  Args:
    stream: the terminal.
  """

  _PERIOD_S = 0.1  # Between two renewals; the eye needs no more.

  def __init__(self, stream):
    super().__init__()
    self._stream, self._text, self._drawn_s = stream, "", -float("inf")

  def emit(self, record: logging.LogRecord) -> None:
    """Renews the line; or draws it again below another that was logged."""
    if record.name != progress.LOGGER.name:
      self._draw()
    elif record.levelno > logging.DEBUG and progress.is_last(record):
      self._text = ""  # It has become a line of the log.
    else:
      clock = time.strftime("%H:%M:%S", time.localtime(record.created))
      self._text = f"{clock} {record.getMessage()}"
      if record.created - self._drawn_s >= self._PERIOD_S:
        self._drawn_s = record.created
        self._draw()

  def erase(self) -> str:
    """Returns what erases the line, if there is one."""
    return _ERASE if self._text else ""

  def clear(self) -> None:
    """Erases the line for good."""
    if self._text:
      self._text = ""
      self._write(_ERASE)

  def _draw(self) -> None:
    if self._text:
      # A full line would wrap around, and could not be erased.
      self._write(_ERASE + self._text[: self._num_columns() - 1])

  def _num_columns(self) -> int:
    try:
      return os.get_terminal_size(self._stream.fileno()).columns or 80
    except OSError:
      return 80

  def _write(self, text: str) -> None:
    self._stream.write(text)
    self._stream.flush()


def _is_kept(record: logging.LogRecord) -> bool:
  """Whether a record stays in the log of a terminal when the work goes on."""
  return record.name != progress.LOGGER.name or progress.is_last(record)


def _replace(error: UnicodeError) -> tuple[str, int]:
  if not isinstance(error, UnicodeEncodeError):
    raise error
  part = error.object[error.start : error.end]
  return "".join(_PLAIN.get(char, "?") for char in part), error.end
