"""Tests of graders that hang or end their process: each is named."""

import os
import pathlib
import tempfile
import threading

import pytest
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.generation import grading_watch, grading_workers, task_grading
from thickets.generation.grading_watch import Posts, Watch
from thickets.tasks import base
from thickets.tasks.base import Example
from thickets.tasks.grader import TaskGrader

# Does what the response says.
TASK = """
import os, signal, sys
from thickets.tasks.base import Grade, Task

def judge(example, response):
  if response == "leave":
    os._exit(0)
  if response == "die":
    os.kill(os.getpid(), signal.SIGSEGV)
  if response == "exit":
    sys.exit(0)
  if response == "interrupt":
    raise KeyboardInterrupt
  return Grade(1.0, True, True, response or None, True)

TASK = Task(
  name="t", fields=("q",), make_example=judge, graders={"standard": judge},
  max_new_tokens=1,
)
"""


class WatchTest(parameterized.TestCase):
  def watch(self, limit_s):
    """A watch over a grader that is at a response until it may go on."""
    posts, go_on, at_it = Posts(1), threading.Event(), threading.Event()
    self.ends = []

    def grade(index, text):
      at_it.set()
      go_on.wait()
      return {"score": 1.0}

    watched = posts.watch(grade, 77)
    self.addCleanup(go_on.set)
    threading.Thread(target=watched, args=(5, "é" * 99), daemon=True).start()
    at_it.wait()
    return Watch(
      posts, "example {},".format, limit_s, lambda *end: self.ends.append(end)
    )

  def test_it_warns_once_and_ends_at_the_limit(self):
    watch = self.watch(100)
    with self.assertNoLogs("absl", "WARNING"):
      watch.step(1000)  # It has begun since the last look.
      watch.step(29)
    with self.assertLogs("absl", "WARNING") as logs:
      watch.step(2)
      watch.step(30)
    self.assertLen(logs.output, 1)
    self.assertIn("example 5, has taken 31 s so far", logs.output[0])
    self.assertIn(repr("é" * 80), logs.output[0])
    self.assertEmpty(self.ends)
    watch.step(50)
    watch.step(50)
    ((pid, why),) = self.ends
    self.assertEqual(pid, 77)
    self.assertRegex(why, "^example 5, must end within 100 s .*grade_limit_s")

  def test_each_response_has_the_whole_limit(self):
    posts = Posts(1)
    ends = []
    watch = Watch(posts, str, 10, lambda *end: ends.append(end))

    def grade(index, text):
      for _ in range(3):
        watch.step(4)  # The first look sees a new response.
      return {}

    watched = posts.watch(grade, 1)
    for index in range(5):
      watched(index, "")
    self.assertEmpty(ends)
    self.assertEmpty(list(posts.busy()))

  def test_a_post_is_left_by_an_error_as_well(self):
    posts = Posts(2)
    watched = posts.watch(lambda index, text: 1 // 0, 1)
    for _ in range(5):
      with self.assertRaises(ZeroDivisionError):
        watched(0, "a")
    self.assertEmpty(list(posts.busy()))

  @parameterized.parameters(
    (0, "status 0"), (-9, "the signal SIGKILL"), (-99, "the signal 99")
  )
  def test_an_end_is_named(self, status, name):
    self.assertEqual(grading_watch.describe_status(status), name)


class ThreadTest(parameterized.TestCase):
  def test_calls_of_a_thread_that_hangs_are_given_up(self):
    executor, go_on = grading_workers._ThreadExecutor(), threading.Event()
    self.addCleanup(go_on.set)
    self.assertEqual(executor.submit(divmod, 7, 2).result(), (3, 1))
    with self.assertRaises(ZeroDivisionError):
      executor.submit(divmod, 7, 0).result()
    waiting = [executor.submit(go_on.wait) for _ in range(2)]
    executor.fail("It hangs.")
    for future in (*waiting, executor.submit(divmod, 7, 2)):
      with self.assertRaisesRegex(UserError, "^It hangs.$"):
        future.result()


class WorkerTest(parameterized.TestCase):
  def start(self):
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    self.path = folder / "task.py"
    self.path.write_text(TASK)
    examples = [Example(f"e{n}", base.ask("q"), "ref") for n in range(3)]
    grader = TaskGrader(str(self.path), "standard", examples)
    return self.enter_context(task_grading.start_task_graders([grader]))

  def test_a_grader_that_ends_its_process_is_named(self):
    started = self.start()
    found = started.grade_texts([0, 1], ["a", ""])
    self.assertEqual(found["vote"].tolist(), ["a", ""])
    for text, why in (
      ("exit", "not raise, got SystemExit: 0 for the example e2"),
      ("interrupt", "not raise, got KeyboardInterrupt for the example e2"),
      (
        "leave",
        "e2 .* its process ended with status 0 at the response 'leave'",
      ),
      ("a", "e2 .* its process ended with status 0"),  # It stays so.
    ):
      with self.assertRaisesRegex(
        UserError, rf"The grader of {self.path} \(judge, rules .*{why}"
      ):
        started.grade_texts([1, 2], ["a", text])

  @pytest.mark.slow
  def test_a_signal_is_named(self):
    with self.assertRaisesRegex(UserError, "e1 .*with the signal SIGSEGV"):
      self.start().grade_texts([1], ["die"])

  @pytest.mark.slow
  def test_a_worker_that_takes_too_long_is_ended_with_the_reason(self):
    started = self.start()
    started.executor.end(
      started.executor.submit(os.getpid).result(), "It took too long."
    )
    with self.assertRaisesRegex(UserError, "^It took too long.$"):
      started.grade_texts([0] * 9, ["a"] * 9)
