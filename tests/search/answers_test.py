"""Tests of what votes are worth, against a plain count of each election."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
from absl.testing import parameterized

from thickets.search import ensemble
from thickets.search.answers import Answers

# Which answer a key stands for is the example's; a key says right or wrong.
BALLOTS = st.integers(1, 6).flatmap(
  lambda k: st.lists(
    st.tuples(
      st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=k, max_size=k),
      st.sets(st.sampled_from(["a", "b", "c"])),
    ),
    min_size=1,
    max_size=5,
  )
)


def make_answers(votes, right, **channels):
  """Answers [K, Q] from a list per prompt of votes by rank and of right keys."""
  vote = np.array(votes).T
  lenient = np.array(
    [[v in keys for v in row] for row, keys in zip(votes, right, strict=True)]
  ).T
  return Answers(
    **{
      "score": lenient.astype(np.float64),
      "correct": lenient,
      "lenient": lenient,
      "format": lenient,
      "vote": vote,
    }
    | channels
  )


class ElectTest(parameterized.TestCase):
  @hypothesis.given(BALLOTS)
  def test_is_a_count_of_each_election(self, ballots):
    votes, right = zip(*ballots, strict=True)
    answers = make_answers(votes, right)
    with self.assertNoLogs("absl", "WARNING"):
      elected = answers.elect()
    expected = [
      [
        ensemble.majority_vote(row[: k + 1]) in keys  # None is in none.
        for k in range(len(row))
      ]
      for row, keys in ballots
    ]
    self.assertEqual(elected.tolist(), expected)
    self.assertEqual(elected.dtype, np.bool_)
    # A single answer elects itself, right or not.
    np.testing.assert_array_equal(elected[:, 0], answers.lenient[0])

  @hypothesis.given(BALLOTS)
  def test_a_prefix_is_the_vote_of_the_first(self, ballots):
    votes, right = zip(*ballots, strict=True)
    answers = make_answers(votes, right)
    for k in range(1, len(votes[0]) + 1):
      np.testing.assert_array_equal(
        answers.first(k).elect(), answers.elect()[:, :k]
      )

  def test_worked_cases(self):
    answers = make_answers(
      [
        ["a", "b", "b", "", "a"],  # A tie at the end goes to the best-ranked.
        ["", "", "b", "a", "a"],
        ["", "", "", "", ""],
        ["c", "c", "a", "a", "a"],
      ],
      [{"a"}, {"b"}, {"a", "b"}, {"a"}],
    )
    np.testing.assert_array_equal(
      answers.elect(),
      [
        [True, True, False, False, True],
        [False, False, True, True, False],
        [False] * 5,
        [False, False, False, False, True],
      ],
    )

  def test_nobody_votes_is_wrong_whatever_the_channels_say(self):
    answers = make_answers(
      [["", ""], ["", ""]], [set(), set()], lenient=np.ones((2, 2), bool)
    )
    self.assertFalse(answers.elect().any())

  def test_keys_are_of_their_own_prompt(self):
    """One key may be right for a prompt and wrong for another."""
    answers = make_answers([["a", "a"], ["a", "a"]], [{"a"}, set()])
    with self.assertNoLogs("absl", "WARNING"):
      self.assertEqual(answers.elect().tolist(), [[True, True], [False, False]])

  def test_graders_that_contradict_themselves_are_reported(self):
    lenient = np.array([[False, True], [True, True], [True, True]])
    answers = make_answers(
      [["a", "a", "a"], ["b", "b", "b"]], [set(), set()], lenient=lenient
    )
    with self.assertLogs("absl", "WARNING") as logs:
      elected = answers.elect()
    self.assertRegex(logs.output[0], "1 elections have voters of one key")
    # The best-ranked voter decides.
    np.testing.assert_array_equal(elected, [[False] * 3, [True] * 3])


class AnswersTest(parameterized.TestCase):
  def test_stacks_channels_by_rank_and_leaves_others_out(self):
    parts = [
      {
        "score": np.array([0.5 * k, 1.0]),
        "correct": np.array([False, True]),
        "lenient": np.array([True, True]),
        "format": np.array([k > 0, True]),
        "vote": np.array(["", "x" * k]),
        "response": np.array([b"", b"b"]),
      }
      for k in range(3)
    ]
    answers = Answers.stack(parts)
    np.testing.assert_array_equal(answers.score[:, 0], [0, 0.5, 1])
    np.testing.assert_array_equal(answers.format[:, 0], [False, True, True])
    self.assertEqual(answers.vote[:, 1].tolist(), ["", "x", "xx"])
    np.testing.assert_array_equal(answers.take([2, 0]).score[:, 0], [1, 0])
    np.testing.assert_array_equal(answers.first(2).score, answers.score[:2])
