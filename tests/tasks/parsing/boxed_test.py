"""Tests of MATH-500 and OlympiadBench: equality, vote keys, hostile answers."""

import itertools
import json
import pathlib
import random
import time
from unittest import mock

import pytest
from absl.testing import parameterized
from hypothesis import given, settings
from hypothesis import strategies as st

from thickets.errors import UserError
from thickets.tasks import math500, olympiadbench, registry
from thickets.tasks.base import MAX_VOTE_CHARS
from thickets.tasks.parsing import boxed

DATA = pathlib.Path(__file__).resolve().parents[3].parent / "shared/data"

# Answers in a row are one; no two rows are.
CLASSES = (
  ("0.5", r"\frac12", r"\frac{1}{2}", "1/2", r"\dfrac{1}{2}", ".50", "$0.5$"),
  ("1800", "1,800", r"1,\!800", "1{,}800", r"\$1800", r"1800\text{ dollars}"),
  (
    "18",
    "18.0",
    "18.",
    r"18^\circ",
    r"18^{\circ}",
    r"18\text{ cm}^2",
    "**18**",
  ),
  (r"\sqrt{8}", r"2\sqrt2", r"2\sqrt{2}", r"\frac{4}{\sqrt{2}}"),
  (r"\frac{1}{1+\sqrt2}", r"\sqrt{2}-1", r"-1+\sqrt2"),
  ("(n-1)(n+1)", "n^2-1", "-1+n^{2}"),
  (r"\frac{n(n+1)}{2}", r"\frac{n^2+n}{2}", r"\frac{n}{2}(n+1)"),
  (r"6-5i", "6 - 5 i", "-5i+6"),
  ("2i", "(1+i)^2", r"-\frac{2}{i}"),
  ("1,-2", "-2,1", r"\{1,-2\}", r"-2\text{ and }1"),
  ("(1,-2)", "(1, -2)", r"\left(1,-2\right)", r"(1,\,-2)"),
  ("(-2,1)", "( -2 , 1 )", r"\left(-2,1\right)"),
  ("[-2,1]", r"\left[-2, 1\right]"),
  ("k>2", "2<k"),
  ("k=2", "k = 2.0", r"k=\frac{4}{2}"),
  (r"1\pm\sqrt2", r"1+\sqrt2,1-\sqrt2", r"\{1-\sqrt{2},1+\sqrt{2}\}"),
  (r"\text{east}", "East", "east", r"\textbf{east}"),
  (r"\text{(C)}", "C", "(C)", r"\text{C}"),
  (
    r"\begin{pmatrix}1\\-0.5\end{pmatrix}",
    r"\begin{bmatrix} 1 \\ -\frac12 \end{bmatrix}",
  ),
  (r"25\%", "25%", r"25.0\%"),
  ("0.333333", r"\frac{333333}{1000000}"),
  (r"\frac13", "1/3"),
  ("0.0000672", r"6.72\times 10^{-5}"),
  ("0.0000674",),
  ("t(0,4]", "$t(0,4]$"),
)
_POOL = tuple(itertools.chain(*CLASSES))


def _example(answer, error=None):
  row = {"question": "What?", "final_answer": [answer], "error": error}
  return olympiadbench.make_example(row, 0)


def _grade(response, answer="7", rules="standard", error=None):
  grader = olympiadbench.TASK.graders[rules]
  return grader(_example(answer, error), response)


def _box(answer):
  return f"So it is $\\boxed{{{answer}}}$."


def _vote(answer):
  return _grade(_box(answer), "").vote


class VoteTest(parameterized.TestCase):
  @parameterized.parameters(*((answers,) for answers in CLASSES))
  def test_equal_answers_have_one_key_and_are_right(self, answers):
    self.assertLen({_vote(answer) for answer in answers}, 1, answers)
    for answer in answers:
      for reference in (answers[0], answers[-1]):
        grade = _grade(_box(answer), reference)
        self.assertEqual(grade[:3], (1.0, True, True), (answer, reference))

  def test_unequal_answers_have_different_keys(self):
    votes = [_vote(answers[0]) for answers in CLASSES]
    self.assertLen(set(votes), len(CLASSES), votes)

  @given(st.sampled_from(_POOL), st.sampled_from(_POOL), st.sampled_from(_POOL))
  def test_the_same_vote_is_the_same_verdict(self, reference, one, other):
    first, second = (_grade(_box(said), reference) for said in (one, other))
    if first.vote == second.vote:
      self.assertEqual(first.lenient, second.lenient)
    for grade in (first, second):
      self.assertEqual(grade.correct, grade.lenient)
      self.assertLessEqual(len(grade.vote), MAX_VOTE_CHARS)
      self.assertTrue(grade.vote.isprintable())

  def test_a_vote_depends_neither_on_the_reference_nor_on_the_order(self):
    votes = {answer: _vote(answer) for answer in _POOL}
    boxed._read.cache_clear()
    answers = list(_POOL)
    random.Random(0).shuffle(answers)
    for answer in answers:
      grade = _grade(_box(answer), "18")
      self.assertEqual(grade.vote, votes[answer])

  def test_keys_can_be_read(self):
    said = (r"\frac12", r"2\sqrt{2}", "1,-2", "(1,-2)", "k>2", r"\text{east}")
    self.assertEqual(
      [_vote(answer) for answer in said],
      ["1/2", "2*sqrt(2)", "{-2, 1}", "(1, -2)", "]2, oo[", "east"],
    )


class EqualityTest(parameterized.TestCase):
  @parameterized.parameters(
    (r"\frac13", "0.333333"),
    ("25", r"25\%"),
    (r"\frac14", r"25\%"),
    ("62.5%", "62.5"),
    ("5", "x=5"),
    ("x=5", "5"),
    (r"x\in[-2,7]", "[-2,7]"),
    (r"\{1,-2\}", "(1,-2)"),
    ("$69$,$84$", "84, 69"),
    ("$f(x)=x,f(x)=-x$", "f(x)=-x,f(x)=x"),
    (r"5x-7y+11z+4=0", r"-5x+7y-11z-4=0"),
    (r"m_{\max }=n^{2}-n-1", "n^2-n-1"),
    (r"$(-\infty, 0) \cup\{1\}$.", r"(-\infty,0)\cup\{1\}"),
    ("52_8", "52_{8}"),
    (r"\sin^2 x+\cos^2 x+n", "n+1"),
  )
  def test_right(self, reference, answer):
    self.assertTrue(_grade(_box(answer), reference).correct)

  @parameterized.parameters(
    (r"\frac13", "0.333"),
    ("0.0000672", "0.0000674"),
    ("(8,-2)", "8,-2"),
    ("(-2,8)", "8,-2"),
    ("(8,-2)", "(-2,8)"),
    ("(1,2)", "[1,2]"),
    ("x=5", "y=5"),
    ("y=2x", "y=3x"),
    ("$N=n$", "x=x"),
    ("5", "6"),
    ("3", "2 ** 3"),
    (r"\text{east}", r"\text{west}"),
    (r"\text{(C)}", r"\text{(E)}"),
    ("7", "７"),
    ("7", "٧"),
    ("7", r"\text{seven}"),
    ("7", "7, 8"),
    ("7", ""),
    ("t(0,4]", "t(0,5]"),
    ("n+1", r"\sin^2 x+n"),
    ("", "7"),
    ("", ""),
  )
  def test_wrong(self, reference, answer):
    grade = _grade(_box(answer), reference)
    self.assertFalse(grade.correct or grade.lenient or grade.score)

  @parameterized.parameters(
    ("4.2", True),
    ("4.1", True),
    (r"4.3\%", True),
    ("4.31", False),
    ("42", False),
  )
  def test_a_tolerance_is_that_of_the_row(self, answer, right):
    self.assertEqual(_grade(_box(answer), "4.2", error="1e-1").correct, right)

  @parameterized.parameters(
    (r"\boxed{6} no, \boxed{7}", True, True),
    (r"\boxed{7} no, \boxed{6}", False, False),
    (r"\boxed{7} and \boxed{}", True, True),
    (r"\boxed{7} and \boxed{8", True, True),
    (r"\boxed{\boxed{7}}", True, True),
    (r"\boxed{\text{It is } 7}", False, False),
    ("The final answer is $7$.", False, True),
    ("The answer is 7.", False, True),
    (r"We get \[x = 7\]", False, True),
    ("#### 7", False, True),
    ("7", False, True),
    ("The answer is ٧.", False, False),
    ("None.", False, False),
    ("", False, False),
  )
  def test_where_the_answer_is_found(self, response, correct, lenient):
    grade = _grade(response)
    self.assertEqual((grade.correct, grade.lenient), (correct, lenient))
    self.assertEqual(grade.format, "\\boxed{7" in response or "t{" in response)


class HostileTest(parameterized.TestCase):
  @parameterized.parameters(
    _box("9^{9^9}"),
    _box("9^{9^{9^9}}"),
    _box("(10^{10})!"),
    _box("((9!)!)!"),
    _box("2^{-10^{9}}"),
    _box(r"\binom{10^9}{5\cdot 10^8}"),
    _box(r"\prod_{k=1}^{10^9} k"),
    _box(r"\sum_{k=1}^{\infty}\frac{1}{k^k+\sin k}"),
    _box(r"\int_0^\infty \frac{\sin(x^x)}{x^{x}+e^x}dx"),
    _box("((x+1)^{12}+1)^{12}"),
    _box(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^{10^9}"),
    _box("(" * 190 + "7"),
    _box("(" * 10_000 + "7" + ")" * 10_000),
    _box("{" * 10_000 + "7" + "}" * 10_000),
    _box("7" * 1_000_000),
    "\\boxed{" * 150_000,
    "answer: $" * 100_000,
    "so" + "\n" * 1_000_000,
    "so\n\n" * 250_000,
    "so" + "\n" * 498,  # All that the authors' rules look at.
    "the final answer is $9^{9^{9}}$",
    " " * 1_000_000,
    "\0" * 1_000_000,
    _box("\ud8007"),
    "\ud800" * 10_000,
    _box("0/0"),
    _box(r"\frac{7}{0}"),
    _box("nan"),
  )
  def test_takes_little_and_earns_nothing(self, response):
    _grade(_box("1"))  # Starts the processes.
    # Each call of the reader has a limit of processor time. Time on the clock
    # would say how busy the machine is.
    with mock.patch.object(
      boxed, "_LATEX_READER", wraps=boxed._LATEX_READER
    ) as reader:
      start = time.process_time()
      grade = _grade(response)
      _grade(response, rules="paper")
      self.assertLess(time.process_time() - start, 0.25)
    self.assertLessEqual(reader.call_count, 2)
    self.assertFalse(grade.correct or grade.lenient)

  def test_what_is_refused_is_one_answer_and_never_right(self):
    grade = _grade(_box("9^{9^9}"), "9^{9^9}")
    self.assertEqual(grade, (0.0, False, False, "! 9^{9^9}", True))
    self.assertEqual(_vote("$9^{9^9}$ "), "! $9^{9^9}$")
    self.assertEqual(_vote("７"), "! ７")

  @settings(max_examples=15)
  @given(st.text("\\{}$^_()[]!=,.-+/7xn %frac", max_size=30))
  def test_any_text_has_a_grade(self, text):
    for rules in olympiadbench.TASK.graders:
      self.assertIsInstance(_grade(_box(text), "1", rules).lenient, bool)

  def test_a_missing_library_is_named(self):
    boxed._check_installed.cache_clear()
    boxed._read.cache_clear()
    with (
      mock.patch("importlib.util.find_spec", return_value=None),
      self.assertRaisesRegex(UserError, "math-verify"),
    ):
      _grade(_box("1"))


class PaperTest(parameterized.TestCase):
  @parameterized.parameters(
    # reference, response, score, vote, whether the vote is right, form
    (r"\frac12", r"\boxed{\frac12}", 1, r"\frac12", True, True),
    (r"\frac{1}{2}", r"\boxed{0.5}", 1, "0.5", True, True),
    (r"\frac12", r"\boxed{0.5}", 0, "0.5", False, True),
    (r"\frac12", r"\boxed{\frac{1}{2}}", 0, r"\frac{1}{2}", False, True),
    (r"\frac{1}{2}", r"\boxed{\dfrac{1}{2}}", 1, r"\dfrac{1}{2}", True, True),
    ("1/2", r"\boxed{(1,2)}", 1, "(1,2)", True, True),
    ("2x", r"\boxed{2y}", 1, "2y", True, True),
    ("2", r"\boxed{2x}", 1, "2x", True, True),
    (r"3\sqrt{13}", r"\boxed{\frac{3}{13}}", 1, r"\frac{3}{13}", True, True),
    ("58,500", r"\boxed{58500}", 1, "58500", True, True),
    (r"\text{Evelyn}", r"\boxed{Evelyn}", 0, "Evelyn", False, True),
    ("Evelyn", r"\boxed{evelyn}", 1, "evelyn", True, True),
    (r"90^\circ", r"\boxed{90°}", 1, "90°", True, True),
    ("$x$", r"\boxed{x}", 1, "x", True, True),
    ("x", r"#### x", 0, None, False, False),
    ("x", r"The answer is x", 1, "x", True, False),
    ("x", r"Therefore, the answer is **x**", 1, "x", True, False),
    ("x", r"it is $x$.", 1, "x", True, False),
    ("x", "y = x", 1, "x", True, False),
    ("x", r"\boxed{x} \boxed{y}", 0, "y", False, True),
    ("x", r"\boxed{y \boxed{x}", 1, "x", True, True),
    ("x", r"\boxed{x}" + " " * 500, 0, None, False, False),
    ("7", r"\boxed{７}", 0, "７", False, True),
    ("7", r"\boxed{}", 0, None, False, True),
  )
  def test_worked_cases(self, reference, response, score, vote, lenient, form):
    self.assertEqual(
      _grade(response, reference, "paper"),
      (float(score), bool(score), lenient, vote, form),
    )

  @given(st.sampled_from(_POOL), st.sampled_from(_POOL))
  def test_a_vote_is_judged_by_itself(self, reference, answer):
    grade = _grade(f"The answer is {answer}", reference, "paper")
    if grade.vote and not grade.vote.startswith("sha256"):
      again = _grade(f"\\boxed{{{grade.vote}}}", reference, "paper")
      self.assertEqual(grade.lenient, again.correct)


class TaskTest(parameterized.TestCase):
  @parameterized.parameters(math500, olympiadbench)
  def test_is_registered_and_asks_for_a_box(self, module):
    task = module.TASK
    self.assertIs(registry.load_task(task.name), task)
    self.assertIsNone(task.test)
    example = task.make_example({**task.blank, task.question: "What?"}, 3)
    self.assertEqual(example.id, "3")
    self.assertIn("\\boxed{}", example.messages[0].content)
    for grader in task.graders.values():
      self.assertEqual(grader(example, _box("7")).vote, "7")
      self.assertFalse(grader(example, _box("7")).lenient)

  @parameterized.parameters(
    (math500, {"problem": "p", "answer": None}, "answer"),
    (math500, {"problem": "", "answer": "1"}, "problem"),
    (olympiadbench, {"question": "q", "final_answer": "1"}, "final_answer"),
    (olympiadbench, {"question": "q", "final_answer": []}, "final_answer"),
    (
      olympiadbench,
      {"question": "q", "final_answer": ["1", "2"]},
      "final_answer",
    ),
    (olympiadbench, {"question": 1, "final_answer": ["1"]}, "question"),
    (
      olympiadbench,
      {"question": "q", "final_answer": ["1"], "error": "few"},
      "error",
    ),
  )
  def test_refuses_rows_and_names_the_field(self, module, row, field):
    with self.assertRaisesRegex(ValueError, f"^{field} must"):
      module.make_example(row, 0)


@pytest.mark.slow
class DataTest(parameterized.TestCase):
  def _rows(self, name):
    file = DATA / name / "test.jsonl"
    if not file.exists():
      self.skipTest(f"No data in {DATA}.")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [
      (registry.load_task(name).make_example(row, 0), row) for row in rows
    ]

  @parameterized.parameters("math500", "olympiadbench")
  def test_all_references_are_right(self, name):
    for example, _ in self._rows(name):
      answer = example.reference["answer"]
      if name == "olympiadbench":
        answer = answer.replace("$", "")
      for text in (f"\\boxed{{{example.reference['answer']}}}", _box(answer)):
        self.assertTrue(boxed.grade_standard(example, text).correct, example)

  def test_all_solutions_are_right(self):
    for example, row in self._rows("math500"):
      grade = boxed.grade_standard(example, row["solution"])
      self.assertTrue(grade.correct, example)

  @parameterized.parameters("math500", "olympiadbench")
  def test_answers_to_other_questions_are_wrong(self, name):
    examples = [example for example, _ in self._rows(name)][:200]
    others = examples[1:] + examples[:1]
    for example, other in zip(examples, others, strict=True):
      answer = other.reference["answer"]
      same = _vote(answer) == _vote(example.reference["answer"])
      if not same and "=" not in answer:  # As x=5 is right where 5 is.
        grade = boxed.grade_standard(example, _box(answer))
        self.assertFalse(grade.lenient, (example, answer))


def teardown_module():
  boxed._LATEX_READER.close()
