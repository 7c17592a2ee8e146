"""Tests of the tasks by name, of tasks in a user's file, and of their graders."""

import json
import os
import pathlib
import pickle
import tempfile
import textwrap

import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks import base, registry
from thickets.tasks.base import Example, Grade
from thickets.tasks.grader import TaskGrader, find_problem, make_channels

FILE = """
  from __future__ import annotations

  import dataclasses

  from thickets.tasks.base import Example, Grade, Task, ask


  @dataclasses.dataclass
  class Settings:
    last: int = 1


  def grade(example: Example, response: str) -> Grade:
    letter = response.strip()[-Settings().last :]
    is_right = letter == example.reference
    return Grade(float(is_right), is_right, is_right, letter or None, True)


  TASK = Task(
    name="letters",
    fields=("question", "answer"),
    make_example=lambda row, number: Example(
      str(number), ask(row["question"]), row["answer"]
    ),
    graders={"standard": grade},
    max_new_tokens=4,
  )
"""


class RegistryTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def write(self, text, name="letters.py"):
    path = self.folder / name
    path.write_text(textwrap.dedent(text))
    return str(path)

  @parameterized.parameters(*registry.names())
  def test_every_name_loads_a_whole_task(self, name):
    task = registry.load_task(name)
    self.assertEqual(task.name, name)
    self.assertIn("standard", task.graders)
    self.assertGreaterEqual(task.max_new_tokens, 1)
    self.assertGreaterEqual(task.num_threads, 1)
    self.assertIs(
      registry.load_grader(name, "standard"), task.grader("standard")
    )
    if (
      task.question is not None
    ):  # Then a plain line, and maybe a picture, is a row.
      given = {task.question, task.picture, *task.blank}
      self.assertContainsSubset(task.fields, given)

  def test_the_papers_tasks_are_there_with_its_rules(self):
    for name in (
      "countdown",
      "gsm8k",
      "math500",
      "mbpp",
      "olympiadbench",
      "rocstories",
      "uspto50k",
    ):
      self.assertIn(name, registry.names())
      self.assertIn("paper", registry.load_task(name).graders)
    self.assertEqual(registry.names(), sorted(registry.names()))

  @parameterized.parameters(
    ("gms8k", "Nearest: gsm8k"),
    ("countdwn", "Nearest: countdown"),
    ("drills/countdown", "Nearest: drills/countdown"),
  )
  def test_an_unknown_name_names_the_nearest_and_all(self, name, message):
    with self.assertRaisesRegex(UserError, message) as caught:
      registry.load_task(name)
    self.assertIn(repr(name), str(caught.exception))
    for known in registry.names():
      self.assertIn(known, str(caught.exception))

  def test_unknown_rules_name_those_there_are(self):
    with self.assertRaisesRegex(
      UserError, "rule set of gsm8k, got 'papr'. There are: paper, standard"
    ):
      registry.load_grader("gsm8k", "papr")

  def test_a_file_of_the_user_is_a_task(self):
    path = self.write(FILE)
    task = registry.load_task(path)
    self.assertEqual(task.name, "letters")
    example = task.make_example({"question": "q", "answer": "b"}, 0)
    grader = TaskGrader(path, "standard", [example, example])
    # As a worker gets it: by name, not by value.
    again = pickle.loads(pickle.dumps(grader))
    self.assertEqual(again(1, "ab "), grader(1, "ab "))
    self.assertEqual(again(1, "ab ")["vote"], "b")
    self.assertEqual(again(0, "")["vote"], "")

  def test_a_grader_that_raises_is_named_before_anything_is_generated(self):
    path = self.write(FILE.replace("letter = ", "int(response); letter = "))
    example = registry.load_task(path).make_example(
      {"question": "q", "answer": "b"}, 7
    )
    grader = TaskGrader(path, "standard", [example])
    with self.assertRaisesRegex(
      UserError,
      rf"grader of {path} \(\w+, rules standard\) must not raise, got"
      rf" ValueError: invalid literal .* for the example {example.id}, .*"
      r" response 'b'",
    ):
      _try_out(grader)
    _try_out(TaskGrader(self.write(FILE, "well.py"), "standard", [example]))

  @parameterized.parameters(
    ("raise SystemExit(0)", "not raise, got SystemExit: 0"),
    ("raise GeneratorExit", "not raise, got GeneratorExit"),
    ("return None", "return a thickets.tasks.base.Grade, got NoneType None"),
    ("return (1.0, True, True, 'a', True)", "Grade, got tuple "),
    ("return Grade(float('nan'), 0 > 1, 0 > 1, None, 0 > 1)", "score, got nan"),
    ("return Grade(float('inf'), 0 > 1, 0 > 1, None, 0 > 1)", "score, got inf"),
    ("return Grade('1', 0 > 1, 0 > 1, None, 0 > 1)", "the score, got str '1'"),
    ("return Grade(10**400, 0 > 1, 0 > 1, None, 0 > 1)", "got OverflowError"),
    ("return Grade(1.0, 1, 0 > 1, None, 0 > 1)", "false as correct, got int 1"),
    ("return Grade(1.0, 0 > 1, None, None, 0 > 1)", "as lenient, got NoneType"),
    ("return Grade(1.0, 0 > 1, 0 > 1, None, 'x')", "as format, got str 'x'"),
    ("return Grade(1.0, 0 > 1, 0 > 1, 7, 0 > 1)", "as the vote, .*got int 7"),
    ("return Grade(1.0, 0 > 1, 0 > 1, b'7', 0 > 1)", "the vote, .*got bytes"),
  )
  def test_what_is_no_grade_is_refused_by_grader_and_example(self, line, why):
    path = self.write(f"""
from thickets.tasks.base import Example, Grade, Task, ask
def judge(example, response):
  {line}
TASK = Task(
  name="t", fields=("q",), make_example=judge, graders={{"standard": judge}},
  max_new_tokens=1,
)
""")
    grader = TaskGrader(path, "standard", [Example("e7", base.ask("q"), "ref")])
    with self.assertRaisesRegex(
      UserError,
      rf"^The grader of {path} \(judge, rules standard\) must .*{why}.* for the"
      r" example e7, with the reference 'ref', and the response 'said'",
    ):
      grader(0, "said")

  def test_a_file_may_have_the_name_of_a_module(self):
    path = self.write(FILE, "json.py")
    self.assertEqual(registry.load_task(path).name, "letters")
    self.assertEqual(json.loads("[1]"), [1])

  def test_a_path_may_be_relative_or_of_home(self):
    path = pathlib.Path(self.write(FILE))
    before = os.getcwd()
    os.chdir(self.folder)
    self.addCleanup(os.chdir, before)
    self.assertEqual(registry.load_task(path.name).name, "letters")

  @parameterized.parameters(
    ("TASKS = 1", "must define TASK, .*, got None"),
    ("TASK = 'gsm8k'", "must define TASK, .*, got 'gsm8k'"),
    ("import no_such_module", "load as a Python file, got ModuleNotFoundError"),
    ("TASK = (", "load as a Python file, got SyntaxError"),
    ("raise RuntimeError('why')", "got RuntimeError: why"),
    ("import sys; sys.exit(0)", "got SystemExit: 0"),
  )
  def test_a_file_that_is_no_task_is_refused(self, text, message):
    path = self.write(text)
    with self.assertRaisesRegex(UserError, message) as caught:
      registry.load_task(path)
    self.assertIn(path, str(caught.exception))

  def test_a_file_that_is_not_there_is_refused(self):
    with self.assertRaisesRegex(UserError, "none.py, which does not exist"):
      registry.load_task(str(self.folder / "none.py"))


def _try_out(grader):
  for index, text in grader.list_trials():
    grader(index, text)


class ChannelsTest(parameterized.TestCase):
  def test_a_grade_is_values_that_arrays_hold(self):
    grade = Grade(1, True, True, None, False)
    channels = make_channels(grade)
    self.assertEqual(
      channels,
      {
        "score": 1.0,
        "correct": True,
        "lenient": True,
        "format": False,
        "vote": "",
      },
    )
    self.assertIsInstance(channels["score"], float)

  def test_numbers_and_flags_of_numpy_are_taken(self):
    yes = np.bool_(True)
    channels = make_channels(Grade(np.float32(0.5), yes, yes, "a", yes))
    self.assertEqual((channels["score"], channels["vote"]), (0.5, "a"))
    self.assertEqual(find_problem(Grade(np.int64(1), yes, yes, "", yes)), "")

  @parameterized.parameters("a\0", "x" * 65, "\ud800")
  def test_a_key_that_arrays_would_change_is_hashed(self, key):
    channels = make_channels(Grade(1.0, True, True, key, True))
    self.assertEqual(channels["vote"], base.shorten_vote(key))

  def test_the_grader_takes_the_example_of_the_index(self):
    examples = [Example(str(n), base.ask("q"), str(n)) for n in range(3)]
    grader = TaskGrader("drills/addition", "standard", examples)
    self.assertEqual([grader(n, "2")["correct"] for n in range(3)], [0, 0, 1])
    self.assertEqual({grader(n, "2")["vote"] for n in range(3)}, {"2"})


class ShortenVoteTest(parameterized.TestCase):
  @parameterized.parameters("7", "x" * 64, "1/3", "a b")
  def test_short_keys_are_themselves(self, key):
    self.assertEqual(base.shorten_vote(key), key)

  @parameterized.parameters("x" * 65, "a\nb", "a\0", "\ud800", "\u2028")
  def test_others_are_hashed_and_stay_apart(self, key):
    found = base.shorten_vote(key)
    self.assertRegex(found, "^sha256:[0-9a-f]{32}$")
    self.assertEqual(base.shorten_vote(key), found)
    self.assertNotEqual(base.shorten_vote(key + key[-1]), found)
