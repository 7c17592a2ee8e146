"""Tests of graded texts: threads, kept responses, and workers that end."""

import os
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.generation import grading
from thickets.generation.decoding import Responses
from thickets.runs import packed_arrays
from thickets.tasks import base
from thickets.tasks.base import Example
from thickets.tasks.grader import SeveralGraders, TaskGrader

TEXTS = st.lists(
  st.text(st.characters() | st.sampled_from("\0\ud800\U0001f600"), max_size=9),
  min_size=1,
  max_size=6,
)


def grade(index, text):
  return {"score": index + len(text) / 10, "vote": text[:3]}


class GradeTextsTest(parameterized.TestCase):
  @parameterized.parameters(1, 3)
  def test_channels_are_in_the_order_of_the_texts(self, num_threads):
    texts = ["abcd", "", "xy"]
    channels = grading.grade_texts(
      grade, np.array([5, 0, 2], np.int32), texts, num_threads=num_threads
    )
    np.testing.assert_allclose(channels["score"], [5.4, 0.0, 2.2])
    self.assertEqual(channels["vote"].tolist(), ["abc", "", "xy"])

  @parameterized.parameters(1, 3)
  def test_threads_wait_together(self, num_threads):
    """Each response waits for two others, which one thread cannot."""
    barrier = threading.Barrier(3)

    def wait(index, text):
      barrier.wait(0.2 if num_threads == 1 else 10)
      return {"score": 1.0}

    texts = ["a", "b", "c"]
    if num_threads == 1:
      with self.assertRaises(threading.BrokenBarrierError):
        grading.grade_texts(wait, range(3), texts, num_threads=1)
    else:
      grading.grade_texts(wait, range(3), texts, num_threads=3)

  def test_the_grader_passes_its_threads_on(self):
    barrier = threading.Barrier(2)

    def wait(index, text):
      barrier.wait(10)
      return {"score": 1.0}

    grader = grading.Grader(str, wait, num_threads=2)
    grader(_part([[1], [2]]), {"index": np.array([0, 1])})

  @parameterized.parameters("response", "response_bytes", "stopped")
  def test_names_of_the_response_are_taken(self, name):
    with self.assertRaisesRegex(ValueError, f"must not return .'{name}'"):
      grading.grade_texts(lambda *_: {"score": 1.0, name: 1}, [0], ["a"])


def _part(tokens):
  tokens = np.array(tokens, np.int32)
  return Responses(
    tokens=tokens,
    lengths=np.full(len(tokens), tokens.shape[1]),
    stopped=np.zeros(len(tokens), bool),
    log_probs=np.zeros(tokens.shape, np.float32),
  )


class MisbehavingTest(parameterized.TestCase):
  @parameterized.parameters(
    (lambda *_: {"score": float("nan")}, "finite score, got nan for example 4"),
    (lambda *_: {"score": -np.inf}, "finite score, got -inf for example 4"),
    (lambda *_: sys.exit(0), "not end the process, got SystemExit: 0 for ex"),
  )
  def test_it_is_refused_by_example(self, misbehave, message):
    for num_threads in (1, 2):
      with self.assertRaisesRegex(UserError, message):
        grading.grade_texts(misbehave, [4], ["a"], num_threads=num_threads)

  def test_an_interrupt_is_the_users_in_the_main_thread_alone(self):
    def interrupt(index, text):
      raise KeyboardInterrupt

    # In the background of a shell the signal is ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    self.addCleanup(signal.signal, signal.SIGINT, handler)
    with self.assertRaises(KeyboardInterrupt):
      grading.grade_texts(interrupt, [0], ["a"])
    with self.assertRaisesRegex(UserError, "got KeyboardInterrupt for"):
      grading.grade_texts(interrupt, [0], ["a"], num_threads=2)


class ResponsesTest(parameterized.TestCase):
  @hypothesis.given(TEXTS)
  @hypothesis.example(["", ""])
  @hypothesis.example(["a\0\0", "\0", "é" * 9])
  @hypothesis.example(["\ud800", "\udfff\0"])
  def test_texts_survive_the_log(self, texts):
    packed = grading.pack_responses(texts)
    logged = {
      name: packed_arrays.decode_array(packed_arrays.encode_array(array))
      for name, array in packed.items()
    }
    self.assertEqual(grading.read_responses(logged), texts)

  def test_they_survive_being_stacked_with_longer_ones(self):
    """As of several members of a chunk."""
    texts = [["a\0", "b"], ["", "longer than those\0"]]
    packed = [grading.pack_responses(row) for row in texts]
    stacked = {name: np.stack([p[name] for p in packed]) for name in packed[0]}
    for row in range(2):
      part = {name: array[row] for name, array in stacked.items()}
      self.assertEqual(grading.read_responses(part), texts[row])

  def test_they_are_kept_when_asked_for(self):
    detokenize = lambda ids: "".join(map(chr, ids))  # noqa: E731
    part, batch = _part([[97, 98], [99, 0]]), {"index": np.array([0, 1])}
    kept = grading.Grader(detokenize, grade, keep_responses=True)(part, batch)
    self.assertEqual(grading.read_responses(kept), ["ab", "c\0"])
    bare = grading.Grader(detokenize, grade)(part, batch)
    self.assertEqual(kept.keys() - bare.keys(), {"response", "response_bytes"})
    with self.assertRaises(KeyError):
      grading.read_responses(bare)

  def test_regrading_them_gives_the_channels(self):
    detokenize = lambda ids: "".join(map(chr, ids))  # noqa: E731
    part, batch = _part([[97, 98], [99, 0]]), {"index": np.array([3, 1])}
    channels = grading.Grader(detokenize, grade, keep_responses=True)(
      part, batch
    )
    again = grading.grade_texts(
      grade, batch["index"], grading.read_responses(channels)
    )
    for name, array in again.items():
      np.testing.assert_array_equal(array, channels[name])


@pytest.mark.slow
class WorkersTest(parameterized.TestCase):
  def test_workers_end_with_a_parent_that_was_killed(self):
    script = """
      import multiprocessing, sys, time
      from thickets.generation import grading, grading_workers
      if __name__ == "__main__":
        with grading_workers.start_grading(grading.Grader(str, len), 2) as started:
          started.executor.submit(len, "").result()
          for process in multiprocessing.active_children():
            print(process.pid, flush=True)
          print(flush=True)
          time.sleep(300)
    """
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    (folder / "parent.py").write_text(textwrap.dedent(script))
    parent = subprocess.Popen(
      [sys.executable, folder / "parent.py"],
      stdout=subprocess.PIPE,
      text=True,
      env=os.environ
      | {"PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[2])},
    )
    self.addCleanup(parent.kill)
    pids = [int(line) for line in iter(parent.stdout.readline, "\n")]
    self.assertNotEmpty(pids)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while any(map(_is_alive, pids)) and time.monotonic() < deadline:
      time.sleep(0.05)
    self.assertEqual([pid for pid in pids if _is_alive(pid)], [])


class SeveralGradersTest(parameterized.TestCase):
  def graders(self):
    """Two sums and three maxima, whose answers are their numbers."""
    return SeveralGraders(
      tuple(
        TaskGrader(
          f"drills/{family}",
          "standard",
          [Example(str(n), base.ask("q"), str(n)) for n in numbers],
        )
        for family, numbers in (("addition", (0, 1)), ("maximum", (2, 3, 4)))
      )
    )

  def test_indices_run_through_the_examples_of_all(self):
    for grader in (self.graders(), pickle.loads(pickle.dumps(self.graders()))):
      for index in range(5):
        right = [grader(index, str(n))["correct"] for n in range(5)]
        self.assertEqual(right, [n == index for n in range(5)])

  def test_one_is_that_grader(self):
    first = self.graders().graders[0]
    for index in range(2):
      self.assertEqual(SeveralGraders((first,))(index, "1"), first(index, "1"))

  def test_there_is_no_index_beyond(self):
    with self.assertRaisesRegex(IndexError, "no example 5"):
      self.graders()(5, "1")


def _is_alive(pid):
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  return True
