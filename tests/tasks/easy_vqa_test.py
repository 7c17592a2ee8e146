"""Tests of easy-VQA: one question for each picture, drawn by the seed."""

import sys
from unittest import mock

from absl.testing import absltest

from thickets.errors import UserError
from thickets.tasks import easy_vqa, registry, splits
from thickets.tasks.base import Example, ask
from thickets.tasks.splits import Sizes

try:
  import easy_vqa as package
except ImportError:
  package = None


class EasyVqaTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    if package is None:
      self.skipTest("needs the extra easy-vqa")

  def test_questions(self):
    task = registry.load_task("easy_vqa")
    found = splits.load_splits(task, Sizes(20, 10, 30))
    self.assertLen({e.pictures[0].digest for e in found.examples}, 60)
    for example in found.examples:
      self.assertIn(example.reference, easy_vqa.ANSWERS)
      self.assertEqual(example.pictures[0].read()[1:4], b"PNG")
    other = splits.load_splits(task, Sizes(20, 10, 30), seed=1)
    self.assertNotEqual(found.origin["judge"], other.origin["judge"])

  def test_what_wording_alone_tells(self):
    rows = {split: easy_vqa.load_rows(split) for split in ("train", "test")}
    examples = {
      split: [
        Example(str(i), ask(row["question"]), row["answer"])
        for i, row in enumerate(found)
      ]
      for split, found in rows.items()
    }
    self.assertEqual({s: len(r) for s, r in rows.items()}["train"], 38575)
    said, accuracy = easy_vqa.find_baseline(examples["train"], examples["test"])
    self.assertEqual(said, "the commonest answer to each of 24 wordings")
    self.assertAlmostEqual(accuracy, 0.671, places=3)


class GradeTest(absltest.TestCase):
  def test_last_word(self):
    grade = registry.load_task("easy_vqa").grader("standard")
    example = Example("0", ask("?"), "teal")
    self.assertTrue(grade(example, "teal").correct)
    self.assertFalse(grade(example, "It is Teal.").correct)
    self.assertTrue(grade(example, "It is Teal.").lenient)
    self.assertIsNone(grade(example, "It is pink.").vote)

  def test_needs_the_package(self):
    with (
      mock.patch.dict(sys.modules, {"easy_vqa": None}),
      self.assertRaisesRegex(UserError, "extra easy-vqa"),
    ):
      easy_vqa.load_rows("train")
