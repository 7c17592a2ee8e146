"""Tests of a model and a task that belong together."""

import dataclasses
import json
import unittest

from golden import transformer_cases as cases

from thickets.generation import subject as subject_lib
from thickets.generation.specs import AnsweringSpec, TaskSpec
from thickets.tasks import base, splits

GGUF_FILE = {"sha256": "ab" * 32, "types": {"F32": 7, "Q4_1": 21}}
EXAMPLES = tuple(
  base.Example(str(n), base.ask(f"w{n + 3}"), "") for n in range(3)
)


class SubjectTest(unittest.TestCase):
  def load(self, gguf_file):
    model = cases.make_model(tokenizer=cases.make_tokenizer())
    task = base.Task(
      name="T",
      fields=(),
      make_example=lambda row, number: EXAMPLES[number],
      graders={},
      max_new_tokens=4,
    )
    return subject_lib.make_subject(
      dataclasses.replace(model, gguf_file=gguf_file),
      TaskSpec("T", splits.Sizes(1, 1, 1)),
      AnsweringSpec(),
      task,
      splits.Splits(
        *((example,) for example in EXAMPLES),
        {name: {} for name in subject_lib.PROMPT_SPLITS},
      ),
      today=None,
    )

  def test_the_base_says_from_which_gguf_file_it_was_dequantised(self):
    source = self.load(GGUF_FILE).base.source
    self.assertEqual(json.loads(json.dumps(source))["gguf_file"], GGUF_FILE)
    self.assertEqual(source["dtype"], "float32")  # In which it is held.
    self.assertNotIn("gguf_file", self.load(None).base.source)
