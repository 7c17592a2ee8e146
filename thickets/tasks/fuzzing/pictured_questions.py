"""Questions about pictures, for each task that shows one."""

from collections.abc import Mapping

from thickets.tasks.fuzzing.question import Question
from thickets.tasks.scenes import scene_tasks
from thickets.tasks.scenes.kinds import SCENE_KINDS

_SCENE = "yellow circle 1 1, black circle 3 3 #501270"
_SQUARE = b"No grader looks at a picture."

# The question of each kind, its answers by its first and its second convention, and
# an answer that is wrong by both.
_KINDS = {
  "verify": ("is there a yellow circle?", "yes", "true", "no"),
  "color": ("what color is the triangle?", "brown", "", "red"),
  "shape": ("what is the black shape?", "circle", "", "rectangle"),
  "count": ("how many circles are there?", "two", "2", "three"),
  "choose": ("is the circle teal or blue?", "teal", "", "blue"),
  "compare": ("are there more circles than triangles?", "yes", "", "no"),
  "logical": ("is there a circle and a triangle?", "no", "", "yes"),
  "relation": ("is the circle above the triangle?", "no", "", "yes"),
  "row": ("which row is the yellow circle in?", "two", "three", "four"),
  "column": ("which column is the yellow circle in?", "two", "three", "four"),
  "side": ("is it left or right of the circle?", "left", "right", "above"),
}


def _scene(kind: str, is_second: bool) -> Question:
  question, first, second, wrong = _KINDS[kind]
  wanted = second if is_second and second else first
  return Question(
    row={
      "kind": kind,
      "picture": _SCENE,
      "question": question,
      "answer": first,
      "other": second,
    },
    right=(wanted, f"It is {wanted}."),
    wrong=(wrong, f"{wanted} or {wrong}", f"not {wanted}, {wrong}"),
  )


def _make_scenes() -> dict[str, Question]:
  found = {}
  for name in scene_tasks.names():
    kind, _, rest = name.removeprefix(scene_tasks.TASK_PREFIX).partition("/")
    if kind in scene_tasks.GROUPS:
      kind, is_second = scene_tasks.GROUPS[kind][0], bool(rest)
    else:
      is_second = [*SCENE_KINDS[kind].conventions].index(rest) == 1
    found[name] = _scene(kind, is_second)
  return found


_EASY_VQA = Question(
  row={
    "question": "what color is the shape?",
    "answer": "teal",
    "picture": _SQUARE,
  },
  right=("teal", "It is teal."),
  wrong=("blue", "teal or blue", "tea"),
)


def _photograph(answer: str, right: tuple[str, ...], *wrong: str) -> Question:
  return Question(
    row={
      "question": "Who is left of the car?",
      "answer": answer,
      "imageId": "n1",
      "image": _SQUARE,
    },
    right=right,
    wrong=wrong,
    # What the authors credit for a part of a word, or a word in passing.
    confusing=("\\boxed{woman}", "Is it a man or a dog?\n\\boxed{dog}"),
  )


# By the name of the task.
PICTURED: Mapping[str, Question] = {
  **_make_scenes(),
  "easy_vqa": _EASY_VQA,
  "gqa": _photograph("man", ("A man is there: \\boxed{man}",), "\\boxed{car}"),
  "gqa/short": _photograph("man", ("man", "The man."), "car"),
}
