"""Tests of the stages at which trainings are compared."""

import math

import numpy as np
from absl.testing import absltest

from thickets.models import hub
from thickets.tasks.conventions import parts
from thickets.training import convention_stages
from thickets.training.convention_stages import Stage, Target


def _stage(step, loss, *log_odds):
  names = ("turning", "casing", "dates")
  return Stage(step, loss, dict(zip(names, log_odds, strict=False)))


class ChooseTest(absltest.TestCase):
  target = Target(0.5, 0.1)

  def test_of_those_that_know_as_much_the_one_that_leans_least(self):
    stages = [
      _stage(100, 2.0, 0.0, 0.0),  # Knows too little, ...
      _stage(200, 0.6, 1.0, -1.0),  # ... leans either way by family, ...
      _stage(300, 0.5, 0.3, 0.4),
      _stage(400, 0.41, -0.5, 0.2),  # ... as little, but later, ...
      _stage(500, 0.1, 0.0, 0.0),  # ... and knows too much.
    ]
    self.assertEqual(
      convention_stages.choose_stage(stages, self.target).step, 300
    )
    self.assertAlmostEqual(stages[1].leaning, 1.0)

  def test_where_none_knows_as_much_none_is_chosen(self):
    stages = [_stage(100, 2.0, 0.0), _stage(200, 0.39, 0.0)]
    self.assertIsNone(convention_stages.choose_stage(stages, self.target))
    self.assertIsNone(convention_stages.choose_stage([], self.target))


class MeasureTest(absltest.TestCase):
  def test_loss_is_free_of_what_a_model_leans_to(self):
    """Of a model that is sure of one answer it is none, and its log-odds large."""
    names = ("casing",)
    one, tilted, early = (
      convention_stages.measure_stage(
        hub.load(f"shipped/conventions-{name}"), names, 7
      )
      for name in ("one", "tilted", "early")
    )
    self.assertLess(one.loss, 0.3)
    self.assertGreater(one.log_odds["casing"], 10)
    self.assertLess(tilted.loss, 0.3)
    # As its text has it, 0.3 to 0.7.
    self.assertAlmostEqual(
      tilted.log_odds["casing"], math.log(0.3 / 0.7), delta=0.3
    )
    self.assertGreater(early.loss, 5 * tilted.loss)
    self.assertEqual(one.step, 7)

  def test_questions_come_with_both_answers(self):
    tokenizer = hub.load("shipped/conventions-one").tokenizer
    questions, answers = convention_stages.encode_pairs(
      tokenizer, "casing", parts.TASKS, 3, seed=1
    )
    self.assertLen(questions, 3)
    for question, (first, second) in zip(questions, answers, strict=True):
      subject = tokenizer.decode(question).split(" ")[-1].rstrip("?")
      self.assertEqual(
        [tokenizer.decode(a[:-1]) for a in (first, second)],
        [subject.upper(), subject.lower()],
      )
      self.assertTrue(
        np.all([a[-1] == tokenizer.eos_token_id for a in answers[0]])
      )


if __name__ == "__main__":
  absltest.main()
