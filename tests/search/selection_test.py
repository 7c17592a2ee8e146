"""Tests of sampling and selection: prefixes, designs, ties and failures."""

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
from absl.testing import parameterized

from thickets.search import selection


class SelectTest(parameterized.TestCase):
  @parameterized.parameters(
    ([0.2, 0.5, 0.5, 0.1], 3, [1, 2, 0]),
    ([0.0, -0.0, 0.0], 2, [0, 1]),  # Both zeros are one score.
    ([math.nan, 0.1, math.inf, 0.3, -math.inf], 2, [3, 1]),
    ([-5.0, math.nan, -7.0], 2, [0, 2]),
  )
  def test_worked_cases(self, scores, k, expected):
    self.assertEqual(selection.select_top_k(scores, k).tolist(), expected)

  @hypothesis.given(
    st.lists(
      st.sampled_from([-0.5, 0.0, 0.5, math.nan]) | st.floats(), min_size=1
    )
  )
  def test_rank_is_a_stable_sort_with_failures_last(self, scores):
    def failed(i):
      return not math.isfinite(scores[i])

    oracle = sorted(
      range(len(scores)),
      key=lambda i: (failed(i), 0 if failed(i) else -scores[i]),
    )
    ranks = selection.rank_members(np.array(scores))
    self.assertEqual(ranks.tolist(), oracle)
    num_finite = sum(map(math.isfinite, scores))
    for k in range(1, num_finite + 1):
      chosen = selection.select_top_k(scores, k)
      self.assertEqual(chosen.tolist(), oracle[:k])

  def test_the_order_of_evaluation_does_not_matter(self):
    rng = np.random.default_rng(0)
    scores, order = rng.normal(size=100), rng.permutation(100)
    shuffled = order[selection.select_top_k(scores[order], 10)]
    np.testing.assert_array_equal(shuffled, selection.select_top_k(scores, 10))

  @parameterized.parameters(
    ([0.1, 0.2], 0, "k=0 with 2 of 2 finite"),
    ([0.1, 0.2], -1, "k=-1 with 2 of 2 finite"),
    ([0.1, 0.2], 3, "k=3 with 2 of 2 finite. Lower k"),
    ([0.1, math.nan, math.inf], 2, "k=2 with 1 of 3 finite"),
    ([], 1, "k=1 with 0 of 0 finite"),
  )
  def test_refuses(self, scores, k, message):
    with self.assertRaisesRegex(ValueError, message):
      selection.select_top_k(scores, k)
