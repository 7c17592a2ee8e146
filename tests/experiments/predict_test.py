"""Tests of what predict prints: JSON that any output can show."""

import json

from absl.testing import absltest, parameterized

from experiments import predict

ROW = {"question": "π × 2 – é", "answer": None}


class FormatRowTest(parameterized.TestCase):
  @parameterized.parameters("utf-8", "UTF8", "ascii", "latin-1", "cp1252", None)
  def test_the_line_can_be_written_and_read_back(self, encoding):
    line = predict.format_row(ROW, encoding)
    code = encoding or "ascii"
    self.assertEqual(json.loads(line.encode(code).decode(code)), ROW)

  def test_utf8_shows_characters_and_escapes_what_is_none(self):
    self.assertIn("π × 2 – é", predict.format_row(ROW, "utf-8"))
    self.assertIn(r"\ud800", predict.format_row({"q": "\ud800"}, "utf-8"))


if __name__ == "__main__":
  absltest.main()
