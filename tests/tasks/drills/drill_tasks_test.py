"""Tests of the drills: what is held out, how they are answered and graded."""

import functools
import pickle
import re
import time
from unittest import mock

import hypothesis
import numpy as np
import pytest
from absl.testing import parameterized
from hypothesis import strategies as st

from thickets.errors import UserError
from thickets.tasks.drills import drill_tasks
from thickets.tasks.drills import exercises as exercises_lib
from thickets.tasks.drills.exercises import Draws
from thickets.tasks.parsing import formulas

# Of small numbers there are fewer exercises than of the others.
ENOUGH = {"addition2": 1100, "subtraction2": 2300}
FAMILIES = tuple(exercises_lib.FAMILIES)
COUNTDOWNS = ("countdown3", "countdown4")

exercises = st.tuples(st.sampled_from(FAMILIES), st.integers(0, 10**6))


def _sample(family, seed):
  return exercises_lib.FAMILIES[family].sample(Draws(f"test/{seed}"))


def _answers(family, seed):
  """The exercise of a seed, and its answer in each manner."""
  exercise = _sample(family, seed)
  draw = Draws(f"answers/{seed}")
  return exercise, {
    name: manner(draw, exercise)
    for name, manner in exercises_lib.FAMILIES[family].manners.items()
  }


def _example(family, exercise, **changes):
  row = {
    "id": exercise.identity,
    "prompt": exercise.question,
    "reference": exercise.reference,
  }
  return drill_tasks.TASKS[f"drills/{family}"].make_example(row | changes, 0)


def _grade(family, example, response):
  return drill_tasks.TASKS[f"drills/{family}"].grader("standard")(
    example, response
  )


def _other_reference(reference):
  """A right answer to another exercise."""
  if isinstance(reference, dict):
    return reference | {"target": reference["target"] + 1}
  return f"{reference}1" if reference[-1].isdigit() else f"{reference}a"


def _use_small_pools(test):
  """Few draws: type checks make them slow, and any pool will do."""
  make_pool = functools.lru_cache(drill_tasks._make_pool.__wrapped__)
  small = {"_NUM_DRAWS": 4000, "_NUM_DEVELOPMENT": 100}
  for name, value in (small | {"_make_pool": make_pool}).items():
    patch = mock.patch.object(drill_tasks, name, value)
    patch.start()
    test.addCleanup(patch.stop)


class HeldOutTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    _use_small_pools(self)

  @parameterized.parameters(*FAMILIES)
  def test_pretraining_never_meets_an_exercise_of_the_tasks(self, family):
    draw = Draws("training")
    seen = {
      drill_tasks.sample_training(family, draw).identity for _ in range(600)
    }
    rows = drill_tasks.generate_rows(family, 300, seed=5)
    self.assertEmpty(seen & {row["id"] for row in rows})
    # Nor is one set empty because the other is all.
    self.assertGreater(len(seen), 300)

  @parameterized.parameters(*FAMILIES)
  def test_one_in_four_is_held_out(self, family):
    draw, sample = Draws("share"), exercises_lib.FAMILIES[family].sample
    identities = {sample(draw).identity for _ in range(1500)}
    held_out = [exercises_lib.is_held_out(family, one) for one in identities]
    share = sum(held_out) / len(held_out)
    self.assertAlmostEqual(share, 1 / 4, delta=0.05)  # Four standard errors.

  @parameterized.parameters(*COUNTDOWNS)
  def test_the_order_of_a_countdowns_numbers_makes_no_other_exercise(
    self, family
  ):
    by_identity = {}
    draw = Draws("orders")
    for _ in range(3000):
      exercise = exercises_lib.FAMILIES[family].sample(draw)
      by_identity.setdefault(exercise.identity, []).append(exercise)
    orders = [
      {tuple(one.reference["numbers"]) for one in same}
      for same in by_identity.values()
    ]
    self.assertGreater(max(map(len, orders)), 1)
    for identity, same in by_identity.items():
      for one in same:
        numbers = sorted(one.reference["numbers"])
        target = one.reference["target"]
        self.assertEqual(identity, f"{','.join(map(str, numbers))}={target}")


class DetourTest(parameterized.TestCase):
  @parameterized.parameters(*COUNTDOWNS)
  def test_tries_never_solve_what_is_held_out(self, family):
    detour = exercises_lib.FAMILIES[family].manners["detour"]
    num_tries = 0
    for seed in range(400):
      exercise = _sample(family, seed)
      text = detour(Draws(f"detour/{seed}"), exercise)
      tried, no, _ = text.partition(" no ")
      if no:
        num_tries += 1
        numbers = sorted(exercise.reference["numbers"])
        reached = tried.rpartition("=")[2]
        identity = f"{','.join(map(str, numbers))}={reached}"
        self.assertFalse(exercises_lib.is_held_out(family, identity), text)
    self.assertGreater(num_tries, 200)


class RowsTest(parameterized.TestCase):
  @parameterized.parameters(*FAMILIES)
  def test_rows_are_distinct_and_more_of_them_begin_alike(self, family):
    _use_small_pools(self)
    rows = drill_tasks.generate_rows(family, 200, seed=0)
    self.assertLen({row["id"] for row in rows}, 200)
    self.assertEqual(
      drill_tasks.generate_rows(f"drills/{family}", 40, 0), rows[:40]
    )
    self.assertNotEqual(drill_tasks.generate_rows(family, 40, 1), rows[:40])

  @parameterized.parameters(*FAMILIES)
  @pytest.mark.slow
  def test_there_are_enough_for_all_splits(self, family):
    count = ENOUGH.get(family, 3200)
    self.assertLen(drill_tasks.generate_rows(family, count, seed=0), count)

  @parameterized.parameters(*FAMILIES)
  @pytest.mark.slow
  def test_no_row_was_there_during_development(self, family):
    seen = {row["id"] for row in drill_tasks.development_rows(family)}
    self.assertLen(seen, 1200)
    rows = drill_tasks.generate_rows(family, ENOUGH.get(family, 3000), seed=0)
    self.assertEmpty(seen & {row["id"] for row in rows})

  @pytest.mark.slow
  def test_early_rows_are_like_late_ones(self):
    """Of a family whose exercises are not drawn equally often."""
    rows = drill_tasks.generate_rows("countdown3", 5000, seed=1)
    targets = np.array([row["reference"]["target"] for row in rows])
    early, late = targets[:2500], targets[2500:]
    error = np.sqrt(2 * targets.var() / 2500)
    self.assertLess(abs(early.mean() - late.mean()), 4 * error)

  def test_rows_are_those_of_every_python(self):
    """Another value changes which exercises published numbers are about.

    To renew, print the left-hand side, and train the shipped model again.
    """
    rows = drill_tasks.generate_rows("modulo", 3, 0)
    self.assertEqual(
      [row["prompt"] for row in rows], ["430%8?", "495%2?", "625%2?"]
    )

  @pytest.mark.slow
  def test_rows_of_the_main_experiment_are_those_of_every_python(self):
    rows = drill_tasks.generate_rows("countdown3", 3, 0)
    self.assertEqual(
      [row["prompt"] for row in rows],
      ["5 23 20=38?", "3 29 29=61?", "9 20 30=19?"],
    )

  def test_draws_are_those_of_every_python(self):
    """What the shipped model was trained on depends on them; see above."""
    self.assertEqual(
      [
        drill_tasks._draw_held_out(family, 1)[0].question for family in FAMILIES
      ],
      [
        "1 15 5=19?",
        "13 13 19 3=71?",
        "45+879?",
        "65+68?",
        "370-298?",
        "38-37?",
        "9*3?",
        "418%10?",
        "sort 18,57,33?",
        "reverse bfwtex?",
        "max 86,3,62,96,42?",
        "min 25,48,5,61,46?",
      ],
    )

  @parameterized.parameters(
    ("countdwn3", 1, "must be a family of drills, got 'countdwn3'.*countdown3"),
    ("modulo", -1, "count must be within 0 and [0-9]+, .*of modulo, got -1"),
    ("modulo", 10**6, "count must be within 0 and [0-9]+, .*got 1000000"),
  )
  def test_what_cannot_be_generated_is_refused(self, name, count, message):
    with self.assertRaisesRegex(UserError, message):
      drill_tasks.generate_rows(name, count, seed=0)

  def test_a_plain_question_says_all(self):
    task = drill_tasks.TASKS["drills/countdown3"]
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
      _example(family, _sample(family, 0), **changes)


class MannersTest(parameterized.TestCase):
  @hypothesis.given(exercises)
  def test_every_manner_gives_the_right_answer(self, drawn):
    family, seed = drawn
    exercise, answers = _answers(family, seed)
    example = _example(family, exercise)
    other = _example(
      family, exercise, reference=_other_reference(exercise.reference)
    )
    votes = set()
    for name, answer in answers.items():
      right, wrong = (_grade(family, one, answer) for one in (example, other))
      votes.add(right.vote)
      self.assertEqual(right, (1.0, True, True, right.vote, True), msg=name)
      self.assertEqual(wrong, (0.0, False, False, right.vote, True), msg=name)
    self.assertLen(votes, 1)
    # A detour that happens to arrive is no other than the steps may be.
    self.assertGreaterEqual(len(set(answers.values())), len(answers) - 1)
    most = drill_tasks.TASKS[f"drills/{family}"].max_new_tokens
    self.assertLess(max(map(len, answers.values())), most)

  @hypothesis.given(exercises)
  def test_every_equation_on_the_way_is_true(self, drawn):
    """In Python's arithmetic, on texts that are our own."""
    family, seed = drawn
    exercise, answers = _answers(family, seed)
    if family in ("sorting", "reversal", "maximum", "minimum"):
      return
    reference = exercise.reference
    if family in COUNTDOWNS:
      reference = reference["target"]
    for answer in answers.values():
      for word in answer.split():
        if "=" in word:
          left, right = word.split("=")
          self.assertEqual(eval(left), eval(right), msg=answer)
        elif any(sign in word for sign in "+-*/%"):  # The last step.
          self.assertEqual(eval(word), int(reference), msg=answer)

  @hypothesis.given(st.sampled_from(COUNTDOWNS), st.integers(0, 10**6))
  def test_a_countdown_has_a_solution_within_bounds(self, family, seed):
    exercise, answers = _answers(family, seed)
    numbers, target = exercise.reference.values()
    formula = formulas.parse(answers["formula"])
    self.assertEqual(formula.value, target)
    self.assertCountEqual(formula.numbers, numbers)
    self.assertBetween(target, 1, exercises_lib.MAX_VALUE)
    self.assertBetween(min(numbers), 1, exercises_lib.MAX_NUMBER)
    self.assertBetween(max(numbers), 1, exercises_lib.MAX_NUMBER)

  def test_the_smaller_families_write_what_their_names_say(self):
    for seed in range(100):
      exercise, answers = _answers("minimum", seed)
      numbers = [int(n) for n in exercise.question[4:-1].split(",")]
      smallest = str(min(numbers))
      running, falling = answers["running"], answers["falling first"]
      self.assertEqual(exercise.reference, smallest)
      self.assertEqual(
        running.split(),
        [str(min(numbers[: i + 1])) for i in range(len(numbers))] + [smallest],
      )
      self.assertEqual(
        falling,
        f"{','.join(map(str, sorted(numbers)[::-1]))} {smallest}",
      )
      for family, sign in (("addition2", 1), ("subtraction2", -1)):
        exercise = _sample(family, seed)
        left, right = map(int, exercise.identity.replace("-", "+").split("+"))
        self.assertEqual(int(exercise.reference), left + sign * right)
        self.assertGreaterEqual(int(exercise.reference), 0)

  def test_parentheses_stand_where_they_are_needed(self):
    one, two, three = (exercises_lib._Term(text, int(text)) for text in "842")
    combine = exercises_lib._combine
    for expected, (left, sign, right) in {
      "8-(4-2)": (one, "-", combine(two, "-", three)),
      "8-4-2": (combine(one, "-", two), "-", three),
      "8+4-2": (one, "+", combine(two, "-", three)),
      "(8+4)*2": (combine(one, "+", two), "*", three),
      "8*(4+2)": (one, "*", combine(two, "+", three)),
      "8/(4/2)": (one, "/", combine(two, "/", three)),
      "8*4/2": (one, "*", combine(two, "/", three)),
      "8*4+2": (combine(one, "*", two), "+", three),
    }.items():
      result = combine(left, sign, right)
      self.assertEqual(result.text, expected)
      self.assertEqual(result.value, formulas.evaluate(expected))
    self.assertIsNone(combine(three, "-", three))  # 0 is no step.
    self.assertIsNone(combine(one, "/", exercises_lib._Term("3", 3)))


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
    example = _example(
      "countdown3",
      _sample("countdown3", 0),
      reference={"numbers": [3, 5, 7], "target": 22},
    )
    grade = _grade("countdown3", example, response)
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
    example = _example(
      family, _sample(family, 0), prompt=prompt, reference=reference
    )
    grade = _grade(family, example, response)
    is_right = vote == reference
    self.assertEqual(
      grade, (float(is_right), is_right, is_right, vote, vote is not None)
    )

  @hypothesis.given(
    exercises,
    st.lists(
      st.text(alphabet="0123456789+-*/()= ,abz\n\x00\ud800٣", max_size=30),
      max_size=12,
    ),
  )
  def test_a_vote_says_whether_it_is_right(self, drawn, responses):
    family, seed = drawn
    exercise, answers = _answers(family, seed)
    example = _example(family, exercise)
    is_right = {}
    for response in (*answers.values(), *responses):
      grade = _grade(family, example, response)
      self.assertEqual(is_right.setdefault(grade.vote, grade.lenient), grade[2])
      self.assertLessEqual(grade.correct, grade.lenient)
      self.assertEqual(grade.score, grade.correct)
      self.assertEqual(grade.format, grade.vote is not None)
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
    example = _example(family, _sample(family, 1))
    start = time.perf_counter()
    grade = _grade(family, example, response)
    self.assertLess(time.perf_counter() - start, 1.0)
    self.assertEqual(grade, (0.0, False, False, grade.vote, grade.format))
    self.assertLessEqual(len(grade.vote or ""), 64)

  @parameterized.parameters(*FAMILIES)
  def test_graders_pickle_and_names_are_those_of_the_registry(self, family):
    task = drill_tasks.TASKS[f"drills/{family}"]
    self.assertEqual(task.name, f"drills/{family}")
    exercise, answers = _answers(family, 3)
    grade = pickle.loads(pickle.dumps(task.grader("standard")))
    for answer in answers.values():
      self.assertTrue(grade(_example(family, exercise), answer).correct)

  def test_there_is_no_rule_set_of_the_paper(self):
    with self.assertRaisesRegex(UserError, "rule set of drills/addition"):
      drill_tasks.TASKS["drills/addition"].grader("paper")


class FamiliesTest(parameterized.TestCase):
  def test_there_are_the_families_that_are_documented(self):
    self.assertContainsSubset(
      {
        "countdown3",
        "countdown4",
        "addition",
        "multiplication",
        "modulo",
        "sorting",
        "reversal",
        "maximum",
        "minimum",
        "addition2",
        "subtraction2",
      },
      FAMILIES,
    )

  @parameterized.parameters(*FAMILIES)
  def test_questions_look_alike(self, family):
    patterns = {
      "countdown3": r"(\d+ ){2}\d+=\d+\?",
      "countdown4": r"(\d+ ){3}\d+=\d+\?",
      "sorting": r"sort \d+(,\d+){2,4}\?",
      "maximum": r"max \d+(,\d+){2,4}\?",
      "minimum": r"min \d+(,\d+){2,4}\?",
      "addition2": r"\d{1,2}\+\d{1,2}\?",
      "subtraction2": r"1?\d{1,2}-\d{1,2}\?",
      "reversal": r"reverse [a-z]{4,7}\?",
    }
    pattern = patterns.get(family, r"\d+[-+*%]\d+\?")
    for seed in range(50):
      self.assertRegex(
        _sample(family, seed).question, re.compile(f"^{pattern}$")
      )
