"""Tests of GSM8K: its numbers, the two rule sets, and hostile responses."""

import json
import pathlib
import time
from fractions import Fraction

import pytest
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st

from thickets.tasks import gsm8k, registry
from thickets.tasks.base import MAX_VOTE_CHARS

DATA = pathlib.Path(__file__).resolve().parents[2].parent / "shared/data/gsm8k"


def _example(result="18", question="How many?"):
  row = {"question": question, "answer": f"So 20-2.\n#### {result}"}
  return gsm8k.make_example(row, 0)


def _grade(response, result="18", rules="standard"):
  return gsm8k.TASK.graders[rules](_example(result), response)


_FORMS = (
  "#### {}",
  "####{}",
  "####\n{}",
  "#### ${}",
  "#### \\${}.",
  "#### **{}**",
  "#### \\boxed{{{}}}",
  "#### $\\boxed{{{}}}$",
  "#### {} dollars",
  "Answer: {}",
  "\\boxed{{{}}}",
  "#### {}\n####",
)


class StandardTest(parameterized.TestCase):
  @parameterized.parameters(
    "#### 18",
    "####18",
    "#### 18.",
    "#### 18.00",
    "#### 018",
    "#### $18",
    "#### $\\$18$",
    "#### **$18**",
    "#### \\(18\\)",
    "#### $\\boxed{18}$",
    "####\n\n18 dollars, as asked.",
    "#### 36/2",
    "#### \\frac{36}{2}",
    "#### 5\nNo.\n#### 18\nQuestion: ####",
    "2 + 16 = 18 #### 18",
    "#### $\\$18.00",
    "#### 18 $",
    "#### €18",
    "#### `18`",
    "#### (18)",
    "#### \\text{18}",
    "#### <<9*2=18>>18",
    "#### 18</answer>",
    "#### 18\\text{ m}^2",
    "#### 18 m²",
    "#### 18 cm^{2}",
    "#### 18 km/h",
    "#### 18 sq. ft.",
    "#### 18°",
    "#### **18** eggs",
    "#### **18 eggs!**",
    "#### 18 dollars. Three are left.",
    "#### 18 – that is it",
    "#### 18 T-shirts",
    "#### 18 M&Ms",
    "#### 18 quarters",
    "#### 72/4 eggs",
  )
  def test_right_and_in_form(self, response):
    self.assertEqual(_grade(response), (1.0, True, True, "18", True))

  @parameterized.parameters(
    "The answer is 18.",
    "#### Answer: 18",
    "#### 2 + 16 = 18",
    "\\boxed{18} since 3 and 4 fit.",
    "\\boxed{\\$18\\text{ dollars}}",
    "\\boxed{\\frac{36}{2}}",
    "so **18**",
    "so *18*",
    "\\boxed{18\\text{ m}^2}",
    "\\boxed{x = 18}",
    "\\boxed{18 = x}",
    "\\boxed{\\text{Answer: }18}",
    "\\boxed{2+16=18}",
    "So 20-2=18.",
    "48 eggs, and 36/2=<<36/2=18>>18 of them",
    "20% of 90 = 18",
    "#### 9 x 2 = 18",
    "9 x $2 = $18",
    "The answer is 18, altogether.",
    "The answer is 18 because three and four fit",
    "- 18 eggs",
    "1. 18 eggs",
    "Total - 18",
    "In 5 days, 18 eggs",
    "Step 1: 5\nStep 2: 18",
    "<b>18</b>",
    "=> 18",
    "It costs $18 per day.",
    "It is 18, " + "not x9 " * 50,
  )
  def test_right_in_another_form(self, response):
    self.assertEqual(_grade(response), (0.0, False, True, "18", False))

  @parameterized.parameters("Answer: 17; 18", "The 2 hens lay 18")
  def test_of_several_numbers_behind_a_mark_none_votes(self, answer):
    self.assertIsNone(_grade(f"17\n#### {answer}").vote)

  @parameterized.parameters(
    r"18\times 3", r"18\cdot2", "18 x 3", "18!", "18²", "18½", "18^2", "18*10",
    "6*3", "18+", "18 ± 2", "18_8", r"18\pi", "18√2", "18x", "18 n", "18e3",
    "18 million", "18k", "18 K", "$18m", "18 dozen", "18万", "18 thousandths",
    "18 and a half", "18 squared", "18%", r"18\%", "18 percent", "17-18", "17–18",
    "18 - 19", "$17-$18", "18 to 19", "18 or 19", "18 or more", "18 or nineteen",
    "18 and 19", "18, 19", "18 19", "(17, 18)", "3:18", "18:30", "18/19/20",
    "10 hours 18 minutes", "18 hours 10 minutes", "5 feet, 18 inches", "18 ft 6 in",
    "18 eggs and 3 pears", "x = 17, y = 18", "4 = 18", "18 = 4", "18 0000", "18, 000", "--18",
    "18٣", "１８",
  )  # fmt: skip
  def test_a_refused_number_leaves_no_vote(self, answer):
    for form in ("17\n#### {}", "\\boxed{{{}}}", "The answer is {}"):
      grade = _grade(form.format(answer))
      self.assertIsNone(grade.vote, form)
      self.assertEqual(grade, (0.0, False, False, None, False))

  @parameterized.parameters(
    "between 17 and 18", "at least 18", "more than 18", "x > 18", "not 18", "5-18",
    "5 - 18", "3 times 18", "negative 18", r"\sqrt{18}", "2^18", "a/18",
    "10 hours and 18 minutes", "17 through 18", r"\frac{a}{18}", "9 x 3 = 18",
  )  # fmt: skip
  def test_a_part_of_a_text_is_not_its_number(self, response):
    self.assertIsNone(_grade(response).vote)

  @parameterized.parameters(
    "{},{}", "{}{{,}}{}", r"{}\,{}", r"{}\!{}", r"{},\!{}", r"{}\ {}", "{} {}",
    "{}\u00a0{}", "{}\u2009{}", "{}\u202f{}", "{}'{}", "{}’{}", "{}_{}",
  )  # fmt: skip
  def test_digits_in_groups_of_three_are_one_number(self, grouped):
    number = grouped.format("50", "000")
    for form in ("#### {}", "\\boxed{{{}}}", "The answer is ${} a year."):
      grade = _grade(form.format(number), "50,000")
      self.assertEqual((grade.lenient, grade.vote), (True, "50000"), form)
      self.assertIsNone(_grade(form.format(grouped.format("50", "00"))).vote)

  @parameterized.parameters(
    ("What percentage is it?", "18%", "18"),
    ("How likely is it?", r"18\%", "18"),
    ("How many dozen eggs are there?", "3 dozen", "3"),
    ("How much, in thousands of dollars, is it?", "$2k", "2"),
    ("There are 4 million. How many more?", "4 million", None),
  )
  def test_a_scale_is_a_unit_where_it_is_asked_for(
    self, question, answer, vote
  ):
    for form in ("#### {}", "\\boxed{{{}}}", "The answer is {}."):
      example = _example("18", question)
      grade = gsm8k.grade_standard(example, form.format(answer))
      self.assertEqual(grade.vote, vote)

  @parameterized.parameters(
    ("#### -18", "-18"),
    ("#### $-18", "-18"),
    ("#### -$18", "-18"),
    ("#### −18", "-18"),
    ("#### 1.8", "9/5"),
    ("#### .5", "1/2"),
    ("#### 18 #### 19", "19"),
    ("18 #### 19", "19"),
    ("#### 18,000", "18000"),
    ("#### (-18)", "-18"),
    ("#### - 18", "-18"),
    ("The profit is −$18.", "-18"),
    ("#### 18 × 3 = 54", "54"),
    ("#### 0.5 * 38 = 19", "19"),
    ("#### 1 1/4", "5/4"),
    ("#### 1\\frac14", "5/4"),
    ("\\boxed{-\\frac{36}{2}}", "-18"),
    ("#### 1,8", None),
    ("#### 18,00", None),
    ("#### 1.8.1", None),
    ("#### 18e3", None),
    ("#### 18/0", None),
    ("#### 18٣", None),
    ("#### ١٨", None),
    ("#### １８", None),
    ("#### 1８", None),
    ("a18", None),
    ("####", None),
    ("", None),
    ("eighteen", None),
    ("#### " + "1" * 41, None),
  )
  def test_anything_else_is_wrong(self, response, vote):
    grade = _grade(response)
    self.assertFalse(grade.correct or grade.lenient or grade.score)
    self.assertEqual(grade.vote, vote)

  @given(
    st.integers(-5000, 5000),
    st.integers(-5000, 5000),
    st.sampled_from(("{}", "{:,}", "{}.0", "{:,}.00", "{}/1")),
    st.sampled_from(_FORMS),
  )
  def test_numbers_are_right_where_they_are_equal(self, a, b, number, form):
    for said, meant in ((a, b), (a, a)):
      grade = _grade(form.format(number.format(said)), f"{meant:,}")
      self.assertEqual(grade.lenient, said == meant)
      self.assertEqual(Fraction(grade.vote), said)

  @pytest.mark.slow
  def test_all_references_are_right_however_they_are_written(self):
    for name in ("train", "test"):
      if not (DATA / f"{name}.jsonl").exists():
        self.skipTest(f"No data in {DATA}.")
      lines = (DATA / f"{name}.jsonl").read_text().splitlines()
      for number, line in enumerate(lines):
        row = json.loads(line)
        example = gsm8k.make_example(row, number)
        result = row["answer"].rpartition("####")[2].strip()
        grades = [
          gsm8k.grade_standard(example, text)
          for text in (row["answer"], *(f.format(result) for f in _FORMS))
        ]
        self.assertTrue(all(grade.lenient for grade in grades), row)
        self.assertTrue(all(grade.correct for grade in grades[:10]), row)
        self.assertTrue(gsm8k.grade_paper(example, row["answer"]).correct)


class PaperTest(parameterized.TestCase):
  @parameterized.parameters(
    # response, score, vote, whether the vote is right, form
    ("#### 18", 1, "18", True, True),
    ("#### 1,8", 1, "18", True, True),  # Commas wherever they are.
    ("#### 18.", 0, "18.", False, True),
    ("#### 18.0", 0, "18.0", False, True),
    ("#### $18", 1, "18", True, False),  # Flexible.
    ("####18", 1, "18", True, False),
    ("The answer is 18", 1, "18", True, False),
    ("The answer is 18.", 0, "18.", False, False),
    ("It is 1,8", 0, "1,8", True, False),  # Without its comma when voted for.
    ("It is 18 .", 1, "18", True, False),
    ("#### 5, or 18", 1, "5", False, True),  # Right, and votes for another.
    ("18" + " " * 299, 0, "8", False, False),  # The last 300 characters.
    ("#### 18" + " " * 296, 1, "18", True, False),
    ("none", 0, None, False, False),
    (".", 0, ".", False, False),
    ("#### ١٨", 0, None, False, False),
  )
  def test_worked_cases(self, response, score, vote, lenient, form):
    self.assertEqual(
      _grade(response, rules="paper"),
      (float(score), bool(score), lenient, vote, form),
    )


class LawsTest(parameterized.TestCase):
  @given(
    st.lists(
      st.one_of(
        st.sampled_from(
          ("####", " ", "\\boxed{", "}", "18", "1,8", ".", "/", "-", "$", "\n")
        ),
        st.text(max_size=3),
      ),
      max_size=12,
    ).map("".join)
  )
  def test_a_vote_says_whether_it_is_right(self, response):
    for rules in gsm8k.TASK.graders:
      grade = _grade(response, rules=rules)
      if grade.vote is None:
        self.assertFalse(grade.lenient)
        continue
      self.assertLessEqual(len(grade.vote), MAX_VOTE_CHARS)
      if rules == "standard":
        self.assertEqual(grade.lenient, grade.vote == "18")
        self.assertLessEqual(grade.correct, grade.lenient)
      else:
        self.assertEqual(
          grade.lenient, _grade(f"#### {grade.vote}", rules=rules).correct
        )

  @parameterized.parameters(
    "####" * 250_000,
    "#### " * 200_000,
    "#### $" + "$" * 1_000_000,
    "1/" * 500_000,
    "1," * 500_000,
    "1" * 1_000_000,
    "." * 1_000_000,
    "-$" * 500_000,
    "\\boxed{" * 150_000,
    "\\boxed{" + "{" * 1_000_000,
    "\\boxed{" + "}{" * 500_000,
    " " * 1_000_000,
    "\0" * 1_000_000,
    "\ud800#### \udfff" * 1000,
  )
  def test_hostile_responses_take_little_and_earn_nothing(self, response):
    start = time.process_time()
    for rules in gsm8k.TASK.graders:
      grade = _grade(response, rules=rules)
      self.assertFalse(grade.correct or grade.lenient)
    self.assertLess(time.process_time() - start, 1)


class TaskTest(parameterized.TestCase):
  def test_is_registered_with_both_rule_sets(self):
    self.assertIs(registry.load_task("gsm8k"), gsm8k.TASK)
    self.assertEqual({*gsm8k.TASK.graders}, {"standard", "paper"})

  def test_asks_for_the_form_that_is_graded(self):
    (message,) = _example().messages
    self.assertStartsWith(message.content, "How many?")
    self.assertIn("####", message.content)

  def test_a_question_without_an_answer_can_be_voted_on(self):
    row = {**gsm8k.TASK.blank, gsm8k.TASK.question: "How many?"}
    example = gsm8k.make_example(row, 0)
    for grade in gsm8k.TASK.graders.values():
      self.assertEqual(grade(example, "#### 18").vote, "18")
      self.assertFalse(grade(example, "#### 18").lenient)
      self.assertFalse(grade(example, "").lenient)

  @parameterized.parameters(
    ({"question": "", "answer": "#### 1"}, "question"),
    ({"question": None, "answer": "#### 1"}, "question"),
    ({"question": "q", "answer": "1"}, "answer"),
    ({"question": "q", "answer": "#### many"}, "answer"),
    ({"question": "q", "answer": 1}, "answer"),
  )
  def test_refuses_rows_and_names_the_field(self, row, field):
    with self.assertRaisesRegex(ValueError, f"^{field} must"):
      gsm8k.make_example(row, 0)
