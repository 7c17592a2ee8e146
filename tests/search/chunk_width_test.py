"""Tests of the width of a chunk: it fits memory, devices and the population."""

import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.search import chunk_width, traced

NUM_PROMPTS = 13


def _model():
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
  base = {"w": draw(4, 8), "v": draw(8)}
  return base, {"x": draw(NUM_PROMPTS, 4), "y": draw(NUM_PROMPTS)}


PARAMS, BATCH = _model()


def _score(params, batch):
  prediction = jnp.tanh(batch["x"] @ params["w"]) @ params["v"]
  return -((prediction - batch["y"]) ** 2)


class FindWidthTest(parameterized.TestCase):
  @parameterized.parameters(1, 7, 64, 100, 1000, 5000)
  def test_chunks_fit_the_population(self, num_members):
    evaluator = traced.traced(_score)
    width = evaluator.find_width(PARAMS, BATCH, num_members)
    self.assertBetween(width, 1, num_members)
    num_chunks = -(-num_members // width)
    # Little of the work is padding, and no chunk is a large part of a run.
    self.assertLessEqual(num_chunks * width, 1.1 * num_members)
    self.assertLessEqual(width, 1024)

  @parameterized.parameters((8, 8), (60, 8), (100, 16), (500, 56), (1000, 40))
  def test_the_last_chunk_is_the_fullest_that_there_is(
    self, num_members, width
  ):
    # One lane on each of 8 devices, so multiples of 8: at least eight chunks,
    # and of those widths the one with the fullest last chunk.
    evaluator = traced.traced(_score, lanes=1)
    self.assertEqual(evaluator.find_width(PARAMS, BATCH, num_members), width)

  @parameterized.parameters((200, 64, 96, 96), (5000, 64, 2000, 2000))
  def test_more_devices_than_a_chunk_has_members(
    self, size, most, slots, width
  ):
    self.assertEqual(chunk_width.fit_width(size, most, slots), width)
