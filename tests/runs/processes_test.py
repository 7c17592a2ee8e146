"""Tests of waiting for other processes, on a clock that is not the machine's."""

import itertools

from absl.testing import absltest

from thickets.errors import UserError
from thickets.runs import processes


class WaitTest(absltest.TestCase):
  def wait(self, come, progress):
    """Waits by a clock that advances a minute at each look."""
    times = (60.0 * minute for minute in itertools.count())
    return processes.wait_for(
      lambda: next(come, None),
      lambda: next(progress, None),
      process=3,
      name="the scores of select",
      clock=lambda: next(times),
    )

  def test_whoever_has_come_is_not_waited_for(self):
    self.assertEqual(self.wait(iter(["7"]), iter([])), "7")

  def test_progress_is_waited_for_however_long_it_takes(self):
    come = iter([None] * 1000 + ["7"])
    self.assertEqual(self.wait(come, itertools.count()), "7")

  def test_a_process_that_is_stuck_is_named(self):
    with self.assertRaisesRegex(
      UserError,
      "Every process must reach the scores of select, got no sign of progress"
      " from process 3 for 3600 s",
    ):
      self.wait(iter([None] * 1000), itertools.repeat("5"))

  def test_the_log_says_who_is_missing(self):
    with self.assertLogs("absl", level="INFO") as logs:
      self.wait(iter([None] * 5 + ["7"]), itertools.count())
    self.assertIn(
      "waiting for process 3 at the scores of select", logs.output[0]
    )

  def test_a_process_by_itself_waits_for_nobody(self):
    processes.wait_for_all("the end")
    self.assertEqual(processes.share("chunks", [1, 2]), [1, 2])
