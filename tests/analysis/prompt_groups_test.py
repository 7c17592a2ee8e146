"""Tests of intervals over prompts that come in groups."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import scipy.stats
from absl.testing import parameterized

from thickets.analysis import intervals, prompt_groups
from thickets.errors import UserError

TEMPLATES = np.repeat(np.arange(20), 10)


def draw_templates(rng, alike, won, lost, num_groups=20, size=10):
  """Differences of which a share `alike` is that of the template."""
  chances = [won, lost, 1 - won - lost]
  whole, own = (
    rng.choice([1.0, -1.0, 0.0], count, p=chances)
    for count in (num_groups, num_groups * size)
  )
  is_alike = rng.random(num_groups * size) < alike
  return np.where(is_alike, np.repeat(whole, size), own)


def cover(find, draw, truth, runs=250):
  """Share of the runs whose interval holds the truth."""
  held = 0
  for _ in range(runs):
    low, high = find(draw())
    held += low <= truth <= high
  return held / runs


class NumberTest(parameterized.TestCase):
  def test_groups_are_numbered_as_they_appear(self):
    found = prompt_groups.number_groups(["b", "a", "b", "c"], 4)
    self.assertEqual(found.tolist(), [0, 1, 0, 2])
    again = prompt_groups.number_groups(np.array([7, 1, 7, 0]), 4)
    self.assertEqual(again.tolist(), [0, 1, 0, 2])

  @parameterized.parameters((["a", "b", "c"],), (None,), ([3, 1, 2],))
  def test_groups_of_one_are_none(self, groups):
    self.assertIsNone(prompt_groups.number_groups(groups, 3))
    self.assertEqual(prompt_groups.say_unit(groups, 3), "prompts")
    self.assertEqual(prompt_groups.count_groups(groups, 3), 3)
    self.assertEqual(prompt_groups.describe_groups(3, 3), "3 prompts")

  def test_says_how_many(self):
    found = prompt_groups.describe_groups(
      prompt_groups.count_groups(TEMPLATES, 200), 200
    )
    self.assertEqual(found, "20 groups of 200 prompts")
    self.assertEqual(
      prompt_groups.say_unit(TEMPLATES, 200), "groups of prompts"
    )

  @parameterized.parameters(
    ([0, 1], "one label for each prompt, got shape (2,) for 3 prompts"),
    ([[0, 1, 1]], "one label for each prompt, got shape (1, 3)"),
    (
      ["t", "t", "t"],
      "at least two groups, got all 3 prompts in the group 't'",
    ),
    (["t", "", "u"], "hold texts or whole numbers, got '' for prompt 1"),
    ([0.0, np.nan, 1.0], "hold texts or whole numbers, got nan for prompt 1"),
    ([0, None, 1], "hold texts or whole numbers, got None for prompt 1"),
  )
  def test_groups_that_do_not_fit_are_refused(self, groups, message):
    with self.assertRaises(UserError) as caught:
      prompt_groups.number_groups(groups, 3)
    self.assertIn(message, str(caught.exception))

  def test_tasks_have_no_group_in_common(self):
    self.assertIsNone(prompt_groups.join_groups({"a": (None, 2)}))
    joined = prompt_groups.join_groups(
      {"a": (["t", "t", "u"], 3), "b": (["t", "v"], 2), "c": (None, 2)}
    )
    found = prompt_groups.number_groups(joined, 7)
    self.assertEqual(found.tolist(), [0, 0, 1, 2, 3, 4, 5])


class IntervalTest(parameterized.TestCase):
  @hypothesis.given(st.integers(0, 99), st.integers(2, 40))
  def test_groups_of_one_give_the_same_digits_as_none(self, seed, size):
    rng = np.random.default_rng(seed)
    differences, values = rng.choice([-1.0, 0, 1], size), rng.random(size)
    groups = rng.permutation(size)
    for found, expected in (
      (
        intervals.estimate_difference(differences, groups=groups),
        intervals.estimate_difference(differences),
      ),
      (
        intervals.estimate_mean(values, groups=groups),
        intervals.estimate_mean(values),
      ),
    ):
      self.assertEqual(found, expected)

  @hypothesis.given(st.integers(0, 99), st.integers(2, 30), st.integers(2, 9))
  def test_variants_that_agree_count_as_one_prompt(self, seed, groups, size):
    """Up to Student's quantile, the interval is that of one prompt per group."""
    rng = np.random.default_rng(seed)
    one = rng.choice([-1.0, 0, 0, 1], groups)
    numbers = np.repeat(np.arange(groups), size)
    found = intervals.paired_interval(np.repeat(one, size), groups=numbers)
    z = float(scipy.stats.t.ppf(0.975, groups - 1))
    expected = intervals.paired_interval(one, z=z)
    # How prompts vary among G is judged with G - 1, among Q with Q - 1.
    np.testing.assert_allclose(found, expected, atol=0.1 + 1 / groups)
    without = intervals.paired_interval(np.repeat(one, size))
    self.assertLess(np.ptp(without), np.ptp(found))

  @hypothesis.given(st.integers(0, 99))
  def test_laws(self, seed):
    rng = np.random.default_rng(seed)
    differences = draw_templates(rng, rng.random(), 0.2, 0.1)
    low, high = intervals.paired_interval(differences, groups=TEMPLATES)
    self.assertBetween(differences.mean(), low, high)
    # Exchanging the systems turns it round.
    np.testing.assert_allclose(
      intervals.paired_interval(-differences, groups=TEMPLATES), (-high, -low)
    )
    # Neither the order of prompts nor the names of groups matter.
    order = rng.permutation(200)
    np.testing.assert_allclose(
      intervals.paired_interval(
        differences[order], groups=[f"t{t}" for t in TEMPLATES[order]]
      ),
      (low, high),
    )
    # More groups of the same kind make it narrower, groups make it wider.
    more = intervals.paired_interval(
      np.tile(differences, 3), groups=np.repeat(np.arange(60), 10)
    )
    self.assertLess(np.ptp(more), high - low)
    self.assertGreaterEqual(
      high - low, np.ptp(intervals.paired_interval(differences))
    )

  def test_without_a_discordant_pair_groups_count_as_prompts(self):
    low, high = intervals.paired_interval(np.zeros(200), groups=TEMPLATES)
    z = float(scipy.stats.t.ppf(0.975, 19))
    expected = intervals.paired_interval(np.zeros(20), z=z)
    np.testing.assert_allclose((low, high), expected)

  def test_says_what_it_is_over(self):
    found = intervals.estimate_difference(np.zeros(200), groups=TEMPLATES)
    self.assertEqual(found.over, "groups of prompts")
    found = intervals.estimate_mean(np.ones(200), groups=TEMPLATES)
    self.assertEqual((found.over, found.high), ("groups of prompts", 1.0))

  @parameterized.parameters((0.0, 0.3, 0.1), (0.5, 0.3, 0.1), (1.0, 0.1, 0.05))
  def test_covers_over_templates(self, alike, won, lost):
    """20 templates of 10 variants; a share of the answers is the template's."""
    rng = np.random.default_rng(0)

    def draw():
      return draw_templates(rng, alike, won, lost)

    def find(differences):
      return intervals.paired_interval(differences, groups=TEMPLATES)

    def find_share(differences):
      return intervals.mean_interval(differences > 0, groups=TEMPLATES)

    self.assertGreaterEqual(cover(find, draw, won - lost), 0.93)
    self.assertGreaterEqual(cover(find_share, draw, won), 0.92)
    if alike == 1:  # Without groups, less than half of the intervals hold.
      without = cover(intervals.paired_interval, draw, won - lost)
      self.assertLess(without, 0.5)

  @parameterized.parameters(5, 40)
  def test_covers_over_groups_of_unequal_sizes(self, num_groups):
    rng = np.random.default_rng(0)

    def draw():
      sizes = rng.integers(1, 12, num_groups)
      numbers = np.repeat(np.arange(num_groups), sizes)
      whole = rng.choice([1.0, -1.0, 0.0], num_groups, p=[0.3, 0.3, 0.4])
      return whole[numbers], numbers

    def find(drawn):
      differences, numbers = drawn
      return intervals.paired_interval(differences, groups=numbers)

    self.assertGreaterEqual(cover(find, draw, 0.0), 0.93)


class TableTest(parameterized.TestCase):
  def test_means_over_groups_are_those_over_prompts(self):
    rng = np.random.default_rng(0)
    table = rng.normal(0.1, 1, (3, 40))
    numbers = prompt_groups.number_groups(rng.integers(0, 7, 40), 40)
    found = prompt_groups.mean_by_group(table, numbers)
    self.assertEqual(found.shape, (3, 7))
    np.testing.assert_allclose(found.mean(axis=1), table.mean(axis=1))
    # The variance of their mean is that of a ratio of sums.
    sums = prompt_groups.sum_by_group(table, numbers)
    sizes = prompt_groups.count_by_group(numbers, 40)
    residuals = sums - table.mean(axis=1, keepdims=True) * sizes
    np.testing.assert_allclose(
      found.var(axis=1, ddof=1) / 7,
      (residuals**2).sum(axis=1) * 7 / 6 / 40**2,
    )

  def test_without_groups_it_is_the_table(self):
    table = np.random.default_rng(0).normal(size=(3, 4))
    self.assertIs(prompt_groups.mean_by_group(table, None), table)
    self.assertIs(prompt_groups.sum_by_group(table, None), table)
