"""Draws rooms.svg: the rooms of the package, and the way of one run's data.

    python docs/diagrams/rooms.py

Needs nothing but Python. The floors are those of the contracts in pyproject.toml.
"""

import dataclasses
import html
import pathlib

_PATH = pathlib.Path(__file__).with_name("rooms.svg")

_WIDTH, _LEFT, _RIGHT = 1040, 70, 980
_ROOM_HEIGHT, _PITCH, _TOP = 66, 100, 84
_INK, _QUIET, _PAPER, _LINE = "#1f2933", "#5b6773", "#ffffff", "#c9d1d9"
_DATA = "#c2410c"  # The way of the data.
_FILLS = {
  "binaries": "#eef1f4",
  "results": "#e3f1ea",
  "work": "#e4edf9",
  "parts": "#f3ecf8",
  "ground": "#f6f3ec",
}


@dataclasses.dataclass(frozen=True)
class _Room:
  """A room: where it lies, and what it is for.

  Attributes:
    name: the name of the folder or module.
    about: a line below the name.
    floor: counted from the top, 0 is the roof.
    left: left edge, as a share of the width of the house.
    right: right edge.
    fill: key of `_FILLS`.
  """

  name: str
  about: str
  floor: int
  left: float
  right: float
  fill: str

  @property
  def x(self) -> float:
    return _LEFT + self.left * (_RIGHT - _LEFT)

  @property
  def y(self) -> float:
    return _TOP + self.floor * _PITCH

  @property
  def width(self) -> float:
    return (self.right - self.left) * (_RIGHT - _LEFT)


_ROOMS = (
  _Room(
    "experiments",
    "binaries: flags and configs become frozen specs",
    0,
    0,
    0.68,
    "binaries",
  ),
  _Room("configs", "one file for each run", 0, 0.71, 1, "binaries"),
  _Room("training", "pretraining of small models", 1, 0, 0.46, "results"),
  _Room("report", "tables, figures, report.html", 1, 0.54, 1, "results"),
  _Room(
    "generation", "members answer prompts and are graded", 2, 0, 0.46, "work"
  ),
  _Room(
    "analysis",
    "density, diversity, votes; NumPy on records",
    2,
    0.54,
    1,
    "results",
  ),
  _Room("search", "the engine, selection, the vote", 3, 0.32, 0.76, "work"),
  _Room("runs", "run directory, record log, experts file", 4, 0.32, 1, "work"),
  _Room("models", "transformers, from and to the hub", 5, 0, 0.36, "parts"),
  _Room("tasks", "data, prompts, graders", 5, 0.39, 0.68, "parts"),
  _Room("perturbation", "kinds of noise, perturb", 5, 0.71, 1, "parts"),
  _Room("huggingface", "requests with a deadline", 6, 0, 0.31, "ground"),
  _Room("naming", "logical names of tensors", 6, 0.345, 0.655, "ground"),
  _Room("members", "(seed, coefficient) terms", 6, 0.69, 1, "ground"),
  _Room("errors", "messages that say what to do", 7, 0, 0.48, "ground"),
  _Room(
    "noise",
    "exact Gaussian noise of (seed, name, position)",
    7,
    0.52,
    1,
    "ground",
  ),
)
_AT = {room.name: room for room in _ROOMS}


def main() -> None:
  """Writes the drawing beside this file."""
  _PATH.write_text("\n".join(_draw()) + "\n", encoding="utf-8")


def _draw():
  height = _TOP + 8 * _PITCH
  yield (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
    ' font-family="Inter, Helvetica, Arial, sans-serif" role="img"'
    ' aria-labelledby="title description">'
  )
  yield '<title id="title">The rooms of thickets</title>'
  yield (
    '<desc id="description">Rooms on floors. Imports run downwards only. The'
    " data of a run go from experiments to models and tasks, up to generation,"
    " through search into runs, and from there to analysis and report.</desc>"
  )
  yield (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5"'
    ' markerWidth="4.6" markerHeight="4.6" orient="auto-start-reverse">'
    f'<path d="M0 0 L10 5 L0 10 z" fill="{_DATA}"/></marker>'
    '<marker id="fine" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7"'
    ' markerHeight="7" orient="auto-start-reverse">'
    f'<path d="M0 0 L10 5 L0 10 z" fill="{_QUIET}"/></marker></defs>'
  )
  yield f'<rect width="{_WIDTH}" height="{height}" rx="14" fill="{_PAPER}"/>'
  yield from _draw_legend()
  for room in _ROOMS:
    yield from _draw_room(room)
  yield from _draw_way()
  yield "</svg>"


def _draw_legend():
  yield _text(_LEFT, 40, "The rooms of thickets", size=22, weight=650)
  right = _RIGHT
  yield (
    f'<path d="M{right - 440} 33 h34" stroke="{_DATA}" stroke-width="3"'
    ' marker-end="url(#tip)"/>'
  )
  yield _text(
    right - 396, 38, "the way of one run’s data", size=14, fill=_QUIET
  )
  yield (
    f'<path d="M{right - 198} 22 v22" stroke="{_QUIET}" stroke-width="1.5"'
    ' marker-end="url(#fine)"/>'
  )
  yield _text(right - 184, 38, "imports: downwards only", size=14, fill=_QUIET)


def _draw_room(room):
  yield (
    f'<rect x="{room.x:.1f}" y="{room.y}" width="{room.width:.1f}"'
    f' height="{_ROOM_HEIGHT}" rx="9" fill="{_FILLS[room.fill]}"'
    f' stroke="{_LINE}"/>'
  )
  x, y = room.x + 18, room.y
  yield _text(x, y + 28, room.name, size=17, weight=650)
  yield _text(x, y + 50, room.about, size=13.5, fill=_QUIET)


def _draw_way():
  """Arrows between the rooms, each with what goes along it, and numbers."""
  top = {name: room.y for name, room in _AT.items()}
  bottom = {name: room.y + _ROOM_HEIGHT for name, room in _AT.items()}
  middle = {name: room.y + _ROOM_HEIGHT / 2 for name, room in _AT.items()}
  lane = _LEFT - 34
  yield _arrow(
    f"M{_LEFT} {middle['experiments']} H{lane + 12} Q{lane}"
    f" {middle['experiments']} {lane} {middle['experiments'] + 12}"
    f" V{middle['models'] - 12} Q{lane} {middle['models']} {lane + 12}"
    f" {middle['models']} H{_LEFT - 4}"
  )
  edge = _AT["experiments"].x + _AT["experiments"].width
  yield _arrow(f"M{_AT['configs'].x} {middle['configs']} H{edge + 5}")
  yield _text(
    lane - 10, middle["search"], "specs", size=13, fill=_DATA, turn=-90
  )
  shaft = _LEFT + 120
  yield _arrow(f"M{shaft} {top['models']} V{bottom['generation'] + 5}")
  for line, words in enumerate(("weights,", "prompts")):
    yield _text(
      shaft + 12, middle["search"] + 52 + 18 * line, words, size=13, fill=_DATA
    )
  x = _AT["search"].x + 32
  yield _arrow(f"M{x} {top['search']} V{bottom['generation'] + 5}")
  yield _text(
    x - 10, top["search"] - 12, "members", size=13, fill=_DATA, anchor="end"
  )
  x += 34
  yield _arrow(f"M{x} {bottom['generation']} V{top['search'] - 5}")
  yield _text(x + 10, top["search"] - 12, "scores, votes", size=13, fill=_DATA)
  yield _arrow(f"M{x} {bottom['search']} V{top['runs'] - 5}")
  yield _text(
    x + 10,
    top["runs"] - 12,
    "one line for each member; the experts",
    size=13,
    fill=_DATA,
  )
  x = _AT["analysis"].x + 0.78 * _AT["analysis"].width
  yield _arrow(f"M{x} {top['runs']} V{bottom['analysis'] + 5}")
  yield _text(x + 12, middle["search"] + 5, "tables of", size=13, fill=_DATA)
  yield _text(x + 12, middle["search"] + 23, "scores", size=13, fill=_DATA)
  yield _arrow(f"M{x} {top['analysis']} V{bottom['report'] + 5}")
  yield _text(x + 12, top["analysis"] - 12, "estimates", size=13, fill=_DATA)
  way = ("experiments", "models", "generation", "search", "runs", "analysis")
  for number, name in enumerate((*way, "report"), 1):
    yield from _draw_number(number, name)
  yield from _draw_number(2, "tasks")


def _draw_number(number, name):
  room = _AT[name]
  x, y = room.x + room.width - 22, room.y + 22
  yield f'<circle cx="{x:.1f}" cy="{y}" r="12" fill="{_DATA}"/>'
  yield _text(
    x, y + 5, str(number), size=14, weight=650, fill=_PAPER, anchor="middle"
  )


def _arrow(path: str) -> str:
  return (
    f'<path d="{path}" fill="none" stroke="{_DATA}" stroke-width="3"'
    ' marker-end="url(#tip)"/>'
  )


def _text(
  x, y, words, *, size, fill=_INK, weight=400, anchor="start", turn=0
) -> str:
  rotation = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
  return (
    f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}"'
    f' fill="{fill}" text-anchor="{anchor}"{rotation}>{html.escape(words)}</text>'
  )


if __name__ == "__main__":
  main()
