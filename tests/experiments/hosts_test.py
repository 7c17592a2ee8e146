"""Tests of how the processes of a run watch each other, without any."""

import json
import os
import time
from unittest import mock

import jax
from absl.testing import absltest, parameterized

from experiments.launch import hosts
from thickets.runs import processes, stopping

_LOST_AFTER_S = 30.0


class _Store(dict):
  """The key-value store of process 0."""

  def key_value_set(self, key, value, allow_overwrite=False):
    assert allow_overwrite or key not in self
    self[key] = value

  def key_value_dir_get(self, prefix):
    return [(k, v) for k, v in self.items() if k.startswith(prefix)]


class _Gone(_Store):
  def key_value_set(self, key, value, allow_overwrite=False):
    raise jax.errors.JaxRuntimeError("UNAVAILABLE: failed to connect")


class WatchTest(parameterized.TestCase):
  """Of process 1 of three, by a clock that the test sets."""

  def setUp(self):
    super().setUp()
    self.now, self.ends, self.store = 1000.0, [], _Store()
    self.process, self.living = 1, []
    patch = mock.patch.object
    self.enter_context(patch(jax, "process_index", lambda: self.process))
    self.enter_context(patch(jax, "process_count", lambda: 3))
    self.enter_context(patch(time, "monotonic", lambda: self.now))
    self.enter_context(patch(time, "sleep", self.sleep))
    self.watch = self.make()

  def sleep(self, seconds):
    self.now += seconds
    for process in self.living:
      self.store[f"thickets/beat/{process}"] = f"{self.now}"

  def make(self, grace_s=0.0):
    return hosts.Watch(_LOST_AFTER_S, self.ends.append, self.store, grace_s)

  def look(self, seconds, living):
    """Looks every two seconds, while some of the others live."""
    for _ in range(int(seconds / 2)):
      self.now += 2
      for process in living:
        self.store[f"thickets/beat/{process}"] = f"{self.now}"
      self.watch._look()

  def test_nobody_is_lost_who_lives(self):
    self.look(600, living=[0, 2])
    self.assertEmpty(self.ends)

  @parameterized.parameters(
    ([2], [0], "from process 0 for 30 s"),
    ([0], [2], "from process 2 for 30 s"),
    ([], [0, 2], "from process 0 and process 2 for 30 s"),
  )
  def test_whoever_is_silent_is_named_in_the_stated_time(
    self, living, lost, words
  ):
    self.look(10, living=[0, 2])
    self.look(_LOST_AFTER_S, living)
    self.assertEmpty(self.ends)
    self.look(2, living)
    self.assertEqual(self.watch.find_lost(), lost)
    self.assertIn(words, self.ends[0].why)
    self.assertEqual(self.ends[0].code, os.EX_TEMPFAIL)

  def test_a_process_that_never_came_to_life_is_lost_too(self):
    self.look(_LOST_AFTER_S + 2, living=[0])
    self.assertEqual(self.watch.find_lost(), [2])

  def test_the_reason_of_another_is_passed_on(self):
    ending = hosts.Ending(2, 1, "Process 2 ended the run: k must be 3.")
    self.process = 2
    self.make().announce(ending)
    self.process = 1
    self.look(2, living=[0, 2])
    self.assertEqual(self.ends, [ending])

  def test_its_own_reason_is_no_news(self):
    self.watch.announce(hosts.Ending(1, 1, "k must be 3."))
    self.look(2, living=[0, 2])
    self.assertEmpty(self.ends)

  @parameterized.parameters("ending", "left")
  def test_who_was_told_to_end_is_not_lost_by_those_who_finish(self, said):
    with mock.patch.object(stopping, "is_asked", lambda: True):
      self.process = 2
      if said == "left":
        self.make().leave()
      else:
        self.make().announce(hosts.Ending(2, 75, "SIGTERM", is_stop=True))
    self.process = 1
    self.look(3 * _LOST_AFTER_S, living=[0])
    self.assertEmpty([one for one in self.ends if not one.is_stop])

  def test_who_left_for_want_of_another_is_missed(self):
    self.process = 2
    self.make().leave()
    self.process = 1
    self.look(_LOST_AFTER_S + 2, living=[0])
    self.assertIn("from process 2 for 30 s", self.ends[0].why)

  def test_process_0_leaves_last_but_not_never(self):
    self.process = 0
    watch = self.make()
    watch.leave()
    self.assertBetween(self.now, 1030, 1031)
    self.store |= {"thickets/left/1": "", "thickets/left/2": ""}
    watch.leave()
    self.assertLess(self.now, 1031)

  @parameterized.parameters((90, True, 120), (0, False, 30), (90, False, 30))
  def test_process_0_waits_for_those_who_finish_members(
    self, grace_s, is_asked, waited_s
  ):
    self.process, self.living = 0, [1, 2]
    with mock.patch.object(stopping, "is_asked", lambda: is_asked):
      self.make(grace_s).leave()
    self.assertBetween(self.now, 1000 + waited_s, 1001 + waited_s)

  def test_process_0_waits_for_those_who_come_late_to_the_end(self):
    self.process, self.living = 0, [1, 2]
    watch = self.make()
    with mock.patch.object(processes, "wait_for_all"):
      watch.finish()
    watch.leave()
    self.assertBetween(self.now, 1300, 1301)

  def test_a_process_0_that_hangs_is_lost_too(self):
    self.look(10, living=[0, 2])
    self.now += _LOST_AFTER_S + 1
    self.watch._is_over.wait = lambda _: False
    self.watch._guard()
    self.assertIn("from process 0 for 30 s", self.ends[0].why)

  def test_without_process_0_it_is_the_one_that_is_lost(self):
    self.store = _Gone()
    watch = self.make()

    def end(ending):
      self.ends.append(ending)
      watch._is_over.set()

    watch._end = end
    watch._is_over.wait = lambda _: None
    watch._run()
    self.assertIn("from process 0 for 30 s", self.ends[0].why)
    self.assertBetween(self.now, 1030, 1040)
    watch.announce(self.ends[0])  # Neither fails, whoever is there.
    watch.leave()

  def test_a_store_that_fails_once_ends_nothing(self):
    self.store = _Gone()
    self.make()._bear_failure()
    self.assertEmpty(self.ends)

  def test_a_process_0_that_is_known_to_be_gone_ends_the_others(self):
    with mock.patch.object(hosts, "_refuses", lambda _: True):
      self.make()._bear_failure()
    self.assertIn("got no answer from it", self.ends[0].why)


class EndingTest(absltest.TestCase):
  def test_it_survives_the_store(self):
    ending = hosts.Ending(2, 75, "told to end", is_stop=True)
    store = _Store()
    with (
      mock.patch.object(jax, "process_index", lambda: 2),
      mock.patch.object(jax, "process_count", lambda: 3),
      mock.patch.object(processes, "client", lambda: store),
    ):
      hosts.Watch(30, print, store).announce(ending)
    (content,) = store.values()
    self.assertEqual(hosts.Ending(**json.loads(content)), ending)
