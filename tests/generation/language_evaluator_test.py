"""Tests of the evaluator of language models: its answers, memory and refusals."""

import functools
import pathlib
import subprocess
import sys
from unittest import mock

import jax
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import NoRoomError, UserError
from thickets.generation import (
  grading,
  grading_workers,
  language_evaluator,
  memory_plan,
)
from thickets.generation.batching import Batching
from thickets.generation.decoding import Decoding, Responses
from thickets.generation.generator import Generator
from thickets.generation.grading_workers import Grading
from thickets.generation.sampling import Sampling
from thickets.members import BASE
from thickets.models import memory, transformer
from thickets.perturbation import perturb
from thickets.search import engine, meshes, population, selection

_ROOT = pathlib.Path(__file__).parents[2]
_SIGMA = 0.02


def detokenize(ids):
  """A text whose words are the ids."""
  return " ".join(map(str, ids))


def grade(index, text):
  """Scores that depend on example and text."""
  words = [int(word) for word in text.split()]
  return {"score": sum(words) / 100 + index, "first": words[0]}


@functools.lru_cache
def _model():
  return cases.make_model("qwen3", num_hidden_layers=2)


def _prompts(count=5):
  rng = np.random.default_rng(0)
  vocab = _model().config.vocab_size
  return [rng.integers(0, vocab, 3 + 2 * n).tolist() for n in range(count)]


def _evaluator(mesh=None, *, decoding=None, started=None, key=None, **counts):
  generator = Generator(
    _model().config,
    decoding or Decoding(6),
    mesh=mesh,
    batching=Batching(**counts),
  )
  started = started or Grading(grading.Grader(detokenize, grade))
  return language_evaluator.LanguageEvaluator(generator, started, key=key)


@functools.lru_cache
def _single_generator():
  mesh = meshes.make_mesh(jax.devices()[:1])
  return Generator(_model().config, Decoding(6), mesh=mesh)


@functools.lru_cache
def _expect_alone(member):
  """[Q, T] the responses of one member, alone on one device."""
  weights = _perturb(_model().params, member)
  return _single_generator().generate(weights, _prompts()).tokens


def _expected(members):
  """[P, Q, T] the responses of members, each alone on one device."""
  return np.stack([_expect_alone(member) for member in members])


# Without optimisation, for it runs once and compiles for seconds.
@functools.partial(jax.jit, compiler_options=unoptimised.OPTIONS)
def _perturb(params, member):
  names = transformer.tensor_names(params)
  return perturb(params, member, names=names)


def _members(num_members):
  return population.sample_members(3, num_members, (_SIGMA,))


def _score(evaluator, members, batch, width):
  chunks = engine.stream_chunks(
    evaluator, _model().params, members, batch, width=width
  )
  return {
    name: np.concatenate(parts)
    for name, parts in _columns(chunk.channels for chunk in chunks).items()
  }


def _columns(rows):
  rows = list(rows)
  return {name: [row[name] for row in rows] for name in rows[0]}


class LanguageEvaluatorTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("population_and_model", {"model": 2}, 8),
    ("fewer_members_than_devices", {}, 3),
  )
  @pytest.mark.slow
  def test_grades_what_each_member_says(self, mesh, width):
    evaluator = _evaluator(meshes.make_mesh(**mesh))
    members = [*_members(10)]
    batch = language_evaluator.make_batch(_prompts(), indices=[7, 3, 1, 0, 4])
    channels = _score(evaluator, members, batch, width)
    expected = _expected([*members, BASE])
    np.testing.assert_array_equal(channels["first"], expected[:10, :, 0])
    np.testing.assert_allclose(
      channels["score"],
      expected[:10].sum(axis=2) / 100 + np.array([7, 3, 1, 0, 4])[None],
    )
    np.testing.assert_array_equal(channels["length"], 6)
    self.assertFalse(channels["stopped"].any())
    # The members differ, or this test would show little.
    self.assertGreater(len(np.unique(expected.sum(axis=(1, 2)))), 5)
    base = _score(evaluator, [BASE], batch, 1)
    np.testing.assert_array_equal(base["first"], expected[10:, :, 0])

  @pytest.mark.slow
  def test_lanes_and_rows_do_not_change_scores(self):
    mesh = meshes.make_mesh(jax.devices()[:2])
    batch = language_evaluator.make_batch(_prompts())
    for lanes, rows in ((1, 5), (4, 3)):
      evaluator = _evaluator(mesh, lanes=lanes, rows=rows)
      width = evaluator.find_width(_model().params, batch, 100)
      self.assertEqual(width, 2 * lanes)
      programs = evaluator.generator.programs
      with mock.patch.object(
        programs, "prefill", wraps=programs.prefill
      ) as prefill:
        channels = _score(evaluator, _members(5), batch, width)
      read = [
        call.args[1].reading.tokens.shape[1] for call in prefill.call_args_list
      ]
      self.assertLessEqual(max(read), rows)
      np.testing.assert_array_equal(
        channels["first"], _expected(_members(5))[:, :, 0]
      )

  def test_responds_for_as_many_members_as_asked(self):
    evaluator = _evaluator(meshes.make_mesh(jax.devices()[:2]))
    base, batch = evaluator.place(
      _model().params, language_evaluator.make_batch(_prompts()), 3
    )
    said = evaluator.respond(base, _members(3), batch)
    np.testing.assert_array_equal(said.tokens, _expected(_members(3)))

  def test_a_prompt_that_several_tasks_share_is_answered_once(self):
    evaluator = _evaluator(meshes.make_mesh(jax.devices()[:1]))
    prompts = _prompts()

    def answer(params, asked, keys, **_):
      del params, keys
      tokens = np.array([[len(prompt)] for prompt in asked], np.int32)
      ones = np.ones(len(asked))
      return Responses(
        tokens, ones.astype(int), tokens.astype(np.float32), ones.astype(bool)
      )

    shared = [prompts[i] for i in (2, 0, 2, 1, 0, 2)]
    with mock.patch.object(
      evaluator.generator, "generate", side_effect=answer
    ) as generate:
      said = evaluator.respond(
        _model().params, [BASE], language_evaluator.make_batch(shared)
      )
    asked = generate.call_args.args[1]
    self.assertEqual(asked, [prompts[i] for i in (2, 0, 1)])
    lengths = [len(prompt) for prompt in shared]
    np.testing.assert_array_equal(said.tokens[0, :, 0], lengths)

  @pytest.mark.slow
  def test_selects_the_same_on_any_mesh(self):
    batch = language_evaluator.make_batch(_prompts())
    chosen = []
    for mesh in (
      meshes.make_mesh(jax.devices()[:1]),
      meshes.make_mesh(model=2),
    ):
      scores = _score(_evaluator(mesh), _members(12), batch, 4)["score"]
      chosen.append(selection.select_top_k(scores.mean(axis=1), 4))
    np.testing.assert_array_equal(*chosen)

  @pytest.mark.slow
  def test_workers_grade_as_this_process_does(self):
    batch = language_evaluator.make_batch(_prompts())
    here = _score(_evaluator(), _members(8), batch, 8)
    grader = grading.Grader(detokenize, grade)
    with grading_workers.start_grading(grader, 1) as started:
      there = _score(_evaluator(started=started), _members(8), batch, 8)
    for name, values in here.items():
      np.testing.assert_array_equal(there[name], values)

  def test_samples_depend_on_key_member_and_example_alone(self):
    decoding = Decoding(2, sampling=Sampling(1.0))
    mesh = meshes.make_mesh(jax.devices()[:1])

    evaluator = _evaluator(mesh, decoding=decoding, key=jax.random.key(0))

    def first(members, indices):
      batch = language_evaluator.make_batch(
        [_prompts()[2]] * len(indices), indices
      )
      scores = _score(evaluator, members, batch, len(members))["score"]
      return scores - np.array(indices)

    members = _members(4)
    scores = first(members, [0, 1, 2, 3])
    np.testing.assert_array_equal(
      first(members[::-1], [3, 0, 1, 2])[::-1], scores[:, [3, 0, 1, 2]]
    )
    # The prompts are the same; examples and members are not.
    self.assertGreater(len(np.unique(scores)), 10)
    other = first(members, [4, 5, 6, 7])
    self.assertFalse((other == scores).all())

  @parameterized.named_parameters(
    ("no_prompts", [], "at least one prompt"),
    ("empty_prompt", [[1], []], "in prompt 1"),
    ("too_long", [[1] * 10_000], "context"),
    ("beyond_the_vocabulary", [[10_000]], "tokenizer"),
  )
  def test_refuses_prompts_before_anything_runs(self, prompts, message):
    evaluator = _evaluator()
    with self.assertRaisesRegex(UserError, message):
      batch = language_evaluator.make_batch(prompts)
      evaluator.place(_model().params, batch, 8)
    self.assertEqual(evaluator.generator.programs.compiled.num_compilations, 0)

  @parameterized.parameters({"lanes": 0}, {"rows": -1})
  def test_refuses_counts_below_one(self, **counts):
    (name,) = counts
    with self.assertRaisesRegex(UserError, f"{name} must be at least 1"):
      _evaluator(**counts)

  def test_a_plan_is_made_once_for_all_chunks(self):
    evaluator = _evaluator()
    plan = memory_plan.plan_memory
    with mock.patch.object(memory_plan, "plan_memory", wraps=plan) as made:
      for count in (3, 5, 3, 5):
        batch = language_evaluator.make_batch(_prompts(count))
        evaluator.find_width(_model().params, batch, 4)
    self.assertEqual(made.call_count, 2)

  def test_weights_that_move_need_two_more_copies(self):
    batch = language_evaluator.make_batch(_prompts())
    generator, needed = _single_generator(), []
    for moves_weights in (False, True):
      evaluator = language_evaluator.LanguageEvaluator(
        generator,
        Grading(grading.Grader(detokenize, grade)),
        moves_weights=moves_weights,
      )
      with (
        mock.patch.object(memory, "device_size_bytes", lambda _: 1),
        self.assertRaises(NoRoomError) as caught,
      ):
        evaluator.find_width(_model().params, batch, 1)
      needed.append(caught.exception.needed_bytes)
    copy = memory.bytes_per_device(generator.config, np.float32)
    self.assertBetween(needed[1] - needed[0], copy, 2 * copy)

  def test_refuses_a_wrong_number_of_indices(self):
    with self.assertRaisesRegex(UserError, "each of 2 prompts, got 1"):
      language_evaluator.make_batch([[1], [2]], indices=[0])

  def test_refuses_sampling_without_a_key(self):
    with self.assertRaisesRegex(UserError, "Pass key"):
      _evaluator(decoding=Decoding(6, sampling=Sampling(1.0)))


class GraderTest(parameterized.TestCase):
  @parameterized.parameters(
    (lambda index, text: {"correct": 1.0}, "named score"),
    (
      lambda index, text: {"score": 1.0} | ({"extra": 1} if index else {}),
      "same channels",
    ),
    (lambda index, text: {"score": 1.0, "length": 3}, "the response's own"),
  )
  def test_refuses_wrong_channels(self, wrong, message):
    part = Responses(
      tokens=np.ones((2, 3), np.int32),
      lengths=np.array([2, 1]),
      stopped=np.array([True, False]),
      log_probs=np.zeros((2, 3), np.float32),
    )
    with self.assertRaisesRegex(ValueError, message):
      grading.Grader(detokenize, wrong)(part, {"index": np.array([0, 1])})

  def test_grades_tokens_up_to_the_length(self):
    part = Responses(
      tokens=np.array([[5, 6, -1], [7, -1, -1]], np.int32),
      lengths=np.array([2, 1]),
      stopped=np.array([True, False]),
      log_probs=np.zeros((2, 3), np.float32),
    )
    said = []

    def record(index, text):
      said.append((index, text))
      return {"score": 0.5}

    channels = grading.Grader(detokenize, record)(
      part, {"index": np.array([4, 2])}
    )
    self.assertEqual(said, [(4, "5 6"), (2, "7")])
    np.testing.assert_array_equal(channels["score"], [0.5, 0.5])
    np.testing.assert_array_equal(channels["stopped"], [True, False])

  def test_a_member_of_nan_has_failed(self):
    part = Responses(
      tokens=np.ones((2, 2), np.int32),
      lengths=np.array([2, 2]),
      stopped=np.array([False, False]),
      log_probs=np.array([[-1, -2], [-1, np.nan]], np.float32),
    )
    grader = grading.Grader(detokenize, lambda index, text: {"score": 1})
    channels = grader(part, {"index": np.array([0, 1])})
    np.testing.assert_array_equal(channels["score"], [1, np.nan])


class ImportTest(parameterized.TestCase):
  def test_device_modules_need_no_hub_or_data_library(self):
    absent = (
      "datasets",
      "huggingface_hub",
      "safetensors",
      "tokenizers",
      "torch",
      "tqdm",
      "transformers",
    )
    code = f"""
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
  def find_spec(self, name, path, target=None):
    if name.split(".")[0] in {absent!r}:
      raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import thickets.generation.generator, thickets.search.engine
import thickets.generation.language_evaluator
import experiments.benchmark.__main__, configs.benchmark_language
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=_ROOT)

  @parameterized.parameters(
    "search/engine", "search/population", "search/randopt", "perturbation"
  )
  def test_the_core_knows_no_language_models(self, module):
    text = (_ROOT / "thickets" / f"{module}.py").read_text(encoding="utf-8")
    for word in ("language", "generation", "models", "token"):
      self.assertNotRegex(text, rf"import .*{word}|from .*{word}")
