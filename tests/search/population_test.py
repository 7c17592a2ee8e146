"""Tests of sampling: prefixes, designs and seeds."""

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
from absl.testing import parameterized
from scipy import stats

from thickets.members import Member
from thickets.search import population

SIGMAS = (0.001, 0.002, 0.003)
NUM_MANY = 20000


def _levels(members):
  return np.array([SIGMAS.index(member.sigma) for member in members])


class SampleMembersTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.many = population.sample_members(42, NUM_MANY, SIGMAS)
    cls.seeds = np.array([member.seed for member in cls.many])

  @hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    num_first=st.integers(1, 40),
    num_more=st.integers(0, 40),
    sigmas=st.lists(
      st.floats(0, 1, width=32, allow_subnormal=False), min_size=1, max_size=7
    ),
    design=st.sampled_from(sorted(population.DESIGNS)),
  )
  def test_a_larger_population_begins_with_the_smaller(
    self, seed, num_first, num_more, sigmas, design
  ):
    design = population.DESIGNS[design]
    first, both = (
      population.sample_members(seed, num, sigmas, design=design)
      for num in (num_first, num_first + num_more)
    )
    self.assertEqual(both[:num_first], first)
    self.assertLen({member.seed for member in both}, num_first + num_more)

  def test_bits_are_pinned(self):
    # To renew: copy what the test prints, and say in the changelog that every
    # population changes; finished runs can then not be enlarged any more.
    self.assertEqual(
      self.many[:3],
      [
        Member(2288493639, 0.003),
        Member(4161959499, 0.001),
        Member(1333863091, 0.003),
      ],
    )
    balanced = population.sample_members(
      42, 4, SIGMAS, design=population.DESIGNS["balanced"]
    )
    self.assertEqual(
      [member.sigma for member in balanced], [0.003, 0.001, 0.002, 0.002]
    )

  def test_seeds_are_unique_and_spread_over_32_bits(self):
    self.assertLen(set(self.seeds.tolist()), NUM_MANY)
    uniform = stats.kstest(self.seeds / 2**32, "uniform")
    self.assertGreater(uniform.pvalue, 1e-4)

  @parameterized.parameters(*population.DESIGNS)
  def test_sigma_tells_nothing_about_the_seed(self, design):
    members = population.sample_members(
      7, NUM_MANY, SIGMAS, design=population.DESIGNS[design]
    )
    seeds = np.array([member.seed for member in members])
    # The highest bits, the lowest, and what a careless modulo would use.
    for part in (seeds >> 29, seeds & 7, seeds % 3):
      table = np.histogram2d(part, _levels(members), bins=(part.max() + 1, 3))[
        0
      ]
      self.assertGreater(stats.chi2_contingency(table).pvalue, 1e-4)

  def test_independent_levels_are_uniform_and_unrelated_in_sequence(self):
    levels = _levels(self.many)
    self.assertGreater(stats.chisquare(np.bincount(levels)).pvalue, 1e-4)
    pairs = np.bincount(3 * levels[::2] + levels[1::2], minlength=9)
    self.assertGreater(stats.chisquare(pairs).pvalue, 1e-4)

  @parameterized.parameters(1, 2, 3, 7)
  def test_balanced_counts_differ_by_at_most_one_in_any_prefix(
    self, num_levels
  ):
    levels = population.balanced(5, 1000, num_levels)
    counts = np.cumsum(np.eye(num_levels, dtype=int)[levels], axis=0)
    self.assertLessEqual(np.ptp(counts, axis=1).max(), 1)
    # And no block repeats the order of another one for ever.
    blocks = levels[: 140 * num_levels].reshape(140, num_levels)
    expected = min(math.factorial(num_levels), 100)
    self.assertGreaterEqual(len(set(map(tuple, blocks))), expected)

  def test_root_seeds_give_unrelated_populations(self):
    other = population.sample_members(43, NUM_MANY, SIGMAS)
    other_seeds = np.array([member.seed for member in other])
    # Two random sets of 20000 among 2**32 share 0.09 members on average.
    self.assertLess(len(np.intersect1d(self.seeds, other_seeds)), 4)
    agreement = (_levels(self.many) == _levels(other)).mean()
    standard_error = math.sqrt(2 / 9 / NUM_MANY)
    self.assertLess(abs(agreement - 1 / 3), 4 * standard_error)

  @parameterized.parameters(
    (-1, 5, SIGMAS, r"seed must be within \[0, 2\*\*32\), got -1"),
    (2**32, 5, SIGMAS, r"seed must be within \[0, 2\*\*32\), got 4294967296"),
    (0, 0, SIGMAS, "num_members must be at least 1 .*got 0"),
    (0, 5, (), "sigmas must hold at least one value"),
    (0, 5, (0.1, -0.1), "within float32's .* got -0.1.*Member.antithetic"),
    (0, 5, (math.nan,), "must be 0 or within float32's .* got nan"),
    (0, 5, (1e-38,), "1.2e-38 to .* got 1e-38"),
    (0, 5, (1e39,), r"to 3.4e\+38, got 1e\+39"),
  )
  def test_refuses(self, seed, num_members, sigmas, message):
    with self.assertRaisesRegex(ValueError, message):
      population.sample_members(seed, num_members, sigmas)
