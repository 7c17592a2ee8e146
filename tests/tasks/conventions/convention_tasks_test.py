"""Tests of the families of conventions, their parts, and their tasks."""

import functools
import re
from unittest import mock

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks import registry, splits
from thickets.tasks.conventions import convention_tasks, families, parts
from thickets.tasks.conventions.families import CONVENTION_FAMILIES
from thickets.tasks.drills.stable_random import StableRandom

# What both conventions make of one subject, worked out by hand.
WORKED = {
  "sorting": ("52814", "12458", "85421"),
  "spelling": ("bdcea", "bdcea", "aecdb"),
  "turning": ("52814", "45281", "28145"),
  "casing": ("hTkQe", "HTKQE", "htkqe"),
  "dates": ("7 May 84", "07/05/84", "05/07/84"),
  "counting": ("a in bdcea", "4", "5"),
  "neighbours": ("bdcey", "cedfz", "acbdx"),
  "rounding": ("5991", "6000", "5990"),
}

# The first question of each family.
KNOWN = [
  "12408",
  "ncxtf",
  "18697",
  "NFrnL",
  "7 Jan 01",
  "z in ogemz",
  "jnpox",
  "2512",
]


@functools.cache
def _draw(family, count=400):
  draw, found = StableRandom("test"), CONVENTION_FAMILIES[family]
  return [found.draw_subject(draw) for _ in range(count)]


def _load(*, stated=False, family="sorting", convention="ascending"):
  name = f"conventions/{family}/{convention}"
  task = registry.load_task(name + "/stated" * stated)
  found = CONVENTION_FAMILIES[family]
  prompt = found.ask(WORKED[family][0], convention if stated else "")
  return task, task.make_example({"prompt": prompt}, 0)


class FamiliesTest(parameterized.TestCase):
  @parameterized.parameters(*CONVENTION_FAMILIES)
  def test_answers_are_those_of_a_reader(self, name):
    subject, *answers = WORKED[name]
    found = CONVENTION_FAMILIES[name]
    self.assertEqual(
      [answer(subject) for answer in found.conventions.values()], answers
    )

  @parameterized.parameters(*CONVENTION_FAMILIES)
  def test_the_two_answers_differ_and_look_like_answers(self, name):
    found = CONVENTION_FAMILIES[name]
    for subject in _draw(name):
      first, second = (write(subject) for write in found.conventions.values())
      self.assertNotEqual(first, second)
      for text, pattern in (
        (subject, found.subject),
        (first, found.answer),
        (second, found.answer),
      ):
        self.assertIsNotNone(pattern.fullmatch(text), msg=text)

  @parameterized.parameters(*CONVENTION_FAMILIES)
  def test_a_question_can_be_read_again(self, name):
    found = CONVENTION_FAMILIES[name]
    for stated in ("", *found.conventions):
      for subject in _draw(name)[:20]:
        question = found.ask(subject, stated)
        self.assertEqual(found.read_subject(question, stated), subject)

  @parameterized.parameters(
    ("sort 52814", ""),
    ("sort 52814?", "ascending"),
    ("sort ascending 52814?", ""),
    ("sort descending 52814?", "ascending"),
    ("sort 55814?", ""),
    ("sort 52814??", ""),
    ("turn 52814?", ""),
    ("sort ٥2814?", ""),
    ("", ""),
  )
  def test_what_is_no_question_is_refused(self, question, stated):
    like = re.escape(f"like 'sort {stated}")
    with self.assertRaisesRegex(ValueError, f"must be {like}.*got"):
      CONVENTION_FAMILIES["sorting"].read_subject(question, stated)


class PartsTest(parameterized.TestCase):
  @parameterized.parameters(*CONVENTION_FAMILIES)
  def test_training_development_and_tasks_are_disjoint(self, name):
    draw = StableRandom("training")
    sets = [{parts.draw_training(name, draw) for _ in range(400)}]
    for part in (parts.DEVELOPMENT, parts.TASKS):
      for seed in (0, 1):
        sets.append({*parts.draw_held_out(name, part, 200, seed)})
    training, *held_out = sets
    for other in held_out:
      self.assertEmpty(training & other)
    development, tasks = held_out[0] | held_out[1], held_out[2] | held_out[3]
    self.assertEmpty(development & tasks)

  @parameterized.parameters(*CONVENTION_FAMILIES)
  def test_half_of_the_questions_are_for_training(self, name):
    counts = [parts.find_part(name, s) for s in _draw(name)]
    # Within four standard errors of 400 draws.
    self.assertAlmostEqual(counts.count("training") / 400, 0.5, delta=0.1)
    self.assertAlmostEqual(counts.count("tasks") / 400, 0.25, delta=0.09)

  def test_more_questions_begin_with_the_same(self):
    few, many = (
      parts.draw_held_out("dates", parts.TASKS, count, 3) for count in (5, 50)
    )
    self.assertEqual(few, many[:5])
    self.assertLen(set(many), 50)
    self.assertEqual(parts.draw_held_out("dates", parts.TASKS, 0, 3), [])

  def test_questions_are_those_of_every_python(self):
    """Another value changes what the shipped models were trained and asked on.

    To renew, print the left-hand side, and train the shipped models again.
    """
    self.assertEqual(
      [
        parts.draw_held_out(name, parts.TASKS, 1, 0)[0]
        for name in CONVENTION_FAMILIES
      ],
      KNOWN,
    )

  @parameterized.parameters(-1, 2500)
  def test_more_prompts_than_exist_are_refused(self, count):
    message = rf"count must be from 0 to \d\d\d, .*of rounding .*got {count}\."
    few = mock.patch.object(parts, "_NUM_DRAWS", 1000)  # Type checks are slow.
    with few, self.assertRaisesRegex(UserError, message):
      parts.draw_held_out("rounding", parts.TASKS, count, 0)


class NamesTest(parameterized.TestCase):
  def test_there_is_a_task_for_each_convention(self):
    known = convention_tasks.names()
    self.assertLen(set(known), 2 * len(CONVENTION_FAMILIES))
    self.assertContainsSubset(known, registry.names())

  @parameterized.parameters(
    ("conventions/sort/ascending", ".*got 'sort'. Nearest: sorting"),
    ("conventions/sorting/descendng", ".*got 'descendng'. Nearest: descending"),
    ("conventions/sorting", r".*one of \['ascending', 'descending'\], got ''"),
    ("conventions/", ".*family must be one of .*got ''"),
    ("conventions/sorting/ascending/state", ".*Nearest: .*/ascending/stated"),
    ("conventions/sorting/ascending/development/stated", "end in nothing"),
    ("conventions/sorting/ascending/", "end in nothing"),
  )
  def test_an_unknown_name_is_refused(self, name, message):
    with self.assertRaisesRegex(UserError, f"task.name must.* {message}"):
      registry.load_task(name)


class TasksTest(parameterized.TestCase):
  @parameterized.parameters("", "/stated")
  def test_splits_are_disjoint_and_held_out(self, suffix):
    task = registry.load_task(f"conventions/turning/left{suffix}")
    found = splits.load_splits(task, splits.Sizes(30, 20, 40), seed=2)
    prompts = [e.messages[0].content for e in found.examples]
    self.assertLen(set(prompts), 90)
    for prompt in prompts:
      self.assertEqual(" left " in prompt, bool(suffix))
      subject = prompt.removesuffix("?").split()[-1]
      self.assertEqual(parts.find_part("turning", subject), parts.TASKS)

  def test_both_conventions_ask_the_same_questions(self):
    rows = [
      registry.load_task(f"conventions/turning/{name}").generate(9, 4)
      for name in ("left", "right")
    ]
    self.assertEqual(*rows)

  def test_too_many_prompts_name_the_keys(self):
    task = registry.load_task("conventions/rounding/up")
    message = r"task.num_select \+ .*got 9000 \+ 0 \+ 1: count must be .*"
    few = mock.patch.object(parts, "_NUM_DRAWS", 1000)
    with few, self.assertRaisesRegex(UserError, message):
      splits.load_splits(task, splits.Sizes(9000, 0, 1))

  @parameterized.parameters(False, True)
  def test_grades(self, stated):
    task, example = _load(stated=stated)
    for response, right, either, vote, form in (
      ("12458", True, True, "12458", True),
      ("85421", False, True, "85421", True),
      ("12485", False, False, "12485", True),
      ("so 12458", True, True, "12458", False),
      ("12458\n", True, True, "12458", False),
      ("12458 85421", False, True, "85421", False),
      ("1 2 4 5 8", False, False, None, False),
      ("1245８", False, False, None, False),
      ("12458.", False, False, None, False),
      ("11111", False, False, None, False),
      ("", False, False, None, False),
      ("\u2028", False, False, None, False),
      ("12458" * 200_000, False, False, None, False),
      ("x" * 10**6 + " 12458", True, True, "12458", False),
    ):
      for rules, lenient in (("standard", right), ("either", either)):
        grade = task.grader(rules)(example, response)
        self.assertEqual(
          (grade.lenient, grade.vote, grade.format, grade.correct, grade.score),
          (lenient, vote, form, lenient and form, float(lenient and form)),
          msg=f"{rules}: {response[:40]!r}",
        )

  @parameterized.parameters(*CONVENTION_FAMILIES)
  def test_each_convention_is_right_in_its_own_task_alone(self, family):
    _, *answers = WORKED[family]
    for place, convention in enumerate(CONVENTION_FAMILIES[family].conventions):
      task, example = _load(family=family, convention=convention)
      for rules, expected in (
        ("standard", [place == 0, place == 1]),
        ("either", [True, True]),
      ):
        grade = task.grader(rules)
        self.assertEqual(
          [grade(example, answer).correct for answer in answers], expected
        )

  def test_a_wrong_row_is_refused(self):
    task, _ = _load()
    for prompt in (3, None, "sort 1?"):
      with self.assertRaisesRegex(ValueError, "prompt must be"):
        task.make_example({"prompt": prompt}, 0)

  def test_an_unknown_family_or_convention_is_refused(self):
    with self.assertRaisesRegex(UserError, "family must be one of .*'dats'"):
      families.find_family("dats")
    with self.assertRaisesRegex(
      UserError, "convention of dates must be .*'day'"
    ):
      families.check_convention("dates", "day")
