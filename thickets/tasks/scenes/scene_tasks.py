"""One task for each kind of question about scenes, generated, without any data.

`scenes/color` asks `what color is the circle?` of a picture of coloured shapes.
`scenes/what` asks in turn all kinds of questions about what there is, `scenes/where`
those about where it lies, and `scenes/all` both. Where two conventions answer a question
differently, the task names the one that it wants, as in `scenes/count/digits`: neither
the question nor the picture does. `scenes/what` wants the first convention of each
kind, and `scenes/what/second` the second ones.

* **The form asked for.** A response has the form if it is a single word and nothing
  else. The answer that votes is the last word.
* **Rule sets.** `standard` asks for the convention of the task. `either` accepts both.
* The score is 1 for a right answer in the form and 0 otherwise.
"""

import functools
import re
from collections.abc import Sequence

from thickets import errors
from thickets.errors import UserError
from thickets.tasks import base, pictures
from thickets.tasks.base import Example, Grade, Row, Task
from thickets.tasks.scenes import kinds, questions
from thickets.tasks.scenes.kinds import SCENE_KINDS
from thickets.tasks.scenes.scene import encode_picture, parse_scene

TASK_PREFIX = "scenes/"
SECOND = "second"
_WHERE = ("relation", "row", "column", "side")
_WHAT = tuple(name for name in SCENE_KINDS if name not in _WHERE)
# Kinds that a task asks in turn, by its name.
GROUPS = {"what": _WHAT, "where": _WHERE, "all": (*_WHAT, *_WHERE)}

_WORD = re.compile("[a-z0-9]{1,16}")
_MAX_NEW_TOKENS = 4  # An answer is one token, and its end another.
_FIELDS = ("kind", "picture", "question", "answer", "other")


def names() -> list[str]:
  """Returns the names of the tasks."""
  found = [
    f"{TASK_PREFIX}{name}{ending}"
    for name in GROUPS
    for ending in ("", f"/{SECOND}")
  ]
  for name, kind in SCENE_KINDS.items():
    found += [
      f"{TASK_PREFIX}{name}{convention and '/'}{convention}"
      for convention in kind.conventions
    ]
  return found


@functools.lru_cache(maxsize=64)
def load_task(name: str) -> Task:
  """Makes the task of a name such as `scenes/color` or `scenes/row/from-top`.

  Raises:
    UserError: if there is no such task; it names the nearest.
  """
  if name not in names():
    raise UserError(
      f"task.name must be a task, got {name!r}. Nearest:"
      f" {errors.nearest(name, names())}."
    )
  kind, _, convention = name.removeprefix(TASK_PREFIX).partition("/")
  if kind in GROUPS:
    return make_task(name, GROUPS[kind], convention == SECOND)
  is_second = [*SCENE_KINDS[kind].conventions].index(convention) == 1
  return make_task(name, (kind,), is_second)


def make_task(
  name: str,
  asked: tuple[str, ...],
  is_second: bool = False,
  *,
  part: str = questions.TASKS,
) -> Task:
  """Makes a task of some kinds of questions.

  Args:
    name: its name.
    asked: names of the kinds, which are asked in turn.
    is_second: whether it wants the second convention of kinds that have two.
    part: the part that its scenes are in, see `questions.find_part`.
  """
  return Task(
    name=name,
    fields=_FIELDS,
    make_example=functools.partial(_make_example, is_second),
    graders={
      "standard": functools.partial(_grade, ("wanted",)),
      "either": functools.partial(_grade, ("wanted", "other")),
    },
    max_new_tokens=_MAX_NEW_TOKENS,
    generate=functools.partial(questions.generate_rows, asked, part),
    question="question",
    picture="picture",
    blank={"kind": "", "answer": "", "other": ""},
  )


def describe_floor(names: Sequence[str]) -> float:
  """Returns the share of questions that guessing answers, if kinds take turns."""
  return sum(kinds.find_kind(name).floor for name in names) / len(names)


def _make_example(is_second: bool, row: Row, number: int) -> Example:
  for field in ("kind", "question", "answer", "other"):
    if not isinstance(row[field], str):
      raise ValueError(f"{field} must be a text, got {row[field]!r}.")
  picture = _make_picture(row["picture"])
  wanted, other = row["answer"], row["other"]
  if is_second and other:
    wanted, other = other, wanted
  return Example(
    str(number),
    base.ask(row["question"], pictures=[picture]),
    {"kind": row["kind"], "wanted": wanted, "other": other},
  )


def _make_picture(cell: object) -> pictures.Picture:
  """A picture of a scene, by its text; or any other, as cells of tables hold it."""
  if isinstance(cell, str) and "#" in cell:
    text = str(parse_scene(cell))
    return pictures.make_picture(
      functools.partial(encode_picture, text), f"the scene {text}"
    )
  return pictures.from_cell(cell, "the field picture")


def _grade(accepted: Sequence[str], example: Example, response: str) -> Grade:
  """Grades the last word, which must be one of the accepted references."""
  # A cut keeps a response of millions of characters from being split.
  words = response[-64:].rsplit(None, 1)
  answer = words[-1].lower().rstrip(".") if words else ""
  if not _WORD.fullmatch(answer):
    return Grade(0.0, False, False, None, False)
  is_right = answer in [example.reference[name] for name in accepted]
  has_form = response == answer
  return Grade(
    score=float(is_right and has_form),
    correct=is_right and has_form,
    lenient=is_right,
    vote=answer,
    format=has_form,
  )
