"""Tests of MBPP: rows, forms of responses, both rule sets, votes, refusal."""

import json
import pathlib
import pickle
import time
import unittest
from unittest import mock

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks import mbpp, sandbox
from thickets.tasks.sandbox import assertions, runner

DATA = pathlib.Path(__file__).resolve().parents[2].parent / "shared/data/mbpp"
ROWS_FILE = DATA / "mbpp.jsonl"
needs_data = unittest.skipUnless(ROWS_FILE.exists(), "the data are not there")
needs_namespaces = unittest.skipIf(
  sandbox.find_trouble() is not None,
  f"no namespaces here, so only refusal: {sandbox.find_trouble()}",
)

ROW = {
  "task_id": 7,
  "text": "Write a function to halve the even numbers of a list. ",
  "code": "def halve(xs):\r\n\treturn [x // 2 for x in xs if x % 2 == 0]\r\n",
  "test_setup_code": "",
  "test_list": [
    "assert halve([2, 3, 4]) == [1, 2]",
    "assert halve([]) == []",
    "assert halve([1]) == [] ",
    "assert halve([8]) == [4.0]",
  ],
}
TREE_ROW = ROW | {
  "code": "class Node:\n  pass\ndef depth(node):\n  return node.depth",
  "test_setup_code": "root = Node()\r\nroot.depth = 3",
  "test_list": ["assert depth(root) == 3"],
}
RIGHT = "def halve(xs): return [x / 2 for x in xs if x % 2 == 0]"
WRONG = "def halve(xs): return [x // 2 for x in xs]"
# What a program may do that defines a right function, which follows.
UNUSUAL = (
  "import sys; input = sys.stdin.readline",
  "import sys; input = sys.stdin.buffer.readline; data = input()",
  "import sys; sys.stdout.buffer.write(b'x'); sys.stderr.buffer.flush()",
  "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'utf-8')",
  "import sys; sys.stdout.reconfigure(line_buffering=True); sys.stdout.fileno()",
  "import os; os.write(1, b'x'); os.close(0); os.close(1); os.close(2)",
  "import sys; print('x'); sys.stdout.close()",
  "import sys; sys.stdin = sys.stdout = sys.stderr = None",
  "import builtins as b; b.print = b.open = b.len = b.isinstance = b.str = None",
  "import builtins as b; b.eval = b.compile = b.memoryview = b.BaseException = None",
  "print = input = open = exit = str = list = isinstance = type = None",
  "import sys; sys.setrecursionlimit(40)",
  "import sys; sys.setrecursionlimit(10**6)",
  "import sys; sys.setrecursionlimit = sys.getrecursionlimit = sys.exit = None",
  "import sys; sys.setprofile(lambda *_: None); sys.modules.clear()",
  "import json; json.dumps = json.loads = json.JSONEncoder = None",
  "import os; os.write = os._exit = None",
  "import fractions, decimal; fractions.Fraction = decimal.Decimal = None",
  "import math; math.floor = math.isfinite = None",
  "__name__ = '__main__'; from __main__ import *",
  "import faulthandler, gc; faulthandler.enable(); gc.disable()",
)
HOSTILE = {
  "exits": "import os; os._exit(0)",
  "exits politely": "raise SystemExit(0)",
  "equal to all": """
class Equal:
  def __eq__(self, other): return True
  def __bool__(self): return True
def halve(xs): return Equal()""",
  "a list equal to all": """
class Equal(list):
  def __eq__(self, other): return True
def halve(xs): return Equal([9])""",
  "patches": """
import builtins, json
json.dumps = builtins.repr = lambda *a, **k: '["value", "null"]'
AssertionError = builtins.AssertionError = type('X', (), {})
builtins.all = lambda *_: True
def halve(xs): return None""",
  "prints": "print('passed'); halve = print",
  "prints forged results": r"""
import os, sys
sys.stdout.buffer.write(b'["value", "null"]\n' * 9)
os.write(1, b'["value", "null"]\n["value", "[\"l\"]"]\n' * 9)""",
  "writes results": r"""
import os
os.write(3, b'["value", "null"]\n' + b'["value", "true"]\n' * 9); os._exit(0)""",
  "walks frames": """
import sys
def halve(xs):
  frame = sys._getframe()
  while frame:
    for value in list(frame.f_locals.values()):
      if isinstance(value, list) and value is not xs: return value
    frame = frame.f_back""",
}


def _example(**changes):
  return mbpp.TASK.make_example(ROW | changes, 0)


def _grade(response, example=None, rules="standard"):
  return mbpp.TASK.grader(rules)(example or _example(), response)


def _tagged(code):
  return f"<think>hm</think>\n<answer>\n{code}\n</answer>"


class ExampleTest(parameterized.TestCase):
  def test_prompt_shows_text_and_three_tests(self):
    example = _example()
    self.assertEqual(example.id, "7")
    self.assertEqual([m.role for m in example.messages], ["system", "user"])
    prompt = example.messages[1].content
    self.assertStartsWith(prompt, ROW["text"].strip() + "\n")
    for test in ROW["test_list"][:3]:
      self.assertIn(test.strip() + "\n", prompt)
    self.assertNotIn("4.0", prompt)
    self.assertNotIn("//", prompt)  # Of the solution.
    self.assertEqual(
      json.loads(json.dumps(example.reference)), example.reference
    )

  @parameterized.parameters(
    ({"test_list": []}, "test_list must be a list"),
    ({"test_list": "assert f() == 1"}, "test_list must be a list"),
    ({"test_list": ["assert f(1) == f(1)"]}, "test_list: a test must"),
    ({"test_setup_code": None}, "test_setup_code must be a text"),
    ({"code": None}, "code must be a text"),
  )
  def test_wrong_rows_name_the_field(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      _example(**changes)

  def test_graders_pickle(self):
    for rules in ("standard", "paper"):
      grader = mbpp.make_task(allow_unprotected=True).grader(rules)
      self.assertTrue(
        pickle.loads(pickle.dumps(grader)).keywords["allow_unprotected"]
      )

  @needs_data
  def test_all_tests_of_the_data_fit(self):
    with ROWS_FILE.open(encoding="utf-8") as file:
      rows = list(map(json.loads, file))
    num_tests, others = 0, set()
    for number, row in enumerate(rows):
      example = mbpp.TASK.make_example(row, number)
      for check in mbpp._parse(example):
        num_tests += 1
        self.assertEqual(check.comparison, "==")
        if not check.is_literal:
          others.add(example.id)
    self.assertEqual((len(rows), num_tests, others), (974, 2922, {"596"}))


@needs_namespaces
class GradeTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("in_form", _tagged(RIGHT), True, True),
    ("solution_with_crlf", _tagged(ROW["code"]), True, True),
    ("fence_inside", _tagged(f"```python\n{RIGHT}\n```"), True, True),
    ("nameless_fence_inside", _tagged(f"```\n{RIGHT}\n```"), True, True),
    ("open_fence_inside", _tagged(f"```py\n{RIGHT}"), True, True),
    (
      "words_around_fence",
      _tagged(f"So:\n```python\n{RIGHT}\n```\nok"),
      True,
      True,
    ),
    (
      "fence_in_docstring",
      _tagged(f"'''\n```\nx\n```\n'''\n{RIGHT}"),
      True,
      True,
    ),
    ("text_behind", _tagged(RIGHT) + "\nDone.", False, True),
    ("last_block_counts", _tagged(WRONG) + _tagged(RIGHT), False, True),
    ("python_fence", f"Here:\n```python\n{RIGHT}\n```", False, True),
    (
      "python_before_other",
      f"```python\n{RIGHT}\n```\n```\nno\n```",
      False,
      True,
    ),
    ("other_fence", f"```\n{RIGHT}\n```", False, True),
    ("no_fence", RIGHT, False, False),
    ("wrong", _tagged(WRONG), False, False),
    ("empty_block", "<answer></answer>", False, False),
    ("unclosed", f"<answer>{RIGHT}", False, False),
  )
  def test_forms(self, response, correct, lenient):
    grade = _grade(response)
    self.assertEqual((grade.correct, grade.lenient), (correct, lenient), grade)
    self.assertEqual(grade.score, float(correct))
    if correct:
      self.assertTrue(grade.format)

  def test_paper_keeps_fences_and_sources(self):
    grade = _grade(_tagged(f"```python\n{RIGHT}\n```"), rules="paper")
    self.assertFalse(grade.correct)
    self.assertStartsWith(grade.vote, "sha256:")
    grade = _grade(f"```python\n{RIGHT}\n```", rules="paper")
    self.assertEqual(
      (grade.score, grade.correct, grade.vote), (1.0, True, RIGHT)
    )
    self.assertEqual(_grade("<answer> </answer>", rules="paper").vote, None)

  def test_setup_goes_after_the_code_but_not_in_the_paper(self):
    example = mbpp.TASK.make_example(TREE_ROW, 0)
    response = _tagged(TREE_ROW["code"])
    self.assertTrue(_grade(response, example).correct)
    self.assertFalse(_grade(response, example, "paper").correct)

  @parameterized.parameters(
    ("assert f(2) == 4", "4", True),
    ("assert f(2) == 4", "4.0", True),
    ("assert f(2) == 1", "True", True),
    ("assert f(2) == [1]", "(1,)", False),
    ("assert f(2) == {1, 2}", "frozenset([2, 1])", True),
    ("assert f(2) == 0.3", "0.1 + 0.2", False),
    ("assert abs(f(2) - 0.3) < 1e-9", "0.1 + 0.2", True),
    (
      "assert f(2) == sys.getsizeof((1, 2))",
      "__import__('sys').getsizeof((0, 0))",
      True,
    ),
    ("assert f(2) == sys.getsizeof((1, 2))", "1", False),
    ("assert f(2) is True", "1", False),
    ("assert f(2)", "[0]", True),
    ("assert f(2) is None", "1 / 0", False),
    ("assert not f(2)", "1 / 0", False),
  )
  def test_compares_as_python(self, test, body, expected):
    example = _example(test_list=[test])
    code = f"def f(x): return {body}"
    for rules in ("standard", "paper"):
      self.assertEqual(_grade(_tagged(code), example, rules).correct, expected)

  def test_votes_are_behaviour(self):
    same = (
      ROW["code"],
      RIGHT,
      "def helper(x): return x / 2\ndef halve(v):\n"
      "  return list(map(helper, filter(lambda n: not n % 2, v)))",
    )
    others = (
      WRONG,
      "def halve(xs): return tuple(x / 2 for x in xs if x % 2 == 0)",
      "def halve(xs): return [x // 2 for x in xs if x % 2 == 0] if xs else 1 / 0",
      "def halve(xs): return [x // 2 for x in xs if x % 2 == 0] if xs else [][0]",
    )
    votes = {_grade(_tagged(code)).vote for code in same}
    self.assertLen(votes, 1)
    votes |= {_grade(_tagged(code)).vote for code in others}
    self.assertLen(votes, 1 + len(others))
    for vote in votes:
      self.assertLessEqual(len(vote), 64)

  def test_equal_votes_are_alike_right(self):
    bodies = (
      "1",
      "1.0",
      "True",
      "(1,)",
      "[1]",
      "1 + 0j",
      "'1'",
      "None",
      "1 / 0",
    )
    for test in (
      "f() == 1",
      "f() is True",
      "f() in [1]",
      "f() < 2",
      "f() != 1",
    ):
      example = _example(test_list=[f"assert {test}", "assert g() == 0"])
      seen = {}
      for body in bodies:
        code = f"def f(): return {body}\ndef g(): return 0"
        grade = _grade(_tagged(code), example)
        self.assertEqual(
          seen.setdefault(grade.vote, grade.lenient), grade.lenient
        )

  @parameterized.parameters(
    "def halve(xs):", "1 / 0", "x = 1", "def halve(xs): return object()", "\x00"
  )
  def test_programs_that_give_nothing_have_no_vote(self, code):
    grade = _grade(_tagged(code))
    self.assertEqual(
      (grade.vote, grade.lenient, grade.score), (None, False, 0.0)
    )

  @parameterized.parameters(*UNUSUAL)
  def test_unusual_programs_that_are_right_score(self, start):
    grade = _grade(_tagged(f"{start}\n{RIGHT}"))
    self.assertEqual((grade.score, grade.lenient), (1.0, True), grade)
    self.assertEqual(grade.vote, _grade(_tagged(RIGHT)).vote)
    self.assertFalse(_grade(_tagged(f"{start}\n{WRONG}")).lenient)

  @parameterized.parameters(*HOSTILE)
  def test_hostile_programs_score_nothing(self, name):
    for rules in ("standard", "paper"):
      grade = _grade(_tagged(HOSTILE[name]), rules=rules)
      self.assertEqual((grade.score, grade.lenient), (0.0, False), grade)
    self.assertTrue(_grade(_tagged(RIGHT)).correct)  # It goes on.

  @parameterized.named_parameters(
    ("towers", "x = " + "9**" * 5000 + "9"),
    ("parentheses", "(" * 10_000),
    ("digits", "x = ٣"),
    ("surrogates", "\ud800" * 100),
    ("tags", "<answer>" * 100_000),
    ("fences", "```" * 300_000),
    ("python_fences", "```python" * 100_000),
    ("closing_tags", "</answer>" * 100_000),
    ("megabyte", "x" * 1_000_000),
    ("answer_of_a_megabyte", f"<answer>{'x' * 1_000_000}</answer>"),
    ("nothing", ""),
  )
  def test_hostile_text_scores_nothing(self, text):
    _grade(_tagged(RIGHT))  # Starts the sandbox, times the solution.
    for rules in ("standard", "paper"):
      for response in (text, _tagged(text)):
        start = time.monotonic()
        grade = _grade(response, rules=rules)
        self.assertEqual((grade.score, grade.lenient), (0.0, False))
        self.assertLess(time.monotonic() - start, 5.0)

  def test_slow_solutions_get_time(self):
    slow = "import time\ndef f():\n  end = time.process_time() + 0.8\n"
    slow += "  while time.process_time() < end: pass\n  return 1"
    limits = mbpp._find_limits(slow, ("assert f() == 1",), "", False)
    self.assertBetween(limits.cpu_s, 4, 6)
    limits = mbpp._find_limits("f = int", ("assert f() == 0",), "", False)
    self.assertEqual(limits.cpu_s, 2)

  @needs_data
  def test_solutions_are_right_and_others_are_not(self):
    with ROWS_FILE.open(encoding="utf-8") as file:
      rows = list(map(json.loads, file))
    chosen = [
      *rows[::60],
      *(row for row in rows if row["task_id"] in (367, 596, 601)),
    ]
    for row, other in zip(chosen, (*chosen[1:], chosen[0]), strict=True):
      example = mbpp.TASK.make_example(row, 0)
      self.assertTrue(
        _grade(_tagged(row["code"]), example).correct, row["task_id"]
      )
      self.assertFalse(_grade(_tagged(other["code"]), example).lenient)


class RefusalTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(
      mock.patch.object(runner, "find_trouble", lambda: "no namespaces")
    )
    mbpp._find_limits.cache_clear()

  def test_refuses_unless_the_user_opts_in(self):
    for rules in ("standard", "paper"):
      with self.assertRaisesRegex(UserError, "no namespaces"):
        mbpp.TASK.grader(rules)(_example(), _tagged(RIGHT))
      grader = mbpp.make_task(allow_unprotected=True).grader(rules)
      self.assertTrue(grader(_example(), _tagged(RIGHT)).correct)
      self.assertFalse(grader(_example(), _tagged(WRONG)).correct)

  def test_expected_values_come_from_elsewhere(self):
    check = assertions.parse_test("assert f() == sys.getsizeof(())")
    mbpp._expect.cache_clear()
    self.assertGreater(mbpp._expect(check, True), 0)
