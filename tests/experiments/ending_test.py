"""Tests of how a process ends; what would end it is put in its place."""

import os
import signal
import sys
import threading
from unittest import mock

import jax
from absl.testing import parameterized

from experiments import launch
from experiments.launch import ending
from thickets.runs import mirror, stopping
from thickets.runs.locations import StorePath
from thickets.runs.object_store import ObjectStore

_HANDLERS = {signal.SIGINT: ending._interrupt, signal.SIGTERM: ending._stop}


class _Watch:
  """Hears signals while the process leaves."""

  leaving_s = 0.0

  def __init__(self, signals):
    self.signals, self.waits = signals, []

  def announce(self, ending):
    pass

  def leave(self):
    for number in self.signals:
      _HANDLERS[number](number, None)

  def wait_for_lost(self):
    self.waits.append(True)


class EndingTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    patch = mock.patch.object
    self.enter_context(patch(stopping, "_asked", threading.Event()))
    self.enter_context(patch(ending, "_is_ending", threading.Event()))
    self.enter_context(patch(os, "_exit", sys.exit))
    self.flags = launch.BinaryFlags("", "x")

  def end(self, fail, signals=()):
    """The status with which a program ends that fails so, and its watch."""
    watch = _Watch(signals)
    with (
      mock.patch.object(ending, "_watch", watch),
      self.assertRaises(SystemExit) as raised,
      ending.ending_in_one_line(self.flags),
    ):
      fail()
    return raised.exception.code, watch

  @parameterized.parameters(
    (signal.SIGTERM, signal.SIGTERM, 143),
    (signal.SIGTERM, signal.SIGINT, 143),
    (signal.SIGINT, signal.SIGTERM, 130),
    (signal.SIGINT, signal.SIGINT, 130),
  )
  def test_a_second_signal_does_not_break_off_the_end(self, one, again, code):
    found, _ = self.end(lambda: _HANDLERS[one](one, None), [again])
    self.assertEqual(found, code)

  def test_no_copies_of_records_are_left(self):
    store = mock.create_autospec(ObjectStore, instance=True)
    copies = mirror.find_mirror(StorePath(store, "bucket/run/records"))
    folder = copies.add("select/x.jsonl", b"").parents[4]
    self.assertTrue(folder.name.startswith("thickets-records-"))
    self.end(lambda: _HANDLERS[signal.SIGTERM](signal.SIGTERM, None))
    self.assertFalse(folder.exists())

  @parameterized.parameters(("RESOURCE_EXHAUSTED: 9 GB", 0), ("INTERNAL", 1))
  def test_only_what_is_not_known_may_come_from_another(self, text, waits):
    def fail():
      raise jax.errors.JaxRuntimeError(text)

    code, watch = self.end(fail)
    self.assertEqual((code, len(watch.waits)), (1, waits))
