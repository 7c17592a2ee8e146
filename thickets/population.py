"""The engine: evaluates a population of members, chunk by chunk.

An *evaluator* turns (base, members, batch) into a handle of channels, without
waiting for the device; `evaluators` has two adapters that make one.
`stream_chunks` keeps a few chunks in flight and hands results over in order, so
memory does not grow with the population.

A batch is a tree whose leaves have the prompts as their first axis [Q, ...].
Channels are named per-example values [P, Q, ...]; every evaluator gives `score`,
higher is better, and whatever else it knows.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Shaped

from thickets import evaluators
from thickets.evaluators import Batch
from thickets.naming import Names, Params
from thickets.perturb import Kind, Member

Channels = dict[str, np.ndarray]


@runtime_checkable
class Handle(Protocol):
  """Results that may still be under way."""

  def result(self) -> Channels:
    """Waits, and returns channels [P, Q, ...] as NumPy arrays."""


@runtime_checkable
class Evaluator(Protocol):
  """Evaluates a chunk of members on a batch of prompts."""

  def place(
    self, base: Params, batch: Batch, num_members: int
  ) -> tuple[Params, Batch]:
    """Puts what all chunks of `num_members` share where it will be used."""

  def __call__(
    self, base: Params, members: Sequence[Member], batch: Batch
  ) -> Handle:
    """Starts the evaluation of `members` on what `place` returned."""


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
    evaluator: made by `evaluators.traced` or `evaluators.staged`.
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
    mesh: as from `evaluators.make_mesh`, over all local devices by default.
    width: members to a chunk, found from memory by default.

  Returns:
    [P] mean score of each member, NaN or infinite where it failed.
  """
  evaluator = evaluators.traced(score_fn, kind=kind, names=names, mesh=mesh)
  if width is None:
    width = evaluator.find_width(base, batch, len(members))
  chunks = stream_chunks(evaluator, base, members, batch, width=width)
  return np.concatenate([chunk.scores for chunk in chunks])


def mean_scores(
  scores_PQ: Shaped[np.ndarray, "P Q"],
) -> Float[np.ndarray, " P"]:
  """[P] mean over prompts, in float64; not finite where any score is not."""
  with np.errstate(invalid="ignore"):  # Infinities of both signs make NaN.
    return np.mean(scores_PQ, axis=1, dtype=np.float64)
