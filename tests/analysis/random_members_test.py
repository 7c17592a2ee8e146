"""Tests of intervals over random members: what they cover, and their limits."""

import numpy as np
from absl.testing import parameterized

from thickets.analysis import intervals, random_members
from thickets.analysis.intervals import Estimate
from thickets.search.answers import Answers

NUM_MEMBERS, NUM_PROMPTS = 8, 200


def make_answers(right_KQ):
  """Answers of which the wrong ones fall into two kinds."""
  prompts = np.arange(right_KQ.shape[1]) % 2
  vote = np.where(right_KQ, "right", np.where(prompts, "one", "two"))
  score = right_KQ.astype(np.float64)
  return Answers(score, right_KQ, right_KQ, right_KQ, vote)


def draw(rng, num_members=NUM_MEMBERS, num_prompts=NUM_PROMPTS):
  """[K, Q] answers of members that differ in skill, as prompts do in difficulty."""
  skill = rng.normal(0, 0.6, (num_members, 1))
  ease = rng.normal(0.2, 0.5, (1, num_prompts))
  noise = rng.logistic(size=(num_members, num_prompts))
  return skill + ease + noise > 0


def elect(right_KQ):
  """[Q] whether the vote of all is right."""
  return make_answers(right_KQ).elect()[:, -1]


class CoverageTest(parameterized.TestCase):
  def test_intervals_cover_what_other_members_reach(self):
    """Over prompts alone they hold the truth in about half of the runs."""
    rng = np.random.default_rng(0)
    many = [elect(draw(rng)).mean() for _ in range(300)]
    truths = {"vote": np.mean(many), "mean": draw(rng, 4000, 300).mean()}
    held = {name: np.zeros(2) for name in truths}
    num_runs = 100
    for run in range(num_runs):
      right = draw(rng)
      draws = random_members.draw_votes(
        make_answers(right), num_draws=25, seed=run
      )
      vote = intervals.estimate_mean(elect(right))
      mean = intervals.estimate_mean(right.mean(axis=0))
      found = {
        "vote": (vote, draws.widen_vote(vote, NUM_MEMBERS)),
        "mean": (mean, random_members.widen_mean(mean, right.mean(axis=1))),
      }
      for name, pair in found.items():
        held[name] += [one.low <= truths[name] <= one.high for one in pair]
    for name, (alone, both) in held.items():
      self.assertLess(alone / num_runs, 0.75, name)
      self.assertGreater(both / num_runs, 0.91, name)


class WidenTest(parameterized.TestCase):
  def test_a_worked_case(self):
    """Two members, whose t quantile is 12.7062; distances 0.3 and 0.4 are 0.5."""
    found = Estimate(0.5, 0.2, 0.8, "prompts")
    wide = random_members.widen(found, 0.4 / 12.706205, 2)
    self.assertAlmostEqual(wide.low, 0.0, places=6)
    self.assertAlmostEqual(wide.high, 1.0, places=6)
    self.assertEqual(wide.over, "prompts and members")

  def test_it_ends_at_what_is_possible(self):
    found = Estimate(0.5, 0.2, 0.8, "prompts")
    wide = random_members.widen(found, 9.0, 3)
    self.assertEqual((wide.low, wide.high), (-1.0, 1.0))

  def test_members_that_answer_alike_add_nothing(self):
    right = np.tile(draw(np.random.default_rng(0), 1), (8, 1))
    draws = random_members.draw_votes(make_answers(right), num_draws=5)
    found = intervals.estimate_mean(right[0])
    wide = draws.widen_vote(found, 8)
    self.assertAlmostEqual(wide.low, found.low)
    self.assertAlmostEqual(wide.high, found.high)

  def test_one_member_says_nothing_of_others(self):
    right = draw(np.random.default_rng(0), 1)
    found = intervals.estimate_mean(right[0])
    draws = random_members.draw_votes(make_answers(right), num_draws=5)
    for wide in (
      draws.widen_vote(found, 1),
      random_members.widen_mean(found, right.mean(axis=1)),
      random_members.widen_mean(found, np.array([0.5, np.nan])),
    ):
      self.assertEqual(wide, found)

  def test_draws_depend_on_the_seed_alone(self):
    answers = make_answers(draw(np.random.default_rng(0)))
    first, again, other = (
      random_members.draw_votes(answers, num_draws=5, seed=seed).vote
      for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    self.assertTrue((first != other).any())

  def test_one_of_them_is_right_at_least_as_often_as_the_vote(self):
    answers = make_answers(draw(np.random.default_rng(0)))
    draws = random_members.draw_votes(answers, num_draws=5)
    self.assertTrue((draws.passed >= draws.vote).all())
    np.testing.assert_allclose(draws.passed[:, 0], draws.vote[:, 0])
