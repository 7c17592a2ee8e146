"""Tests of self-consistency: samples of the base differ, and are repeatable."""

import functools
from unittest import mock

import jax
import numpy as np
import pytest
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.generation import (
  grading,
  language_evaluator,
  self_consistency,
)
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.grading_workers import Grading
from thickets.generation.sampling import Sampling
from thickets.members import Member
from thickets.search import engine, meshes

NUM_TOKENS = 4


@functools.lru_cache
def _model():
  return cases.make_model("qwen3", num_hidden_layers=1)


def grade(index, text):
  """What was said, as a vote, and a score that depends on it."""
  return {"score": len(text) / 10 + index, "vote": text}


@functools.lru_cache
def _evaluator():
  return language_evaluator.LanguageEvaluator(
    Generator(
      _model().config,
      Decoding(NUM_TOKENS, sampling=Sampling(1.0)),
      mesh=meshes.make_mesh(jax.devices()[:1]),
    ),
    Grading(grading.Grader(lambda ids: " ".join(map(str, ids)), grade)),
    key=jax.random.key(0),
  )


def _batch():
  rng = np.random.default_rng(0)
  prompts = [rng.integers(0, 90, 3 + n).tolist() for n in range(3)]
  return language_evaluator.make_batch(prompts, indices=[4, 0, 7])


@functools.lru_cache
def _sample(count, width=1, temperature=1.0):
  """[P, Q] what the samples say."""
  chunks = engine.stream_chunks(
    self_consistency.Samples(_evaluator(), temperature),
    _model().params,
    self_consistency.name_samples(count),
    _batch(),
    width=width,
  )
  return np.concatenate([chunk.channels["vote"] for chunk in chunks])


class ConsistencyTest(parameterized.TestCase):
  def test_samples_differ_from_one_another(self):
    said = _sample(5)
    self.assertEqual(said.shape, (5, 3))
    for column in said.T:  # A vocabulary of 97: four tokens hardly repeat.
      self.assertLen(set(column.tolist()), 5)

  @pytest.mark.slow
  def test_chunks_and_count_do_not_change_them(self):
    np.testing.assert_array_equal(_sample(5, width=3), _sample(5))
    np.testing.assert_array_equal(_sample(3), _sample(5)[:3])

  def test_they_are_the_same_again_and_others_by_another_key(self):
    again = _sample.__wrapped__(5)
    np.testing.assert_array_equal(again, _sample(5))
    with mock.patch.object(_evaluator(), "_key", jax.random.key(1)):
      other = _sample.__wrapped__(2)
    self.assertFalse((other == _sample(2)).any())

  def test_they_are_what_the_base_says_with_that_number(self):
    """One by one, by the evaluator itself."""
    evaluator = _evaluator()
    base, batch = evaluator.place(_model().params, _batch(), 1)
    for number in (0, 4):
      numbers = np.full(3, number, np.uint32)
      said = evaluator.respond(
        base, [Member((), ())], batch | {"sample": numbers}
      )
      words = [" ".join(map(str, row)) for row in said.tokens[0]]
      self.assertEqual(words, _sample(5)[number].tolist())

  def test_the_temperature_is_theirs_and_not_the_evaluators(self):
    self.assertFalse((_sample(5, temperature=3.0) == _sample(5)).all())
    # All but greedy: every sample says the most likely.
    cold = _sample(5, temperature=1e-4)
    np.testing.assert_array_equal(cold, np.broadcast_to(cold[0], cold.shape))

  def test_a_member_with_weights_of_its_own_is_no_sample(self):
    samples = self_consistency.Samples(_evaluator(), 1.0)
    with self.assertRaisesRegex(ValueError, "A sample must have sigma 0"):
      samples(_model().params, [Member(3, 0.1)], _batch())

  def test_names_are_numbers_of_the_base(self):
    self.assertEqual(
      self_consistency.name_samples(2), [Member(0, 0.0), Member(1, 0.0)]
    )
