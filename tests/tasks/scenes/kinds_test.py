"""Tests of questions about scenes: worked answers, and answers no question tells."""

import collections

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks import registry, splits
from thickets.tasks.scenes import kinds, questions, scene, scene_tasks
from thickets.tasks.scenes.kinds import SCENE_KINDS
from thickets.tasks.splits import Sizes

#   . r○ . .
#   b□ . . r○
#   . . . .
#   . . b△ .
SHOWN = scene.parse_scene(
  "red circle 0 1, blue rectangle 1 0, red circle 1 3, blue triangle 3 2 #0"
)


def _of(*things):
  return tuple(tuple(thing.split("/")) for thing in things)


class KindsTest(parameterized.TestCase):
  @parameterized.parameters(
    ("verify", _of("red/circle"), "is there a red circle?", ["yes", "true"]),
    (
      "verify",
      _of("red/triangle"),
      "is there a red triangle?",
      ["no", "false"],
    ),
    ("color", _of("/triangle"), "what color is the triangle?", ["blue"]),
    ("color", _of("/circle"), "what color is the circle?", None),  # Two.
    ("shape", _of("blue/"), "what is the blue shape?", None),
    ("count", _of("red/"), "how many red shapes are there?", ["two", "2"]),
    (
      "count",
      _of("/rectangle"),
      "how many rectangles are there?",
      ["one", "1"],
    ),
    (
      "relation",
      _of("blue/rectangle", "blue/triangle"),
      "is the blue rectangle above the blue triangle?",
      ["yes"],
    ),
    (
      "choose",
      _of("red/triangle", "blue/triangle"),
      "is the triangle red or blue?",
      ["blue"],
    ),
    (
      "compare",
      _of("/circle", "/triangle"),
      "are there more circles than triangles?",
      ["yes"],
    ),
    ("compare", _of("red/", "blue/"), None, None),  # As many.
    (
      "logical",
      _of("/circle", "gray/"),
      "is there a circle and a gray shape?",
      ["no"],
    ),
    (
      "row",
      _of("blue/rectangle"),
      "which row is the blue rectangle in?",
      ["two", "three"],
    ),
    (
      "column",
      _of("blue/triangle"),
      "which column is the blue triangle in?",
      ["three", "two"],
    ),
    (
      "side",
      _of("blue/rectangle", "blue/triangle"),
      "is the blue rectangle left or right of the blue triangle?",
      ["left", "right"],
    ),
  )
  def test_worked(self, name, subject, question, answers):
    kind = kinds.find_kind(name)
    found = kind.answer(SHOWN, subject)
    self.assertEqual(found and [*found.values()], answers)
    if question is not None:
      self.assertEqual(kind.ask(subject), question)

  def test_unknown_kind(self):
    with self.assertRaisesRegex(UserError, "Nearest: color"):
      kinds.find_kind("colour")


class QuestionsTest(parameterized.TestCase):
  @parameterized.parameters("verify", "choose")
  def test_answers_are_as_frequent_whatever_the_question(self, name):
    """The best answer to a question, on average, is right on one in as many."""
    kind = kinds.find_kind(name)
    rows = questions.generate_rows((name,), questions.TASKS, 120, 0)
    counts = collections.Counter(row["answer"] for row in rows)
    chosen = kind.is_choice
    options = 2 if chosen else len(kind.answers)
    if not chosen:
      # Four standard errors of 120 draws.
      most = max(counts.values()) / 120
      self.assertLess(most, 1 / options + 4 * (0.25 / 120) ** 0.5)
    self.assertAlmostEqual(kind.floor, 1 / options)
    # Of questions that are asked often, each answer to each is right as often.
    texts = collections.Counter(row["question"] for row in rows)
    (often, times), *_ = texts.most_common(1)
    answers = collections.Counter(
      row["answer"] for row in rows if row["question"] == often
    )
    self.assertLess(
      max(answers.values()), times / options + 4 * (times / 4) ** 0.5
    )

  def test_rows_are_the_first_of_more_rows_and_of_their_part(self):
    names = ("color", "row")
    rows = questions.generate_rows(names, questions.TASKS, 8, 3)
    self.assertEqual(
      rows[:4], questions.generate_rows(names, questions.TASKS, 4, 3)
    )
    self.assertEqual([row["kind"] for row in rows[:4]], [*names, *names])
    for row in rows:
      shown = scene.parse_scene(row["picture"])
      self.assertEqual(questions.find_part(shown), questions.TASKS)
      self.assertEqual(bool(row["other"]), row["kind"] == "row")
    parts = collections.Counter(
      questions.find_part(scene.parse_scene(row["picture"]))
      for part in (questions.TRAINING, questions.DEVELOPMENT)
      for row in questions.generate_rows(names, part, 3, 3)
    )
    self.assertEqual(parts, {questions.TRAINING: 3, questions.DEVELOPMENT: 3})


class TasksTest(parameterized.TestCase):
  def load(self, name, count=11):
    task = registry.load_task(name)
    return task, splits.load_splits(task, Sizes(1, 0, count))

  def test_conventions_want_different_answers_to_the_same_questions(self):
    top, bottom = (
      self.load(f"scenes/row/{name}")[1].judge
      for name in ("from-top", "from-bottom")
    )
    for one, other in zip(top, bottom, strict=True):
      self.assertEqual(one.messages, other.messages)
      self.assertNotEqual(one.reference["wanted"], other.reference["wanted"])
      self.assertEqual(one.reference["wanted"], other.reference["other"])

  def test_rules(self):
    task, found = self.load("scenes/side/picture", 1)
    (example,) = found.judge
    wanted, other = example.reference["wanted"], example.reference["other"]
    standard, either = (task.grader(rules) for rules in ("standard", "either"))
    for response, correct, lenient, vote in (
      (wanted, True, True, wanted),
      (f"It is {wanted}.", False, True, wanted),
      (other, False, False, other),
      ("", False, False, None),
      ("?" * 99, False, False, None),
    ):
      grade = standard(example, response)
      self.assertEqual(
        (grade.correct, grade.lenient, grade.vote), (correct, lenient, vote)
      )
    self.assertTrue(either(example, other).correct)

  def test_groups_of_kinds_take_turns(self):
    self.assertEqual(
      {*scene_tasks.GROUPS["what"], *scene_tasks.GROUPS["where"]},
      {*SCENE_KINDS},
    )
    first, second = (
      self.load(f"scenes/what{ending}", 7)[1] for ending in ("", "/second")
    )
    for one, other in zip(first.judge, second.judge, strict=True):
      same = one.reference["kind"] not in ("verify", "count")
      self.assertEqual(one.reference == other.reference, same)
    _, found = self.load("scenes/all", 11)
    asked = {example.reference["kind"] for example in found.judge}
    self.assertEqual(asked, {*SCENE_KINDS})
    self.assertAlmostEqual(
      scene_tasks.describe_floor([*SCENE_KINDS]),
      (6 * 1 / 2 + 1 / 8 + 1 / 3 + 1 / 5 + 2 * 1 / 4) / 11,
    )

  def test_a_picture_of_a_users_own(self):
    task = registry.load_task("scenes/all")
    row = {"kind": "", "answer": "", "other": "", "question": "what?"}
    example = task.make_example(
      row | {"picture": {"bytes": b"x", "path": None}}, 0
    )
    self.assertEqual(example.pictures[0].read(), b"x")

  def test_unknown_tasks_name_the_nearest(self):
    with self.assertRaisesRegex(UserError, "Nearest: scenes/row/from-top"):
      registry.load_task("scenes/row/from-to")
