"""Tests of leases: the living keep theirs, those of the dead are taken."""

import json
from unittest import mock

from absl.testing import absltest, parameterized

from tests.runs.unreliable_store import Bucket, start_process
from thickets.errors import UserError
from thickets.runs import leases
from thickets.runs.leases import Terms

KEY = "bucket/run/process_0000.lease"
NEVER = Terms(renewal_s=1000.0, patience_s=5000.0)


class LeaseTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.bucket = Bucket()
    self.waits = []

  def take(self, while_waiting=lambda: None, terms=NEVER):
    def sleep(seconds):
      self.waits.append(seconds)
      while_waiting()

    path = start_process(self.bucket) / "process_0000.lease"
    lease = leases.take_lease(path, terms, sleep=sleep)
    self.addCleanup(lease.close)
    return lease

  def change(self, **fields):
    """Makes the lease one of another owner."""
    found = json.loads(self.bucket.objects[KEY])
    self.bucket.objects[KEY] = json.dumps(found | fields).encode()

  def test_it_is_there_until_it_is_closed(self):
    lease = self.take()
    self.assertIn(KEY, self.bucket.objects)
    lease.close()
    self.assertNotIn(KEY, self.bucket.objects)
    self.assertEmpty(self.waits)

  def test_one_that_is_renewed_is_left_to_its_owner(self):
    self.take()
    beats = iter(range(1, 9))
    with self.assertRaisesRegex(UserError, "in use by process .* of"):
      self.take(lambda: self.change(beat=next(beats)))
    self.assertLen(self.waits, 1)

  def test_one_of_another_machine_is_taken_after_all_patience(self):
    self.take()
    self.change(owner="another", machine="another", host="far")
    self.take().check()
    self.assertEqual(sum(self.waits), NEVER.patience_s)

  def test_a_torn_one_is_taken_after_all_patience(self):
    self.take()
    self.bucket.objects[KEY] = b'{"owner": "an'
    self.take().check()
    self.assertEqual(sum(self.waits), NEVER.patience_s)

  @parameterized.parameters(
    {"pid": 2**22 + 1},  # No process has this number.
    {"started": 1},  # Its number is that of another process by now.
    {"owner": "an earlier process with the number of this one"},
  )
  def test_one_of_a_dead_process_of_this_machine_is_taken_at_once(self, **dead):
    if leases._identify_machine() is None:
      self.skipTest("only Linux says which processes there are")
    self.take()
    if "started" in dead:
      dead = dead | {"pid": 1}
    self.change(**dead)
    self.take().check()
    self.assertEmpty(self.waits)

  def test_one_that_was_taken_ends_its_former_owner(self):
    lease = self.take()
    lease._renew()
    lease.check()
    self.assertEqual(json.loads(self.bucket.objects[KEY])["beat"], 1)
    self.change(owner="another")
    lease._renew()
    with self.assertRaisesRegex(UserError, "Stop one of the two"):
      lease.check()
    lease.close()
    self.assertIn(KEY, self.bucket.objects)  # It is the other's.

  def test_it_is_renewed_while_it_is_held(self):
    terms = Terms(renewal_s=0.001, patience_s=1)
    with mock.patch.object(leases.Lease, "_renew") as renew:
      lease = self.take(terms=terms)
      while not renew.called:
        pass
      lease.close()
    renew.assert_called_with()


if __name__ == "__main__":
  absltest.main()
