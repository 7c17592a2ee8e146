"""Tests of what a distillation takes from a run, and of what it refuses."""

import dataclasses
from types import SimpleNamespace
from unittest import mock

import numpy as np
from absl.testing import parameterized
from golden import transformer_cases as cases

from configs import distil, randopt_conventions
from experiments.launch import (
  distil_costs,
  distil_results,
  distil_source,
  distil_specs,
  distil_texts,
  finished_randopt,
  specs,
  training_costs,
)
from thickets.analysis import measurement
from thickets.errors import UserError
from thickets.generation import language_evaluator
from thickets.generation.ledger import Cost
from thickets.models import families
from thickets.search import randopt
from thickets.training.distillation import Text

RUN = specs.read_randopt(randopt_conventions.get_config("smoke"))


def _spec(**changes):
  config = distil.get_config("smoke")
  config.update_from_flattened_dict(
    {"teaching.mining": "teachers", "fitting.epochs": 1.0} | changes
  )
  return distil_specs.read_distil(config)


SPEC = _spec()


def _channels(votes, right, lengths=1):
  """Channels [Q] of answers with these votes, which are right if they are."""
  right = np.array(right, bool)
  return {
    "score": right.astype(float),
    "correct": right,
    "lenient": right,
    "format": right,
    "vote": np.array(votes),
    "length": np.full(len(right), lengths),
    "stopped": np.ones(len(right), bool),
    "tokens": np.full((len(right), 2), 5),
  }


def _record(*args):
  found = _channels(*args)
  return SimpleNamespace(
    channels=lambda names=None: {n: found[n] for n in names or found}
  )


class SourceTest(parameterized.TestCase):
  def read(self, spec=SPEC, run=RUN, records=None, ranked=3):
    results = {
      "ledger": [{"method": "best member", "search": {"flops": 7.0, "x": 1}}],
      "chosen": [{"position": p} for p in (4, 2, 0)[:ranked]],
    }
    if records is None:
      records = {p: _record(["a", "b"], [1, 0]) for p in (4, 2, 0, -1)}
    with (
      mock.patch.object(finished_randopt, "read_results", return_value=results),
      mock.patch.object(
        measurement,
        "read_records",
        return_value=({"task": {"name": "T"}}, {"judge": records}),
      ),
    ):
      return distil_source.read_teachers(spec, run, "d")

  def test_the_best_members_teach_by_rank(self):
    found = self.read()
    self.assertEqual(found.positions, (4, 2, 0))
    self.assertEqual(found.judged.vote.shape, (3, 2))
    self.assertEqual(found.search, Cost(flops=7.0))
    self.assertEqual(
      self.read(_spec(**{"teaching.top_k": 2})).positions, (4, 2)
    )

  def test_what_a_run_lacks_is_refused(self):
    no_dev = dataclasses.replace(
      RUN,
      task=dataclasses.replace(
        RUN.task, sizes=dataclasses.replace(RUN.task.sizes, dev=0)
      ),
    )
    silent = {p: _record(["", ""], [0, 0]) for p in (4, 2, 0)}
    for arguments, message in (
      ({"run": no_dev}, "--run must name a run with prompts of dev"),
      ({"records": silent}, "whose answers have vote keys, got none in 6"),
      ({"records": {4: silent[4]}}, "records of its best members on judge"),
      ({"ranked": 2}, "must have ranked the 3 members"),
      (
        {"spec": _spec(**{"teaching.top_k": 4})},
        "teaching.top_k must be at mo",
      ),
    ):
      with self.assertRaisesRegex(UserError, message):
        self.read(**arguments)

  def test_other_prompts_than_those_of_the_run_are_refused(self):
    subject = SimpleNamespace(describe=lambda: {"name": "T", "version": 2})
    with self.assertRaisesRegex(UserError, "--run must hold records of these"):
      self.read().check_task(subject)

  def test_the_vote_is_judged_as_one_answer(self):
    records = {
      4: _record(["a", "a", "a"], [1, 1, 0]),
      2: _record(["b", "a", "b"], [0, 1, 1]),
      0: _record(["b", "b", "b"], [0, 0, 1]),
    }
    vote = distil_results.elect(self.read(records=records).judged)
    self.assertEqual(vote.lenient.tolist(), [[False, True, True]])


class TeachingTest(parameterized.TestCase):
  def ask(self, spec, channels):
    """The texts that three members teach who answered two prompts like this."""
    run = SimpleNamespace(channels=lambda split, position: channels[position])
    teachers = SimpleNamespace(positions=(4, 2, 0))
    select = SimpleNamespace(batch=language_evaluator.make_batch([[1, 3], [1]]))
    search = SimpleNamespace(run=run)
    with mock.patch.object(randopt, "score_members"):
      return distil_texts.ask_teachers(
        spec, None, None, search, select, teachers
      )

  def test_an_ensemble_without_right_responses_teaches_nothing(self):
    wrong = {p: _channels(["a", "b"], [0, 0]) for p in (4, 2, 0)}
    with self.assertRaisesRegex(
      UserError, "3 members that teach must have a right .* none to 2 hard ones"
    ):
      self.ask(SPEC, wrong)

  def test_what_all_have_right_is_not_hard(self):
    right = {p: _channels(["a", "b"], [1, 1]) for p in (4, 2, 0)}
    with self.assertRaisesRegex(UserError, "none to 0 hard ones of 2"):
      self.ask(SPEC, right)
    found = self.ask(_spec(**{"teaching.mining": "none"}), right)
    self.assertEqual([text.prompt for text in found], [0, 1])

  def test_a_response_that_was_cut_off_is_not_taught(self):
    split = {
      4: _channels(["a", "b"], [1, 0]),
      2: _channels(["b", "a"], [0, 1]),
      0: _channels(["c", "c"], [0, 0]),
    }
    found = self.ask(SPEC, split)
    self.assertEqual(found, [Text((1, 3, 5, 5), 2, 0), Text((1, 5, 5), 1, 1)])
    split[4]["stopped"][:] = False
    self.assertEqual([text.prompt for text in self.ask(SPEC, split)], [1])


class CostsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    batch = language_evaluator.make_batch([[1, 3], [1]])
    self.subject = SimpleNamespace(
      model=SimpleNamespace(config=families.parse_config(cases.CASES["qwen2"])),
      batches={"select": batch},
    )
    self.texts = [Text((1, 3, 6, 2), 2, 0), Text((1, 4, 4, 7, 2), 3, 1)] * 4

  def test_a_budget_below_responses_of_one_token_is_refused(self):
    with self.assertRaisesRegex(
      UserError, "budget.flops must be at least .* 3 responses of one token"
    ):
      distil_costs.check_least_budget(
        _spec(**{"budget.flops": 1.0}), self.subject, 3
      )

  @parameterized.parameters((5, [5]), (None, [-1]))
  def test_a_distillation_costs_what_it_has_cost_whatever_dev_keeps(
    self, chosen, expected
  ):
    asked = []

    def read(_, run, split, positions):
      del run
      asked.append((split, positions))
      return Cost(flops=float(len(positions)))

    subject = SimpleNamespace(batches={"judge": {"index": np.arange(4)}})
    teachers = SimpleNamespace(
      positions=(4, 2, 0),
      search=Cost(flops=100.0),
      count_judged=lambda _: Cost(flops=3.0),
    )
    with mock.patch.object(training_costs, "read_cost", read):
      *_, row = distil_costs.read_ledgers(
        *(SPEC, subject, None, teachers),
        training=Cost(flops=20.0),
        num_steps=5,
        watched=[0, 5],
        chosen=chosen,
      )
    self.assertEqual(row["method"], "distilled, with its search")
    self.assertEqual(row["search"]["flops"], 120.0)
    self.assertEqual((row["num_steps"], row["choosing"]["flops"]), (6, 2.0))
    self.assertIn(("judge", expected), asked)

  def test_steps_end_within_the_budget(self):
    teaching = Cost(flops=1e6)
    first, second = (
      distil_costs.count_step(
        SPEC.fitting, self.subject, self.texts, step
      ).flops
      for step in range(2)
    )
    for paid, expected in (
      (first + second, 2),
      (first + second - 1, 1),
      (first, 1),
    ):
      found = distil_costs.count_steps(
        _spec(**{"budget.flops": teaching.flops + paid}),
        self.subject,
        self.texts,
        teaching,
      )
      self.assertEqual(found, expected)
    with self.assertRaisesRegex(UserError, "and a first step of 4 texts costs"):
      distil_costs.count_steps(
        _spec(**{"budget.flops": teaching.flops + first - 1}),
        self.subject,
        self.texts,
        teaching,
      )
    found = distil_costs.count_steps(SPEC, self.subject, self.texts, teaching)
    self.assertEqual(found, 2)
