"""Questions about scenes for tasks, whose answers no question gives away.

For a question of a task first the question is drawn, then its answer, each of its
possible answers with the same probability, and then a scene in which it is right. So
whoever does not see the picture is right on one question in as many as there are
possible answers, and so is who sees the picture of another question.
"""

import hashlib

from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.scenes import kinds
from thickets.tasks.scenes.kinds import SceneKind, Subject
from thickets.tasks.scenes.scene import MAX_THINGS, Scene, draw_scene

TRAINING, DEVELOPMENT, TASKS = "training", "development", "tasks"
# By a byte of the hash: 128 of its values are for training, 64 for each other.
_PARTS = (TRAINING, TRAINING, DEVELOPMENT, TASKS)


def find_part(scene: Scene) -> str:
  """Returns the part that a scene is in, which what it shows decides.

  Returns:
    `TRAINING`, `DEVELOPMENT` or `TASKS`.
  """
  shown = ", ".join(map(str, scene.things))
  digest = hashlib.sha256(shown.encode()).digest()
  return _PARTS[digest[0] % len(_PARTS)]


def draw_question(
  kind: SceneKind, part: str, draw: StableRandom
) -> tuple[Subject, Scene, dict[str, str]]:
  """Draws a question, its answer, and a scene in which it is right, in this order.

  Args:
    kind: the kind of question.
    part: the part that the scene is in, see `find_part`.
    draw: source of all random choices.

  Returns:
    What the question is about, the scene, and the answer by each convention.
  """
  subject = kind.draw_subject(draw, None)
  wanted = draw.choose(kind.options(subject))
  while True:
    scene = draw_scene(draw, draw.between(2, MAX_THINGS), subject)
    answers = kind.answer(scene, subject)
    if answers is None or next(iter(answers.values())) != wanted:
      continue
    if find_part(scene) == part:
      return subject, scene, answers


def generate_rows(
  names: tuple[str, ...], part: str, count: int, seed: int
) -> list[dict[str, str]]:
  """Makes distinct questions, of one kind after the other in turn.

  Args:
    names: names of the kinds.
    part: the part that the scenes are in, see `find_part`.
    count: number of rows; a larger count begins with the same rows.
    seed: decides which questions there are.

  Returns:
    Rows with `kind`, `picture` (the text of the scene), `question`, `answer` by the
    first convention, and `other` by the second one, "" where there is none.
  """
  draw = StableRandom(f"scenes/{','.join(names)}/{part}/{seed}")
  rows: dict[tuple[str, str], dict[str, str]] = {}
  while len(rows) < count:
    name = names[len(rows) % len(names)]
    kind = kinds.find_kind(name)
    subject, scene, answers = draw_question(kind, part, draw)
    answer, *others = answers.values()
    row = {
      "kind": name,
      "picture": str(scene),
      "question": kind.ask(subject),
      "answer": answer,
      "other": others[0] if others else "",
    }
    rows.setdefault((row["picture"], row["question"]), row)
  return [*rows.values()]
