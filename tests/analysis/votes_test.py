"""Tests of smaller budgets within one run, against the votes of whole runs."""

import json

import numpy as np
from absl.testing import parameterized

from thickets.analysis import intervals, votes
from thickets.analysis.measurement import TaskScores
from thickets.analysis.votes import VoteAccuracy
from thickets.errors import UserError
from thickets.search import selection
from thickets.search.answers import Answers

FIELDS = ("score", "correct", "lenient", "format", "vote")


def _task(seed=0, num_members=12, num_select=6, num_dev=8, **changes):
  """Members of unequal skill who vote for one of four answers, or not at all."""
  rng = np.random.default_rng(seed)
  shape = (num_members, num_select + num_dev)
  skill = rng.uniform(0.2, 0.8, (num_members, 1))
  right = rng.random(shape) < skill
  vote = np.where(right, "r", rng.choice(["", "w", "v"], shape))
  fields = {
    "score": right.astype(np.float64),
    "correct": right & (rng.random(shape) < 0.9),
    "lenient": right,
    "format": vote != "",
    "vote": vote,
  } | changes
  members = Answers(**fields)
  return TaskScores("toy", members.take([0]), members, num_select)


def _prompts(answers, columns):
  return Answers(
    **{name: getattr(answers, name)[:, columns] for name in FIELDS}
  )


def _chosen(task, k, members=None):
  """How the k best of some members answer the prompts that judge."""
  members = np.arange(len(task.scores)) if members is None else members
  means = task.scores[members, : task.num_select].mean(axis=1)
  ranked = members[selection.rank_members(means)[:k]]
  return _prompts(
    task.members.take(ranked.tolist()), slice(task.num_select, None)
  )


class ResampleTest(parameterized.TestCase):
  @parameterized.parameters(0, 1, 2)
  def test_the_whole_run_elects_as_randopt_does(self, seed):
    task = _task(seed)
    top_k = (1, 2, 5, 12)
    found = votes.resample_votes(
      task, populations=(12,), top_k=top_k, shares=()
    )
    self.assertEqual([b.top_k for b in found], list(top_k))
    for budget in found:
      chosen = _chosen(task, budget.top_k)
      elected = chosen.elect()[:, -1]
      np.testing.assert_array_equal(budget.by_prompt, elected)
      np.testing.assert_allclose(budget.accuracy, [elected.mean()])
      np.testing.assert_allclose(budget.members, [chosen.lenient.mean()])
      self.assertEqual((budget.population, budget.num_select), (12, 6))

  def test_one_voter_is_the_best_member(self):
    task = _task()
    (budget,) = votes.resample_votes(
      task, populations=(12,), top_k=(1,), shares=()
    )
    best = int(np.argmax(task.scores[:, :6].mean(axis=1)))  # The first, tied.
    np.testing.assert_array_equal(
      budget.by_prompt, task.members.lenient[best, 6:]
    )
    np.testing.assert_array_equal(budget.members, budget.accuracy)

  def test_all_of_equal_members_are_the_plain_vote(self):
    task = _task(score=np.ones((12, 14)))
    (budget,) = votes.resample_votes(task, populations=(12,), shares=(1,))
    everyone = _prompts(task.members, slice(6, None))
    np.testing.assert_array_equal(budget.by_prompt, everyone.elect()[:, -1])

  def test_smaller_populations_are_votes_of_their_own_members(self):
    """Each draw is the run that these members alone would have been."""
    task = _task(3, num_members=5)
    subsets = [
      np.array([a, b, c])
      for a in range(5)
      for b in range(a + 1, 5)
      for c in range(b + 1, 5)
    ]
    for k in (1, 2, 3):
      (budget,) = votes.resample_votes(
        task, populations=(3,), top_k=(k,), shares=(), num_draws=400
      )
      possible = [_chosen(task, k, subset) for subset in subsets]
      accuracies = [answers.elect()[:, -1].mean() for answers in possible]
      self.assertLen(budget.accuracy, 400)
      self.assertContainsSubset(
        np.round(budget.accuracy, 9).tolist(), np.round(accuracies, 9).tolist()
      )
      # All ten subsets are equally likely: within four standard errors.
      for found, expected in (
        (budget.accuracy, accuracies),
        (budget.members, [answers.lenient.mean() for answers in possible]),
      ):
        self.assertAlmostEqual(
          found.mean(), np.mean(expected), delta=4 * np.std(expected) / 20
        )
        self.assertAlmostEqual(found.std(), np.std(expected), delta=0.02)
      self.assertAlmostEqual(budget.by_prompt.mean(), budget.accuracy.mean())

  def test_fewer_prompts_choose_worse(self):
    """Of members, one is right everywhere; more prompts find it more often."""
    rng = np.random.default_rng(0)
    right = rng.random((20, 40)) < 0.7
    right[13] = True
    task = _task(
      num_members=20,
      num_select=20,
      num_dev=20,
      score=right.astype(np.float64),
      lenient=right,
      correct=right,
      format=right,
      vote=np.where(right, "r", "w"),
    )
    found = votes.resample_votes(
      task,
      populations=(20,),
      top_k=(1,),
      shares=(),
      num_select=(2, 8, 20),
      num_draws=50,
    )
    means = [budget.accuracy.mean() for budget in found]
    self.assertEqual([b.num_select for b in found], [2, 8, 20])
    self.assertEqual(means, sorted(means))
    self.assertEqual(means[-1], 1.0)
    self.assertLess(means[0], 0.9)
    # The whole run on all prompts is one draw, and every other budget many.
    self.assertEqual([len(b.accuracy) for b in found], [50, 50, 1])

  def test_order_shares_and_large_k(self):
    found = votes.resample_votes(
      _task(),
      populations=(12, 4),
      top_k=(3, 8, 20),
      shares=(0.01, 0.25, 0.5),
      num_select=(6, 2),
      num_draws=2,
    )
    whole = [(12, n, k) for n in (6, 2) for k in (1, 3, 6, 8)]
    small = [(4, n, k) for n in (6, 2) for k in (1, 2, 3)]
    self.assertEqual(
      [(b.population, b.num_select, b.top_k) for b in found], whole + small
    )

  def test_depends_on_the_seed_alone(self):
    def draw(seed):
      found = votes.resample_votes(
        _task(), populations=(6,), top_k=(2,), shares=(), seed=seed
      )
      return found[0].accuracy.tolist()

    self.assertEqual(draw(1), draw(1))
    self.assertNotEqual(draw(1), draw(2))

  def test_members_that_failed_have_no_vote(self):
    """Neither where they would win, nor by what they got right."""
    task = _task(4)
    scores = task.scores.copy()
    failed = np.array([0, 3, 4, 8])
    scores[failed, 2] = np.nan
    vote = task.members.vote.copy()
    vote[failed] = "x"
    lenient = task.members.lenient.copy()
    lenient[failed] = True
    task = _task(4, score=scores, vote=vote, lenient=lenient)
    (budget,) = votes.resample_votes(task, populations=(12,), shares=(1.0,))
    sound = _chosen(task, 8, np.setdiff1d(np.arange(12), failed))
    np.testing.assert_array_equal(budget.by_prompt, sound.elect()[:, -1])
    self.assertAlmostEqual(budget.members[0], sound.lenient.sum() / 96)

  @parameterized.parameters(
    ({"populations": (13,)}, r"populations must be within 1 and 12.*13 \(toy"),
    ({"populations": (0,)}, "populations must be within 1 and 12"),
    ({"num_select": (7,)}, "num_select must be within 1 and 6, .* got 7"),
  )
  def test_what_the_run_does_not_have_is_refused(self, changes, message):
    with self.assertRaisesRegex(UserError, message):
      votes.resample_votes(_task(), **({"populations": (12,)} | changes))

  @parameterized.parameters((0, 6), (6, 0), (6, 1))
  def test_both_kinds_of_prompts_are_needed(self, num_select, num_dev):
    task = _task(num_select=num_select, num_dev=num_dev)
    with self.assertRaisesRegex(
      UserError, f"toy must have .*got {num_select} and {num_dev}. Measure"
    ):
      votes.resample_votes(task, populations=(12,))


class DescribeTest(parameterized.TestCase):
  def budget(self, by_prompt, accuracy=None):
    accuracy = [np.mean(by_prompt)] if accuracy is None else accuracy
    return VoteAccuracy(
      9,
      3,
      5,
      np.array(accuracy),
      np.array(by_prompt),
      np.full(len(accuracy), 0.25),
    )

  def test_worked_case(self):
    by_prompt = [1.0, 0.5, 0.0, 1.0]
    found = self.budget(by_prompt, [0.5, 0.75]).describe(
      np.array([1.0, 0.0, 0.0, 0.0])
    )
    self.assertEqual(json.loads(json.dumps(found, allow_nan=False)), found)
    # The gains 0, 1/2, 0 and 1, and the two that are added.
    centre = 1.5 / 6
    error = (
      intervals.NORMAL_QUANTILE
      * np.sqrt((0.25 + 1 + 1 + 1) / 6 - centre**2)
      / np.sqrt(6)
    )
    np.testing.assert_allclose(
      found.pop("gain_interval"), [centre - error, centre + error]
    )
    self.assertAlmostEqual(found.pop("spread"), np.sqrt(0.03125))
    self.assertEqual(
      found,
      {
        "population": 9,
        "top_k": 3,
        "num_select": 5,
        "num_judge": 4,
        "num_judge_groups": 4,
        "num_draws": 2,
        "accuracy": 0.625,
        "single": 0.25,
        "gain": 0.375,
        "gain_over": "prompts",
      },
    )

  def test_no_change_on_few_prompts_is_no_proof_of_none(self):
    wide, narrow = (
      self.budget(np.ones(n)).describe(np.ones(n))["gain_interval"]
      for n in (20, 1000)
    )
    self.assertGreater(wide[1], 0.1)
    self.assertLess(narrow[1], 0.01)

  @parameterized.parameters(2, 5, 50)
  def test_intervals_hold_the_gain_and_are_gains(self, num_prompts):
    """As the regimes ask for, whatever the answers."""
    rng = np.random.default_rng(num_prompts)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
      for base_share in (0.0, 0.5, 1.0):
        won = (rng.random(num_prompts) < share).astype(np.float64)
        base = (rng.random(num_prompts) < base_share).astype(np.float64)
        found = self.budget(won).describe(base)
        low, high = found["gain_interval"]
        self.assertBetween(found["gain"], low, high)
        self.assertBetween(low, -1, high)
        self.assertLessEqual(high, 1)
