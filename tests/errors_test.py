"""Tests of the words that error messages list."""

import unittest

from thickets import errors


class WordsTest(unittest.TestCase):
  def test_nearest_lists_the_nearest_first(self):
    self.assertEqual(
      errors.nearest("gausian", ["low_rank", "gaussian"]), "gaussian"
    )
    self.assertEqual(errors.nearest("?", ["b", "a"]), "a, b")

  def test_long_lists_are_shortened_and_counted(self):
    self.assertEqual(errors.shorten(["a", "b"], 2), "a, b")
    self.assertEqual(errors.shorten(["a", "b", "c"], 2), "a, b, … (3 in all)")
