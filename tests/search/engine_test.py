"""Tests of the engine: one contract, whatever the widths and devices."""

import weakref

import numpy as np
from absl.testing import parameterized

from thickets.search import (
  engine,
  population,
  teams,
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


class _Started:
  """Counts what an evaluator has under way: a double without a device."""

  compile_s = 0.0
  team = teams.Team((0,))

  class Handle:
    def __init__(self, num_members):
      self.num_members = num_members

    def result(self):
      return {"score": np.zeros((self.num_members, NUM_PROMPTS))}

  def __init__(self):
    self.num_started = 0
    self.alive = weakref.WeakSet()

  def place(self, base, batch, num_members):
    return base, batch

  def find_width(self, base, batch, num_members):
    return num_members

  def __call__(self, base, members, batch):
    self.num_started += 1
    handle = self.Handle(len(members))
    self.alive.add(handle)
    return handle


class StreamTest(parameterized.TestCase):
  @parameterized.parameters(1, 2, 3)
  def test_few_chunks_are_under_way_and_none_is_kept(self, in_flight):
    evaluator = _Started()
    chunks = engine.stream_chunks(
      evaluator, {}, MEMBERS, BATCH, width=7, in_flight=in_flight
    )
    for position, chunk in enumerate(chunks):
      self.assertEqual(chunk.start, 7 * position)
      expected = min(position + in_flight, 10)
      self.assertEqual(evaluator.num_started, expected)
      self.assertLen(evaluator.alive, expected - position - 1)
    self.assertEqual(evaluator.num_started, 10)

  def test_the_last_chunk_is_filled_up_and_cut_again(self):
    widths = []

    class Widths(_Started):
      def __call__(self, base, members, batch):
        widths.append(len(members))
        return super().__call__(base, members, batch)

    scores_PQ = _evaluate(Widths(), MEMBERS[:10], width=4)
    self.assertEqual(widths, [4, 4, 4])
    self.assertLen(scores_PQ, 10)
