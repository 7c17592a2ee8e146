"""Tests of pictures: known by their bytes, small as pickles, refused by name and row."""

import functools
import json
import pathlib
import pickle
import tempfile

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks import pictures, registry, splits
from thickets.tasks.base import Example, Message, ask
from thickets.tasks.splits import Sizes

# A task of a user's own, in a file beside a folder of pictures.
TASK_FILE = """
import pathlib
from thickets.tasks import base, pictures

HERE = pathlib.Path(__file__).parent


def make_example(row, number):
  picture = pictures.from_path(HERE / "photos" / row["photo"])
  return base.Example(
    str(number), base.ask(row["question"], pictures=[picture]), row["answer"]
  )


def grade(example, response):
  right = response == example.reference
  return base.Grade(float(right), right, right, response[:9] or None, True)


TASK = base.Task(
  name="own",
  fields=("photo", "question", "answer"),
  make_example=make_example,
  graders={"standard": grade},
  max_new_tokens=4,
)
"""


class PicturesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def write(self, name, data):
    path = self.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path

  def test_same_bytes_are_one_picture_wherever_they_are(self):
    path = self.write("a.png", b"bytes")
    cells = (
      "a.png",
      b"bytes",
      {"bytes": b"bytes", "path": None},
      {"bytes": None, "path": "a.png"},
      {"bytes": b"bytes", "path": "missing.png"},  # The bytes win.
    )
    made = [
      pictures.from_cell(cell, "row 3", folder=self.folder) for cell in cells
    ]
    self.assertEqual({*made}, {pictures.from_path(path)})
    self.assertEqual({picture.read() for picture in made}, {b"bytes"})
    self.assertNotEqual(made[0], pictures.from_bytes(b"others", "row 3"))
    self.assertEqual(
      made[0].digest,
      "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9",
    )

  def test_pickles_hold_where_the_bytes_are_and_not_the_bytes(self):
    picture = pictures.from_path(self.write("a.png", b"x" * 100_000))
    pickled = pickle.dumps(picture)
    self.assertLess(len(pickled), 1000)
    self.assertEqual(pickle.loads(pickled).read(), b"x" * 100_000)

  def test_bytes_that_change_during_a_run_are_refused(self):
    path = self.write("a.png", b"before")
    picture = pictures.from_path(path)
    path.write_bytes(b"after")
    with self.assertRaisesRegex(UserError, "other bytes in .*a.png"):
      picture.read()

  @parameterized.parameters(
    ("missing.png", r"got .*missing.png \(No such file"),
    ("~no-such-user/a.png", "got ~no-such-user/a.png .*home directory"),
    ("a\0b.png", r"got '.*a\\x00b.png' \(embedded null byte\)"),
    ("empty.png", "got none in .*empty.png"),
    ({"bytes": None, "path": None}, r"got dict .*\(row 3\)"),
    ({"width": 3}, r"got dict .*\(row 3\)"),
    (7, r"got int '7' \(row 3\)"),
    ("", r"got str '' \(row 3\)"),
  )
  def test_refuses_by_name(self, cell, message):
    self.write("empty.png", b"")
    with self.assertRaisesRegex(UserError, message):
      pictures.from_cell(cell, "row 3", folder=self.folder)


class MessagesTest(parameterized.TestCase):
  PICTURE = pictures.from_bytes(b"bytes", "here")

  def test_parts_keep_their_order(self):
    message = Message("user", ("before ", self.PICTURE, "after"))
    self.assertEqual(message.text, "before after")
    self.assertEqual(message.pictures, (self.PICTURE,))
    self.assertEqual(
      message.describe()["content"],
      ["before ", {"picture": self.PICTURE.digest}, "after"],
    )
    self.assertEqual(
      ask("what?", system="s", pictures=[self.PICTURE]),
      (Message("system", "s"), Message("user", (self.PICTURE, "what?"))),
    )

  def test_a_text_is_described_as_before(self):
    self.assertEqual(
      Message("user", "q").describe(), {"role": "user", "content": "q"}
    )

  @parameterized.parameters(7, None, ((),), [["text"]], ((1,),))
  def test_refuses_other_content(self, content):
    with self.assertRaises(
      TypeError
    ):  # Ours, or that of the types checked in tests.
      Message("user", content)


class OwnTaskTest(parameterized.TestCase):
  """A folder of one's own pictures, and a jsonl of questions."""

  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)
    (self.folder / "photos").mkdir()
    for number in range(4):
      (self.folder / "photos" / f"{number}.png").write_bytes(bytes([number]))
    (self.folder / "own.py").write_text(TASK_FILE)

  def load(self, photos):
    rows = [
      {"photo": photo, "question": "what?", "answer": photo} for photo in photos
    ]
    file = self.folder / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    task = registry.load_task(str(self.folder / "own.py"))
    return splits.load_splits(task, Sizes(1, 1, 0), train=str(file))

  def test_questions_with_the_same_words_differ_by_their_pictures(self):
    found = self.load(["0.png", "1.png", "0.png", "2.png", "3.png"])
    self.assertEqual(
      [example.reference for example in found.examples],
      ["0.png", "1.png", "2.png", "3.png"],
    )
    digest = found.select[0].pictures[0].digest
    self.assertEqual(found.origin["select"]["pictures"], [digest])

  def test_another_picture_is_another_run(self):
    before = self.load(["0.png", "1.png", "2.png"]).origin
    (self.folder / "photos" / "2.png").write_bytes(b"other")
    after = self.load(["0.png", "1.png", "2.png"]).origin
    self.assertEqual(before["select"], after["select"])
    self.assertNotEqual(before["judge"]["sha256"], after["judge"]["sha256"])

  def test_a_missing_picture_is_refused_by_file_and_row(self):
    with self.assertRaisesRegex(
      UserError, r"photos/9.png .*\(.*questions.jsonl, line 3\)"
    ):
      self.load(["0.png", "1.png", "9.png"])

  def test_an_unknown_home_is_refused_by_file_and_row(self):
    folder = pathlib.Path(__file__).parents[2] / "docs" / "example_pictures"
    row = {"question": "?", "answer": "", "group": ""}
    path = self.folder / "rows.jsonl"
    path.write_text(json.dumps(row | {"picture": "~no-such-user/a.png"}))
    with self.assertRaisesRegex(UserError, r"home .*rows.jsonl, line 1\)"):
      task = registry.load_task(str(folder / "shapes.py"))
      splits.load_splits(task, Sizes(1, 0, 0), train=str(path))

  def test_paths_of_the_example_begin_at_its_data_file(self):
    folder = pathlib.Path(__file__).parents[2] / "docs" / "example_pictures"
    found = splits.load_splits(
      registry.load_task(str(folder / "shapes.py")),
      Sizes(7, 7, 0),
      train=str(folder / "shapes.jsonl"),
    )
    self.assertLen(found.examples, 22)
    for example in found.examples:
      self.assertEqual(example.pictures[0].read()[1:4], b"PNG")

  def test_examples_pickle(self):
    example = Example("0", ask("?", pictures=[_drawn()]), "a")
    self.assertEqual(pickle.loads(pickle.dumps(example)), example)


def _drawn():
  return pictures.make_picture(functools.partial(bytes, 3), "drawn")
