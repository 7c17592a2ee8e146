"""Tests of ROCStories: orders, partial credit, and the real stories."""

import collections
import itertools
import json
import pathlib
import pickle
import unittest

from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st

from thickets.tasks import base, rocstories

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared/data/rocstories"
FILES = ("rocstories.jsonl", "rocstories_lowercase_titled.jsonl")
TASK = rocstories.TASK
STANDARD, PAPER = TASK.grader("standard"), TASK.grader("paper")
PINNED = ["BCDAE", "CDAEB", "DABEC", "DCBEA"]
ORDERS = ["".join(order) for order in itertools.permutations("ABCDE")]


def _story(number=0):
  return {
    "storytitle": f"A walk {number}",
    **{f"sentence{i}": f"Step {i} of {number}." for i in range(1, 6)},
  }


def _prepared(order="CADBE"):
  return TASK.make_example(
    {
      "title": "A walk",
      "shuffled_sentences": [f"Step {order.index(c)}." for c in "ABCDE"],
      "gold_order": ["ABCDE".index(c) for c in order],
    },
    0,
  )


def _read_order(example, row):
  """The letters of the story's sentences, as the prompt shows them."""
  letters = {}
  for line in example.messages[-1].content.splitlines():
    if line.startswith("Sentence "):
      letters[line[len("Sentence A: ") :]] = line[len("Sentence ")]
  return [letters[row[f"sentence{i}"]] for i in range(1, 6)]


class RocStoriesTest(parameterized.TestCase):
  def test_the_reference_is_the_order_of_the_shown_sentences(self):
    for number in range(50):
      row = _story(number)
      example = TASK.make_example(row, number)
      order = _read_order(example, row)
      self.assertEqual("".join(order), example.reference)
      self.assertIn(f"Title: A walk {number}\n", example.messages[-1].content)
      grade = STANDARD(example, ",".join(order))
      self.assertEqual(
        grade, base.Grade(1.0, True, True, example.reference, True)
      )
    self.assertEqual(pickle.loads(pickle.dumps(example)), example)

  def test_the_shuffle_is_pinned_and_depends_on_the_story_alone(self):
    orders = [TASK.make_example(_story(n), n).reference for n in range(4)]
    # Renew these by printing `orders`, and raise the task's version.
    self.assertEqual(orders, PINNED)
    again = TASK.make_example(_story(1), 17)
    self.assertEqual(again.messages, TASK.make_example(_story(1), 1).messages)

  def test_all_orders_are_as_likely(self):
    counts = collections.Counter(
      TASK.make_example(_story(n), n).reference for n in range(2400)
    )
    self.assertLen(counts, 120)
    # Chi-squared with 119 degrees of freedom: 119 +- 15.4.
    chi = sum((count - 20) ** 2 / 20 for count in counts.values())
    self.assertBetween(chi, 119 - 5 * 15.4, 119 + 5 * 15.4)

  def test_prepared_rows_are_read_as_they_are(self):
    example = _prepared("CADBE")
    self.assertEqual(example.reference, "CADBE")
    self.assertIn("Sentence A: Step 1.", example.messages[-1].content)
    self.assertIn("Sentence C: Step 0.", example.messages[-1].content)

  @parameterized.parameters(
    ({"storytitle": "x", "sentence1": "y"}, "must have the fields sentence1"),
    (_story() | {"sentence3": ""}, "must be five texts"),
    (_story() | {"sentence3": None}, "must be five texts"),
    (
      {"shuffled_sentences": ["a"] * 4, "gold_order": [0, 1, 2, 3]},
      "must be five texts",
    ),
    (
      {"shuffled_sentences": ["a"] * 5, "gold_order": [0, 1, 2, 3, 3]},
      "must order 0 to 4",
    ),
  )
  def test_refuses_rows(self, row, message):
    with self.assertRaisesRegex(ValueError, message):
      TASK.make_example(row, 0)

  @parameterized.parameters(
    ("ABCDE", 1.0),
    ("EDCBA", 0.12),  # The middle one is in place.
    ("BACDE", 0.6 * 0.6 + 0.4 * 0.75),
    ("BCDEA", 0.4 * 0.75),
    ("EABCD", 0.4 * 0.75),
  )
  def test_partial_credit(self, order, score):
    self.assertAlmostEqual(rocstories.score_order(order, "ABCDE"), score)

  def test_every_order_has_credit_and_only_the_right_one_has_all(self):
    scores = {order: rocstories.score_order(order, "CADBE") for order in ORDERS}
    self.assertAlmostEqual(min(scores.values()), 0.1)
    self.assertEqual([o for o, s in scores.items() if s == 1.0], ["CADBE"])

  @given(
    st.sampled_from(ORDERS), st.sampled_from(ORDERS), st.permutations("ABCDE")
  )
  def test_credit_does_not_depend_on_the_letters(self, order, right, letters):
    rename = str.maketrans("ABCDE", "".join(letters))
    self.assertEqual(
      rocstories.score_order(order, right),
      rocstories.score_order(order.translate(rename), right.translate(rename)),
    )

  @parameterized.parameters("C,A,D,B,E", "C, A, D, B, E", " C,A, D,B,E\n")
  def test_the_form_asked_for(self, response):
    self.assertEqual(
      STANDARD(_prepared(), response),
      base.Grade(1.0, True, True, "CADBE", True),
    )

  @parameterized.parameters(
    "CADBE",
    "C A D B E",
    "c, a, d, b, e",
    "C -> A -> D -> B -> E",
    "C-A-D-B-E",
    "The order is: **C, A, D, B, E**.",
    "[C,A,D,B,E]",
    "C\nA\nD\nB\nE",
    "C,A,D,B,E\n\nA story begins with C.",
    "A,B,C,D,E is shown; C,A,D,B,E is right",
    "C,A,D,B,E.",
    "C, A, D, B, and E",
    "1. C 2. A 3. D 4. B 5. E",
    "1. **C**\n2. **A**\n3. **D**\n4. **B**\n5. **E**",
    "1) C, 2) A, 3) D, 4) B, 5) E",
    "(1) C (2) A (3) D (4) B (5) E",
    "1: C\n2: A\n3: D\n4: B\n5: E",
    '"C", "A", "D", "B", "E"',
    "'C','A','D','B','E'",
    "“C”, “A”, “D”, “B”, “E”",
    "`C`, `A`, `D`, `B`, `E`",
    "The order is C, A, D, B, E.",
    "It starts C A D B E",
    "Sentence C, Sentence A, Sentence D, Sentence B, Sentence E",
    "1. Sentence C\n2. Sentence A\n3. Sentence D\n4. Sentence B\n5. Sentence E",
  )
  def test_other_forms_are_right_but_not_correct(self, response):
    self.assertEqual(
      STANDARD(_prepared(), response),
      base.Grade(0.0, False, True, "CADBE", False),
    )

  @parameterized.parameters(
    "",
    "C,A,D,B",
    "C,A,D,B,C",
    "C,A,D,B,E,C",
    "C,A,D,B,F",
    "C,A,D,B,Every",
    "C,A,D,B,E,F",
    "F,C,A,D,B,E",
    "C, A, D, B, E, F",
    "C-A-D-B-E-F",
    "C A D B E F",
    "F\nC\nA\nD\nB\nE",
    "CADBEF",
    '"C", "A", "D", "B", "E", "F"',
    "1. C 2. A 3. D 4. B 5. E 6. F",
    "A dog, a cat, and a bee",
    "abide",
    "Ｃ,Ａ,Ｄ,Ｂ,Ｅ",
    "C,\0A,D,B,E",
    "C,A,D,B,E" + "." * 3000,
  )
  def test_what_is_no_order_has_no_vote(self, response):
    self.assertEqual(
      STANDARD(_prepared(), response),
      base.Grade(0.0, False, False, None, False),
    )

  def test_partial_credit_is_given_in_form_alone(self):
    self.assertAlmostEqual(STANDARD(_prepared(), "E,B,D,A,C").score, 0.12)
    self.assertEqual(STANDARD(_prepared(), "EBDAC").score, 0.0)


class PaperTest(parameterized.TestCase):
  """Expected values are those of the authors' functions."""

  @parameterized.parameters(
    ("C,A,D,B,E", "CADBE", 1.0),
    ("It is C , A,D,B,E", "CADBE", 1.0),
    ("c a d b e", "CADBE", 1.0),
    ("CADBE", "CADBE", 1.0),
    ("E,B,D,A,C", "EBDAC", 0.12),
    # The first with commas, whatever follows.
    ("E,B,D,A,C no: C,A,D,B,E", "EBDAC", 0.12),
    ("C A D B E or E,B,D,A,C", "EBDAC", 0.12),
    # The first five letters of whatever words.
    ("Cab Ed, a bed", "CABED", 0.6 * 0.4 + 0.4 * 0.75),
    ("Be a decent reader", None, 0.0),
    ("C.A.D.B.E", "CADBE", 1.0),
    ("cat, rid, obey", "CADBE", 1.0),
    ("C,A,D,B", None, 0.0),
    ("A,A,B,C,D", None, 0.0),
    ("", None, 0.0),
  )
  def test_orders_are_read_from_anything(self, response, vote, score):
    grade = PAPER(_prepared(), response)
    self.assertEqual(grade.vote, vote)
    self.assertAlmostEqual(grade.score, score)
    # The truth value of a partial credit that is never 0.
    self.assertEqual(grade.correct, vote is not None)
    self.assertEqual(grade.lenient, vote is not None)


@unittest.skipUnless(DATA.is_dir(), "the stories are not here")
class StoriesTest(parameterized.TestCase):
  @parameterized.parameters(*[(name,) for name in FILES])
  def test_orders_are_right_and_reversed_are_not(self, name):
    with open(DATA / name) as lines:
      rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows):
      example = TASK.make_example(row, number)
      order = _read_order(example, row)
      self.assertTrue(STANDARD(example, ",".join(order)).correct)
      grade = STANDARD(example, ",".join(order[::-1]))
      self.assertFalse(grade.correct or grade.lenient)
      self.assertAlmostEqual(grade.score, 0.12)
