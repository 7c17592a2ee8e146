"""Pictures of scenes with text: what is in each cell, then questions and answers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from thickets.models.hub import Model
from thickets.models.vision import pixels
from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.scenes import kinds, questions, scene
from thickets.tasks.scenes.kinds import SCENE_KINDS, SceneKind
from thickets.tasks.scenes.scene import GRID, MAX_THINGS, Scene
from thickets.training import corpora, spec_checks

SCAN = "scan?"  # What asks for all cells of a picture.
_EMPTY = "empty"
_MAX_TRIES = (
  12  # Questions that are drawn until one has the answer that is due.
)

# The words of questions and answers, and those of the questions of easy-VQA.
_TEXT = (
  "? , 0 1 2 3 4 a above and are color column contain count does empty false four how"
  " image in is left many more no not of one or present right row scan shape shapes"
  " than the there three true two what which yes zero"
)
WORDS = (
  *_TEXT.split(),
  *scene.COLORS,
  *scene.SHAPES,
  *(f"{shape}s" for shape in scene.SHAPES),
)


@dataclasses.dataclass(frozen=True)
class SceneCorpus:
  """What a model of pictures is pretrained on, one picture in a row.

  The rows of the first steps hold the content of every cell, which is much to learn
  of each picture; those of the others questions about it.

  Attributes:
    kinds: relative frequency of each kind of question.
    tilt: share of the answers by the first of two conventions, in [0, 1].
    rows: B, pictures in a batch.
    length: T, tokens that are predicted in each row with questions.
    scan_steps: so many steps show the content of cells alone.
    scan_length: tokens that are predicted in each row with the content of cells.
    scan_frac: share of the rows with the content of cells in the steps behind
      these, in [0, 1].

  Raises:
    SpecError: if a kind is unknown, or a number is out of range.
  """

  kinds: Mapping[str, float]
  tilt: float
  rows: int
  length: int
  scan_steps: int
  scan_length: int
  scan_frac: float

  def __post_init__(self):
    check = spec_checks.check_range
    spec_checks.raise_problems(
      [
        *corpora.check_frequencies("corpus.kinds", self.kinds, SCENE_KINDS),
        *check("corpus.tilt", self.tilt, 0, 1),
        *check("corpus.rows", self.rows, 1),
        *check("corpus.length", self.length, 1),
        *check("corpus.scan_steps", self.scan_steps, 0),
        *check("corpus.scan_length", self.scan_length, 1),
        *check("corpus.scan_frac", self.scan_frac, 0, 1),
      ]
    )

  @property
  def shown(self) -> list[str]:
    """The kinds of questions that occur."""
    return [name for name, often in self.kinds.items() if often]

  def write(
    self, draw: StableRandom, shown: Scene, *, is_scan: bool
  ) -> Iterator[tuple[str, str]]:
    """Yields questions about a scene and their answers."""
    if is_scan:
      yield SCAN, scan(shown)
      return
    while True:
      found = draw_about(draw, shown, corpora.pick(draw, self.kinds))
      if found is not None:
        question, answers = found
        is_first = draw.uniform() < self.tilt
        yield question, answers[0 if is_first else -1]


def scan(shown: Scene) -> str:
  """Says what is in each cell, row by row, without naming rows or columns."""
  things = {
    (thing.row, thing.column): f"{thing.color} {thing.shape}"
    for thing in shown.things
  }
  cells = np.ndindex(GRID, GRID)
  return " ".join(things.get(cell, _EMPTY) for cell in cells)


def draw_about(
  draw: StableRandom, shown: Scene, name: str
) -> tuple[str, Sequence[str]] | None:
  """Draws a question about a scene whose answer is about as frequent as others.

  Args:
    draw: source of all random choices.
    shown: the scene.
    name: name of the kind of question.

  Returns:
    The question and its answers by each convention, or None where none was found
    that suits the scene.
  """
  kind: SceneKind = kinds.find_kind(name)
  due = draw.choose(kind.answers)
  for _ in range(_MAX_TRIES):
    subject = kind.draw_subject(draw, shown)
    answers = kind.answer(shown, subject)
    if answers is not None and (kind.is_choice or due in answers.values()):
      return kind.ask(subject), [*answers.values()]
  return None


def make_prefix(model: Model) -> list[int]:
  """Returns the tokens that a text about a scene begins with, those of its picture."""
  assert model.vision is not None
  vision = model.vision
  pads = (scene.SIZE // vision.pixels.factor) ** 2
  return [
    model.tokenizer.bos_token_id,
    vision.vision_start,
    *[vision.image_pad] * pads,
    vision.vision_end,
  ]


def write_batch(
  model: Model, corpus: SceneCorpus, *, seed: int, step: int
) -> dict[str, np.ndarray]:
  """Writes the rows of one step.

  Args:
    model: the model that reads them; its tokenizer knows `WORDS`.
    corpus: what to write.
    seed: names the text; another seed draws other pictures.
    step: number of the batch, from 0.

  Returns:
    `tokens` [B, T + 1] of int32, `weights` [B, T] of float32: how much the
    prediction of each token after the first counts; and `patches` [B, N, P].
  """
  assert model.vision is not None
  tokenizer, prefix = model.tokenizer, make_prefix(model)
  draw = StableRandom(f"scenes corpus/{seed}/{step}")
  is_early = step < corpus.scan_steps
  width = 1 + (corpus.scan_length if is_early else corpus.length)
  tokens = np.full((corpus.rows, width), tokenizer.pad_token_id, np.int32)
  weights = np.zeros((corpus.rows, width), np.float32)
  patches = []
  for row in range(corpus.rows):
    shown = _draw_training(draw)
    picture = scene.draw_picture(shown)
    patches.append(pixels.cut_patches(picture, model.vision.pixels).patches)
    tokens[row, : len(prefix)] = prefix
    end = len(prefix)
    is_scan = is_early or draw.uniform() < corpus.scan_frac
    for question, answer in corpus.write(draw, shown, is_scan=is_scan):
      asked, answered = corpora.encode_text(tokenizer, question, answer)
      asked = asked[1:]  # The text has begun with the picture.
      if end + len(asked) + len(answered) > width:
        break
      end += len(asked)
      tokens[row, end - len(asked) : end] = asked
      tokens[row, end : end + len(answered)] = answered
      weights[row, end : end + len(answered)] = 1.0
      end += len(answered)
  return {
    "tokens": tokens,
    "weights": weights[:, 1:],
    "patches": np.stack(patches),
  }


def _draw_training(draw: StableRandom) -> Scene:
  while True:
    shown = scene.draw_scene(draw, draw.between(1, MAX_THINGS))
    if questions.find_part(shown) == questions.TRAINING:
      return shown
