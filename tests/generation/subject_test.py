"""Tests of a model and a task that belong together."""

import dataclasses
import json
import unittest

from golden import small_subjects
from golden import transformer_cases as cases

GGUF_FILE = {"sha256": "ab" * 32, "types": {"F32": 7, "Q4_1": 21}}


class SubjectTest(unittest.TestCase):
  def load(self, gguf_file):
    model = cases.make_model(tokenizer=cases.make_tokenizer())
    return small_subjects.make_subject(
      dataclasses.replace(model, gguf_file=gguf_file)
    )

  def test_the_base_says_from_which_gguf_file_it_was_dequantised(self):
    source = self.load(GGUF_FILE).base.source
    self.assertEqual(json.loads(json.dumps(source))["gguf_file"], GGUF_FILE)
    self.assertEqual(source["dtype"], "float32")  # In which it is held.
    self.assertNotIn("gguf_file", self.load(None).base.source)
