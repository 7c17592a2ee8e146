"""easy-VQA: questions about single coloured shapes, in a package of others' making.

The package `easy-vqa` (Victor Zhou, 2019, MIT licence; the extra `easy-vqa`) holds 5000
pictures of 64 x 64 pixels and 48,248 questions with 13 answers: yes, no, 3 shapes and
8 colours. Select and dev come from its training questions, judge from its test
questions, in an order that the seed draws, one question for each picture. Always "yes"
is right on 37 % of its test questions, and the commonest answer to each
of its 24 wordings on 67 %.

A response has the form if it is one of the answers and nothing else. The answer that
votes is the last word. The score is 1 for a right answer in the form and 0 otherwise.
"""

import collections
import importlib.metadata
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from thickets.errors import UserError
from thickets.tasks import base, pictures
from thickets.tasks.base import Example, Grade, Packaged, Row, Task
from thickets.tasks.drills.stable_random import StableRandom

ANSWERS = [
  "yes",
  "no",
  "circle",
  "rectangle",
  "triangle",
  "black",
  "gray",
  "red",
  "blue",
  "green",
  "teal",
  "brown",
  "yellow",
]
_NAMES = re.compile(
  rf"\b({'|'.join(ANSWERS[2:])})\b"
)  # What differs between questions of one wording.
_LIBRARY = "easy-vqa"


def load_rows(split: str) -> list[Row]:
  """Reads the questions of the package.

  Args:
    split: `train` or `test`.

  Returns:
    Rows with `question`, `answer` and `picture`, the path of a file.

  Raises:
    UserError: if the package is not installed.
  """
  package = _import_package()
  train = split == "train"
  questions, answers, images = (
    package.get_train_questions() if train else package.get_test_questions()
  )
  paths = (
    package.get_train_image_paths() if train else package.get_test_image_paths()
  )
  return [
    {
      "question": question,
      "answer": answer,
      "picture": str(pathlib.Path(paths[image])),
    }
    for question, answer, image in zip(questions, answers, images, strict=True)
  ]


def load_data(seed: int) -> Packaged:
  """The training and the test questions, each about a picture of its own.

  Args:
    seed: decides the order, and which question is asked about a picture.

  Raises:
    UserError: if the package is not installed.
  """
  train, test = (_draw_rows(split, seed) for split in ("train", "test"))
  version = importlib.metadata.version(_LIBRARY)
  return Packaged(train, test, f"the package {_LIBRARY}, seed {seed}", version)


def _draw_rows(split: str, seed: int) -> list[Row]:
  rows = load_rows(split)
  drawn: dict[str, Row] = {}
  for row in StableRandom(f"easy-vqa/{split}/{seed}").shuffle(rows):
    drawn.setdefault(row["picture"], row)
  return [*drawn.values()]


def find_baseline(
  select: Sequence[Example], judge: Sequence[Example]
) -> tuple[str, float]:
  """Answers each wording with its commonest answer in select.

  Returns:
    What is answered, and the share of judge on which that is right.
  """
  counts: dict[str, collections.Counter[str]] = collections.defaultdict(
    collections.Counter
  )
  for example in select:
    counts[_find_wording(example)][example.reference] += 1
  commonest = {
    wording: min(found, key=lambda answer: (-found[answer], answer))
    for wording, found in counts.items()
  }
  hits = sum(
    commonest.get(_find_wording(example), "yes") == example.reference
    for example in judge
  )
  return (
    f"the commonest answer to each of {len(commonest)} wordings",
    hits / len(judge),
  )


def _find_wording(example: Example) -> str:
  return _NAMES.sub("…", example.messages[-1].text)


def _import_package() -> Any:
  try:
    import easy_vqa
  except ImportError as error:
    raise UserError(
      "The task easy_vqa needs the package easy-vqa, which is not installed."
      " Install the extra easy-vqa, as in: pip install -e '.[easy-vqa]'."
    ) from error
  return easy_vqa


def _make_example(row: Row, number: int) -> Example:
  for field in ("question", "answer"):
    if not isinstance(row[field], str) or not row[field]:
      raise ValueError(f"{field} must be a text, got {row[field]!r}.")
  picture = pictures.from_cell(row["picture"], "the field picture")
  return Example(
    str(number), base.ask(row["question"], pictures=[picture]), row["answer"]
  )


def _grade(example: Example, response: str) -> Grade:
  # A cut keeps a response of millions of characters from being split.
  words = response[-64:].rsplit(None, 1)
  answer = words[-1].lower().rstrip(".") if words else ""
  if answer not in ANSWERS:
    return Grade(0.0, False, False, None, False)
  is_right = answer == example.reference
  has_form = response == answer
  return Grade(
    score=float(is_right and has_form),
    correct=is_right and has_form,
    lenient=is_right,
    vote=answer,
    format=has_form,
  )


TASK = Task(
  name="easy_vqa",
  fields=("question", "answer", "picture"),
  make_example=_make_example,
  graders={"standard": _grade},
  max_new_tokens=8,
  load=load_data,
  question="question",
  picture="picture",
  blank={"answer": ""},
  libraries=(_LIBRARY,),
  baseline=find_baseline,
)
