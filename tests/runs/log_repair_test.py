"""Tests of the repair of logs: only what is bad is dropped."""

import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.members import Member
from thickets.runs import log_repair, record_log


class RepairTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.workdir = pathlib.Path(folder)
    self.path = self.workdir / "records" / "process_0000.jsonl"
    with record_log.open_log(self.path) as log:
      log.write_header({"base": "a"})
      scores = np.arange(4.0)
      log.append(
        "select",
        range(4),
        [Member(n, 0.1) for n in range(4)],
        scores,
        {"score": scores[:, None]},
      )
    self.lines = self.path.read_bytes().splitlines(keepends=True)

  def repair(self, lines, **options):
    self.path.write_bytes(b"".join(lines))
    (found,) = log_repair.repair_logs(self.workdir, **options)
    return found

  def positions(self):
    return [record.position for record in record_log.read_log(self.path)]

  @parameterized.parameters(
    (lambda line: b"x" + line[1:], "checksum does not match"),
    (lambda line: line[:30] + b"\n", "no checksum at its end"),
    (lambda line: b"\n", "no checksum at its end"),
    (lambda line: b"\xff\0 no json\n", "no checksum at its end"),
  )
  def test_a_bad_line_is_dropped_and_a_copy_kept(self, damage, reason):
    damaged = [*self.lines[:2], damage(self.lines[2]), *self.lines[3:]]
    with self.assertRaisesRegex(UserError, "corrupt: line 3"):
      self.repair(damaged, dry_run=True)
      record_log.open_log(self.path)
    self.assertEqual(self.path.read_bytes(), b"".join(damaged))
    found = self.repair(damaged)
    (dropped,) = found.dropped
    self.assertEqual((dropped.number, found.num_records), (3, 3))
    self.assertIn(reason, dropped.reason)
    self.assertEqual(self.positions(), [0, 2, 3])
    self.assertEqual(found.backup.read_bytes(), b"".join(damaged))
    again = self.repair(damaged)
    self.assertNotEqual(again.backup, found.backup)

  def test_a_torn_end_and_earlier_copies_are_dropped(self):
    found = self.repair([*self.lines, self.lines[2], self.lines[1][:-9]])
    self.assertEqual([line.number for line in found.dropped], [3, 7])
    self.assertIn("line 6 has the same", found.dropped[0].reason)
    self.assertEqual(self.positions(), [0, 2, 3, 1])

  def test_a_sound_log_is_left_as_it_is(self):
    found = self.repair(self.lines)
    self.assertEmpty(found.dropped)
    self.assertIsNone(found.backup)
    self.assertLen(list(self.path.parent.iterdir()), 1)

  def test_what_cannot_be_repaired_is_refused(self):
    with self.assertRaisesRegex(UserError, "must begin with its header"):
      self.repair(self.lines[1:])
    with self.assertRaisesRegex(UserError, "must begin with its header"):
      self.repair([b"x" + self.lines[0][1:], *self.lines[1:]])
    self.path.write_bytes(b"".join(self.lines))
    with (
      record_log.open_log(self.path),
      self.assertRaisesRegex(UserError, "in use by another process"),
    ):
      log_repair.repair_logs(self.workdir)
    with self.assertRaisesRegex(UserError, "must be the directory of a run"):
      log_repair.repair_logs(self.workdir / "records")
