"""The engine: evaluates a population of members, chunk by chunk.

`stream_chunks` keeps a few chunks in flight and hands results over in order, so
memory does not grow with the population. `evaluate_members` logs them in a run
directory, and leaves out what its log holds already.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Shaped

from thickets.errors import UserError
from thickets.members import BASE, Member
from thickets.naming import Names, Params
from thickets.perturbation import Kind
from thickets.runs import directory, processes, stopping
from thickets.search import progress, traced
from thickets.search.evaluator import Batch, Channels, Evaluator
from thickets.search.teams import Team


@dataclasses.dataclass(frozen=True)
class Chunk:
  """The results of consecutive members.

  Attributes:
    start: position of the first member in the population.
    members: its members, fewer than the width in the last chunk.
    channels: [P, Q, ...] per name, P the number of members.
  """

  start: int
  members: tuple[Member, ...]
  channels: Channels

  @property
  def scores(self) -> Float[np.ndarray, " P"]:
    """[P] mean score of each member; not finite where it failed."""
    return mean_scores(self.channels["score"])


def stream_chunks(
  evaluator: Evaluator,
  base: Params,
  members: Sequence[Member],
  batch: Batch,
  *,
  width: int,
  chunks: Iterable[int] | None = None,
  in_flight: int = 2,
) -> Iterator[Chunk]:
  """Evaluates members in chunks fixed by position, and yields them in order.

  Args:
    evaluator: made by `traced.traced` or `staged.staged`.
    base: the pristine weights.
    members: the population.
    batch: the prompts, leaves [Q, ...].
    width: members to a chunk; the last chunk is filled up with copies whose
      results are dropped, so that one compilation serves all.
    chunks: which chunks to evaluate, all by default; chunk c holds the members
      from c * width on.
    in_flight: chunks that may be under way at once.

  Yields:
    Chunks, as they are finished.

  Raises:
    ValueError: if there are no members, or width is below one.
  """
  if not members or width < 1:
    raise ValueError(
      "A population must have members and a width of at least one, got"
      f" {len(members)} members and width {width}."
    )
  base, batch = evaluator.place(base, batch, width)
  num_chunks = math.ceil(len(members) / width)
  pending = collections.deque()

  def collect():
    start, chunk_members, handle = pending.popleft()
    channels = handle.result()
    return Chunk(
      start,
      chunk_members,
      {name: a[: len(chunk_members)] for name, a in channels.items()},
    )

  for chunk in range(num_chunks) if chunks is None else chunks:
    start = chunk * width
    chunk_members = tuple(members[start : start + width])
    filled = chunk_members + chunk_members[-1:] * (width - len(chunk_members))
    pending.append((start, chunk_members, evaluator(base, filled, batch)))
    if len(pending) >= in_flight:
      yield collect()
  while pending:
    yield collect()


def evaluate_members(
  run: directory.Run,
  evaluator: Evaluator,
  base: Params,
  members: Sequence[Member],
  batch: Batch,
  *,
  split: str,
  width: int,
  positions: Sequence[int] | None = None,
  unit: str = "members",
) -> Float[np.ndarray, " P"]:
  """Evaluates the members that a run's log lacks, chunk by chunk, and logs them.

  Teams of processes (`teams`) take turns at the chunks that are missing, each on
  its own devices; all processes return with the same scores.

  Args:
    run: the open run directory.
    evaluator: made by `traced.traced` or `staged.staged`.
    base: the pristine weights.
    members: [P] the members.
    batch: the prompts of `split`.
    split: name of the prompts in the log.
    width: members to a chunk. A chunk is evaluated whole or not at all.
    positions: [P] their positions in the population, 0 ... P - 1 by default.
    unit: what lines of progress call the members.

  Returns:
    [P] mean scores, NaN where a member failed.

  Raises:
    UserError: if the log holds another member at one of the positions.
    StoppedError: if the process was told to end; chunks under way are logged.
  """
  positions = range(len(members)) if positions is None else positions
  pending = _find_pending(run, split, members, positions, width)
  # As process 0 sees it, since a disk may show others more or fewer records.
  pending = processes.share(f"chunks of {split}", pending)
  team = evaluator.team
  mine = pending[team.number :: team.count]
  num_on_disk = len(members) - _count_members(pending, len(members), width)
  num_mine = _count_members(mine, len(members), width)
  meter = progress.Progress(
    split,
    num_on_disk + num_mine,
    _best_and_base(run, split),
    compile_s=lambda: evaluator.compile_s,
    unit=unit,
  )
  meter.skip(num_on_disk)
  with stopping.deferring():
    for chunk in stream_chunks(
      evaluator,
      base,
      members,
      batch,
      width=width,
      chunks=_until_stopped(mine, team, split),
    ):
      processes.note_progress()
      if not team.is_led_here:
        continue
      where = positions[chunk.start : chunk.start + len(chunk.members)]
      scores = chunk.scores
      run.append(split, where, chunk.members, scores, chunk.channels)
      meter.add(scores)
  if jax.process_count() > 1:
    processes.wait_for_all(f"the scores of {split}")
    run.await_records(split, positions)
    # Nobody writes on while another still reads.
    processes.wait_for_all(f"the reading of {split}")
  return run.scores(split, positions)


def evaluate_base(
  run: directory.Run,
  evaluator: Evaluator,
  base: Params,
  batch: Batch,
  *,
  split: str,
) -> float:
  """Evaluates the base as a member without terms; returns its mean score."""
  scores = evaluate_members(
    run,
    evaluator,
    base,
    [BASE],
    batch,
    split=split,
    width=1,
    positions=[directory.BASE_POSITION],
  )
  return float(scores[0])


def score_population(
  score_fn: Callable[[Params, Batch], Any],
  base: Params,
  members: Sequence[Member],
  batch: Batch,
  *,
  kind: Kind | None = None,
  names: Names | None = None,
  mesh: Mesh | None = None,
  width: int | None = None,
) -> Float[np.ndarray, " P"]:
  """Scores members with a pure function: the traced case in one call.

  Args:
    score_fn: maps (params, batch) to scores [Q], higher is better, or to a dict
      of channels [Q, ...] with one named `score`.
    base: nested dict of arrays.
    members: the population.
    batch: tree with leaves [Q, ...].
    kind: how noise is drawn, `Gaussian()` by default.
    names: logical names of the tensors of `base`.
    mesh: as from `meshes.make_mesh`, over all local devices by default.
    width: members to a chunk, found from memory by default.

  Returns:
    [P] mean score of each member, NaN or infinite where it failed.
  """
  evaluator = traced.traced(score_fn, kind=kind, names=names, mesh=mesh)
  if width is None:
    width = evaluator.find_width(base, batch, len(members))
  chunks = stream_chunks(evaluator, base, members, batch, width=width)
  return np.concatenate([chunk.scores for chunk in chunks])


def mean_scores(
  scores_PQ: Shaped[np.ndarray, "P Q"],
) -> Float[np.ndarray, " P"]:
  """[P] mean over prompts, in float64; not finite where any score is not."""
  with np.errstate(invalid="ignore"):  # Infinities of both signs make NaN.
    return np.asarray(np.mean(scores_PQ, axis=1, dtype=np.float64))


def _find_pending(
  run: directory.Run,
  split: str,
  members: Sequence[Member],
  positions: Sequence[int],
  width: int,
) -> list[int]:
  """The chunks of which the log lacks a member."""
  pending = []
  for chunk in range(math.ceil(len(members) / width)):
    part = slice(chunk * width, (chunk + 1) * width)
    found = [run.find(split, int(p)) for p in positions[part]]
    for record, member in zip(found, members[part], strict=True):
      if record is not None and record.member != member:
        raise UserError(
          f"{run.workdir} holds {record.member} at position"
          f" {record.position}, where this run has {member}: its population"
          " was sampled in another way. Choose another workdir."
        )
    if None in found:
      pending.append(chunk)
  return pending


def _until_stopped(
  chunks: Iterable[int], team: Team, split: str
) -> Iterator[int]:
  """Chunks to begin: those before the team was told to end."""
  for chunk in chunks:
    is_stopped = stopping.is_asked()
    if len(team.processes) > 1:
      # Begun by all or by none: the leader decides, whoever is told first.
      is_stopped = processes.share(
        f"{split}, whether chunk {chunk} is begun",
        is_stopped,
        source=team.processes[0],
      )
    if is_stopped:
      stopping.ask()  # If only the leader had heard of it.
      return
    yield chunk


def _count_members(chunks: Sequence[int], num_members: int, width: int) -> int:
  return sum(min(width, num_members - chunk * width) for chunk in chunks)


def _best_and_base(run: directory.Run, split: str) -> tuple[float, float]:
  """The best score and the base's so far, NaN where there is none."""
  done = run.records(split)
  members = [r.score for r in done if r.position != directory.BASE_POSITION]
  base = [r.score for r in done if r.position == directory.BASE_POSITION]
  return (
    max(filter(math.isfinite, members), default=math.nan),
    base[0] if base else math.nan,
  )
