"""The figures of a run as data URIs, with captions that say what they show."""

import base64
import dataclasses
import pathlib
import re
from collections.abc import Sequence

_SIGMA = re.compile(r"_?sigma_(?P<sigma>[-+.0-9e]+)$")

# By the beginning of the file's name: the section, and the caption, with what
# follows in the name. Longer beginnings come first.
_CAPTIONS = (
  (
    "density_by_sigma",
    "Density",
    "Solution density against sigma at one margin, a panel per task. Lines are"
    " the four estimates, bands and bars their intervals.",
  ),
  (
    "density",
    "Density",
    "Solution density against the margin, a row per task and a panel per sigma."
    " Lines are the four estimates, bands and bars their intervals.",
  ),
  (
    "composite_projection",
    "Landscape",
    "Members on a random plane, coloured by three tasks at once: red, green and"
    " blue are brighter where a task's gain is larger; grey is the base. Places"
    " on this plane say nothing about neighbours in weight space.",
  ),
  (
    "composite_slice",
    "Landscape",
    "A slice through weight space, coloured by three tasks at once: red, green"
    " and blue are brighter where a task's gain is larger; grey is the base.",
  ),
  (
    "projection",
    "Landscape",
    "Members on a random plane{of}, coloured by their gain over the base. The"
    " background is the mean of neighbours in the plane; whether it means"
    " anything is said in the title.",
  ),
  (
    "slice",
    "Landscape",
    "A slice through weight space{of}: members on a grid that two noise"
    " directions span, coloured by their gain over the base, not smoothed.",
  ),
  (
    "correlation",
    "Diversity",
    "Rank correlations between the tasks' scores of the members{of}.",
  ),
  (
    "rank_lines",
    "Diversity",
    "Percentile rank of each member on each task, one line per member{of}."
    " Crossing lines are members that are good at different tasks.",
  ),
  (
    "overlap",
    "Diversity",
    "Share of the best members of one task that are among the best of another"
    "{of}.",
  ),
  (
    "clusters",
    "Diversity",
    "Members by their scores on all tasks, in principal components and clusters"
    "{of}.",
  ),
  (
    "discordance",
    "Diversity",
    "Spectral discordance of the tasks' rankings of members at each sigma, with"
    " intervals, its bound, and the floor that noise alone gives.",
  ),
  (
    "parts",
    "Reasoning or format",
    "What the answers of the vote and of single members consist of{of}: kept,"
    " format, reasoning, regression, lost and both wrong, in % of prompts.",
  ),
  (
    "scores",
    "Figures",
    "Score of each member on the prompts of selection, by sigma; the base is the"
    " dashed line.",
  ),
  (
    "vote",
    "Figures",
    "Accuracy against the number of votes K on prompts that chose nothing, with"
    " 95 % intervals: the best members, random members, the base with itself.",
  ),
  (
    "selection",
    "Figures",
    "Score on the prompts of selection against the score on unseen prompts: how"
    " much of what members were chosen for is left.",
  ),
  (
    "roll_outs",
    "Figures",
    "Roll-outs of base, members and ensemble on signals that chose nothing.",
  ),
  (
    "bars",
    "Figures",
    "Mean squared error of base, best member and ensemble; lower is better.",
  ),
  (
    "histogram",
    "Figures",
    "Errors of all members on the signals of selection; the base is the dashed"
    " line.",
  ),
  (
    "curves",
    "Figures",
    "Mean squared error against the size of ensemble and of population; lower is"
    " better.",
  ),
)


@dataclasses.dataclass(frozen=True)
class Figure:
  """A figure of a run.

  Attributes:
    name: of the file.
    section: of the report that it belongs to.
    caption: what it shows.
    uri: the picture itself, as a data URI.
  """

  name: str
  section: str
  caption: str
  uri: str


def read_figures(
  folder: pathlib.Path, tasks: Sequence[str] = ()
) -> list[Figure]:
  """Reads all figures of a directory, in the order of their names.

  Args:
    folder: with PNG files; one that is missing has none.
    tasks: names of tasks, as they may stand in the files' names.
  """
  return [
    _read_figure(path, tasks)
    for path in sorted(pathlib.Path(folder).glob("*.png"))
  ]


def caption_figure(name: str, tasks: Sequence[str] = ()) -> tuple[str, str]:
  """The section and the caption of a figure, by its file's name without suffix."""
  for start, section, caption in _CAPTIONS:
    if name == start or (name.startswith(f"{start}_") and "{of}" in caption):
      return section, caption.format(of=_describe(name[len(start) :], tasks))
  return "Figures", f"{name}, as the run has drawn it."


def _describe(rest: str, tasks: Sequence[str]) -> str:
  """Names the task and the sigma that a file's name ends with."""
  found = _SIGMA.search(rest)
  part = (rest[: found.start()] if found else rest).strip("_")
  names = {_file_part(task): task for task in tasks}
  task = f" of {names.get(part, part)}" if part else ""
  return task + (f" at sigma {found['sigma']}" if found else "")


def _file_part(task: str) -> str:
  stem = pathlib.PurePath(task).stem if task.endswith(".py") else task
  return stem.replace("/", "_")


def _read_figure(path: pathlib.Path, tasks: Sequence[str]) -> Figure:
  section, caption = caption_figure(path.stem, tasks)
  content = base64.b64encode(path.read_bytes()).decode("ascii")
  return Figure(path.name, section, caption, f"data:image/png;base64,{content}")
