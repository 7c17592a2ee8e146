"""Tests of a run's results: a case worked by hand, and members that fail."""

import json

import numpy as np
import pytest
from absl.testing import parameterized

from thickets.analysis import intervals, random_members, randopt_results
from thickets.analysis.intervals import Estimate
from thickets.analysis.randopt_results import JudgedAnswers
from thickets.analysis.selection_gains import SelectAnswers
from thickets.members import Member
from thickets.search.answers import Answers

MEMBERS = [Member(9, 0.1), Member(8, 0.1), Member(7, 0.2), Member(6, 0.2)]
SCORES = np.array([0.5, np.nan, 0.75, 0.25])  # On four prompts of selection.


def answer(votes, lenient, correct=(0, 0, 0, 0), failed=False):
  """The channels of one respondent on four prompts."""
  correct = np.array(correct, bool)
  return {
    "score": np.full(4, np.nan) if failed else correct.astype(np.float64),
    "correct": correct,
    "lenient": np.array(lenient, bool),
    "format": correct,
    "vote": np.array(list(votes)),
  }


def stack(*parts):
  return Answers.stack(parts)


BEST = answer(["a", "b", "", "d"], [1, 1, 0, 0], [1, 0, 0, 0])  # Member 2.
SECOND = answer(["a", "c", "c", "d"], [1, 0, 1, 0], [1, 0, 1, 0])  # Member 0.
FAILED = answer([""] * 4, [0, 0, 0, 0], failed=True)  # Member 1.
BASE = answer(["a", "x", "x", "x"], [1, 0, 0, 0])
JUDGED = JudgedAnswers(
  base=stack(BASE),
  chosen=stack(BEST, SECOND),
  random=stack(SECOND, FAILED),
  samples=stack(
    answer(["a", "", "", ""], [1, 0, 0, 0]),
    answer(["z", "x", "", "w"], [0, 0, 0, 1]),
  ),
  temperature=0.7,
)
SELECT = SelectAnswers(
  base=stack(answer(["a"] * 4, [1, 1, 1, 1], [1, 0, 0, 1])),
  chosen=stack(
    answer(["a"] * 4, [1, 1, 1, 1], [1, 1, 0, 1]),  # Member 2.
    answer(["a"] * 4, [1, 1, 1, 1], [0, 1, 1, 0]),  # Member 0.
  ),
  random=stack(answer(["a"] * 4, [1, 1, 1, 1], [0, 1, 1, 0]), FAILED),
)
DEV = [
  {"temperature": 0.7, "k": 2, "size": 8, "accuracy": 0.375},
  {"temperature": 1.0, "k": 2, "size": 8, "accuracy": 0.25},
]


def summarise(scores=SCORES, judged=JUDGED, positions=(2, 0), **changes):
  settings = {"top_k": (1, 5), "primary_k": 2, "dev": DEV, "note": "Note!"}
  return randopt_results.summarise_randopt(
    MEMBERS,
    scores,
    SELECT,
    list(positions),
    judged,
    **settings | changes,
  )


def wilson(count, trials=4, over="prompts"):
  low, high = intervals.wilson_interval(count, trials)
  return {"mean": count / trials, "low": low, "high": high, "over": over}


def mean(*values):
  return intervals.estimate_mean(np.array(values, np.float64)).to_json("mean")


def paired(*values):
  differences = np.array(values, np.float64)
  return intervals.estimate_difference(differences).to_json("mean")


def widened(found, members, least=0.0):
  """A mean over prompts and these members, which vary as their means do."""
  estimate = Estimate(found["mean"], found["low"], found["high"], "prompts")
  wide = random_members.widen_mean(estimate, np.array(members))
  return wide.to_json("mean") | {"low": max(wide.low, least)}


def of_random_votes(found, draw="vote", k=2, least=0.0):
  """An estimate over prompts and sets of the random members."""
  draws = random_members.draw_votes(JUDGED.random)
  widen = {"vote": draws.widen_vote, "pass": draws.widen_passed}[draw]
  estimate = Estimate(found["mean"], found["low"], found["high"], "prompts")
  wide = widen(estimate, k)
  return wide.to_json("mean") | {"low": max(wide.low, least)}


def _round(row):
  """A row whose correlation is free of the last digits."""
  found = row.get("error_correlation")
  if found is None:
    return row
  return row | {"error_correlation": pytest.approx(found, abs=1e-12)}


class WorkedCaseTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.results = summarise()

  def test_table(self):
    expected = [
      {
        "role": "base",
        "name": "base",
        "responses": 1,
        "select_score": 0.5,
        "judge_score": 0.0,
        "judge": wilson(1),
        "strict": 0.0,
      },
      {
        "role": "random-mean",
        "name": "mean of 2 random members",
        "responses": 1,
        "select_score": 0.5,  # That member alone did not fail.
        "judge_score": 0.5,
        # The member that failed counts as wrong.
        "judge": widened(mean(0.5, 0, 0.5, 0), (0.5, 0.0)),
        "strict": 0.25,
        "gain": widened(paired(-0.5, 0, 0.5, 0), (0.25, -0.25), -1.0),
      },
      {
        "role": "best",
        "name": "best member",
        "responses": 1,
        "select_score": 0.75,
        "judge_score": 0.25,
        "judge": wilson(2),
        "strict": 0.25,
        "gain": paired(0, 1, 0, 0),
        **{"won": 1, "lost": 0},
      },
      {
        "role": "chosen-mean",
        "name": "mean of the best 2",
        "responses": 1,
        "select_score": 0.625,
        "judge_score": 0.375,
        "judge": mean(1, 0.5, 0.5, 0),
        "strict": 0.375,
        "gain": paired(0, 0.5, 0.5, 0),
      },
      {
        "role": "vote",
        "name": "vote, K=1",
        "responses": 1,
        "judge": wilson(2),
        "gain": paired(0, 1, 0, 0),
        **{"won": 1, "lost": 0},
        "pass_at_k": wilson(2),
        "error_correlation": None,
      },
      {
        "role": "vote-primary",
        "name": "vote, K=2 (primary)",
        "responses": 2,
        "judge": wilson(3),
        "gain": paired(0, 1, 1, 0),
        **{"won": 2, "lost": 0},
        "pass_at_k": wilson(3),
        "error_correlation": 0.0,
      },
      {
        "role": "random-primary",
        "name": "random members, K=2 (primary)",
        "responses": 2,
        "judge": of_random_votes(wilson(2)),
        "gain": of_random_votes(paired(0, 0, 1, 0), least=-1.0),
        **{"won": 1, "lost": 0},
        "pass_at_k": of_random_votes(wilson(2), "pass"),
        "error_correlation": None,
      },
      {
        "role": "samples",
        "name": "self-consistency T=0.7, K=1",
        "responses": 1,
        "judge": wilson(1),
        "gain": paired(0, 0, 0, 0),
        **{"won": 0, "lost": 0},
        "pass_at_k": wilson(1),
        "error_correlation": None,
      },
      {
        "role": "samples-primary",
        "name": "self-consistency T=0.7, K=2 (primary)",
        "responses": 2,
        "judge": wilson(2),
        "gain": paired(0, 0, 0, 1),
        **{"won": 1, "lost": 0},
        "pass_at_k": wilson(2),
        "error_correlation": -1 / 3,
      },
    ]
    self.assertEqual([*map(_round, self.results["table"])], expected)

  def test_differences_are_paired(self):
    self.assertEqual(
      self.results["differences"],
      [
        {"name": name, "k": 2, **found, "won": won, "lost": lost}
        for name, found, won, lost in (
          ("vote - base", paired(0, 1, 1, 0), 2, 0),
          (
            "vote - random members",
            of_random_votes(paired(0, 1, 0, 0), least=-1.0),
            1,
            0,
          ),
          ("vote - self-consistency", paired(0, 1, 1, -1), 2, 1),
        )
      ],
    )

  def test_population(self):
    def better(count, trials):
      share = wilson(count, trials, "members")
      share["frac"] = share.pop("mean")
      return {"count": count, **share}

    self.assertEqual(
      self.results["population"],
      {
        "size": 4,
        "base_score": 0.5,
        "num_failed": 1,
        "mean_score": 0.5,
        "best_score": 0.75,
        "better_than_base": better(1, 4),
        "by_sigma": [
          {
            "sigma": 0.1,
            "size": 2,
            "num_failed": 1,
            "mean_score": 0.5,
            "best_score": 0.5,
            "better_than_base": better(0, 2),  # A tie is not better.
          },
          {
            "sigma": 0.2,
            "size": 2,
            "num_failed": 0,
            "mean_score": 0.5,
            "best_score": 0.75,
            "better_than_base": better(1, 2),
          },
        ],
      },
    )

  def test_winners_curse_and_members(self):
    self.assertEqual(
      self.results["winners_curse"],
      [
        {
          "role": role,
          "name": name,
          "select": {"score": select, "gain": on_select and paired(*on_select)},
          "judge": {"score": judge, "gain": on_judge and paired(*on_judge)},
        }
        for role, name, select, on_select, judge, on_judge in (
          ("base", "base", 0.5, None, 0.0, None),
          ("best", "best member", 0.75, (0, 1, 0, 0), 0.25, (1, 0, 0, 0)),
          (
            "chosen-mean",
            "mean of the best 2",
            *(0.625, (-0.5, 1, 0.5, -0.5), 0.375, (1, 0, 0.5, 0)),
          ),
          # One member did not fail, so that nothing is known of others.
          (
            "random-mean",
            "mean of 2 random members",
            *(0.5, (-1, 1, 1, -1), 0.5, (1, 0, 1, 0)),
          ),
        )
      ],
    )
    self.assertEqual(
      self.results["chosen"],
      [
        {
          "rank": 0,
          "position": 2,
          "sigma": 0.2,
          "select_score": 0.75,
          "judge_score": 0.25,
          "judge_accuracy": 0.5,
        },
        {
          "rank": 1,
          "position": 0,
          "sigma": 0.1,
          "select_score": 0.5,
          "judge_score": 0.5,
          "judge_accuracy": 0.5,
        },
      ],
    )
    self.assertEqual(
      self.results["random"],
      [
        {"position": 0, "select_score": 0.5, "judge_score": 0.5},
        {"position": 1, "select_score": None, "judge_score": None},
      ],
    )

  def test_curves_counts_and_choices(self):
    self.assertEqual(
      self.results["curves"],
      {
        "vote": [wilson(2), wilson(3)],
        "random": [of_random_votes(wilson(2), k=k) for k in (1, 2)],
        "samples": [wilson(1), wilson(2)],
      },
    )
    self.assertEqual(self.results["num_select"], 4)
    self.assertEqual(self.results["num_judge"], 4)
    self.assertEqual(self.results["primary_k"], 2)
    self.assertEqual(self.results["dev"], DEV)
    self.assertIn("shares of prompts", self.results["units"])
    json.dumps(self.results, allow_nan=False)


class OtherCasesTest(parameterized.TestCase):
  def test_without_self_consistency(self):
    judged = JudgedAnswers(JUDGED.base, JUDGED.chosen, JUDGED.random)
    results = summarise(judged=judged, dev=(), note="")
    self.assertNotIn("samples", results["curves"])
    self.assertLen(results["differences"], 2)

  def test_members_that_fail_leave_numbers_that_json_has(self):
    """A sigma without survivors, and chosen that fail on unseen prompts."""
    scores = np.array([np.nan, np.nan, 0.75, 0.25])
    judged = JudgedAnswers(
      JUDGED.base, stack(FAILED, SECOND), stack(FAILED, FAILED)
    )
    results = summarise(scores, judged, positions=(2, 3))
    json.dumps(results, allow_nan=False)
    group = results["population"]["by_sigma"][0]
    self.assertEqual(group["num_failed"], 2)
    self.assertIsNone(group["mean_score"])
    self.assertIsNone(results["table"][1]["select_score"])
    best = results["winners_curse"][1]
    self.assertEqual(best["judge"], {"score": None, "gain": None})
    self.assertIsNone(results["chosen"][0]["judge_score"])
