"""Tests of the questions that people ask an ensemble."""

import io
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized

from experiments.launch import questions
from thickets.tasks import gsm8k


class QuestionsTest(parameterized.TestCase):
  @parameterized.parameters(
    "\ufeffHow many?\nHow much?\n", "How many?\n\ufeff\n\ufeffHow much?\n"
  )
  def test_marks_of_byte_order_are_in_no_question(self, text):
    with tempfile.TemporaryDirectory() as folder:
      file = pathlib.Path(folder, "questions.txt")
      file.write_text(text, encoding="utf-8")
      tables = [questions.read_questions(gsm8k.TASK, str(file))]
    with mock.patch("sys.stdin", io.StringIO(text)):
      tables.append(questions.read_questions(gsm8k.TASK, "-"))
    for table in tables:
      self.assertEqual(
        [row["question"] for row in table.rows], ["How many?", "How much?"]
      )
