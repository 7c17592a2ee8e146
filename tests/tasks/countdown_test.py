"""Tests of Countdown: worked cases of both rule sets, and the real puzzles."""

import json
import pathlib
import pickle
import re
import subprocess
import sys
import unittest

import pytest
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st

from thickets.errors import UserError
from thickets.tasks import base, countdown
from thickets.tasks.parsing import tags

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared/data/countdown/countdown.json"
# Ids of puzzles whose solution in the data leaves numbers out or repeats them.
NOT_EACH_NUMBER_ONCE = (
  *(263, 281, 429, 566, 640, 798, 800, 1085),
  *(1178, 1340, 1444, 1560, 1574, 1847, 1984),
)
TASK = countdown.TASK
STANDARD, PAPER = TASK.grader("standard"), TASK.grader("paper")


def _example(numbers=(3, 5, 7), target="22"):
  return TASK.make_example({"numbers": list(numbers), "target": target}, 0)


def _answer(formula):
  return f"<think>so</think>\n<answer>{formula}</answer>"


class CountdownTest(parameterized.TestCase):
  def test_the_prompt_says_what_is_given_and_how_to_answer(self):
    example = _example()
    self.assertEqual([m.role for m in example.messages], ["system", "user"])
    for part in ("[3, 5, 7]", "equals 22.", "<think>", "<answer>"):
      self.assertIn(part, example.messages[1].content)
    self.assertEqual(pickle.loads(pickle.dumps(example)), example)
    self.assertEqual(
      json.loads(json.dumps(example.reference)), example.reference
    )

  @parameterized.parameters(
    ("3*5+7", "22"),
    (" (3 * 5) + 7 ", "22"),
    ("7 - -3 * 5", "22"),
    ("7+5*3", "22"),
    ("3+5+7", "15"),
    ("3/5/7", "3/35"),
    ("(3-5)/7", "-2/7"),
  )
  def test_the_vote_is_the_value_of_a_valid_formula(self, formula, vote):
    grade = STANDARD(_example(), _answer(formula))
    self.assertEqual(grade.vote, vote)
    is_right = vote == "22"
    self.assertEqual(
      grade, base.Grade(float(is_right), is_right, is_right, vote, True)
    )

  @parameterized.parameters(
    "3*5+7+0",
    "3*5+7+3-3",
    "35-7",
    "7+15",
    "22",
    "3**5",
    "3**5+7",
    "9**9**9",
    "3*5//7",
    "03*5+7",
    "3*5+7)",
    "3(5)+7",
    "３*５+７",
    "٣*٥+٧",
    "3*5+7/0",
    "3*5*7/(7-7)",
    "",
    "(" * 10_000 + "3*5+7" + ")" * 10_000,
    "3*5+7" + " " * 400 + "+0",
  )
  def test_other_formulas_have_no_vote(self, formula):
    for grader in (STANDARD, PAPER):
      grade = grader(_example(), _answer(formula))
      self.assertIsNone(grade.vote)
      self.assertFalse(grade.correct or grade.lenient)

  @parameterized.named_parameters(
    ("asked", "<think>a</think>\n<answer>3*5+7</answer>"),
    ("end_of_line", "<think>a\nb</think>\n\n<answer> 3*5+7 </answer>\n"),
    ("no_thought", "<answer>3*5+7</answer>"),
    ("template_opened_the_thought", "a</think>\n<answer>3*5+7</answer>"),
    ("padding", f"<answer>{' ' * 9000}3*5+7\u2003</answer>"),
  )
  def test_the_form_asked_for(self, response):
    self.assertEqual(
      STANDARD(_example(), response), base.Grade(1.0, True, True, "22", True)
    )

  @parameterized.named_parameters(
    ("equation", "<answer>3*5+7 = 22</answer>"),
    ("turned_equation", "<answer>22 = 3*5+7</answer>"),
    ("printed", "<answer>3 × 5 + 7</answer>"),
    ("latex", "<answer>$3 \\times 5 + 7$</answer>"),
    ("prose_before", "It is <answer>3*5+7</answer>"),
    ("prose_behind", "<answer>3*5+7</answer> as asked"),
    ("two_answers", "<answer>1</answer>\n<answer>3*5+7</answer>"),
    ("nested", "<answer><answer>3*5+7</answer></answer>"),
    ("opened_twice", "<answer><answer>3*5+7</answer>"),
    ("stray_end", "<think></answer></think><answer>3*5+7</answer>"),
    ("open_thought", "<think>hm <answer>3*5+7</answer>"),
    ("two_thoughts", "<think><think></think><answer>3*5+7</answer>"),
    ("unclosed", "<think>a</think>\n<answer>3*5+7"),
    ("boxed", "The answer is \\boxed{3*5+7}."),
    ("line", "So 3*5+7 = 22."),
    ("bullets", "- 3+5*7 = 38\n- 3*5+7 = 22\nDone."),
    ("bold", "**3*5+7**"),
    ("last_of_many", "3+5+7 is 15, 3*5-7 is 8, (3*5)+7 is 22"),
  )
  def test_other_forms_are_right_but_not_correct(self, response):
    self.assertEqual(
      STANDARD(_example(), response), base.Grade(0.0, False, True, "22", False)
    )

  @parameterized.parameters(
    r"\boxed{3*5+7}", r"\boxed{3 \times 5 + 7 = 22}", "3 · 5 + 7", "3 ∗ 5 ＋ 7",
    "3\u00a0*\u00a05\u2009+\u202f7", r"3 \cdot 5 + 7 = 22", r"\(3\times5+7\)",
    r"\left(3\times5\right)+7", r"3\cdot{5}+7", "7 − −3*5", r"\text{3*5+7}",
    "3 x 5 + 7", "(3 x 5) + 7",
  )  # fmt: skip
  def test_signs_of_print_and_latex_are_read(self, formula):
    for response in (_answer(formula), f"The answer is {formula}."):
      self.assertEqual(
        STANDARD(_example(), response),
        base.Grade(0.0, False, True, "22", False),
      )

  @parameterized.parameters(
    r"\frac{6}{3}+5", r"\dfrac{6}{3} + 5", r"\frac63+5", "6 ÷ 3 + 5", "6⁄3 + 5",
    r"\boxed{\frac{6}{3}+5 = 7}", r"6 \div 3 + 5", r"\frac{6}{{3}}+5",
    r"{6 \over 3} + 5",
  )  # fmt: skip
  def test_fractions_are_divisions(self, formula):
    for response in (_answer(formula), f"The answer is {formula}."):
      grade = STANDARD(_example((6, 3, 5), "7"), response)
      self.assertEqual(grade, base.Grade(0.0, False, True, "7", False))

  @parameterized.parameters(
    r"5\frac{6}{3}",
    "6{3}+5",
    r"\frac{6}{3}5",
    "6^{3}+5",
    "6_{3}+5",
    r"\sqrt{6}*3+5",
  )
  def test_braces_are_no_operators(self, formula):
    grade = STANDARD(_example((6, 3, 5), "7"), _answer(formula))
    self.assertIsNone(grade.vote)

  @parameterized.named_parameters(
    # The first two would be right if the search went on behind a plain answer.
    ("plain_answer_counts", "3*5+7\n<answer>3+5+7</answer>", "15"),
    ("plain_wrong_answer_counts", "3*5+7\n<answer>22</answer>", None),
    ("claims_do_not_count", "<answer>3+5+7 = 22</answer>", "15"),
    ("last_formula_counts", "3*5+7 = 22, no, 3+5+7", "15"),
    ("not_the_numbers", "15+7 = 22", None),
    ("empty", "", None),
    ("far_before_the_end", "3*5+7" + "." * 4000, None),
  )
  def test_what_is_not_the_answer_does_not_count(self, response, vote):
    grade = STANDARD(_example(), response)
    self.assertEqual(grade, base.Grade(0.0, False, False, vote, False))

  @parameterized.parameters(
    "2^3*5+7", "3*5+7^2", "3*5+7!", "3.3*5+7", "1,3*5+7", "3*5+7½", "3*5+7x",
    "3*5+7 ^2", "x3*5+7", "3*5+7.5",
  )  # fmt: skip
  def test_a_part_of_another_expression_is_not_the_answer(self, text):
    for response in (text, f"The answer is {text}", f"{text} is what I found."):
      self.assertIsNone(STANDARD(_example(), response).vote, response)

  @parameterized.parameters(
    "3*5+7.", "3*5+7, which is 22", "**3*5+7**", "So: 3*5+7 = 22!"
  )
  def test_what_stands_around_an_answer_does_not_matter(self, text):
    self.assertEqual(STANDARD(_example(), f"I found {text}").vote, "22")

  @parameterized.parameters(
    # 173 / -11 is meant, rounded to 15 digits.
    ((97, 76, 86, 97), "-15.727272727272727", "(97+76)/(86-97)", True),
    ((97, 76, 86, 97), "-15.727272727272727", "(97-76)/(86-97)", False),
    ((98, 47, 47, 52), "27.4", "98/(47-52)+47-47", False),
    ((98, 47, 5), "27.4", "98/5-47", False),
    ((2, 3), "0.66666", "2/3", True),
    ((2, 3), "0.6666", "2/3", False),
    ((10, 3), "3", "10/3", False),
  )
  def test_targets_are_met_exactly_if_whole(
    self, numbers, target, formula, is_right
  ):
    for grader in (STANDARD, PAPER):
      grade = grader(_example(numbers, target), _answer(formula))
      self.assertEqual(grade.correct, is_right)

  def test_a_whole_target_has_no_tolerance(self):
    example = _example((1, 999_999, 1_000_001), "0")
    formula = "1/999999/1000001"
    self.assertFalse(STANDARD(example, _answer(formula)).lenient)
    self.assertTrue(PAPER(example, _answer(formula)).correct)

  @parameterized.parameters(
    ({"numbers": [], "target": "1"}, "numbers must be a list"),
    ({"numbers": "3 5", "target": "1"}, "numbers must be a list"),
    ({"numbers": [True], "target": "1"}, "numbers must be whole"),
    ({"numbers": [-1], "target": "1"}, "numbers must be whole"),
    ({"numbers": [1.5], "target": "1"}, "numbers must be whole"),
    ({"numbers": [1], "target": "1/2"}, "target must be a decimal"),
    ({"numbers": [1], "target": "nan"}, "target must be a decimal"),
    ({"numbers": [1], "target": "١"}, "target must be a decimal"),
    ({"numbers": [1], "target": None}, "target must be a decimal"),
  )
  def test_refuses_rows(self, row, message):
    with self.assertRaisesRegex(ValueError, message):
      TASK.make_example(row, 0)

  def test_names_its_rule_sets(self):
    with self.assertRaisesRegex(UserError, "standard"):
      TASK.grader("standart")


class PaperTest(parameterized.TestCase):
  """Expected values are those of the authors' functions."""

  @parameterized.named_parameters(
    ("well_formed", "a</think>\n<answer>3*5+7</answer>", 1.1, True),
    ("own_thought", _answer("3*5+7"), 1.1, True),
    ("line_end", _answer("3*5+7") + "\n", 1.1, True),
    ("two_line_ends", _answer("3*5+7") + "\n\n", 1.06, False),
    ("space", "a</think> <answer>3*5+7</answer>", 1.06, False),
    ("no_thought", "<answer>3*5+7</answer>", 1.05, False),
    ("wrong", _answer("3+5+7"), 0.1, True),
    ("wrong_no_thought", "<answer>3+5+7</answer>", 0.05, False),
    ("thought_only", "a</think> 3*5+7", 0.01, False),
    ("nothing", "3*5+7", 0.0, False),
    ("text_behind", _answer("3*5+7") + " ok", 1.06, False),
    # The form of the first block and the answer of the last.
    ("two", _answer("1") + "<answer>3*5+7</answer>", 1.1, True),
    ("line_in_block", _answer("\n3*5+7\n"), 0.1, True),
    ("line_end_in_block", _answer("3*5+7\n"), 1.1, True),
    ("nested", "<answer><answer>3*5+7</answer></answer>", 0.05, False),
    ("form_overlaps", "</think>\n<answer>", 0.01, False),
  )
  def test_rewards(self, response, score, is_form):
    grade = PAPER(_example(), response)
    self.assertAlmostEqual(grade.score, score)
    self.assertEqual(grade.format, is_form)
    self.assertEqual(grade.correct, score >= 1)

  def test_votes_are_stripped_and_rewards_are_not(self):
    grade = PAPER(_example(), _answer("\n3*5+7\n"))
    self.assertFalse(grade.correct)
    self.assertTrue(grade.lenient)
    self.assertEqual(grade.vote, "22")

  @parameterized.parameters(
    ((3, 5, 7), "3/5/7", "0.08571428571428572"),
    ((1, 3), "1/3", "0.3333333333333333"),
    ((6, 3), "6/3", "2"),
    ((1001, 1), "1001*1", None),
  )
  def test_keys(self, numbers, formula, vote):
    example = _example(numbers, "2")
    self.assertEqual(PAPER(example, _answer(formula)).vote, vote)


class TagsTest(parameterized.TestCase):
  @given(st.lists(st.sampled_from(["<a>", "</a>", "x", "\n"]), max_size=9))
  def test_lazy_matches_are_those_of_the_regular_expression(self, parts):
    text = "".join(parts)
    matches = re.findall("<a>(.*?)</a>", text, re.DOTALL)
    self.assertEqual(
      tags.last_lazy_match(text, "a"), matches[-1] if matches else None
    )

  @given(st.lists(st.sampled_from(["<a>", "</a>", "x", "\n"]), max_size=9))
  def test_the_last_block_is_the_last_without_tags_inside(self, parts):
    text = "".join(parts)
    matches = re.findall("<a>([^<]*)</a>", text)
    self.assertEqual(
      tags.last_block(text, "a"), matches[-1] if matches else None
    )


@unittest.skipUnless(DATA.is_file(), "the puzzles are not here")
class PuzzlesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.rows = json.loads(DATA.read_text())
    self.examples = [
      TASK.make_example(row, number) for number, row in enumerate(self.rows)
    ]

  def test_solutions_are_correct(self):
    wrong = []
    for row, example in zip(self.rows, self.examples, strict=True):
      if row["solution"] is None:
        continue
      for grader in (STANDARD, PAPER):
        grade = grader(example, _answer(row["solution"]))
        self.assertEqual(grade.correct, grade.lenient)
        if not grade.correct:
          self.assertIsNone(grade.vote)  # It is not that the value is wrong.
          wrong.append(row["id"])
    self.assertEqual(tuple(sorted(set(wrong))), NOT_EACH_NUMBER_ONCE)

  def test_solutions_of_other_puzzles_are_not(self):
    for number, example in enumerate(self.examples):
      solution = self.rows[number - 1]["solution"]
      self.assertFalse(STANDARD(example, _answer(solution)).lenient)

  @pytest.mark.slow
  def test_ten_thousand_take_less_than_five_seconds(self):
    # In a process of its own: here each call's annotations are checked as well,
    # which takes most of the time.
    program = f"""
import json, pathlib, time
from thickets.tasks import countdown

rows = json.loads(pathlib.Path({str(DATA)!r}).read_text(encoding="utf-8"))
grade = countdown.TASK.grader("standard")
examples = [countdown.TASK.make_example(row, i) for i, row in enumerate(rows)]
responses = [f"<answer>{{row['solution']}}</answer>" for row in rows]
start = time.process_time()
for number in range(10_000):
  number %= len(responses)
  grade(examples[number], responses[number])
print(time.process_time() - start)
"""
    done = subprocess.run(
      [sys.executable, "-c", program],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=True,
    )
    self.assertLess(float(done.stdout), 5)
