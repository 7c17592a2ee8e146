"""Tests of the families of drills: which there are, and how they answer."""

import re

import hypothesis
from absl.testing import parameterized
from tasks.drills import drawn_drills

from thickets.tasks.drills.family_tasks import DRILL_TASKS


def _other_reference(reference):
  """A right answer to another exercise."""
  if isinstance(reference, dict):
    return reference | {"target": reference["target"] + 1}
  return f"{reference}1" if reference[-1].isdigit() else f"{reference}a"


class MannersTest(parameterized.TestCase):
  @hypothesis.given(drawn_drills.FAMILIES_AND_SEEDS)
  def test_every_manner_gives_the_right_answer(self, drawn):
    family, seed = drawn
    exercise, answers = drawn_drills.answer(family, seed)
    example = drawn_drills.make_example(family, exercise)
    other = drawn_drills.make_example(
      family, exercise, reference=_other_reference(exercise.reference)
    )
    votes = set()
    for name, answer in answers.items():
      right, wrong = (
        drawn_drills.grade(family, one, answer) for one in (example, other)
      )
      votes.add(right.vote)
      self.assertEqual(right, (1.0, True, True, right.vote, True), msg=name)
      self.assertEqual(wrong, (0.0, False, False, right.vote, True), msg=name)
    self.assertLen(votes, 1)
    # A detour that happens to arrive is no other than the steps may be.
    self.assertGreaterEqual(len(set(answers.values())), len(answers) - 1)
    most = DRILL_TASKS[f"drills/{family}"].max_new_tokens
    self.assertLess(max(map(len, answers.values())), most)

  @hypothesis.given(drawn_drills.FAMILIES_AND_SEEDS)
  def test_every_equation_on_the_way_is_true(self, drawn):
    """In Python's arithmetic, on texts that are our own."""
    family, seed = drawn
    exercise, answers = drawn_drills.answer(family, seed)
    if family in ("sorting", "reversal", "maximum", "minimum"):
      return
    reference = exercise.reference
    if family in drawn_drills.COUNTDOWNS:
      reference = reference["target"]
    for answer in answers.values():
      for word in answer.split():
        if "=" in word:
          left, right = word.split("=")
          self.assertEqual(eval(left), eval(right), msg=answer)
        elif any(sign in word for sign in "+-*/%"):  # The last step.
          self.assertEqual(eval(word), int(reference), msg=answer)

  def test_the_smaller_families_write_what_their_names_say(self):
    for seed in range(100):
      exercise, answers = drawn_drills.answer("minimum", seed)
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
        exercise = drawn_drills.sample(family, seed)
        left, right = map(int, exercise.identity.replace("-", "+").split("+"))
        self.assertEqual(int(exercise.reference), left + sign * right)
        self.assertGreaterEqual(int(exercise.reference), 0)


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
      drawn_drills.FAMILIES,
    )

  @parameterized.parameters(*drawn_drills.FAMILIES)
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
        drawn_drills.sample(family, seed).question, re.compile(f"^{pattern}$")
      )
