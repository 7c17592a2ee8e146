"""Tests of learning from roll-outs of a tiny model."""

import dataclasses
import functools
from unittest import mock

import chex
import jax
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.generation import language_evaluator
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.search import meshes
from thickets.search.compiled import Programs
from thickets.training import policy_rollouts, spec_checks
from thickets.training.policy_learner import Learner
from thickets.training.policy_rollouts import Rollouts
from thickets.training.policy_spec import (
  CriticSpec,
  OptimizerSpec,
  PolicySpec,
  RolloutSpec,
)

NUM_TOKENS = 6
PROMPTS = ([5, 6, 7], [8], [9, 4, 6, 11], [5, 12])
SCORES = np.array([1.0, 0, 0, 1, 1, 1, 0, 0.5])


def _make_spec(**changes):
  is_ppo = changes.pop("is_ppo", False)
  optimizer = OptimizerSpec(1e-3, weight_decay=0.01)
  critic = CriticSpec(OptimizerSpec(1e-2, section="critic"))
  return dataclasses.replace(
    PolicySpec(RolloutSpec(4, 2, 0), optimizer, minibatch=4),
    critic=critic if is_ppo else None,
    **changes,
  )


class LearnerTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = cases.make_model("qwen2")
    size = cls.model.config.vocab_size
    cls.decoding = Decoding(
      NUM_TOKENS,
      policy_rollouts.SAMPLING,
      stop_tokens=(2, 13, 21, 34, 55, 60),
      num_tokens=size - 3,
      missing_tokens=(3, 50),
    )
    spec = RolloutSpec(4, 2, 0)
    batch = policy_rollouts.make_step_batch(
      spec, language_evaluator.make_batch(PROMPTS), 0
    )
    rows = [row[row >= 0].tolist() for row in batch["tokens"]]
    keys = jax.random.split(jax.random.key(0), len(rows))
    generator = Generator(cls.model.config, cls.decoding)
    responses = generator.generate(cls.model.params, rows, keys)
    cls.rollouts = Rollouts(
      **policy_rollouts.join_texts(batch, responses.tokens),
      log_probs=responses.log_probs,
      channels={"score": SCORES},
    )
    assert len(set(responses.lengths.tolist())) > 1  # Or masks do nothing.

  def setUp(self):
    super().setUp()
    # They run for milliseconds, and no bits are the point.
    get = functools.partialmethod(
      Programs.get, compiler_options=unoptimised.OPTIONS
    )
    self.enter_context(mock.patch.object(Programs, "get", get))
    # Adam counts its steps in int32.
    self.enter_context(jax.numpy_dtype_promotion("standard"))

  def learn(self, spec, *, devices=1, model=1, steps=1, rollouts=None):
    mesh = meshes.make_mesh(jax.devices()[:devices], model=model)
    generator = Generator(self.model.config, self.decoding, mesh=mesh)
    base = generator.place(self.model.params)
    learner = Learner(
      generator.config, self.decoding, spec, base, generator.mesh
    )
    state, found = learner.start(), []
    for _ in range(steps):
      state, measures, is_moved = learner.learn(
        state, self.rollouts if rollouts is None else rollouts
      )
      found.append((measures, is_moved))
    return jax.device_get(state), found, learner

  def test_log_probabilities_are_those_of_the_generator(self):
    _, [(measures, is_moved)], _ = self.learn(_make_spec())
    self.assertTrue(is_moved)
    self.assertLess(measures["gap_max"], 1e-5)
    self.assertGreater(measures["gradient_norm"], 1e-3)
    self.assertEqual(measures["clip_frac"], 0)

  def test_later_updates_of_a_step_leave_its_gap_alone(self):
    _, [(measures, _)], learner = self.learn(
      _make_spec(num_epochs=3, minibatch=2)
    )
    self.assertLess(measures["gap_max"], 1e-5)
    self.assertGreater(measures["moved"], 1e-6)
    names = [one.name for one in learner.programs.compilations]
    self.assertEqual(names.count("update"), 1)

  @pytest.mark.slow
  def test_a_few_rows_at_a_time_or_many_devices_change_only_rounding(self):
    spec = _make_spec(is_ppo=True, divergence=0.1)
    whole, [(measures, _)], _ = self.learn(spec)
    for options in (
      {"spec": dataclasses.replace(spec, micro_rows=2)},
      {"spec": spec, "devices": 4, "model": 2},
    ):
      state, [(found, _)], _ = self.learn(**options)
      for part in state:  # Moments are gradients; Adam divides by their size.
        chex.assert_trees_all_close(
          state[part][1][1][0].mu, whole[part][1][1][0].mu, atol=2e-6
        )
      chex.assert_trees_all_close(found, measures, rtol=1e-3, atol=2e-6)

  def test_weights_and_moments_lie_on_the_mesh_as_the_model(self):
    mesh = meshes.make_mesh(jax.devices()[:2], model=2)
    generator = Generator(self.model.config, self.decoding, mesh=mesh)
    base = generator.place(self.model.params)
    learner = Learner(
      generator.config, self.decoding, _make_spec(), base, generator.mesh
    )
    state, *_ = learner.learn(learner.start(), self.rollouts)
    weights, moments = state["policy"]
    for tree in (weights, moments[1][0].mu, learner.read_weights(state)):
      jax.tree.map(
        lambda leaf, like: self.assertTrue(
          leaf.sharding.is_equivalent_to(like.sharding, leaf.ndim)
        ),
        tree,
        base,
      )
    query = base["layers"]["self_attn"]["q_proj"]
    self.assertFalse(query.is_fully_replicated)

  @parameterized.parameters((0.0, False), (0.5, True))
  def test_scores_that_are_all_alike_move_nothing(self, divergence, is_moved):
    alike = np.repeat([0.1, 0.2, 0.3, 1.0], 2)
    rollouts = dataclasses.replace(self.rollouts, channels={"score": alike})
    spec = _make_spec(divergence=divergence)
    state, [(measures, found)], learner = self.learn(spec, rollouts=rollouts)
    self.assertEqual(found, is_moved)
    self.assertTrue(all(np.isfinite(list(measures.values()))))
    if not is_moved:
      before = jax.device_get(learner.start())
      chex.assert_trees_all_equal(state, before)

  def test_better_responses_become_likelier(self):
    # At one update a step, the loss is that of the same roll-outs each time.
    _, found, learner = self.learn(_make_spec(), steps=4)
    losses = [measures["loss"] for measures, _ in found]
    self.assertEqual(losses, sorted(losses, reverse=True))
    self.assertLess(losses[-1], losses[0] - 0.05)
    names = [one.name for one in learner.programs.compilations]
    self.assertEqual(names, ["update"])  # Once, however many steps there are.

  def test_the_critic_learns_what_responses_earn(self):
    spec = _make_spec(is_ppo=True, num_epochs=4, minibatch=2)
    _, found, learner = self.learn(spec, steps=5)
    losses = [measures["critic_loss"] for measures, _ in found]
    self.assertLess(losses[-1], 0.7 * losses[0])
    names = [one.name for one in learner.programs.compilations]
    self.assertCountEqual(names, ["values", "update", "critic update"])

  def test_a_loss_that_is_not_finite_is_refused(self):
    scores = np.array([1.0, 0, 0, 1, 1, np.inf, 0, 0.5])
    rollouts = dataclasses.replace(self.rollouts, channels={"score": scores})
    with (
      np.errstate(invalid="ignore"),
      self.assertRaisesRegex(UserError, "must stay finite, got nan .* Lower"),
    ):
      self.learn(_make_spec(), rollouts=rollouts)

  @parameterized.parameters(
    ({"rollout": RolloutSpec(4, 1, 0)}, "rollout.group must be at least 2"),
    ({"minibatch": 3}, "policy.minibatch must divide rollout.num_prompts=4"),
    ({"micro_rows": 3}, "policy.micro_rows must divide .* update \\(8\\)"),
    ({"clip_low": 1.5}, "policy.clip_low must be at most 1"),
  )
  def test_what_cannot_be_learnt_from_is_refused(self, changes, message):
    with self.assertRaisesRegex(spec_checks.SpecError, message):
      _make_spec(**changes)


class RolloutsTest(parameterized.TestCase):
  def test_texts_are_joined_without_a_gap(self):
    batch = language_evaluator.make_batch([[5, 6, 7], [8]])
    found = policy_rollouts.join_texts(batch, np.array([[9, -1], [3, 2]]))
    self.assertEqual(
      found["tokens"].tolist(), [[5, 6, 7, 9, 0], [8, 3, 2, 0, 0]]
    )
    self.assertEqual(found["starts"].tolist(), [3, 1])
    self.assertEqual(found["mask"].tolist(), [[1, 0], [1, 1]])

  def test_every_prompt_comes_once_a_round(self):
    spec = RolloutSpec(3, 2, 7)
    rounds = [
      [policy_rollouts.draw_prompts(spec, 10, step) for step in steps]
      for steps in (range(3), range(3, 6))
    ]
    for one in rounds:
      self.assertLen(set(np.concatenate(one).tolist()), 9)  # One is left out.
    self.assertNotEqual(
      np.concatenate(rounds[0]).tolist(), np.concatenate(rounds[1]).tolist()
    )
    again = policy_rollouts.draw_prompts(spec, 10, 4)
    np.testing.assert_array_equal(again, rounds[1][1])

  def test_each_response_has_a_number_of_its_own(self):
    spec = RolloutSpec(2, 3, 0)
    prompts = language_evaluator.make_batch([[5], [6], [7], [8]], [4, 5, 6, 7])
    seen = set()
    for step in range(4):
      batch = policy_rollouts.make_step_batch(spec, prompts, step)
      self.assertEqual(batch["index"][0], batch["index"][2])
      seen |= set(
        zip(batch["index"].tolist(), batch["sample"].tolist(), strict=True)
      )
    self.assertLen(seen, 4 * 6)
