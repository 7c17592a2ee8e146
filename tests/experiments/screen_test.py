"""Tests of what a person sees: the clock, the line that renews itself, encodings."""

import io
import logging
import os
from unittest import mock

import absl.logging
from absl.testing import absltest, parameterized

from experiments.launch import screen
from thickets.search import progress


class Terminal(io.StringIO):
  """A terminal of 40 columns that keeps what is written to it."""

  def isatty(self):
    return True

  def fileno(self):
    return 2


def _show(written):
  """The lines [n] that a terminal shows after it was written to."""
  lines = []
  for line in written.split("\n"):
    cells = ""
    for part in line.split("\r"):
      if part.startswith("\x1b[K"):
        cells = part.removeprefix("\x1b[K")
      else:
        cells = part + cells[len(part) :]
    lines.append(cells)
  return lines


class ScreenTest(parameterized.TestCase):
  def log_to(self, stream, work):
    """Runs `work` with a log that is shown on a stream."""
    handler = absl.logging.get_absl_handler()
    before = logging.root.handlers[:], handler.formatter, logging.root.level
    size = mock.Mock(columns=40)
    with (
      mock.patch.dict(os.environ, {"TERM": "xterm"}),
      mock.patch("sys.stderr", stream),
      mock.patch.object(handler.python_handler, "stream", stream),
      mock.patch.object(os, "get_terminal_size", return_value=size),
      # Else the first test of a process that logs has a line of absl's own.
      mock.patch.object(absl.logging, "_warn_preinit_stderr", False),
    ):
      logging.root.handlers[:] = [handler]
      logging.root.setLevel(logging.INFO)
      try:
        with screen.showing_log():
          work()
      finally:
        handler.setFormatter(before[1])
        logging.root.handlers[:] = before[0]
        logging.root.setLevel(before[2])
    return stream.getvalue()

  def test_a_terminal_has_one_line_that_is_cut_to_its_width(self):
    def work():
      for count in range(3):
        progress.LOGGER.debug("select | members %d/9 %s", count, "x" * 99)
        screen._line._drawn_s = 0.0  # As if time had passed.

    written = self.log_to(Terminal(), work)
    drawn = written.split("\r\x1b[K")[1:-1]
    self.assertLen(drawn, 3)
    for count, line in enumerate(drawn):
      self.assertRegex(line, rf"^\d\d:\d\d:\d\d select . members {count}/9 x+$")
      self.assertLen(line, 39)
    self.assertEqual(_show(written), [""])

  def test_messages_pass_above_the_line_and_the_last_one_stays(self):
    def work():
      progress.LOGGER.debug("members 1/9")
      logging.getLogger().info("a message")
      self.assertRegex(
        "\n".join(_show(terminal.getvalue())),
        r"^[\d:]{8} a message\n[\d:]{8} members 1/9$",
      )
      progress.LOGGER.info("members 5/9")  # Not kept: the next one replaces it.
      logging.getLogger().warning("beware")
      progress.LOGGER.info("members 9/9", extra={"is_last": True})

    terminal = Terminal()
    self.assertRegex(
      "\n".join(_show(self.log_to(terminal, work))),
      r"^[\d:]{8} a message\n[\d:]{8} warning: beware\n[\d:]{8} members 9/9\n$",
    )

  def test_elsewhere_there_are_plain_lines_now_and_then(self):
    def work():
      progress.LOGGER.debug("members 1/9")
      progress.LOGGER.info("members 5/9")
      logging.getLogger().info("a message")

    self.assertRegex(
      self.log_to(io.StringIO(), work),
      r"^[\d:]{8} members 5/9\n[\d:]{8} a message\n$",
    )

  @parameterized.parameters(
    ("ascii", "σ = 1 – 2 … × ± ☃", b"sigma = 1 - 2 ... x +/- ?"),
    ("latin-1", "σ – × ±", "sigma - × ±".encode("latin-1")),
    ("utf-8", "σ – ☃", "σ – ☃".encode()),
  )
  def test_what_an_output_cannot_show_is_replaced(self, encoding, text, shown):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with mock.patch("sys.stdout", stream):
      screen.prepare_output()
      print(text, end="", flush=True)
    self.assertEqual(stream.buffer.getvalue(), shown)


if __name__ == "__main__":
  absltest.main()
