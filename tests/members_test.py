"""Tests of members: one record for every spelling, refused where it is wrong."""

import math

import numpy as np
from absl.testing import parameterized

from thickets.members import BASE, Member, stack_members

MEMBER = Member(seed=3_000_000_001, sigma=0.013)


class MemberTest(parameterized.TestCase):
  def test_spellings_of_one_member_are_equal(self):
    spellings = [
      Member(3, 0.5),
      Member((3,), (0.5,)),
      Member([3], [0.5]),
      Member(np.uint32(3), np.float32(0.5)),
      Member(3, 0.5).antithetic.antithetic,
    ]
    self.assertLen(set(spellings), 1)
    self.assertEqual(repr(spellings[3]), "Member(seed=3, sigma=0.5)")
    self.assertLen({Member(3, 0.5), Member(3, -0.5), Member(4, 0.5), BASE}, 4)

  def test_terms(self):
    self.assertEqual(BASE.terms, ())
    self.assertEqual(MEMBER.terms, ((3_000_000_001, 0.013),))
    twin = Member((3, 4), (0.2, -0.1)).antithetic
    self.assertEqual(twin.terms, ((3, -0.2), (4, 0.1)))

  @parameterized.parameters(
    (-1, 0.1, r"integer within \[0, 2\*\*32\), got -1"),
    (2**32, 0.1, r"integer within \[0, 2\*\*32\), got 4294967296"),
    (3.0, 0.1, r"integer within \[0, 2\*\*32\), got 3.0"),
    (True, 0.1, "got True"),
    ("a", 0.1, "got 'a'"),
    (3, math.nan, "sigma must be finite in float32, got nan"),
    ((3, 4), (0.1, math.inf), "finite in float32, got inf"),
    (3, 1e39, r"finite in float32, got 1e\+39"),
    (3, "a", "finite in float32, got 'a'"),
    (3, False, "got False"),
    ((3, 4), 0.1, "got 2 seeds and 1 sigmas"),
    ((), 0.1, "got 0 seeds and 1 sigmas"),
  )
  def test_refuses(self, seed, sigma, message):
    with self.assertRaisesRegex(ValueError, message):
      Member(seed, sigma)

  def test_stacking_fills_up_with_terms_that_add_nothing(self):
    stacked = stack_members([BASE, MEMBER, Member((1, 2), (0.25, 0.5))])
    np.testing.assert_array_equal(
      stacked.seeds, [[0, 0], [3_000_000_001, 0], [1, 2]]
    )
    np.testing.assert_array_equal(
      stacked.coefficients, np.float32([[0, 0], [0.013, 0], [0.25, 0.5]])
    )
