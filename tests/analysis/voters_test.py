"""Tests of what a table says of voters: worked cases and laws."""

import numpy as np
from absl.testing import parameterized

from thickets.analysis import voters

RIGHT = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]], bool)


class VotersTest(parameterized.TestCase):
  def test_discordant_prompts_are_counted_apart(self):
    self.assertEqual(
      voters.count_discordant(RIGHT[0], RIGHT[1]), {"won": 1, "lost": 1}
    )
    self.assertEqual(
      voters.count_discordant(RIGHT[0], RIGHT[2]), {"won": 2, "lost": 0}
    )

  def test_one_right_answer_is_enough_to_pass(self):
    expected = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]], bool).T
    np.testing.assert_array_equal(voters.pass_at_k(RIGHT), expected)

  @parameterized.parameters(
    (RIGHT[:2], 0.0),
    (RIGHT[[0, 0]], 1.0),
    (np.stack([RIGHT[0], ~RIGHT[0]]), -1.0),
    (RIGHT[[0, 0, 1]], 1 / 3),
    (RIGHT, 0.0),  # The one that is always wrong correlates with nothing.
  )
  def test_errors_of_pairs(self, right, expected):
    self.assertAlmostEqual(voters.correlate_errors(right), expected)

  @parameterized.parameters((RIGHT[:1],), (RIGHT[1:],), (RIGHT[2:],))
  def test_without_a_pair_there_is_no_correlation(self, right):
    self.assertIsNone(voters.correlate_errors(right))

  def test_independent_errors_are_uncorrelated(self):
    right = np.random.default_rng(0).random((10, 2000)) < 0.3
    self.assertAlmostEqual(voters.correlate_errors(right), 0.0, delta=0.02)
