"""What a picture shows: coloured shapes in the cells of a grid, and how it is drawn.

A scene is written as text, such as `red circle 0 3, gray triangle 2 1 #7`: colour,
shape, row from the top and column from the left, and behind # the number that decides
sizes, shifts and noise. The text is what a row of data holds; the picture follows
from it alone.
"""

import dataclasses
import functools
import io
import re
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from thickets.tasks.drills.stable_random import StableRandom

GRID = 4  # Rows and columns.
CELL = 16  # Pixels on a side of a cell.
SIZE = GRID * CELL

# The colours and shapes of easy-VQA, so that a model can be asked both.
COLORS = {
  "black": (0, 0, 0),
  "gray": (128, 128, 128),
  "red": (255, 0, 0),
  "blue": (0, 0, 255),
  "green": (0, 128, 0),
  "teal": (0, 128, 128),
  "brown": (139, 69, 19),
  "yellow": (255, 255, 0),
}
SHAPES = ("circle", "rectangle", "triangle")
MAX_THINGS = 5

_THING = re.compile(
  rf"({'|'.join(COLORS)}) ({'|'.join(SHAPES)}) ([0-3]) ([0-3])"
)
_MAX_SEED = 10**6


@dataclasses.dataclass(frozen=True)
class Thing:
  """One coloured shape.

  Attributes:
    color: one of `COLORS`.
    shape: one of `SHAPES`.
    row: row of its cell, from 0 at the top.
    column: column of its cell, from 0 at the left.
  """

  color: str
  shape: str
  row: int
  column: int

  def __str__(self) -> str:
    return f"{self.color} {self.shape} {self.row} {self.column}"


@dataclasses.dataclass(frozen=True)
class Scene:
  """Shapes in distinct cells.

  Attributes:
    things: the shapes, in the order of rows and then of columns.
    seed: decides sizes, shifts and noise.
  """

  things: tuple[Thing, ...]
  seed: int

  def __str__(self) -> str:
    return f"{', '.join(map(str, self.things))} #{self.seed}"

  def count(self, color: str = "", shape: str = "") -> int:
    """Counts the things of a colour, a shape, or both; "" stands for any."""
    return len(self.find(color, shape))

  def find(self, color: str = "", shape: str = "") -> list[Thing]:
    """Returns the things of a colour, a shape, or both; "" stands for any."""
    return [
      thing
      for thing in self.things
      if color in ("", thing.color) and shape in ("", thing.shape)
    ]


def parse_scene(text: str) -> Scene:
  """Reads a scene back from its text.

  Raises:
    ValueError: if the text is no scene, or two things lie in one cell.
  """
  listed, mark, seed = text.partition(" #")
  found = [_THING.fullmatch(part) for part in listed.split(", ")]
  if not (mark and re.fullmatch("[0-9]{1,6}", seed) and all(found)):
    raise ValueError(
      f"scene must be like 'red circle 0 3, gray triangle 2 1 #7', got {text!r}."
    )
  things = [
    Thing(match[1], match[2], int(match[3]), int(match[4]))
    for match in found
    if match
  ]
  if len({(t.row, t.column) for t in things}) < len(things):
    raise ValueError(f"scene must have one thing in a cell, got {text!r}.")
  return Scene(tuple(sorted(things, key=_place)), int(seed))


def draw_scene(
  draw: StableRandom, count: int, like: Sequence[tuple[str, str]] = ()
) -> Scene:
  """Draws a scene at random.

  Half of the colours and shapes are taken over from an earlier thing of the scene, or
  from `like`, so that things share them.

  Args:
    draw: source of all random choices.
    count: number of things, from 1 to `MAX_THINGS`.
    like: colours and shapes that things are made like, "" for any.
  """
  cells = draw.shuffle(range(GRID * GRID))[:count]
  seen = [pair for pair in like if any(pair)]
  things = []
  for cell in cells:
    color, shape = draw.choose([*COLORS]), draw.choose(SHAPES)
    if seen and draw.uniform() < 0.75:
      other = draw.choose(seen)
      keep = draw.between(0, 2)  # Its colour, its shape, or both.
      color = (other[0] or color) if keep != 1 else color
      shape = (other[1] or shape) if keep != 0 else shape
    seen.append((color, shape))
    things.append(Thing(color, shape, *divmod(cell, GRID)))
  return Scene(
    tuple(sorted(things, key=_place)), draw.between(0, _MAX_SEED - 1)
  )


def draw_picture(scene: Scene) -> np.ndarray:
  """Draws a scene as pixels [64, 64, 3] of uint8, red, green and blue."""
  # By a hash of the text, so that two scenes share no noise, and by the generator
  # whose numbers no release of NumPy changes.
  random = np.random.RandomState(zlib.crc32(str(scene).encode()))
  ground = random.uniform(215, 255, 3)
  pixels = np.broadcast_to(ground, (SIZE, SIZE, 3)).copy()
  for thing in scene.things:
    half = random.uniform(4.5, 6.5, 2)
    middle = CELL * (np.array([thing.row, thing.column]) + 0.5)
    free = CELL / 2 - 0.5 - half.max()
    middle += random.uniform(-free, free, 2)
    inside = _shape_mask(thing.shape, middle, half)
    pixels[inside] = np.array(COLORS[thing.color]) + random.uniform(-18, 18, 3)
  pixels += random.uniform(-6, 6, pixels.shape)
  return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=4096)
def encode_picture(text: str) -> bytes:
  """Draws the scene of a text as a file: BMP, which no library compresses otherwise."""
  file = io.BytesIO()
  Image.fromarray(draw_picture(parse_scene(text))).save(file, "BMP")
  return file.getvalue()


def _place(thing: Thing) -> tuple[int, int]:
  return thing.row, thing.column


_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE] + 0.5


def _shape_mask(shape: str, middle: np.ndarray, half: np.ndarray) -> np.ndarray:
  """Which pixels [64, 64] a shape covers, around its middle (row, column)."""
  down, right = _ROWS - middle[0], _COLUMNS - middle[1]
  if shape == "circle":
    return down**2 + right**2 <= half.max() ** 2
  if shape == "rectangle":
    return (abs(down) <= half[0]) & (abs(right) <= half[1])
  # The point of a triangle is at the top.
  return (abs(down) <= half.max()) & (abs(right) * 2 <= down + half.max())
