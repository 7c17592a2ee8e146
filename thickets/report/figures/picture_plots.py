"""Questions about pictures beside the pictures, and who answered what."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from PIL import Image

from thickets.report.figures.captions import Caption, Topic
from thickets.report.figures.style import make_panels, save_figure
from thickets.runs.locations import Location

_CAPTION = Caption(
  Topic.SUMMARY,
  "The first questions of judge with their pictures, so that nobody chose them: the"
  " answer of the base, and what the members voted for, most votes first. ✓ is a right"
  " answer, ✗ a wrong one.",
)
_COLUMNS = 4
_WIDTH = 34  # Characters in a line.
_MAX_QUESTION, _MAX_ANSWER = 140, 24
_MAX_SIDE = 384  # Pixels of a picture that are kept.
_MOST_VOTED = 3


def draw_questions(
  workdir: Location, asked: Sequence[Mapping[str, Any]]
) -> None:
  """Draws questions with their pictures into a run directory, as the first process.

  Args:
    workdir: the run directory.
    asked: for each question `pictures`, the bytes of each; the text `question`; and
      `base` and `vote`, lists of (answer, count, whether it is right), most votes
      first. Nothing is drawn for none.
  """
  if jax.process_index() or not asked:
    return
  rows = -(-len(asked) // _COLUMNS)
  figure, panels = make_panels(
    rows, _COLUMNS, width=2.6 * _COLUMNS, height=3.6 * rows
  )
  for panel in panels.flat:
    panel.set_axis_off()
  for panel, one in zip(panels.flat, asked, strict=False):
    panel.imshow(_join(one["pictures"]), interpolation="nearest")
    lines = [_fold(one["question"], _MAX_QUESTION)]
    lines.append(f"base: {_list(one['base'])}")
    lines.append(f"vote: {_list(one['vote'])}")
    panel.set_title(
      "\n".join(lines), fontsize="x-small", loc="left", wrap=False
    )
  save_figure(figure, workdir / "figures" / "questions.png", _CAPTION)


def _join(pictures: Sequence[bytes]) -> np.ndarray:
  """[height, width, 3] the pictures of a question beside each other."""
  opened = []
  for data in pictures:
    with Image.open(io.BytesIO(data)) as file:
      picture = file.convert("RGB")
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    opened.append(np.asarray(picture))
  height = max(picture.shape[0] for picture in opened)
  return np.concatenate(
    [
      np.pad(
        picture,
        ((0, height - picture.shape[0]), (0, 4), (0, 0)),
        constant_values=255,
      )
      for picture in opened
    ],
    axis=1,
  )[:, :-4]


def _list(answers: Sequence[tuple[str, int, bool]]) -> str:
  """The answers with most votes, and how many votes each has."""
  total = sum(count for _, count, _ in answers)
  shown = [
    f"{_fold(answer, _MAX_ANSWER) if answer else '–'} {'✓' if right else '✗'}"
    + (f" {count}" if total > 1 else "")
    for answer, count, right in answers[:_MOST_VOTED]
  ]
  return ", ".join(shown) or "–"


def _fold(text: str, most: int) -> str:
  """A text in short lines, as far as it is shown, with nothing that draws formulas."""
  line = " ".join(text.split())
  line = "".join(c if c.isprintable() else "�" for c in line)
  line = line if len(line) <= most else f"{line[: most - 1]}…"
  return textwrap.fill(line, _WIDTH).replace("$", r"\$")
