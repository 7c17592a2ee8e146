"""Tests of ending a run that was told to end."""

import threading
from unittest import mock

from absl.testing import absltest

from thickets.runs import stopping
from thickets.runs.stopping import StoppedError


class StoppingTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(mock.patch.object(stopping, "_asked", threading.Event()))

  def test_with_nothing_to_finish_it_ends_at_once(self):
    with self.assertRaises(StoppedError):
      stopping.ask()

  def test_asked_again_it_ends_no_second_time(self):
    with self.assertRaises(StoppedError):
      stopping.ask()
    stopping.ask()

  def test_work_under_way_is_finished_first(self):
    done = []
    with self.assertRaises(StoppedError), stopping.deferring():
      done.append(stopping.is_asked())
      stopping.ask()
      done.append(stopping.is_asked())
    self.assertEqual(done, [False, True])

  def test_work_that_fails_says_why(self):
    with self.assertRaises(ZeroDivisionError), stopping.deferring():
      stopping.ask()
      raise ZeroDivisionError
    self.assertFalse(stopping.is_deferring())

  def test_a_thread_only_asks(self):
    thread = threading.Thread(target=stopping.ask)
    thread.start()
    thread.join()
    self.assertTrue(stopping.is_asked())

  def test_no_handler_of_failures_takes_it_for_one(self):
    self.assertNotIsInstance(StoppedError(), Exception)
