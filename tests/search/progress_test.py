"""Tests of the progress line: all there is to know, and not too often."""

from unittest import mock

import numpy as np
from absl.testing import parameterized

from thickets.search import progress


class ProgressTest(parameterized.TestCase):
  def start(self, total, seconds, best_and_base=(0.412, 0.371)):
    """A progress whose clock shows `seconds`, one after the other."""
    clock = self.enter_context(mock.patch.object(progress, "time"))
    clock.monotonic.side_effect = seconds
    return progress.Progress("select", total, best_and_base)

  def test_a_line_says_all_there_is_to_know(self):
    meter = self.start(1024, [0.0, 40.0])
    with self.assertLogs("absl", "INFO") as logs:
      meter.add(np.append(np.full(125, 0.2), [np.nan, np.inf, -np.inf]))
    self.assertIn(
      "select | members 128/1024 | 3.2 members/s | ETA 4m40s | best 0.412 |"
      " base 0.371 | failed 3",
      logs.output[0],
    )

  def test_members_on_disk_count_as_done_but_not_for_the_speed(self):
    meter = self.start(100, [0.0, 20.0], (np.nan, 0.1))
    with self.assertLogs("absl", "INFO") as logs:
      meter.skip(60)
      meter.add(np.full(20, 0.5))
    self.assertIn("60 of 100 members were on disk", logs.output[0])
    self.assertIn("80/100 | 1 members/s | ETA 20s | best 0.5 |", logs.output[1])

  def test_the_best_is_unknown_while_all_have_failed(self):
    meter = self.start(4, [0.0, 20.0], (np.nan, 0.1))
    with self.assertLogs("absl", "INFO") as logs:
      meter.add(np.full(2, np.nan))
    self.assertIn("best nan | base 0.1 | failed 2", logs.output[0])

  def test_at_most_one_line_in_ten_seconds_and_one_at_the_end(self):
    meter = self.start(5, [0.0, 9.0, 10.0, 11.0, 19.9, 19.95])
    with self.assertLogs("absl", "INFO") as logs:
      for _ in range(5):
        meter.add(np.zeros(1))
    self.assertEqual(
      [line.split("members ")[1].split(" ")[0] for line in logs.output],
      ["2/5", "5/5"],
    )

  @parameterized.parameters(
    (0.0, "0s"),
    (41.6, "42s"),
    (59.4, "59s"),
    (59.6, "1m00s"),
    (280.0, "4m40s"),
    (3599.6, "1h00m"),
    (7500.0, "2h05m"),
    (360000.0, "100h00m"),
  )
  def test_format_duration(self, seconds, expected):
    self.assertEqual(progress.format_duration(seconds), expected)
