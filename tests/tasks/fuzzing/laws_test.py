"""A sample of the fuzzing of all graders."""

import itertools
import time

import pytest
from absl.testing import parameterized

from thickets.tasks import base, registry
from thickets.tasks.fuzzing import attacks, laws

NUM_ATTACKS = 250  # For each question and rule set.
_PATIENCE = 30  # A grader that hangs still shows.
SLOW = {"mbpp"}  # Its grader runs a process for each program.
FAST = [
  (name.replace("/", "_"), name)
  for name in registry.names()
  if name not in SLOW
]


def _attack(name, count):
  task = registry.load_task(name)
  for question, checkers in laws.make_checkers(task, patience=_PATIENCE):
    for attack in itertools.chain(
      attacks.handmade(question),
      itertools.islice(attacks.fuzz(question, f"test {name}"), count),
    ):
      for checker in checkers:
        checker.grade(attack)
    yield question, checkers


class FuzzTest(parameterized.TestCase):
  @parameterized.named_parameters(*FAST)
  def test_graders_hold_their_laws(self, name):
    for _, checkers in _attack(name, NUM_ATTACKS):
      for checker in checkers:
        self.assertEqual(checker.violations, [])

  @pytest.mark.slow
  def test_slow_graders_hold_their_laws(self):
    for name in SLOW:
      for _, checkers in _attack(name, 30):
        for checker in checkers:
          self.assertEqual(checker.violations, [])

  @parameterized.named_parameters(*FAST)
  def test_right_responses_are_lenient(self, name):
    for question, checkers in laws.make_checkers(registry.load_task(name)):
      for text in question.right:
        for checker in checkers:
          if checker.rules == "standard":
            grade = checker.task.grader("standard")(checker.example, text)
            self.assertTrue(grade.lenient, text)


def _task(grade):
  return base.Task(
    name="countdown",
    fields=(),
    make_example=registry.load_task("countdown").make_example,
    graders={"standard": grade},
    max_new_tokens=1,
  )


def _raise(example, response):
  raise RecursionError(response)


def _credit_all(example, response):
  return base.Grade(1.0, True, True, "22", True)


def _split_votes(example, response):
  return base.Grade(0.0, False, len(response) % 2 == 0, "22", False)


def _long_vote(example, response):
  return base.Grade(0.0, False, False, response, False)


def _no_vote(example, response):
  return base.Grade(0.0, False, True, None, False)


def _nan(example, response):
  return base.Grade(float("nan"), False, False, None, False)


def _credit_no_form(example, response):
  return base.Grade(1.0, True, True, "22", False)


def _score_apart(example, response):
  return base.Grade(0.5, True, True, "22", True)


def _high_score(example, response):
  return base.Grade(1.5, False, False, None, False)


def _slow(example, response):
  if response == "None":
    time.sleep(1.1)
  return base.Grade(0.0, False, False, None, False)


class LawCheckerTest(parameterized.TestCase):
  @parameterized.parameters(
    (_raise, "raised RecursionError"),
    (_credit_all, "a wrong answer must not be credited"),
    (_credit_all, "junk must not be correct"),
    (_split_votes, "the same for the same vote"),
    (_long_vote, "vote must be short"),
    (_no_vote, "lenient must be false without a vote"),
    (_nan, "score must be finite"),
    (_credit_no_form, "correct must imply lenient and format"),
    (_score_apart, "score must be 1 where correct"),
    (_high_score, "score must be from 0.0 to 1.0"),
    (_slow, r"took 1\.1. s"),
  )
  def test_finds_graders_that_break_laws(self, grade, law):
    question, (checker,) = next(laws.make_checkers(_task(grade)))
    for attack in attacks.handmade(question):
      checker.grade(attack)
    self.assertRegex("\n".join(checker.violations), law)

  def test_attacks_depend_on_the_seed_alone(self):
    question, _ = next(laws.make_checkers(registry.load_task("countdown")))

    def texts(seed, count):
      return [
        attack.text
        for attack in itertools.islice(attacks.fuzz(question, seed), count)
      ]

    self.assertEqual(texts("a", 50), texts("a", 60)[:50])
    self.assertNotEqual(texts("a", 50), texts("b", 50))
