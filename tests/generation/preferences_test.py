"""Tests of preferences: their value, and their gradient against members."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.generation import preferences
from thickets.generation.preferences import Preference
from thickets.members import Member
from thickets.models import families, hub, transformer
from thickets.perturbation import Gaussian, perturb
from thickets.training import corpora

ASKED = (("turn 52814?", "45281", "28145"), ("turn 90367?", "79036", "03679"))


class PreferencesTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = hub.load("shipped/conventions-tilted")
    encode = [
      [
        corpora.encode_text(cls.model.tokenizer, question, answer)
        for answer in both
      ]
      for question, *both in ASKED
    ]
    cls.questions = [pair[0][0] for pair in encode]
    cls.answers = [(first[1], second[1]) for first, second in encode]

  def _measure(self, params, **options):
    return preferences.measure_preference(
      self.model.config, params, self.questions, self.answers, **options
    )

  def test_log_odds_are_those_of_whole_answers_token_by_token(self):
    total = 0.0
    apply = jax.jit(functools.partial(transformer.apply, self.model.config))
    for question, pair in zip(self.questions, self.answers, strict=True):
      for answer, sign in zip(pair, (1, -1), strict=True):
        text = jnp.array([[*question, *answer]])
        logits = apply(self.model.params, text)
        log_probs = np.asarray(jax.nn.log_softmax(logits[0]))
        for place in range(len(question), text.shape[1]):
          total += sign * float(log_probs[place - 1, text[0, place]])
    found = self._measure(self.model.params)
    self.assertAlmostEqual(found.log_odds, total / 2, places=3)
    self.assertLess(found.log_odds, 0)  # Its text rarely turns to the right.

  def test_members_move_it_by_sigma_times_the_norm_of_its_gradient(self):
    sigma = 1e-4
    base = self._measure(self.model.params)
    kinds = (Gaussian(), Gaussian(include=("*mlp*",)))
    norms = []
    for kind in kinds:
      names = transformer.tensor_names(self.model.params)
      moved = [
        self._measure(
          perturb(
            self.model.params, Member(seed, sigma), kind=kind, names=names
          )
        ).log_odds
        - base.log_odds
        for seed in range(24)
      ]
      norm = self._measure(self.model.params, kind=kind).gradient_norm
      spread = np.sqrt(np.mean(np.square(moved))) / sigma
      self.assertBetween(
        spread / norm, 0.65, 1.45
      )  # Within its sampling error.
      norms.append(norm)
    self.assertLess(norms[1], norms[0])

  def test_shares_follow_the_normal_distribution(self):
    undecided = Preference(0.0, 3.0)
    self.assertEqual(undecided.predict_share(0.01), 0.5)
    leaning = Preference(-1.0, 50.0)  # Two deviations away at a sigma of 0.01.
    self.assertAlmostEqual(leaning.predict_share(0.01), 0.02275, places=5)
    self.assertGreater(leaning.predict_share(0.02), leaning.predict_share(0.01))

  def test_every_answer_is_scored_by_itself(self):
    """Also where both are read behind the same tokens, and where rows are wider."""
    single = [(first[:1], second[:1]) for first, second in self.answers]
    for answers in (self.answers, single):
      each = preferences.measure_answers(
        self.model.config, self.model.params, self.questions, answers
      )
      self.assertEqual(each.shape, (2, 2))
      for row, question, pair in zip(
        each, self.questions, answers, strict=True
      ):
        found = preferences.measure_preference(
          self.model.config, self.model.params, [question], [pair], width=20
        )
        self.assertAlmostEqual(row[0] - row[1], found.log_odds, places=4)
    self.assertLess(each.max(), 0)
    # The first tokens of all answers together cannot be more than certain.
    self.assertTrue((np.exp(each).sum(axis=1) <= 1.0).all())

  def test_no_questions_are_refused(self):
    with self.assertRaisesRegex(UserError, "questions must hold at least one"):
      preferences.measure_preference(
        self.model.config, self.model.params, [], []
      )


class MixtureTest(absltest.TestCase):
  def test_a_mixture_is_refused_since_it_has_no_gradient(self):
    config = families.parse_config(cases.CASES["qwen3_moe"])
    with self.assertRaisesRegex(UserError, "no experts, got a mixture of"):
      preferences.measure_preference(config, {}, [[1]], [([2], [3])])
    # If this starts to work, the refusal may go.
    params = transformer.abstract_params(config, jnp.float32)
    rows = preferences._write_rows([[1]], [([2], [3])], 0)
    with self.assertRaisesRegex(ValueError, "Reverse-mode"):
      jax.eval_shape(
        functools.partial(preferences._differentiate, config),
        params,
        rows,
      )


if __name__ == "__main__":
  absltest.main()
