"""Tests of ensembles: the voting rule, its fast form, and means."""

import collections

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from absl.testing import parameterized

from thickets.search import ensemble

VOTES = st.lists(st.sampled_from(["A", "B", "C", "", None]), min_size=1)


class MajorityVoteTest(parameterized.TestCase):
  @parameterized.parameters(
    # The rule of the authors' code: Counter(votes).most_common(1) by rank.
    ("ABBA", "A"),
    (["", "B", "A", "A"], "A"),
    ("BAAB", "B"),
    (["", "B", "A"], "B"),
    ([None, "A", "", "B", "B"], "B"),
    ("ABCC", "C"),
    (["", None, ""], None),
    ([], None),
    ([0, 0, 1], 0),  # Keys need not be strings, and zero is a vote.
    ([False, True, False], False),
  )
  def test_worked_cases(self, votes, expected):
    self.assertEqual(ensemble.majority_vote(list(votes)), expected)

  @hypothesis.given(VOTES, st.randoms(use_true_random=False))
  def test_order_matters_among_tied_keys_only(self, votes, random):
    counts = collections.Counter(vote for vote in votes if vote)
    most = max(counts.values(), default=0)
    tied = {key for key, count in counts.items() if count == most}
    shuffled = random.sample(votes, len(votes))
    first = next((vote for vote in shuffled if vote in tied), None)
    self.assertEqual(ensemble.majority_vote(shuffled), first)


class PrefixesTest(parameterized.TestCase):
  @hypothesis.given(
    hnp.arrays(
      np.int64,
      hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12),
      elements=st.integers(-2, 3) | st.just(10**12),
      fill=st.nothing(),  # Else most elements are one and the same.
    )
  )
  def test_every_prefix_is_a_majority_vote(self, codes_QK):
    expected = [
      [
        ensemble.NO_VOTE
        if (
          winner := ensemble.majority_vote(
            [code if code >= 0 else None for code in row[: k + 1].tolist()]
          )
        )
        is None
        else winner
        for k in range(len(row))
      ]
      for row in codes_QK
    ]
    got = ensemble.majority_vote_prefixes(codes_QK)
    np.testing.assert_array_equal(
      got, np.reshape(expected, codes_QK.shape).astype(np.int64)
    )

  @hypothesis.given(
    st.integers(0, 4).flatmap(
      lambda k: st.lists(
        st.lists(
          st.sampled_from(["A", "B", (1, 2), 0, "", None]),
          min_size=k,
          max_size=k,
        )
      )
    )
  )
  def test_codes_decode_to_the_votes(self, votes):
    codes_QK, keys = ensemble.encode_votes(votes)
    self.assertLen(set(keys), len(keys))
    decoded = [
      [None if code == ensemble.NO_VOTE else keys[code] for code in row]
      for row in codes_QK
    ]
    self.assertEqual(
      decoded, [[None if vote == "" else vote for vote in row] for row in votes]
    )

  def test_one_member_more_can_turn_the_vote_and_back(self):
    codes_QK, keys = ensemble.encode_votes([["", "B", "A", "A", "B", "C"]])
    (winners_K,) = ensemble.majority_vote_prefixes(codes_QK)
    named = [None if code < 0 else keys[code] for code in winners_K]
    self.assertEqual(named, [None, "B", "B", "A", "B", "B"])


class MeanEnsembleTest(parameterized.TestCase):
  def test_is_the_mean_in_float64_of_every_prefix(self):
    rng = np.random.default_rng(0)
    # A large offset: float32 totals would lose two digits.
    predictions = (1e4 + rng.normal(size=(3000, 5, 2))).astype(np.float32)
    prefixes = ensemble.mean_ensemble_prefixes(predictions)
    for k in (1, 2, 17, 3000):
      expected = predictions[:k].astype(np.float64).sum(axis=0) / k
      got = ensemble.mean_ensemble(predictions[:k])
      np.testing.assert_array_equal(got, expected.astype(np.float32))
      np.testing.assert_array_equal(prefixes[k - 1], got)

  def test_the_mean_is_no_worse_than_the_mean_member(self):
    # Jensen: MSE(mean) = mean(MSE) - spread of the members.
    predictions, target = np.random.default_rng(1).normal(size=(2, 9, 50))
    target = target[0]
    mean = ensemble.mean_ensemble(predictions)
    member_mse = ((predictions - target) ** 2).mean()
    ensemble_mse = ((mean - target) ** 2).mean()
    spread = ((predictions - mean) ** 2).mean()
    self.assertLess(ensemble_mse, member_mse)
    self.assertAlmostEqual(ensemble_mse, member_mse - spread, places=12)

  def test_integers_are_not_truncated_and_nobody_has_no_mean(self):
    self.assertEqual(ensemble.mean_ensemble(np.array([[1], [2]])), [1.5])
    with self.assertRaisesRegex(ValueError, "at least one member, got none"):
      ensemble.mean_ensemble(np.zeros((0, 3)))
