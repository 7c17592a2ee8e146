"""Tests of USPTO-50K: classes, atom maps, the baseline, the real reactions."""

import csv
import pathlib
import pickle
import unittest

from absl.testing import parameterized

from thickets.tasks import base, uspto50k

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared/data/uspto50k"
FILES = ("test", "valid", "test_canonical", "valid_canonical")
TASK = uspto50k.TASK
STANDARD, PAPER = TASK.grader("standard"), TASK.grader("paper")
REACTION = "O=[C:1]([CH3:12])[C@@H:3]C>>[OH:4][CH:1]([CH3:12])[C@@H:3]C"


def _example(label=7, field="rxn_smiles"):
  return TASK.make_example({"class": label, field: REACTION}, 0)


def _tagged(label):
  return f"<answer>{label}</answer>"


class Uspto50kTest(parameterized.TestCase):
  @parameterized.parameters("rxn_smiles", "reactants>reagents>production")
  def test_the_prompt_shows_the_reaction_without_atom_maps(self, field):
    example = _example(field=field)
    self.assertIn(
      "\nO=[C]([CH3])[C@@H]C>>[OH][CH]([CH3])[C@@H]C\n",
      example.messages[1].content,
    )
    for number in range(1, 11):
      self.assertIn(f"\n{number}: ", example.messages[0].content)
    self.assertEqual(pickle.loads(pickle.dumps(example)), example)

  @parameterized.parameters(7, "7", " 7 ")
  def test_classes_are_numbers_or_texts(self, label):
    self.assertEqual(_example(label).reference, 7)

  @parameterized.parameters(
    ({"class": 0, "rxn_smiles": REACTION}, "class must be from 1 to 10"),
    ({"class": 11, "rxn_smiles": REACTION}, "class must be from 1 to 10"),
    ({"class": None, "rxn_smiles": REACTION}, "class must be from 1 to 10"),
    ({"class": "٧", "rxn_smiles": REACTION}, "class must be from 1 to 10"),
    ({"class": 7, "smiles": REACTION}, "must have the field rxn_smiles or"),
    ({"class": 7, "rxn_smiles": "CC"}, "must be reactants>reagents>product"),
    ({"class": 7, "rxn_smiles": None}, "must be reactants>reagents>product"),
  )
  def test_refuses_rows(self, row, message):
    with self.assertRaisesRegex(ValueError, message):
      TASK.make_example(row, 0)

  @parameterized.parameters(*range(1, 11))
  def test_the_form_asked_for(self, label):
    pad = " " * 3000
    for text in (
      _tagged(label),
      f"C=O is gone.\n<answer> {label} </answer>\n",
      _tagged(f"{pad}{label}{pad}\u2003"),
    ):
      self.assertEqual(
        STANDARD(_example(label), text),
        base.Grade(1.0, True, True, str(label), True),
      )
      other = STANDARD(_example(label % 10 + 1), text)
      self.assertEqual(other, base.Grade(0.0, False, False, str(label), True))

  @parameterized.parameters(
    "<answer>7</answer> is the class",
    "<answer>8</answer> no: <answer>7</answer>",
    "<answer>Class 7</answer>",
    "<answer>7: reductions</answer>",
    "<answer>07</answer>",
    "<answer>[7]</answer>",
    "<answer>7.</answer>",
    "<answer>**7**</answer>",
    "<answer>$7$</answer>",
    "<answer>`7`</answer>",
    "<answer>\\boxed{7}</answer>",
    "<answer>Class: [07]</answer>",
    "[7]",
    "<answer>7",
    "This is class 7, which forms 1 new bond.",
    "The answer is 7.",
    "8 or rather 7",
    "Class 8? No, class 7.",
    "7",
    "**7**",
    "A reduction (7)",
    "\\boxed{x} 7",
  )
  def test_other_forms_are_right_but_not_correct(self, response):
    self.assertEqual(
      STANDARD(_example(), response), base.Grade(0.0, False, True, "7", False)
    )

  @parameterized.parameters(
    "",
    "<answer></answer>",
    "<answer>X</answer>",
    "<answer>77</answer>",
    "<answer>017</answer>",
    "<answer>0</answer>",
    "<answer>[7H]</answer>",
    "<answer>7/8</answer>",
    "<answer>7, 8</answer>",
    "<answer>8 or 7</answer>",
    "<answer>class 8 or class 7</answer>",
    "<answer>-7</answer>",
    "<answer>7.5</answer>",
    "<answer>７</answer>",
    "<answer>٧</answer>",
    "<answer>7\0</answer>",
    "c7ccccc7 and [CH2]7",
    "reduction",
    "7 " + "." * 3000,
  )
  def test_what_is_no_class_has_no_vote(self, response):
    self.assertEqual(
      STANDARD(_example(), response), base.Grade(0.0, False, False, None, False)
    )

  def test_the_baseline_is_the_commonest_class_of_the_first(self):
    train = [_example(label) for label in (3, 3, 2, 2, 9)]
    judge = [_example(label) for label in (2, 9, 9, 9)]
    self.assertEqual(uspto50k.majority_baseline(train, judge), (2, 0.25))
    self.assertEqual(TASK.baseline(train, judge), ("always class 2", 0.25))
    with self.assertRaisesRegex(ValueError, "got 0 and 4"):
      uspto50k.majority_baseline([], judge)


class PaperTest(parameterized.TestCase):
  """Expected values are those of the authors' functions."""

  @parameterized.parameters(
    ("<answer>7</answer>", "7", True),
    ("<ANSWER> 7\n</Answer> or 3", "7", True),
    ("<answer>07</answer>", "07", True),
    ("<answer>77</answer>", "77", False),
    ("<answer>7</answer><answer>X</answer>", "7", True),
    ("<answer>Class 7</answer>", "7", True),
    ("7 of 10", "10", False),
    ("CC[C]7-C", "7", True),
    ("<answer>٧</answer>", None, False),
    ("reduction", None, False),
  )
  def test_reads(self, response, vote, is_right):
    grade = PAPER(_example(), response)
    self.assertEqual(grade.vote, vote)
    self.assertEqual(grade[:3], (float(is_right), is_right, is_right))

  def test_a_long_number_is_a_short_vote(self):
    grade = PAPER(_example(), _tagged("0" * 100_000 + "7"))
    self.assertTrue(grade.correct)
    self.assertStartsWith(grade.vote, "sha256:")


@unittest.skipUnless(DATA.is_dir(), "the reactions are not here")
class ReactionsTest(parameterized.TestCase):
  @parameterized.parameters(*[(name,) for name in FILES])
  def test_classes_are_right_and_others_are_not(self, name):
    with open(DATA / f"{name}.csv") as lines:
      rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows):
      example = TASK.make_example(row, number)
      self.assertNotRegex(example.messages[1].content, r":[0-9]+\]")
      label = int(row["class"])
      for grader in (STANDARD, PAPER):
        self.assertTrue(grader(example, _tagged(label)).correct)
        grade = grader(example, _tagged(label % 10 + 1))
        self.assertFalse(grade.correct or grade.lenient)
