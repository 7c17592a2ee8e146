"""Tests of the ledger against counts by hand and the paper's listed settings."""

import numpy as np
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.generation import language_evaluator, ledger
from thickets.generation.ledger import Cost, Ledger
from thickets.models import families, flops, transformer

CONFIG = families.parse_config(cases.CASES["qwen2"])
PROMPTS = np.array([3, 5])
RESPONSES = np.array([[1, 2], [4, 1], [2, 2]])


def _count(**options):
  return ledger.count_responses(CONFIG, PROMPTS, RESPONSES, **options)


class CountTest(parameterized.TestCase):
  def test_responses_and_tokens_are_counted_with_their_prompts(self):
    found = _count()
    self.assertEqual((found.num_responses, found.num_graded), (6, 6))
    self.assertEqual((found.prompt_tokens, found.response_tokens), (24, 12))
    by_hand = sum(
      flops.prefill_flops(CONFIG, 1, int(PROMPTS[q]))
      + flops.decode_flops(CONFIG, 1, int(PROMPTS[q]), int(length) - 1)
      for member in RESPONSES
      for q, length in enumerate(member)
    )
    self.assertEqual(found.flops, by_hand)
    num_weights = transformer.count_params(CONFIG)
    self.assertEqual(found.paper_flops, 2 * num_weights * 36)

  def test_costs_add_up(self):
    parts = [ledger.count_responses(CONFIG, PROMPTS, row) for row in RESPONSES]
    self.assertEqual(sum(parts, Cost()), _count())

  def test_the_formula_gives_the_papers_settings_which_are_not_equal(self):
    """Sequences of all steps, times what the formula charges for each."""
    sequences = {
      "grpo": 200 * 1024 * 8,
      "ppo": 600 * 128,
      "es": 167 * 30 * 200,
      "randopt": 5000 * 200,
    }
    prompt, weights = np.array([7]), transformer.count_params(CONFIG)
    for method, expected in (
      ("grpo", 13.11e6),
      ("ppo", 1.075e6),
      ("es", 2.004e6),
      ("randopt", 2e6),
    ):
      one = ledger.count_responses(
        CONFIG,
        prompt,
        np.array([3]),
        paper_factor=ledger.PAPER_FACTORS[method],
      )
      total = sequences[method] * one.paper_flops / (weights * 10)
      self.assertAlmostEqual(total / expected, 1, delta=5e-4, msg=method)

  @parameterized.parameters(
    # Passes over the texts: 1 of the generator, 3 in each epoch, and so on.
    (1, False, False, 4, 0),
    (2, True, False, 8, 0),
    (1, False, True, 4, 4),
    (3, True, True, 11, 10),
  )
  def test_what_is_learnt_from_costs_more_passes(
    self, num_epochs, has_reference, has_critic, passes, of_critic
  ):
    found = ledger.count_policy_step(
      CONFIG,
      PROMPTS,
      RESPONSES[1],
      num_epochs=num_epochs,
      has_reference=has_reference,
      has_critic=has_critic,
    )
    one = ledger.count_responses(CONFIG, PROMPTS, RESPONSES[1])
    # A critic reads as much, and has a head of one row for each token.
    read = flops.text_flops(CONFIG, PROMPTS + RESPONSES[1] - 1).sum()
    critic = read + RESPONSES[1].sum() * 2 * CONFIG.width
    self.assertAlmostEqual(
      found.flops / (passes * one.flops + of_critic * critic), 1, places=12
    )
    self.assertEqual(found.num_responses, 2)
    factor = (14 if has_critic else 8) / 2
    self.assertEqual(found.paper_flops, factor * one.paper_flops)

  def test_prompts_are_as_long_as_without_their_padding(self):
    batch = language_evaluator.make_batch([[4, 5, 6], [7], [8, 9]])
    self.assertEqual(ledger.count_prompt_tokens(batch).tolist(), [3, 1, 2])

  def test_an_answer_costs_what_all_its_votes_do(self):
    found = Ledger("vote", 1, _count(), Cost(), _count(), 2, 1e9).to_json()
    self.assertEqual(found["answer"]["num_responses"], 3)
    self.assertEqual(found["answer"]["flops"], _count().flops / 2)
    search = found["search"]
    self.assertEqual(
      search["flops_over_paper"], search["flops"] / search["paper_flops"]
    )
    self.assertIsNone(found["choosing"]["flops_over_paper"])

  @parameterized.parameters((10.0, 1), (29.9, 2), (30.0, 3))
  def test_a_budget_pays_for_whole_units(self, budget, expected):
    found = ledger.count_affordable(budget, 10.0, "a step")
    self.assertEqual(found, expected)

  @parameterized.parameters(9.99, 0.0, float("nan"))
  def test_a_budget_below_one_unit_is_refused_with_numbers(self, budget):
    with self.assertRaisesRegex(
      UserError, f"at least 1e\\+04, which is what a step costs, got {budget:g}"
    ):
      ledger.count_affordable(budget, 1e4, "a step")


class FittingTest(parameterized.TestCase):
  def test_a_step_reads_texts_once_forward_and_twice_back(self):
    read = ledger.count_responses(CONFIG, PROMPTS, RESPONSES[0])
    found = ledger.count_fitting(CONFIG, PROMPTS, RESPONSES[0])
    self.assertEqual(found.flops, 3 * read.flops)
    self.assertEqual(found.paper_flops, 3 * read.paper_flops)
    self.assertEqual((found.num_responses, found.prompt_tokens), (0, 11))
