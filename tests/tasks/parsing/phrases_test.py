"""Tests of answers outside of a box: read as a whole, or no vote."""

from absl.testing import parameterized

from thickets.tasks import math500
from thickets.tasks.parsing import boxed, phrases


def _grade(response, gold):
  row = {"problem": "What?", "answer": gold}
  return boxed.grade_standard(math500.make_example(row, 0), response)


class PhraseTest(parameterized.TestCase):
  @parameterized.parameters(
    ("The answer is 7.", "7"),
    ("So the final answer is: **7**", "7"),
    ("**Answer:** $\\frac{3}{4}$", "$\\frac{3}{4}$"),
    ("The answer is\n\\[\n7\n\\]", "$7$"),
    ("Answer: 3.5. That was easy.", "3.5"),
    ("#### 7\n", "7"),
    ("It is 5.\nHence there are 7", "7"),
    ("I had 5. So I get 7!", "7"),
    ("between 3 and 7", "between 3 and 7"),
    ("7", "7"),
    ("", None),
    ("The answer is ", None),
  )
  def test_finds_the_last_phrase(self, response, phrase):
    self.assertEqual(phrases.find_last(response), phrase)

  @parameterized.parameters(
    ("The answer is 3\\pi.", "3*pi"),
    ("The answer is 5 million.", "5000000"),
    ("5 million", "5000000"),
    ("$5.$", "5"),
    ("$5.", "5"),
    ("\u22125", "-5"),
    ("The answer is \u22125.", "-5"),
    ("Answer: 10\\,000", "10000"),
    ("The answer is 50%.", "50%"),
    ("The answer is 5 or 6.", "{5, 6}"),
    ("The answer is (3, 4).", "(3, 4)"),
    ("The answer is $\\text{east}$.", "east"),
    ("Thus 48 + 24 = 72.", "72"),
    ("The total is \\$18.90.", "189/10"),
  )
  def test_the_whole_answer_is_read(self, response, vote):
    self.assertEqual(_grade(response, "1").vote, vote)

  @parameterized.parameters(
    "The answer is between 3 and 7.",
    "The answer is 7 because 3+4=7.",
    "The answer is 7 8.",
    "The answer is not known.",
    "There are 12 apples in 7 boxes.",
    "The answer is 0.777...",
    "Thus 3+4=8.",
    "The area is 7 cm",
    "It may be 5. No, 7.",
    "The answer is \u0667.",
    "The answer is 12:07.",
    "The answer is 10 hours 7 minutes.",
  )
  def test_or_there_is_no_vote(self, response):
    grade = _grade(response, "7")
    self.assertIsNone(grade.vote)
    self.assertFalse(grade.lenient)

  def test_three_pi_is_not_three(self):
    self.assertFalse(_grade("The answer is 3\\pi.", "3").lenient)
    self.assertTrue(_grade("The answer is 3\\pi.", "3\\pi").lenient)
