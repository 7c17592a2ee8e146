"""Tests of commands that run as processes of their own."""

import os
import pathlib
import tempfile
import threading
import time
from unittest import mock

from absl.testing import absltest

from experiments.launch import children
from experiments.launch.children import Children, Command
from thickets.errors import UserError
from thickets.runs import stopping

_WRITE = "import sys, pathlib; d = pathlib.Path(sys.argv[-1].split('=')[1])"


class _Script(Command):
  """A command whose words are a program in place of a binary."""

  @property
  def words(self):
    return ["-c", f"{_WRITE}; {self.binary}", f"--workdir={self.workdir}"]


class ChildrenTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def make(self, name, program):
    return _Script(name, program, (), self.folder / name)

  def test_what_has_ended_is_not_run_again(self):
    program = (
      "d.mkdir(); (d / 'results.json').write_text('{}'); print('said', d.name)"
    )
    commands = [self.make(name, program) for name in ("one", "two", "three")]
    Children(2, {}).run(commands)
    Children(2, {}).run(commands)  # A second mkdir would fail.
    begun, said = commands[0].log.read_text().splitlines()
    self.assertEqual(begun, str(commands[0]))
    self.assertEqual(said, "said one")
    self.assertTrue(all(command.is_done for command in commands))

  def test_a_failure_says_what_failed_and_why(self):
    with self.assertRaisesRegex(
      UserError, r"bad must end well, got status 3: no such key\. The whole log"
    ):
      Children(1, {}).run(
        [self.make("bad", "print('error: no such key.'); sys.exit(3)")]
      )

  def test_the_reason_is_that_of_the_last_start(self):
    with self.assertRaisesRegex(UserError, "the first"):
      Children(1, {}).run(
        [self.make("bad", "print('error: the first.'); sys.exit(1)")]
      )
    with self.assertRaisesRegex(UserError, "got status 1: killed"):
      Children(1, {}).run([self.make("bad", "print('killed'); sys.exit(1)")])

  def test_others_that_end_with_this_process_are_no_failure(self):
    asked = threading.Event()
    asked.set()
    self.enterContext(mock.patch.object(stopping, "_asked", asked))
    Children(1, {})._run(self.make("ended", "sys.exit(143)"))

  def test_a_failure_ends_the_others(self):
    start = time.monotonic()
    with self.assertRaisesRegex(UserError, "bad must end well"):
      Children(2, {}).run(
        [
          self.make("slow", "import time; time.sleep(60)"),
          self.make("bad", "import time; time.sleep(1); sys.exit(1)"),
        ]
      )
    self.assertLess(time.monotonic() - start, 30)

  def test_whoever_is_told_to_end_ends_the_others_first(self):
    self.enterContext(mock.patch.object(stopping, "_asked", threading.Event()))
    start = time.monotonic()
    with mock.patch.object(children, "_LOOK_S", 0.05):
      threading.Timer(0.5, stopping.ask).start()
      with self.assertRaises(stopping.StoppedError):
        Children(1, {}).run(
          [
            self.make("slow", "import time; time.sleep(60)"),
            self.make("next", "d.mkdir()"),
          ]
        )
    self.assertLess(time.monotonic() - start, 30)
    self.assertFalse((self.folder / "next").exists())

  def test_processes_at_once_divide_the_cores(self):
    if not hasattr(os, "sched_getaffinity"):
      self.assertEqual(children._divide_cores(2), [set(), set()])
      return
    with mock.patch.object(os, "sched_getaffinity", return_value={4, 5, 6}):
      self.assertEqual(children._divide_cores(2), [{4, 6}, {5}])
      self.assertEqual(children._divide_cores(1), [set()])
      self.assertEqual(children._divide_cores(4), [set()] * 4)


if __name__ == "__main__":
  absltest.main()
