"""Tests of the progress line: all there is to know, and not too often."""

import logging
from unittest import mock

import numpy as np
from absl.testing import parameterized

from thickets.search import progress


class ProgressTest(parameterized.TestCase):
  def start(self, total, seconds, best_and_base=(0.412, 0.371), **options):
    """A progress whose clock shows `seconds`, one after the other."""
    clock = self.enter_context(mock.patch.object(progress, "time"))
    clock.monotonic.side_effect = seconds
    return progress.Progress("select", total, best_and_base, **options)

  def test_a_line_says_all_there_is_to_know(self):
    meter = self.start(1024, [0.0, 10.0, 40.0])
    with self.assertLogs("thickets.progress", "INFO") as logs:
      meter.add(np.zeros(32))
      meter.add(np.append(np.full(93, 0.2), [np.nan, np.inf, -np.inf]))
    self.assertIn(
      "select | members 128/1024 | 3.2 members/s | ETA 4m40s | best 0.412 |"
      " base 0.371 | failed 3",
      logs.output[1],
    )

  def test_members_on_disk_count_as_done_but_not_for_the_speed(self):
    meter = self.start(100, [0.0, 20.0, 40.0], (np.nan, 0.1))
    with self.assertLogs("thickets.progress", "INFO") as logs:
      meter.skip(40)
      meter.add(np.full(20, 0.5))
      meter.add(np.full(20, 0.5))
    self.assertIn("40 of 100 members were on disk", logs.output[0])
    self.assertIn("80/100 | 1 members/s | ETA 20s | best 0.5 |", logs.output[2])

  def test_compilation_is_no_part_of_the_speed_whenever_it_comes(self):
    compiled = [5.0]
    meter = self.start(40, [0.0, 110.0, 165.0], compile_s=lambda: compiled[-1])
    with self.assertLogs("thickets.progress", "INFO") as logs:
      compiled.append(105.0)  # 100 s of compilation, and 10 s of work.
      meter.add(np.zeros(10))
      compiled.append(150.0)  # 45 s more, and 10 s of work.
      meter.add(np.zeros(10))
    self.assertIn("members 10/40 | ETA after the next chunk", logs.output[0])
    self.assertIn("20/40 | 1 members/s | ETA 20s", logs.output[1])

  def test_the_last_line_says_how_long_it_took_and_what_was_compiled(self):
    compiled = [5.0]
    meter = self.start(8, [0.0, 30.0], compile_s=lambda: compiled[-1])
    with self.assertLogs("thickets.progress", "INFO") as logs:
      compiled.append(25.0)
      meter.add(np.zeros(8))
    self.assertIn(
      "8/8 | 0.8 members/s | took 30s, 20s of it compilation |", logs.output[0]
    )
    self.assertTrue(progress.is_last(logs.records[0]))

  def test_samples_are_no_members_and_an_unknown_base_is_not_shown(self):
    meter = self.start(8, [0.0, 30.0], (np.nan, np.nan), unit="samples")
    with self.assertLogs("thickets.progress", "INFO") as logs:
      meter.add(np.full(4, np.nan))
    self.assertNotIn("members", logs.output[0])
    self.assertNotIn("nan", logs.output[0])
    self.assertIn("samples 4/8", logs.output[0])

  def test_at_most_one_line_in_ten_seconds_and_one_at_the_end(self):
    meter = self.start(5, [0.0, 9.0, 10.0, 11.0, 19.9, 19.95])
    with self.assertLogs("thickets.progress", "DEBUG") as logs:
      for _ in range(5):
        meter.add(np.zeros(1))
    self.assertEqual(
      [
        record.getMessage().split("members ")[1].split(" ")[0]
        for record in logs.records
        if record.levelno == logging.INFO
      ],
      ["2/5", "5/5"],
    )
    self.assertLen(logs.records, 5)  # For a line that renews itself.

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
