"""Tests of what one model reaches at test time."""

import dataclasses

import numpy as np
from absl.testing import absltest, parameterized

from thickets.analysis import test_time
from thickets.search.answers import Answers

# Four prompts: who answers what, and which of the answers is right.
_SAMPLES = np.array(
  [["a", "", "", "a"], ["b", "c", "", "b"], ["b", "c", "", "a"]]
)
_WANTED = np.array(["b", "c", "d", "z"])


def _answers(votes):
  right = votes == _WANTED
  return Answers(right.astype(np.float64), right, right, votes != "", votes)


class TestTimeTest(parameterized.TestCase):
  def test_each_way_to_spend_the_responses(self):
    found = test_time.list_right(
      _answers(np.array([["b", "x", "x", "z"]])),
      _answers(_SAMPLES),
      counts=(1, 2, 3),
      is_checkable=True,
    )
    third = 1 / 3
    expected = {
      "one pass": [1, 0, 0, 1],
      "one sample": [2 * third, 2 * third, 0, 0],
      "vote of 1": [0, 0, 0, 0],
      # One vote each: the first sample's answer wins.
      "vote of 2": [0, 1, 0, 0],
      "vote of 3": [1, 1, 0, 0],
      # The first sample gave no answer to the second prompt, none to the third.
      "first valid": [0, 1, 0, 0],
      "best of 3, checked": [1, 1, 0, 0],
    }
    self.assertEqual([*found], [*expected])
    for name, right in expected.items():
      np.testing.assert_allclose(found[name], right, err_msg=name)

  def test_without_vote_keys_none_is_valid(self):
    right = _answers(np.array([_WANTED, _WANTED]))
    without = dataclasses.replace(right, vote=np.full((2, 4), ""))
    self.assertTrue(test_time.take_first_valid(right).all())
    self.assertFalse(test_time.take_first_valid(without).any())

  def test_the_best_is_known_only_where_the_question_says_it(self):
    found = test_time.list_right(
      _answers(_SAMPLES[:1]),
      _answers(_SAMPLES),
      counts=(3,),
      is_checkable=False,
    )
    self.assertNotIn("best of 3, checked", found)

  def test_rows_are_compared_with_one_pass_prompt_by_prompt(self):
    found = test_time.summarise_test_time(
      _answers(np.array([["b", "x", "x", "z"]])),
      _answers(_SAMPLES),
      counts=(3,),
      is_checkable=False,
    )
    rows = {row["name"]: row for row in found["table"]}
    self.assertNotIn("gain", rows["one pass"])
    vote = rows["vote of 3"]
    self.assertEqual((vote["won"], vote["lost"]), (1, 1))
    self.assertEqual(vote["gain"]["mean"], 0.0)
    self.assertEqual(vote["num_responses"], 3)
    self.assertEqual(rows["first valid"]["num_responses"], 3)
    self.assertNotIn(
      "won", rows["one sample"]
    )  # Means of samples are no flags.


if __name__ == "__main__":
  absltest.main()
