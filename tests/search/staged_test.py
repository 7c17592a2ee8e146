"""Tests of evaluators with a device half and a host half."""

import concurrent.futures
import multiprocessing
import threading

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.perturbation import perturb
from thickets.search import (
  engine,
  population,
  staged,
)

NUM_PROMPTS = 13  # A prime: it divides among no number of devices.
MEMBERS = population.sample_members(0, 70, (0.1, 0.3))


def _model():
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
  base = {"w": draw(4, 8), "v": draw(8)}
  return base, {"x": draw(NUM_PROMPTS, 4), "y": draw(NUM_PROMPTS)}


PARAMS, BATCH = _model()


def _evaluate(evaluator, members=MEMBERS, *, width, base=PARAMS, **kwargs):
  """[P, Q] scores of a whole stream."""
  chunks = engine.stream_chunks(
    evaluator, base, members, BATCH, width=width, **kwargs
  )
  return np.concatenate([chunk.channels["score"] for chunk in chunks])


@jax.jit
@jax.vmap
def _generate(member):
  """[P, Q] token ids, standing in for the responses of a language model."""
  params = perturb(PARAMS, member)
  return {"tokens": jnp.argmax(BATCH["x"] @ params["w"], axis=-1)}


def _device_half(base, members, batch):
  del base, batch
  return _generate(members)


def _host_half(outputs, batch):
  correct_Q = outputs["tokens"] == np.argmax(batch["x"] @ PARAMS["w"], axis=-1)
  return {
    "score": correct_Q.astype(np.float32),
    "length": outputs["tokens"] + 1,
  }


def _failing_half(outputs, batch):
  raise ValueError("No grade for prompt 3.")


def _processes():
  spawn = multiprocessing.get_context("spawn")
  return concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn)


class StagedTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("in_one_thread", None),
    ("in_threads", lambda: concurrent.futures.ThreadPoolExecutor(3)),
    ("in_processes", _processes),
  )
  def test_host_halves_give_the_same_anywhere(self, make_executor):
    executor = make_executor and make_executor()
    if executor:
      self.addCleanup(executor.shutdown)
    evaluator = staged.staged(_device_half, _host_half, executor=executor)
    chunks = list(
      engine.stream_chunks(evaluator, PARAMS, MEMBERS, BATCH, width=16)
    )
    scores_PQ, lengths_PQ = (
      np.concatenate([chunk.channels[name] for chunk in chunks])
      for name in ("score", "length")
    )
    gold = np.argmax(BATCH["x"] @ PARAMS["w"], axis=-1)
    for row, member in enumerate(MEMBERS):
      w = np.asarray(perturb(PARAMS, member)["w"])
      tokens = np.argmax(BATCH["x"] @ w, axis=-1)
      np.testing.assert_array_equal(scores_PQ[row], tokens == gold)
      np.testing.assert_array_equal(lengths_PQ[row], tokens + 1)

  def test_the_device_goes_on_while_the_host_grades(self):
    device_came_back = threading.Event()
    num_calls = 0

    def device_half(base, members, batch):
      nonlocal num_calls
      num_calls += 1
      if num_calls == 2:
        device_came_back.set()
      return _device_half(base, members, batch)

    def host_half(outputs, batch):
      # The first chunk's grade waits for the second chunk's start.
      in_time = device_came_back.wait(timeout=10)
      return {"score": np.full(NUM_PROMPTS, in_time, np.float32)}

    evaluator = staged.staged(device_half, host_half)
    scores_PQ = _evaluate(evaluator, MEMBERS[:4], width=2)
    np.testing.assert_array_equal(scores_PQ, 1)

  @parameterized.named_parameters(
    ("in_one_thread", None),
    ("in_threads", lambda: concurrent.futures.ThreadPoolExecutor(3)),
  )
  def test_an_error_of_the_host_half_surfaces(self, make_executor):
    executor = make_executor and make_executor()
    if executor:
      self.addCleanup(executor.shutdown)
    evaluator = staged.staged(_device_half, _failing_half, executor=executor)
    with self.assertRaisesRegex(ValueError, "No grade for prompt 3"):
      _evaluate(evaluator, width=16)
