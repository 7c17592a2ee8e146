"""Tests of which texts are taught, and of the losses on them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.generation.decode_step import NO_TOKEN
from thickets.models import hub, transformer
from thickets.search.answers import Answers
from thickets.training import distillation, soft_targets, spec_checks, train
from thickets.training.distillation import FittingSpec, TeachingSpec, Text


def _answers(votes, right):
  """Answers [K, Q] from a line of votes for each prompt; "-" is no vote."""
  votes = np.array([list(line) for line in votes]).T
  lenient = votes == np.array(list(right))
  score = lenient.astype(float)
  return Answers(
    score, lenient, lenient, lenient, np.where(votes == "-", "", votes)
  )


class MiningTest(parameterized.TestCase):
  @parameterized.parameters(
    ("aaab", False),
    ("aabc", True),  # Right, and no more than half agree.
    ("abbb", True),  # Settled on what is wrong.
    ("aaa-", False),
    ("aa--", True),
    ("----", True),
    ("bbaa", True),  # A tie that the better-ranked decide.
  )
  def test_prompts_are_hard_where_the_majority_is_wrong_or_unsettled(
    self, votes, expected
  ):
    found = distillation.find_hard(_answers([votes, "aaaa"], "aa"))
    self.assertEqual(found.tolist(), [expected, False])

  def test_right_responses_are_kept_once_by_rank(self):
    no = NO_TOKEN
    responses = np.array(
      [
        [[5, 2, no], [7, 2, no], [4, 2, no]],
        [[6, 6, 2], [7, 2, no], [9, 9, 2]],
        [[8, 2, no], [7, 7, 2], [5, 2, no]],
      ]
    )
    correct = np.array([[0, 1, 1], [1, 1, 1], [1, 0, 1]], bool)
    is_kept = np.array([True, True, False])
    prompts = [[1, 3], [1, 4, 4], [1, 5]]
    found = distillation.choose_texts(prompts, correct, responses, is_kept, 8)
    self.assertEqual(
      found,
      [
        Text((1, 3, 6, 6, 2), 2, 0),
        Text((1, 3, 8, 2), 2, 0),
        Text((1, 4, 4, 7, 2), 3, 1),
      ],
    )
    found = distillation.choose_texts(prompts, correct, responses, is_kept, 1)
    self.assertEqual([text.prompt for text in found], [0, 1])

  def test_rows_mask_the_prompt_and_the_padding(self):
    texts = [Text((1, 3, 6, 6, 2), 2, 0), Text((1, 4, 4, 2), 3, 1)]
    rows = distillation.write_rows(texts)
    self.assertEqual(
      rows["tokens"].tolist(), [[1, 3, 6, 6, 2], [1, 4, 4, 2, 0]]
    )
    self.assertEqual(rows["weights"].tolist(), [[0, 1, 1, 1], [0, 0, 1, 0]])

  def test_every_text_is_seen_once_before_any_is_seen_again(self):
    spec = FittingSpec(4, 3, 1e-3)
    seen = [distillation.choose_rows(spec, 10, step) for step in range(10)]
    orders = np.concatenate(seen).reshape(4, 10).tolist()
    for order in orders:
      self.assertEqual(sorted(order), list(range(10)))
    self.assertNotEqual(orders[0], orders[1])
    self.assertNotEqual(seen[0].tolist(), sorted(seen[0].tolist()))
    other = FittingSpec(4, 3, 1e-3, seed=1)
    self.assertNotEqual(
      np.concatenate(seen).tolist(),
      np.concatenate(
        [distillation.choose_rows(other, 10, step) for step in range(10)]
      ).tolist(),
    )
    self.assertEqual(spec.count_steps(10), 8)
    self.assertLen(distillation.choose_rows(spec, 3, 0), 3)

  @parameterized.parameters(
    (TeachingSpec, {"mining": "esemble"}, "teaching.mining must be one of"),
    (TeachingSpec, {"teachers": "base"}, "teaching.teachers must be one of"),
    (
      TeachingSpec,
      {"teachers": "samples", "targets": "probabilities"},
      "teaching.targets must be 'responses' where samples",
    ),
    (TeachingSpec, {"targets": "logits"}, "teaching.targets must be one of"),
    (TeachingSpec, {"most": 0}, "teaching.most must be at least 1"),
    (FittingSpec, {"batch_size": 0}, "fitting.batch_size must be at least 1"),
    (FittingSpec, {"learning_rate": 0.0}, "fitting.learning_rate must be"),
    (FittingSpec, {"epochs": 0}, "fitting.epochs must be at least 1e-06"),
  )
  def test_settings_out_of_range_are_refused(self, make, change, message):
    fields = {} if make is TeachingSpec else {"batch_size": 4, "epochs": 1}
    if make is FittingSpec:
      fields["learning_rate"] = 1e-3
    with self.assertRaisesRegex(spec_checks.SpecError, message):
      make(**(fields | change))


class SoftTargetTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    fields = cases.CASES["qwen3"]
    self.models = [
      hub.make_model(fields, jax.random.key(seed)) for seed in range(3)
    ]
    self.config = self.models[0].config
    texts = [Text((1, 3, 6, 6, 2), 2, 0), Text((1, 4, 4, 2), 3, 1)]
    self.rows = distillation.write_rows(texts)

  def average(self, kept, batch_size=2):
    # Larger weights, so that probabilities are far from uniform.
    members = [
      jax.tree.map(lambda leaf: leaf * 3, model.params) for model in self.models
    ]
    found = soft_targets.average_probabilities(
      self.config, members, self.rows, kept=kept, batch_size=batch_size
    )
    tokens = jnp.asarray(self.rows["tokens"][:, :-1])
    mean = np.mean(
      [
        jax.nn.softmax(transformer.apply(self.config, member, tokens))
        for member in members
      ],
      axis=0,
    )
    return found, mean

  def test_of_all_tokens_it_is_the_mean_of_the_members(self):
    found, mean = self.average(97, batch_size=1)
    for row, place in np.argwhere(self.rows["weights"]).tolist():
      likely, shares = found["likely"][row, place], found["shares"][row, place]
      self.assertLen(set(likely.tolist()), 97)
      np.testing.assert_allclose(shares, mean[row, place][likely], rtol=1e-4)

  def test_the_likeliest_are_kept_and_add_up_to_one(self):
    found, mean = self.average(8)
    counted = self.rows["weights"] > 0
    np.testing.assert_allclose(found["shares"].sum(-1), counted, rtol=1e-6)
    for row, place in np.argwhere(counted).tolist():
      first = found["likely"][row, place][0]
      self.assertEqual(first, mean[row, place].argmax())

  def test_one_certain_token_gives_the_cross_entropy(self):
    batch = self.rows | {
      "likely": self.rows["tokens"][:, 1:, None],
      "shares": np.ones((*self.rows["weights"].shape, 1), np.float32),
    }
    batch = jax.tree.map(jnp.asarray, batch)
    params = self.models[0].params
    soft = soft_targets.make_soft_loss(self.config)(params, batch)
    hard = train.make_loss(self.config)(params, batch)
    np.testing.assert_allclose(soft, hard, rtol=1e-5)

  def test_a_student_that_is_the_mean_has_nothing_to_learn(self):
    model = self.models[0]
    found = soft_targets.average_probabilities(
      self.config, [model.params], self.rows, kept=97, batch_size=2
    )
    loss = soft_targets.make_soft_loss(self.config)
    batch = jax.tree.map(jnp.asarray, self.rows | found)
    differentiate = jax.jit(jax.grad(loss))
    gradients = differentiate(model.params, batch)
    self.assertLess(float(optax.tree.norm(gradients)), 1e-4)
    other = differentiate(self.models[1].params, batch)
    self.assertGreater(float(optax.tree.norm(other)), 1e-2)
