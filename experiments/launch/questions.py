"""The questions that people ask an ensemble, as rows of its task."""

import dataclasses
import pathlib
import sys

from thickets.errors import UserError
from thickets.tasks import data, pictures
from thickets.tasks.base import Task
from thickets.tasks.data import DataTable


def read_questions(task: Task, where: str, picture: str = "") -> DataTable:
  """Reads questions as rows of the task, known answers left blank.

  Args:
    task: what the experts were selected for.
    where: a file, or - for standard input.
    picture: the file of the picture that all questions are about; "" where rows
      name their own, or the task has none.

  Raises:
    UserError: if there are none, or the task has no place for a plain line or for a
      picture.
  """
  if picture and task.picture is None:
    raise UserError(
      f"--picture must be left out for the task {task.name}, whose questions are"
      f" about no picture, got {picture}."
    )
  shown = {}
  if picture and task.picture is not None:
    # Paths of rows begin at their file.
    shown = {task.picture: str(pictures.expand_home(picture).absolute())}
  if where != "-" and pathlib.Path(where).suffix in data.SUFFIXES:
    table = data.read_file(where)
    rows = [{**task.blank, **row, **shown} for row in table.rows]
    return dataclasses.replace(table, rows=rows)
  if task.question is None:
    raise UserError(
      f"--questions must be a .jsonl file with the fields"
      f" {', '.join(task.fields)} for the task {task.name}, got"
      f" {'standard input' if where == '-' else where}."
    )
  if task.picture is not None and not picture:
    raise UserError(
      f"--picture must name the picture that the questions are about for the task"
      f" {task.name}, got none; or --questions a .jsonl file whose rows have the"
      f" field {task.picture}."
    )
  try:
    text = (
      sys.stdin.read()
      if where == "-"
      else pathlib.Path(where).read_text(encoding="utf-8")
    )
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f"--questions must be readable, got {error}.") from error
  # A mark of byte order begins each file of some systems, and is no text.
  lines = [
    (f"line {number}", line)
    for number, line in enumerate(
      text.replace("\ufeff", "").split("\n"), start=1
    )
    if line.strip()
  ]
  if not lines:
    raise UserError("--questions must hold at least one question, got none.")
  rows = [{**task.blank, task.question: line, **shown} for _, line in lines]
  origin = "standard input" if where == "-" else where
  return DataTable(rows, origin, "", [place for place, _ in lines])
