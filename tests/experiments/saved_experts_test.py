"""Tests of which program reads the experts of which kind of model."""

import json
import pathlib
import tempfile

from absl.testing import parameterized

from experiments.launch import picture_experts, saved_experts
from thickets.errors import UserError
from thickets.runs import experts

LANGUAGE = {"name": "org/model", "revision": None, "dtype": "float32"}
SHAPES = {"kind": "shapes", "name": "shipped/shapes"}
PIPELINE = {"kind": "diffusers", **LANGUAGE}


class SourcesTest(parameterized.TestCase):
  def write(self, source):
    folder = self.enterContext(tempfile.TemporaryDirectory())
    path = pathlib.Path(folder) / "experts.json"
    fields = {"format": experts.FORMAT, "base": {"source": source}}
    path.write_text(json.dumps(fields), "utf-8")
    return path

  def test_a_language_model_is_read_as_one(self):
    path = self.write(LANGUAGE)
    self.assertEqual(saved_experts._read_source(path), LANGUAGE)
    self.assertFalse(picture_experts.are_of_pictures(path))

  @parameterized.parameters((SHAPES,), (PIPELINE,))
  def test_a_model_that_draws_is_not_read_as_a_language_model(self, source):
    path = self.write(source)
    self.assertTrue(picture_experts.are_of_pictures(path))
    with self.assertRaisesRegex(UserError, "which language model it belongs"):
      saved_experts._read_source(path)

  @parameterized.parameters((None,), ([],), ({"name": "org/model"},), ("name",))
  def test_a_source_that_says_too_little_is_refused(self, source):
    path = self.write(source)
    self.assertFalse(picture_experts.are_of_pictures(path))
    with self.assertRaisesRegex(UserError, "which language model it belongs"):
      saved_experts._read_source(path)
