"""Tests of questions between two words: their texts, and their log-odds."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.generation import choices, preferences
from thickets.generation.choices import ChoiceSpec
from thickets.models import byte_tokenizer, hub

TOKENIZER = byte_tokenizer.make_tokenizer()


class ChoicesTest(parameterized.TestCase):
  def test_the_right_word_comes_first_behind_the_beginning(self):
    spec = ChoiceSpec(("even", "odd"), "")
    found = choices.make_choices(
      TOKENIZER, [[5, 6, 7], [5]], ["odd", "even"], spec
    )
    odd, even = (TOKENIZER.encode(letter)[-1] for letter in "oe")
    self.assertEqual(found.answers, [(odd, even), (even, odd)])
    batch = found.make_batch()
    np.testing.assert_array_equal(batch["tokens"], [[5, 6, 7], [5, 0, 0]])
    np.testing.assert_array_equal(batch["last"], [2, 0])

  @parameterized.parameters(
    (("even",), "", "must be two different words, got .'even'"),
    (("odd", "odd"), "", "must be two different words"),
    (("even", "odd"), "It is", "must begin with different tokens, .* with ' '"),
    (("even", "old"), "", "must hold every right answer, .* answer 'odd'"),
  )
  def test_refusals(self, answers, begin, message):
    with self.assertRaisesRegex(UserError, message):
      spec = ChoiceSpec(answers, begin)
      choices.make_choices(TOKENIZER, [[5]], ["odd"], spec)

  def test_log_odds_are_those_of_whole_readings(self):
    model = hub.load("shipped/conventions-tilted")
    texts = [
      [1, *TOKENIZER.encode(text, add_special_tokens=False)]
      for text in ("turn 52814?", "case hTkQe?", "date 7 May 84?")
    ]
    answers = [(50, 60), (70, 80), (49, 48)]
    each = preferences.measure_answers(
      model.config,
      model.params,
      texts,
      [((right,), (wrong,)) for right, wrong in answers],
    )
    score = choices.make_log_odds(model.config)
    batch = jax.tree.map(
      jnp.asarray, choices.Choices(texts, answers).make_batch()
    )
    np.testing.assert_allclose(
      score(model.params, batch), each[:, 0] - each[:, 1], rtol=0, atol=1e-4
    )
