"""Pictures as PNG files, one for each member and picture, on request.

    <workdir>/pictures/<split>/<who>/000.png

An evaluator that is wrapped here writes the channel `picture` there, and hands
on the others, so that a run's log stays small whatever the size of the pictures.
Files are written before the records that go with them: where a record is, they are.
"""

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from thickets.members import Member
from thickets.naming import Params
from thickets.runs import json_files
from thickets.runs.locations import Location
from thickets.search.evaluator import Batch, Channels, Evaluator, Handle
from thickets.search.teams import Team

CHANNEL = "picture"
FOLDER = "pictures"


def name_drawer(member: Member) -> str:
  """The name of the folder with the pictures of a member, or of an ensemble.

  Args:
    member: a member, the base, or the members of an ensemble as the terms of one.
  """
  seeds = [seed for seed, _ in member.terms]
  if not seeds:
    return "base"
  if len(seeds) == 1:
    return f"member-{seeds[0]}"
  digest = hashlib.sha256(repr(member.terms).encode()).hexdigest()
  return f"mean-of-{len(seeds)}-{digest[:8]}"


def read_pictures(
  workdir: Location, split: str, member: Member, count: int
) -> UInt8[np.ndarray, "Q H W 3"]:
  """Reads the pictures of a member, or of an ensemble.

  Args:
    workdir: the run directory.
    split: name of the prompts.
    member: who has drawn them.
    count: how many there are, Q.

  Raises:
    OSError: if one is missing.
  """
  from PIL import Image

  folder = workdir / FOLDER / split / name_drawer(member)
  return np.stack(
    [
      np.asarray(Image.open(io.BytesIO(_name_file(folder, place).read_bytes())))
      for place in range(count)
    ]
  )


@dataclasses.dataclass(frozen=True)
class SavingEvaluator:
  """An `Evaluator` that also writes the pictures that another one makes.

  Attributes:
    evaluator: makes them.
    workdir: the run directory.
    split: name of the prompts.
    keeps: whether they are written, or dropped.
  """

  evaluator: Evaluator
  workdir: Location
  split: str
  keeps: bool

  @property
  def compile_s(self) -> float:
    """Seconds spent on compilation so far."""
    return self.evaluator.compile_s

  @property
  def team(self) -> Team:
    """The processes that evaluate a chunk together."""
    return self.evaluator.team

  def place(self, base: Params, batch: Batch, num_members: int) -> Any:
    """As the evaluator that is wrapped."""
    return self.evaluator.place(base, batch, num_members)

  def find_width(self, base: Params, batch: Batch, num_members: int) -> int:
    """As the evaluator that is wrapped."""
    return self.evaluator.find_width(base, batch, num_members)

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Batch
  ) -> Handle:
    """Starts the evaluation; pictures are written once it is waited for."""
    handle = self.evaluator(base, members, batch)
    return _SavingHandle(self, tuple(members), handle)


@dataclasses.dataclass(frozen=True)
class _SavingHandle:
  saving: SavingEvaluator
  members: tuple[Member, ...]
  handle: Handle

  def result(self) -> Channels:
    channels = dict(self.handle.result())
    pictures = channels.pop(CHANNEL)
    if self.saving.keeps and self.saving.team.is_led_here:
      for member, drawn in zip(self.members, pictures, strict=True):
        folder = self.saving.workdir / FOLDER / self.saving.split
        _write(folder / name_drawer(member), drawn)
    return channels


def _write(folder: Location, pictures: UInt8[np.ndarray, "Q H W 3"]) -> None:
  from PIL import Image

  folder.mkdir(parents=True, exist_ok=True)
  for place, picture in enumerate(pictures):
    with json_files.replacing(_name_file(folder, place)) as temporary:
      Image.fromarray(np.asarray(picture)).save(temporary, format="png")


def _name_file(folder: Location, place: int) -> Location:
  return folder / f"{place:03d}.png"
