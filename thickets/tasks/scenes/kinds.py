"""Kinds of questions about a scene, and the answers that conventions give to them.

An answer is one word. Most kinds have one answer to a question; some have one for
each of two conventions, and neither question nor picture says which is wanted: what is
there is affirmed by yes or by true, numbers are written as words or in digits, the rows
of a picture are counted from the top or from the bottom, its columns from the left or
from the right, and what lies left of a thing for its viewer lies to the right of it for
a reader who looks out of the picture.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from thickets import errors
from thickets.errors import UserError
from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.scenes.scene import COLORS, GRID, SHAPES, Scene

Attributes = tuple[str, str]  # A colour and a shape, "" for any.
Subject = tuple[Attributes, ...]  # What a question is about.

NUMBERS = ("zero", "one", "two", "three", "four")
_YES_NO = ("yes", "no")


@dataclasses.dataclass(frozen=True)
class SceneKind:
  """A kind of question.

  Attributes:
    structural: what GQA calls such questions: verify, query, choose, compare or
      logical.
    answers: all answers to questions of this kind, by the first convention.
    draw_subject: draws what a question is about, for a scene that it should suit,
      or for None.
    ask: writes the question.
    conventions: by the name of a convention, what answers a subject in a scene;
      None where the question does not suit the scene. One is named "".
    is_choice: whether the question names its two answers, which are the colours of
      what it is about.
  """

  structural: str
  answers: tuple[str, ...]
  draw_subject: Callable[[StableRandom, Scene | None], Subject]
  ask: Callable[[Subject], str]
  conventions: Mapping[str, Callable[[Scene, Subject], str | None]]
  is_choice: bool = False

  def options(self, subject: Subject) -> tuple[str, ...]:
    """Returns the possible answers to a question.

    Each of them is right as often as the others, so that guessing is right on one
    question in as many.
    """
    if self.is_choice:
      return tuple(color for color, _ in subject)
    return self.answers

  @property
  def floor(self) -> float:
    """The share of questions that is answered right without seeing the picture."""
    return 1 / (2 if self.is_choice else len(self.answers))

  def answer(self, scene: Scene, subject: Subject) -> dict[str, str] | None:
    """Answers by every convention; None if the question does not suit the scene."""
    found = {
      name: answer(scene, subject) for name, answer in self.conventions.items()
    }
    answers = {name: word for name, word in found.items() if word is not None}
    return answers if len(answers) == len(found) else None


def find_kind(name: str) -> SceneKind:
  """Returns the kind of a name.

  Raises:
    UserError: if there is none; it names the nearest.
  """
  if name not in SCENE_KINDS:
    known = list(SCENE_KINDS)
    raise UserError(
      f"kind must be one of {known}, got {name!r}. Nearest:"
      f" {errors.nearest(name, known, count=1)}."
    )
  return SCENE_KINDS[name]


def name_thing(thing: Attributes) -> str:
  """Names a thing, such as a red circle, a circle, or a red shape."""
  color, shape = thing
  return f"{color} {shape or 'shape'}".strip()


def _draw_color(draw: StableRandom, scene: Scene | None) -> str:
  if scene is not None and draw.uniform() < 0.7:
    return draw.choose(scene.things).color
  return draw.choose([*COLORS])


def _draw_shape(draw: StableRandom, scene: Scene | None) -> str:
  if scene is not None and draw.uniform() < 0.7:
    return draw.choose(scene.things).shape
  return draw.choose(SHAPES)


def _draw_whole(draw: StableRandom, scene: Scene | None) -> Attributes:
  """A colour and a shape."""
  if scene is not None and draw.uniform() < 0.5:
    thing = draw.choose(scene.things)
    return thing.color, thing.shape
  return _draw_color(draw, scene), _draw_shape(draw, scene)


def _draw_any(draw: StableRandom, scene: Scene | None) -> Attributes:
  """A colour, a shape, or both."""
  color, shape = _draw_whole(draw, scene)
  which = draw.between(0, 3)
  return (color if which != 0 else "", shape if which != 1 else "")


def _draw_part(draw: StableRandom, scene: Scene | None) -> Attributes:
  """A colour or a shape."""
  color, shape = _draw_whole(draw, scene)
  return (color, "") if draw.uniform() < 0.5 else ("", shape)


def _draw_two(
  draw: StableRandom,
  scene: Scene | None,
  draw_one: Callable[[StableRandom, Scene | None], Attributes],
) -> Subject:
  while True:
    first, second = draw_one(draw, scene), draw_one(draw, scene)
    if first != second:
      return first, second


def _say(condition: bool) -> str:
  return "yes" if condition else "no"


def _only(scene: Scene, thing: Attributes):
  found = scene.find(*thing)
  return found[0] if len(found) == 1 else None


def _verify(scene: Scene, subject: Subject) -> str:
  return _say(bool(scene.count(*subject[0])))


def _verify_truth(scene: Scene, subject: Subject) -> str:
  return "true" if scene.count(*subject[0]) else "false"


def _color(scene: Scene, subject: Subject) -> str | None:
  thing = _only(scene, subject[0])
  return thing and thing.color


def _shape(scene: Scene, subject: Subject) -> str | None:
  thing = _only(scene, subject[0])
  return thing and thing.shape


def _count(scene: Scene, subject: Subject) -> str | None:
  count = scene.count(*subject[0])
  return NUMBERS[count] if count < len(NUMBERS) else None


def _count_digits(scene: Scene, subject: Subject) -> str | None:
  count = scene.count(*subject[0])
  return str(count) if count < len(NUMBERS) else None


def _above(scene: Scene, subject: Subject) -> str | None:
  first, second = (_only(scene, thing) for thing in subject)
  if first is None or second is None or first.row == second.row:
    return None
  return _say(first.row < second.row)


def _choose(scene: Scene, subject: Subject) -> str | None:
  (first, shape), (second, _) = subject
  thing = _only(scene, ("", shape))
  return thing.color if thing and thing.color in (first, second) else None


def _compare(scene: Scene, subject: Subject) -> str | None:
  first, second = (scene.count(*thing) for thing in subject)
  return None if first == second else _say(first > second)


def _logical(scene: Scene, subject: Subject) -> str:
  return _say(all(scene.count(*thing) for thing in subject))


def _row(scene: Scene, subject: Subject, *, turned: bool) -> str | None:
  thing = _only(scene, subject[0])
  if thing is None:
    return None
  return NUMBERS[GRID - thing.row if turned else thing.row + 1]


def _column(scene: Scene, subject: Subject, *, turned: bool) -> str | None:
  thing = _only(scene, subject[0])
  if thing is None:
    return None
  return NUMBERS[GRID - thing.column if turned else thing.column + 1]


def _side(scene: Scene, subject: Subject, *, turned: bool) -> str | None:
  first, second = (_only(scene, thing) for thing in subject)
  if first is None or second is None or first.column == second.column:
    return None
  return "left" if (first.column < second.column) != turned else "right"


def _draw_choice(draw: StableRandom, scene: Scene | None) -> Subject:
  shape = _draw_shape(draw, scene)
  return _draw_two(draw, scene, lambda d, s: (_draw_color(d, s), shape))


def _ask_compare(subject: Subject) -> str:
  first, second = (f"{name_thing(thing)}s" for thing in subject)
  return f"are there more {first} than {second}?"


def _two_wholes(draw: StableRandom, scene: Scene | None) -> Subject:
  return _draw_two(draw, scene, _draw_whole)


def _turn(answer: Callable[..., str | None]):
  """The two directions in which something can be counted or looked at."""
  return (
    lambda scene, subject: answer(scene, subject, turned=False),
    lambda scene, subject: answer(scene, subject, turned=True),
  )


def _pair(names: Sequence[str], answer: Callable[..., str | None]):
  return dict(zip(names, _turn(answer), strict=True))


SCENE_KINDS: Mapping[str, SceneKind] = {
  "verify": SceneKind(
    "verify",
    _YES_NO,
    lambda draw, scene: (_draw_any(draw, scene),),
    lambda subject: f"is there a {name_thing(subject[0])}?",
    {"yes-no": _verify, "true-false": _verify_truth},
  ),
  "color": SceneKind(
    "query",
    tuple(COLORS),
    lambda draw, scene: (("", _draw_shape(draw, scene)),),
    lambda subject: f"what color is the {name_thing(subject[0])}?",
    {"": _color},
  ),
  "shape": SceneKind(
    "query",
    SHAPES,
    lambda draw, scene: ((_draw_color(draw, scene), ""),),
    lambda subject: f"what is the {name_thing(subject[0])}?",
    {"": _shape},
  ),
  "count": SceneKind(
    "query",
    NUMBERS,
    lambda draw, scene: (_draw_part(draw, scene),),
    lambda subject: f"how many {name_thing(subject[0])}s are there?",
    {"words": _count, "digits": _count_digits},
  ),
  "relation": SceneKind(
    "verify",
    _YES_NO,
    _two_wholes,
    lambda subject: (
      f"is the {name_thing(subject[0])} above the {name_thing(subject[1])}?"
    ),
    {"": _above},
  ),
  "choose": SceneKind(
    "choose",
    tuple(COLORS),
    _draw_choice,
    lambda subject: (
      f"is the {subject[0][1]} {subject[0][0]} or {subject[1][0]}?"
    ),
    {"": _choose},
    is_choice=True,
  ),
  "compare": SceneKind(
    "compare",
    _YES_NO,
    lambda draw, scene: _draw_two(draw, scene, _draw_part),
    _ask_compare,
    {"": _compare},
  ),
  "logical": SceneKind(
    "logical",
    _YES_NO,
    lambda draw, scene: _draw_two(draw, scene, _draw_part),
    lambda subject: (
      f"is there a {name_thing(subject[0])} and a {name_thing(subject[1])}?"
    ),
    {"": _logical},
  ),
  "row": SceneKind(
    "query",
    NUMBERS[1:],
    lambda draw, scene: (_draw_whole(draw, scene),),
    lambda subject: f"which row is the {name_thing(subject[0])} in?",
    _pair(("from-top", "from-bottom"), _row),
  ),
  "column": SceneKind(
    "query",
    NUMBERS[1:],
    lambda draw, scene: (_draw_whole(draw, scene),),
    lambda subject: f"which column is the {name_thing(subject[0])} in?",
    _pair(("from-left", "from-right"), _column),
  ),
  "side": SceneKind(
    "choose",
    ("left", "right"),
    _two_wholes,
    lambda subject: (
      f"is the {name_thing(subject[0])} left or right of the"
      f" {name_thing(subject[1])}?"
    ),
    _pair(("viewer", "picture"), _side),
  ),
}
