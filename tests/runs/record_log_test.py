"""Tests of the record log: nothing whole is lost, nothing torn is believed."""

import pathlib
import re
import tempfile
from unittest import mock

import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.members import Member
from thickets.runs import record_log

HEADER = {"base": "abc", "width": 2}
MEMBERS = [Member(7, 0.5), Member((1, 2), (0.1, -0.2)), Member((), ())]
PREDICTIONS = np.arange(18, dtype=np.float32).reshape(3, 2, 3) / 7
CHANNELS = {"score": PREDICTIONS[..., 0], "prediction": PREDICTIONS}
SCORES = np.array([0.1 + 0.2, -1e-300, 3.0])


def _append(log, rows, split="select"):
  """Appends rows of the worked population as one chunk."""
  log.append(
    split,
    rows,
    [MEMBERS[row] for row in rows],
    SCORES[rows],
    {name: array[rows] for name, array in CHANNELS.items()},
  )


def _positions(path):
  return [record.position for record in record_log.read_log(path)]


class LogTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.path = pathlib.Path(folder.name) / "records" / "log.jsonl"

  def open(self):
    log = record_log.open_log(self.path)
    self.addCleanup(log.close)
    return log

  def write(self):
    """Writes a header and one chunk of three records."""
    log = self.open()
    log.write_header(HEADER)
    _append(log, [0, 1, 2])
    log.close()
    return self.path.read_bytes()

  def test_records_come_back_as_they_were_given(self):
    self.write()
    got = list(record_log.read_log(self.path))
    self.assertEqual([record.member for record in got], MEMBERS)
    self.assertEqual([record.score for record in got], SCORES.tolist())
    self.assertEqual({record.split for record in got}, {"select"})
    for row, record in enumerate(got):
      for name, array in CHANNELS.items():
        np.testing.assert_array_equal(
          record.channels()[name], array[row], strict=True
        )
    self.assertEqual(record_log.read_header(self.path), HEADER)

  def test_channels_can_be_chosen_and_what_is_missing_is_named(self):
    self.write()
    record = next(record_log.read_log(self.path))
    self.assertEqual([*record.channels(["score"])], ["score"])
    self.assertEqual([*record.channels([])], [])
    self.assertEqual(
      [*record.channels(("prediction", "score"))], ["prediction", "score"]
    )
    with self.assertRaisesRegex(
      UserError,
      rf"{re.escape(str(self.path))} must have the channels \['score', 'vote'\],"
      r" got \['score', 'prediction'\]",
    ):
      record.channels(["score", "vote"])

  @parameterized.parameters(np.nan, np.inf, -np.inf)
  def test_a_score_that_is_not_finite_is_a_failure(self, score):
    log = self.open()
    log.write_header(HEADER)
    channels = {"score": np.full((1, 2), score)}
    log.append("select", [4], MEMBERS[:1], np.array([score]), channels)
    (record,) = record_log.read_log(self.path)
    self.assertTrue(np.isnan(record.score))
    np.testing.assert_array_equal(
      record.channels()["score"], channels["score"][0]
    )

  def test_a_log_torn_at_any_byte_keeps_its_whole_records_and_goes_on(self):
    log = self.open()
    log.write_header(HEADER)
    _append(log, [0])
    start = self.path.stat().st_size
    _append(log, [1, 2])
    log.close()
    whole = self.path.read_bytes()
    middle = whole.index(b"\n", start) + 1
    # Waiting for the disk a thousand times is not what is tested.
    self.enter_context(mock.patch.object(record_log.os, "fsync"))
    for size in range(start, len(whole)):
      self.path.write_bytes(whole[:size])
      kept = [0, 1] if size >= middle else [0]
      self.assertEqual(_positions(self.path), kept, msg=f"torn at {size}")
      log = record_log.open_log(self.path)
      _append(log, [2])
      log.close()
      self.assertEqual(_positions(self.path), [*kept, 2], msg=f"torn at {size}")

  def test_a_torn_header_is_written_again(self):
    whole = self.write()
    for size in (0, 1, whole.index(b"\n")):
      self.path.write_bytes(whole[:size])
      log = record_log.open_log(self.path)
      self.assertIsNone(log.header)
      log.write_header(HEADER)
      log.close()
      self.assertEqual(record_log.read_header(self.path), HEADER)

  def test_any_damaged_byte_of_a_middle_line_is_refused_by_line(self):
    whole = self.write()
    lines = whole.splitlines(keepends=True)
    start, end = len(lines[0]), len(lines[0]) + len(lines[1])
    for place in range(start, end):
      for damage in (whole[place] ^ 1, ord("\n")):
        if damage == whole[place]:
          continue
        self.path.write_bytes(
          whole[:place] + bytes([damage]) + whole[place + 1 :]
        )
        with self.assertRaisesRegex(
          UserError,
          rf"{re.escape(str(self.path))} is corrupt: line 2 \(.*experiments\.repair",
        ):
          record_log.open_log(self.path)

  def test_records_without_their_header_are_refused(self):
    # As after a slip in an editor: every line is sound, but of what task?
    whole = self.write()
    headless = whole[whole.index(b"\n") + 1 :]
    for text in (headless, headless + whole):
      self.path.write_bytes(text)
      with self.assertRaisesRegex(UserError, "header must be line 1"):
        record_log.open_log(self.path)

  def test_a_damaged_last_line_is_dropped_with_a_message(self):
    whole = self.write()
    last = whole.rindex(b"\n", 0, -1) + 1
    for place in range(last, len(whole)):
      damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
      self.path.write_bytes(damaged)
      with self.assertLogs("absl", "WARNING") as logs:
        record_log.open_log(self.path).close()
      self.assertIn(f"{self.path}: dropped a torn record", logs.output[0])
      self.assertIn(f"{len(whole) - last} bytes at byte {last}", logs.output[0])
      self.assertEqual(self.path.read_bytes(), whole[:last])

  def test_blank_lines_at_the_end_are_no_record(self):
    whole = self.write()
    for tail in (b"\n", b"\n\r\n \n", b"  "):
      self.path.write_bytes(whole + tail)
      with self.assertNoLogs("absl", "WARNING"):
        self.assertEqual(_positions(self.path), [0, 1, 2])
        log = record_log.open_log(self.path)
      _append(log, [1])
      log.close()
      self.assertEqual(_positions(self.path), [0, 1, 2, 1])
    self.path.write_bytes(whole.replace(b"\n", b"\n\n", 1))
    with self.assertRaisesRegex(UserError, r"corrupt: line 2 \(it is blank"):
      record_log.open_log(self.path)

  def test_reading_leaves_a_torn_record_out_and_says_so(self):
    whole = self.write()
    with self.assertNoLogs("absl", "WARNING"):
      self.assertEqual(_positions(self.path), [0, 1, 2])
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in (last + 1, len(whole) - 1):
      self.path.write_bytes(whole[:end])
      with self.assertLogs("absl", "WARNING") as logs:
        self.assertEqual(_positions(self.path), [0, 1])
      self.assertLen(logs.output, 1)
      self.assertIn(
        f"{self.path}: left out a torn record of {end - last} bytes at byte"
        f" {last}",
        logs.output[0],
      )
      # Who reads changes nothing: the writer may be at it.
      self.assertEqual(self.path.read_bytes(), whole[:end])

  def test_a_second_writer_is_refused_until_the_first_ends(self):
    log = self.open()
    with self.assertRaisesRegex(
      UserError, rf"{re.escape(str(self.path))} is in use by another process"
    ):
      self.open()
    log.close()
    self.open()

  def test_another_meaning_is_refused_by_field(self):
    self.write()
    record_log.check_header(self.path, dict(HEADER))
    with self.assertRaisesRegex(
      UserError,
      r"something else: base was 'abc', now 'abd'; kind was 'absent', now 1\.",
    ):
      record_log.check_header(self.path, {**HEADER, "base": "abd", "kind": 1})

  def test_a_log_without_header_may_mean_anything(self):
    self.open()
    record_log.check_header(self.path, HEADER)
