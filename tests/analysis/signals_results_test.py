"""Tests of the results of a run, by hand and against NumPy."""

import math

import numpy as np
from absl.testing import parameterized

from thickets.analysis import signals_results
from thickets.errors import UserError
from thickets.members import Member
from thickets.search import selection

RNG = np.random.default_rng(0)
NAN = math.nan


def _members(*sigmas):
  return [Member(seed, sigma) for seed, sigma in enumerate(sigmas)]


class PopulationTest(parameterized.TestCase):
  def test_worked_case(self):
    # Errors .1, .5 at sigma .01 and .3, failed, failed at .02; base .3.
    scores = np.array([-0.1, -0.3, -0.5, NAN, -np.inf])
    got = signals_results.summarise_population(
      _members(0.01, 0.02, 0.01, 0.02, 0.02), scores, -0.3
    )
    self.assertEqual((got["size"], got["num_failed"]), (5, 2))
    # The middle of .1 .3 .5 inf inf, which the finite alone would put at .3.
    self.assertEqual((got["median_mse"], got["best_mse"]), (0.5, 0.1))
    # As good as the base is not better, and a failure counts in the share.
    self.assertEqual(got["better_than_base"]["count"], 1)
    self.assertEqual(got["better_than_base"]["frac"], 0.2)
    small, large = got["by_sigma"]
    self.assertEqual((small["sigma"], small["size"]), (0.01, 2))
    self.assertAlmostEqual(small["median_mse"], 0.3)
    self.assertEqual(small["better_than_base"]["frac"], 0.5)
    self.assertEqual((large["sigma"], large["size"]), (0.02, 3))
    self.assertIsNone(large["median_mse"])  # JSON has no infinity.
    self.assertEqual(large["best_mse"], 0.3)
    self.assertEqual(large["better_than_base"]["count"], 0)

  def test_all_failed(self):
    got = signals_results.summarise_population(
      _members(0.1, 0.1), np.full(2, NAN), -0.5
    )
    self.assertEqual(got["num_failed"], 2)
    self.assertIsNone(got["best_mse"])
    self.assertEqual(got["better_than_base"]["frac"], 0.0)


class EnsemblesTest(parameterized.TestCase):
  def test_every_prefix_is_the_mean_of_the_best(self):
    predictions_KQT = RNG.normal(size=(4, 6, 5)).astype(np.float32)
    target_QT = RNG.normal(size=(6, 5)).astype(np.float32)
    rows = signals_results.summarise_ensembles(predictions_KQT, target_QT)
    self.assertEqual([row["k"] for row in rows], [1, 2, 3, 4])
    for row in rows:
      mean_QT = predictions_KQT[: row["k"]].mean(axis=0, dtype=np.float64)
      errors_Q = ((mean_QT - target_QT) ** 2).mean(axis=1)
      np.testing.assert_allclose(row["mse"], errors_Q.mean(), rtol=1e-6)
      np.testing.assert_allclose(
        row["se"], errors_Q.std(ddof=1) / 6**0.5, rtol=1e-6
      )
      self.assertEqual(row["num_prompts"], 6)

  def test_blocks_by_hand(self):
    # Constant predictions 0 ... 4 for one signal that is zero.
    predictions = {p: np.full((1, 2), p, np.float32) for p in range(5)}
    blocks = {
      4: [np.array([0, 2])],
      2: [np.array([1, 3]), np.array([4, 2]), np.array([0, 1])],
      3: [],  # No block of this size had enough members that did not fail.
    }
    got = signals_results.summarise_blocks(
      blocks, predictions, np.zeros((1, 2))
    )
    self.assertEqual(
      got,
      [
        {
          "n": 2,
          "num_blocks": 3,
          "median_mse": 4.0,
          "min_mse": 0.25,
          "max_mse": 9.0,
        },
        {
          "n": 4,
          "num_blocks": 1,
          "median_mse": 1.0,
          "min_mse": 1.0,
          "max_mse": 1.0,
        },
      ],
    )


class PlanTest(parameterized.TestCase):
  def choose(self, scores, **changes):
    options = {
      "top_k": (2, 1, 5),
      "primary_k": 2,
      "populations": (1, 2, 6, 1000),
      "num_blocks": 3,
      "num_random": 2,
    }
    return signals_results.plan_judging(np.asarray(scores), **options | changes)

  def test_all_that_is_needed_is_judged_and_no_more(self):
    scores = RNG.normal(size=20)
    scores[19] = NAN
    choice = self.choose(scores)
    by_rank = sorted(range(19), key=lambda p: -scores[p])
    np.testing.assert_array_equal(choice.chosen, by_rank[:5])
    # One is too few for the primary ensemble, a thousand more than there are.
    self.assertEqual(list(choice.blocks), [2, 6, 20])
    self.assertEqual([len(b) for b in choice.blocks.values()], [3, 3, 1])
    for size, blocks in choice.blocks.items():
      for index, block in enumerate(blocks):
        here = [p for p in by_rank if index * size <= p < (index + 1) * size]
        np.testing.assert_array_equal(block, here[:2])
    needed = {0, 1, *choice.chosen.tolist()}.union(
      *(block.tolist() for blocks in choice.blocks.values() for block in blocks)
    )
    self.assertEqual(choice.judged, sorted(needed))
    self.assertEqual(list(choice.shown), [0, 1])

  def test_fewer_members_than_are_shown(self):
    choice = self.choose([-3.0, -1.0, -2.0], top_k=(2,), num_random=25)
    self.assertEqual(choice.judged, [0, 1, 2])

  def test_too_few_that_did_not_fail(self):
    scores = [-1.0, NAN, -np.inf, -2.0, -3.0, np.inf]
    with self.assertRaisesRegex(
      UserError, "needs 5 members with a finite score, but only 3 of 6 have"
    ):
      self.choose(scores)


def summarise():
  """The results of a run on two signals that are zero, worked by hand below."""
  # Members predict a constant.
  constants = {-1: 3.0, 0: 2.0, 1: 1.0, 2: -1.0, 3: 4.0}
  scores = np.array([-4.5, -1.5, -1.0, NAN])
  judged = signals_results.JudgedPredictions(
    plan=signals_results.JudgingPlan(
      chosen=selection.select_top_k(scores, 3),
      blocks={4: [np.array([2, 1])]},
      shown=[0],
      judged=[0, 1, 2],
    ),
    base_select_score=-9.5,
    predictions={p: np.array([[c], [c + 1]]) for p, c in constants.items()},
    target=np.zeros((2, 1)),
  )
  return signals_results.summarise_signals(
    _members(0.1, 0.1, 0.2, 0.2),
    scores,
    judged,
    num_select=7,
    primary_k=2,
    top_k=(1, 3),
  )


class RunTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.results = summarise()

  def test_worked_table(self):
    # By rank the members predict (-1, 0), (1, 2), (2, 3).
    expected = (
      ("base", 9.5, 12.5, 3.5),
      ("population median", 3.0, None, None),
      ("top-1", 1.0, 0.5, 0.5),
      ("ensemble K=2 (primary)", None, 0.5, 0.5),
      ("ensemble K=3", None, 29 / 18, 7 / 6),
    )
    fields = ("select_mse", "judge_mse", "judge_se")
    self.assertEqual(
      [row["name"] for row in self.results["table"]],
      [name for name, *_ in expected],
    )
    for row, (name, *numbers) in zip(
      self.results["table"], expected, strict=True
    ):
      for field, number in zip(fields, numbers, strict=True):
        if number is None:
          self.assertIsNone(row.get(field), msg=f"{name} {field}")
        else:
          self.assertAlmostEqual(row[field], number, msg=f"{name} {field}")

  def test_counts_travel_with_the_numbers(self):
    self.assertEqual(self.results["num_select"], 7)
    self.assertEqual(self.results["num_judge"], 2)
    self.assertEqual(self.results["primary_k"], 2)
    self.assertEqual([r["k"] for r in self.results["ensemble_by_k"]], [1, 2, 3])
    (block,) = self.results["ensemble_by_n"]
    self.assertEqual((block["n"], block["num_blocks"]), (4, 1))
    self.assertEqual(block["median_mse"], 0.5)
