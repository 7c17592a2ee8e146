"""Members that are bad at everything, which make tasks seem to agree.

A perturbation can destroy a member: it then answers next to nothing on any task. All
tasks rank such members last, so that their rankings correlate although nothing else
about them does: where tasks rank members independently (D = 1), ten per cent of
destroyed ones leave D at about 0.74. So their share stands beside D, and so does D
without them.

A member counts as destroyed only if every task says so, in two ways: its score is
below the base's beyond noise, and it is no more than half of the base's (above the
floor of the score). The second keeps members that are merely somewhat worse on all
tasks: these belong to the neighbourhood whose D is asked for, and leaving them out
would cut a corner off independent rankings and push D above 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from thickets.analysis import intervals, score_tables
from thickets.analysis.prompt_groups import Groups
from thickets.errors import UserError

MAX_KEPT = (
  0.5  # The largest share of the base's score that a destroyed member keeps.
)


@dataclasses.dataclass(frozen=True)
class Destroyed:
  """Which members are bad at everything.

  Attributes:
    is_destroyed: [P] one for each member; false for those that failed.
    num_scored: number of members that did not fail on any task.
    names: names of the tasks that could tell: those on which the base is above
      the floor beyond noise.
    cannot_tell: names of the other tasks, on which no score could be shown to be
      below the base's.
  """

  is_destroyed: Bool[np.ndarray, " P"]
  num_scored: int
  names: tuple[str, ...]
  cannot_tell: tuple[str, ...]

  @property
  def count(self) -> int:
    """Number of members that are bad at everything."""
    return int(self.is_destroyed.sum())

  @property
  def is_known(self) -> bool:
    """Whether at least two tasks could tell, and a member was scored."""
    return len(self.names) >= 2 and self.num_scored > 0

  def to_json(self) -> dict[str, Any]:
    """Plain values: the share of the scored members, None where unknown."""
    share = None
    if self.is_known:
      share = intervals.describe_count(
        self.count, self.num_scored, over="members"
      )
    return {
      "units": (
        "members that every task shows to be below the base, at no more than half"
        " of its score; share of members that did not fail"
      ),
      "share": share,
      "tasks": list(self.names),
      "tasks_that_cannot_tell": list(self.cannot_tell),
    }


def find_destroyed(
  per_prompt: Sequence[Float[np.ndarray, "_P _Q"]],
  base_per_prompt: Sequence[Float[np.ndarray, " _Q"]],
  *,
  names: Sequence[str],
  groups: Sequence[Groups | None] | None = None,
  score_range: tuple[float, float] = (0.0, 1.0),
) -> Destroyed:
  """Finds the members that are bad at everything.

  Args:
    per_prompt: for each of M tasks the scores [P, Q] of the same P members on the
      Q prompts of the task. A member with a score that is not finite has failed
      and is not destroyed.
    base_per_prompt: for each task the base's scores [Q] on the same prompts.
    names: [M] names of the tasks.
    groups: for each task the label of each prompt's group, [Q], or None where its
      prompts are independent.
    score_range: least and largest score of the tasks.

  Returns:
    The members, and the tasks that could tell. With fewer than two such tasks
    nobody is called destroyed.

  Raises:
    UserError: if the base's scores do not fit the members'.
  """
  names = score_tables.check_names(names, len(per_prompt))
  tables = [np.asarray(table, np.float64) for table in per_prompt]
  bases = [np.asarray(base, np.float64) for base in base_per_prompt]
  for name, table, base in zip(names, tables, bases, strict=True):
    if base.shape != table.shape[1:] or not np.isfinite(base).all():
      raise UserError(
        "The base must have a finite score on each prompt of the members, got"
        f" shape {base.shape} for members {table.shape} on {name!r}."
      )
  labels = [None] * len(names) if groups is None else groups
  floor, ceiling = score_range
  span = ceiling - floor
  tells = [
    bool(_is_below(np.full((1, len(base)), floor), base, span, of_task)[0])
    for base, of_task in zip(bases, labels, strict=True)
  ]
  is_scored = np.all([np.isfinite(t).all(axis=1) for t in tables], axis=0)
  verdicts = [
    _is_below(table[is_scored], base, span, of_task)
    & (
      table[is_scored].mean(axis=1) - floor <= MAX_KEPT * (base.mean() - floor)
    )
    for table, base, tell, of_task in zip(
      tables, bases, tells, labels, strict=True
    )
    if tell
  ]
  is_destroyed = np.zeros(len(is_scored), bool)
  if len(verdicts) >= 2:
    is_destroyed[is_scored] = np.all(verdicts, axis=0)
  return Destroyed(
    is_destroyed=is_destroyed,
    num_scored=int(is_scored.sum()),
    names=tuple(n for n, tell in zip(names, tells, strict=True) if tell),
    cannot_tell=tuple(
      n for n, tell in zip(names, tells, strict=True) if not tell
    ),
  )


def _is_below(
  scores: Float[np.ndarray, "P Q"],
  base: Float[np.ndarray, " Q"],
  span: float,
  groups: Groups | None,
) -> Bool[np.ndarray, " P"]:
  """[P] whether the interval of the difference to the base is below zero."""
  return np.array(
    [
      intervals.paired_interval(row, reach=span, groups=groups)[1] < 0
      for row in scores - base
    ],
    bool,
  )
