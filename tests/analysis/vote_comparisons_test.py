"""Tests of votes beside the base, random members and self-consistency."""

import dataclasses

import numpy as np
from absl.testing import parameterized

from thickets.analysis import intervals, vote_comparisons
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.errors import UserError
from thickets.members import Member
from thickets.search.answers import Answers


def _answer(votes):
  """Answers [K, Q] of which "y" alone is right; "" is no vote."""
  vote = np.array(votes)
  right = vote == "y"
  return Answers(right.astype(float), right, right, vote != "", vote)


def _change(answers, right):
  """The same votes, of which others are right."""
  lenient = np.isin(answers.vote, right)
  return dataclasses.replace(
    answers, score=lenient.astype(float), correct=lenient, lenient=lenient
  )


# Two prompts of select, then four of dev. On select the members rank 2, 0, 1, 3.
BASE = _answer([["n", "n", "y", "n", "n", ""]])
MEMBERS = _answer(
  [
    ["y", "n", "y", "y", "n", ""],
    ["n", "n", "n", "n", "n", "n"],
    ["y", "y", "n", "y", "n", "y"],
    ["n", "n", "n", "y", "n", "n"],
  ]
)
SAMPLES = _answer(
  [["n", "y", "n", ""], ["n", "n", "y", ""], ["y", "y", "y", "y"]]
)
TASK = TaskScores("task", BASE, MEMBERS, num_select=2)


class VoteComparisonsTest(parameterized.TestCase):
  def test_best_and_vote_are_those_that_select_chose(self):
    found = vote_comparisons.measure_task_votes(TASK, 2, SAMPLES)
    for row, expected in {
      "base": [1, 0, 0, 0],
      "best": [0, 1, 0, 1],  # Member 2.
      "vote": [0, 1, 0, 1],  # Members 2 and 0; the better one wins a tie.
      "samples": [0, 1, 0, 0],  # The first two; the first one wins a tie.
    }.items():
      np.testing.assert_array_equal(found.right[row], expected, err_msg=row)
    compared = found.compare()
    self.assertEqual(list(compared), list(vote_comparisons.DIFFERENCES))
    self.assertEqual(compared["vote - base"].value, 0.25)
    self.assertEqual(compared["vote - self-consistency"].value, 0.25)
    # On the prompts one by one, [-1, 1, 0, 1].
    self.assertEqual(
      compared["vote - base"],
      intervals.estimate_difference(np.array([-1.0, 1.0, 0.0, 1.0])),
    )

  def test_select_chooses_within_each_sigma_and_among_all(self):
    members = tuple(Member(n, 0.1 if n < 2 else 0.2) for n in range(4))
    measured = Measurement("run", {}, members, {"task": TASK})
    found = vote_comparisons.compare_votes(
      measured, {"task": (0.5, SAMPLES)}, 1
    )["task"]
    best = {
      level: votes.right["best"].tolist() for level, votes in found.items()
    }
    self.assertEqual(
      best,
      {
        "sigma 0.1": [1, 1, 0, 0],  # Member 0.
        "sigma 0.2": [0, 1, 0, 1],  # Member 2, which is the best of all.
        "all sigmas": [0, 1, 0, 1],
      },
    )
    self.assertEqual(
      found["all sigmas"].right["samples"].tolist(), [0, 1, 0, 0]
    )
    with self.assertRaisesRegex(UserError, "at most 2, .* sigma 0.1, got 3"):
      vote_comparisons.compare_votes(measured, {}, 3)
    alone = dataclasses.replace(TASK, num_select=6)
    with self.assertRaisesRegex(UserError, "task must have prompts .* 6 and 0"):
      vote_comparisons.compare_votes(
        dataclasses.replace(measured, tasks={"task": alone}), {}, 1
      )

  def test_either_task_accepts_what_the_first_elects(self):
    right = np.array(["n"])  # What the other task wants.
    other = TaskScores(
      "other",
      _change(BASE, right),
      _change(MEMBERS, right),
      num_select=2,
    )
    found = vote_comparisons.measure_task_votes(TASK, 2, other=other)
    for row, expected in {
      "base": [1, 1, 1, 0],  # It answers the last prompt with nothing.
      "best": [1, 1, 1, 1],
      "vote": [1, 1, 1, 1],
    }.items():
      np.testing.assert_array_equal(found.either[row], expected, err_msg=row)
    self.assertEqual(found.describe()["either"]["base"]["mean"], 0.75)
    self.assertEmpty(vote_comparisons.measure_task_votes(TASK, 2).either)

  def test_random_members_vote_as_all_sets_of_them_would(self):
    """Of single members, each as often as another."""
    found = vote_comparisons.measure_task_votes(TASK, 1)
    expected = MEMBERS.lenient[:, 2:].mean(axis=0)
    np.testing.assert_allclose(found.right["random"], expected, atol=0.25)
    self.assertEqual(found.right["random"][2], 0.0)  # Nobody has it right.
    self.assertNotIn("samples", found.right)
    self.assertNotIn("vote - self-consistency", found.compare())
    # All members together are one set.
    everyone = vote_comparisons.measure_task_votes(TASK, 4).right
    self.assertEqual(everyone["random"][1], 1.0)
    np.testing.assert_array_equal(
      everyone["random"][2:], [0, everyone["random"][3]]
    )

  def test_the_mean_of_tasks_draws_prompts_of_one_number_together(self):
    """As what one task gains another loses; never below what prompts alone give."""
    one = vote_comparisons.TaskVotes(
      {"base": np.tile([0.0, 1], 100), "vote": np.tile([1.0, 0], 100)}, 3
    )
    other = vote_comparisons.TaskVotes(
      {"base": one.right["vote"], "vote": one.right["base"]}, 3
    )
    pooled = vote_comparisons.pool_tasks({"one": one, "other": other})
    self.assertEqual(pooled.groups, [str(n) for n in range(200)] * 2)
    found = pooled.compare()["vote - base"]
    self.assertEqual(found.value, 0.0)
    self.assertEqual(found.over, "groups of prompts")
    alone = one.compare()["vote - base"]
    self.assertLess(found.high - found.low, 0.8 * (alone.high - alone.low))

  def test_it_is_described_in_json(self):
    found = vote_comparisons.measure_task_votes(TASK, 2, SAMPLES).describe()
    self.assertEqual((found["k"], found["num_prompts"]), (2, 4))
    self.assertEqual(found["right"]["vote"]["mean"], 0.5)
    self.assertEqual(found["differences"]["best member - base"]["mean"], 0.25)
