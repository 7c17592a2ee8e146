"""Tests of the questions that people ask an ensemble."""

import dataclasses
import io
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized

from experiments.launch import questions
from thickets.errors import UserError
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

  def test_questions_are_about_a_picture_of_a_flag_or_of_their_row(self):
    task = dataclasses.replace(gsm8k.TASK, picture="picture")
    with tempfile.TemporaryDirectory() as folder:
      plain = pathlib.Path(folder, "questions.txt")
      plain.write_text("How many?\n")
      rows = pathlib.Path(folder, "questions.jsonl")
      rows.write_text('{"question": "How many?", "picture": "a.png"}\n')
      (row,) = questions.read_questions(task, str(plain), "b.png").rows
      self.assertEqual(row["picture"], str(pathlib.Path("b.png").absolute()))
      table = questions.read_questions(task, str(rows))
      self.assertEqual(table.rows[0]["picture"], "a.png")
      self.assertEqual(table.folder, pathlib.Path(folder))
      (row,) = questions.read_questions(task, str(rows), "b.png").rows
      self.assertEqual(row["picture"], str(pathlib.Path("b.png").absolute()))
      with self.assertRaisesRegex(UserError, "--picture must name the picture"):
        questions.read_questions(task, str(plain))
      with self.assertRaisesRegex(UserError, "about no picture, got b.png"):
        questions.read_questions(gsm8k.TASK, str(plain), "b.png")
