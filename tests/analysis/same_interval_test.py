"""The same question has the same interval, whichever result answers it."""

import dataclasses

import numpy as np
from absl.testing import parameterized

from tests.analysis.scaling_test import make_point
from thickets.analysis import (
  claims,
  decomposition,
  intervals,
  randopt_results,
  votes_by_sigma,
)
from thickets.analysis.measurement import TaskScores
from thickets.analysis.randopt_results import JudgedAnswers
from thickets.analysis.selection_gains import SelectAnswers
from thickets.members import Member
from thickets.search.answers import Answers

TASK = "drills/maximum"


def make_answers(*right):
  """Answers whose vote is right or wrong, and no third thing."""
  lenient = np.array(right, bool)
  vote = np.where(lenient, "right", "wrong")
  return Answers(
    lenient.astype(np.float64), lenient, lenient, np.ones_like(lenient), vote
  )


def ends(found):
  return found["low"], found["high"]


def gains_everywhere(base, best):
  """Intervals of the gain of one member over the base, by who gives them."""
  judged = JudgedAnswers(
    base=make_answers(base),
    chosen=make_answers(best),
    random=make_answers(base),
  )
  select = SelectAnswers(*[make_answers([True, False])] * 3)
  results = randopt_results.summarise_randopt(
    [Member(1, 0.1)],
    np.array([0.5]),
    select,
    [0],
    judged,
    top_k=(1,),
    primary_k=1,
  )
  table = {row["role"]: row for row in results["table"]}
  vote, *singles = decomposition.decompose_run(judged.base, judged.chosen, k=1)

  def join(judging):
    return make_answers([True, False, *judging])

  measured = votes_by_sigma.vote_of_best(
    TaskScores(TASK, join(base), join(best), num_select=2), 1
  )
  right = {
    name: {TASK: tuple(map(int, flags))}
    for name, flags in (("base", base), ("best", best), ("vote", best))
  }
  points = [
    dataclasses.replace(make_point(name, weights=weights), right=right)
    for name, weights in (("w1", 10), ("w2", 100))
  ]
  ladder = points[0].gain("vote", "base")
  fitted = claims.fit_claims(points)
  return {
    "best member": ends(table["best"]["gain"]),
    "mean of the best": ends(table["chosen-mean"]["gain"]),
    "vote": ends(table["vote-primary"]["gain"]),
    "difference": ends(results["differences"][0]),
    "vote less random members": ends(results["differences"][1]),
    "net gain": ends(vote.to_json()["over_lenient_base"]["net"]),
    "net gain of members": ends(
      singles[0].to_json()["over_lenient_base"]["net"]
    ),
    "budget": tuple(measured["gain_interval"]),
    "point of a ladder": (ladder.low, ladder.high),
    "claim": tuple(fitted["votes gain"]["interval"]),
  }


class SameIntervalTest(parameterized.TestCase):
  @parameterized.parameters(
    # The prompts that are won, lost, right twice and wrong twice.
    (0, 0, 0, 1),
    (0, 0, 7, 13),
    (1, 0, 20, 20),
    (0, 3, 5, 0),
    (9, 4, 60, 27),
    (40, 0, 0, 0),
  )
  def test_of_a_gain(self, won, lost, both, neither):
    counts = (won, lost, both, neither)
    base = np.repeat([False, True, True, False], counts)
    best = np.repeat([True, False, True, False], counts)
    expected = intervals.paired_interval(best.astype(float) - base)
    self.assertLess(*expected)
    if len(base) < 2:
      return  # A ladder and a budget must have two prompts.
    for name, found in gains_everywhere(base, best).items():
      np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=name)

  def test_of_a_share(self):
    base = np.repeat([True, False], (13, 7))
    judged = make_answers(base)
    vote, *_ = decomposition.decompose_run(judged, judged, k=1)
    expected = intervals.wilson_interval(13, 20)
    self.assertEqual(ends(vote.to_json()["accuracy"]), expected)
    self.assertEqual(ends(vote.to_json()["base_lenient"]), expected)
    self.assertEqual(intervals.mean_interval(base), expected)
