"""Tests of drills as tasks: how rows become examples, and how they are graded."""

import pickle
import re
import time

import hypothesis
from absl.testing import parameterized
from hypothesis import strategies as st
from tasks.drills import drawn_drills

from thickets.errors import UserError
from thickets.tasks.drills.family_tasks import DRILL_TASKS


class ExamplesTest(parameterized.TestCase):
  def test_a_plain_question_says_all(self):
    task = DRILL_TASKS["drills/countdown3"]
    row = {**task.blank, "prompt": "3 5 7=22?"}
    example = task.make_example(row, 4)
    self.assertEqual(example.reference, {"numbers": [3, 5, 7], "target": 22})
    self.assertEqual(example.id, "4")

  @parameterized.parameters(
    ("maximum", {"prompt": 3}, "prompt must be a text, got 3"),
    ("maximum", {"reference": {"target": 3}}, "reference must be a text, got"),
    ("countdown3", {"reference": {"target": 3}}, "must have whole numbers"),
    (
      "countdown3",
      {"reference": "", "prompt": "3 5 7 = 22?"},
      "like '3 5 7=22",
    ),
  )
  def test_a_wrong_row_is_refused(self, family, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      drawn_drills.make_example(
        family, drawn_drills.sample(family, 0), **changes
      )


class GradingTest(parameterized.TestCase):
  @parameterized.parameters(
    # Response, vote, whether it is right; 3, 5 and 7 are to make 22.
    ("3*5+7", "22", True),
    ("\n7+5*3", "22", True),
    ("3*5=15 15+7=22 3*5+7", "22", True),
    ("3*5+7=22", "22", True),
    ("22=3*5+7", "22", True),
    ("22=15+7 15=3*5 (3*5)+7", "22", True),
    ("3*7=21 21+5=26 no 3*5=15 15+7=22 3*5+7", "22", True),
    ("3+5+7", "15", False),
    ("3+5+7=22", "15", False),  # The formula counts, not what it claims.
    ("3/5+7", "38/5", False),
    ("3*5+7+0", None, False),  # A number that was not given.
    ("3*5+7+3-3", None, False),  # One that was, used twice.
    ("35-7", None, False),
    ("5+7", None, False),
    ("15+7=22", None, False),
    ("22", None, False),
    ("3*5+7 22", None, False),  # The last word has no formula.
    ("3*5+7.", None, False),
    ("3**5+7", None, False),
    ("٣*5+7", None, False),  # An Arabic 3.
    # One word of 129 characters, of which the end alone would be right.
    ("9" + "+" * 123 + "3*5+7", None, False),
    ("", None, False),
    (" \n", None, False),
  )
  def test_countdown(self, response, vote, is_right):
    example = drawn_drills.make_example(
      "countdown3",
      drawn_drills.sample("countdown3", 0),
      reference={"numbers": [3, 5, 7], "target": 22},
    )
    grade = drawn_drills.grade("countdown3", example, response)
    self.assertEqual(
      grade, (float(is_right), is_right, is_right, vote, vote is not None)
    )

  @parameterized.parameters(
    ("addition", "47+85?", "132", "132", "132"),
    ("addition", "47+85?", "132", "40+80=120 12+120 132", "132"),
    ("addition", "47+85?", "132", "47+85=132", "132"),
    ("addition", "47+85?", "132", "0132", None),
    ("addition", "47+85?", "132", "-132", None),
    ("addition", "47+85?", "132", "132 131", "131"),
    ("addition", "47+85?", "132", "١٣٢", None),
    ("modulo", "8%4?", "0", "0", "0"),
    ("sorting", "sort 5,3,9?", "3,5,9", "3 5 9 3,5,9", "3,5,9"),
    ("sorting", "sort 5,3,9?", "3,5,9", "3,5,", None),
    ("sorting", "sort 5,3,9?", "3,5,9", "3,9,5", "3,9,5"),
    ("reversal", "reverse abcd?", "dcba", "abcd=dcba", "dcba"),
    ("reversal", "reverse abcd?", "dcba", "d c b a dcb", "dcb"),
    ("reversal", "reverse abcd?", "dcba", "DCBA", None),
    ("maximum", "max 5,3,9?", "9", "5 5 9 9", "9"),
    ("minimum", "min 5,3,9?", "3", "5 3 3 3", "3"),
    ("minimum", "min 5,3,9?", "3", "9,5,3 3", "3"),
    ("minimum", "min 5,3,9?", "3", "3,5", None),
    ("addition2", "47+85?", "132", "7+5=12 12+120 132", "132"),
    ("subtraction2", "147-85?", "62", "147-80=67 67-5 62", "62"),
    ("subtraction2", "147-85?", "62", "-62", None),
  )
  def test_other_families(self, family, prompt, reference, response, vote):
    example = drawn_drills.make_example(
      family, drawn_drills.sample(family, 0), prompt=prompt, reference=reference
    )
    grade = drawn_drills.grade(family, example, response)
    is_right = vote == reference
    self.assertEqual(
      grade, (float(is_right), is_right, is_right, vote, vote is not None)
    )

  @hypothesis.example(("addition", 0), ["٣=0"])
  @hypothesis.given(
    drawn_drills.FAMILIES_AND_SEEDS,
    st.lists(
      st.text(alphabet="0123456789+-*/()= ,abz\n\x00\ud800٣", max_size=30),
      max_size=12,
    ),
  )
  def test_a_vote_says_whether_it_is_right(self, drawn, responses):
    family, seed = drawn
    exercise, answers = drawn_drills.answer(family, seed)
    example = drawn_drills.make_example(family, exercise)
    is_right = {}
    for response in (*answers.values(), *responses):
      grade = drawn_drills.grade(family, example, response)
      self.assertEqual(is_right.setdefault(grade.vote, grade.lenient), grade[2])
      self.assertLessEqual(grade.correct, grade.lenient)
      self.assertEqual(grade.score, grade.correct)
      # A response in another alphabet may vote, but has not the form asked for.
      in_form = re.fullmatch(r"[-+*/()=%,0-9a-z \n]*", response) is not None
      self.assertEqual(grade.format, grade.vote is not None and in_form)
    self.assertFalse(is_right.get(None, False))

  @parameterized.product(
    family=("countdown3", "sorting", "addition", "reversal"),
    response=(
      "(" * 10_000 + "3" + ")" * 10_000,
      "9**9**9**9",
      "3*5+7" * 200_000,
      "=" * 10**6,
      " " * 10**6,
      "1," * 500_000,
      "3" * 10**6,
      "\x00\ud800" * 10,
      "3/(5-5)+7",
    ),
  )
  def test_hostile_responses_are_wrong_at_once(self, family, response):
    example = drawn_drills.make_example(family, drawn_drills.sample(family, 1))
    start = time.process_time()
    grade = drawn_drills.grade(family, example, response)
    self.assertLess(time.process_time() - start, 1.0)
    self.assertEqual(grade, (0.0, False, False, grade.vote, grade.format))
    self.assertLessEqual(len(grade.vote or ""), 64)

  @parameterized.parameters(*drawn_drills.FAMILIES)
  def test_graders_pickle_and_names_are_those_of_the_registry(self, family):
    task = DRILL_TASKS[f"drills/{family}"]
    self.assertEqual(task.name, f"drills/{family}")
    exercise, answers = drawn_drills.answer(family, 3)
    grade = pickle.loads(pickle.dumps(task.grader("standard")))
    for answer in answers.values():
      self.assertTrue(
        grade(drawn_drills.make_example(family, exercise), answer).correct
      )

  def test_there_is_no_rule_set_of_the_paper(self):
    with self.assertRaisesRegex(UserError, "rule set of drills/addition"):
      DRILL_TASKS["drills/addition"].grader("paper")
