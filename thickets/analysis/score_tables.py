"""Tables of members' scores on tasks: names, failures, ties, differences."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from thickets.errors import UserError


class UndefinedError(UserError):
  """These members have no D, though those of another sigma may."""


def check_names(names: Sequence[str], size: int) -> tuple[str, ...]:
  """The names of `size` tasks, of which there is at least one."""
  if len(names) != size or len(set(names)) != size or not size:
    raise UserError(
      f"names must hold one distinct name per task, got {list(names)} for"
      f" {size} tasks."
    )
  return tuple(names)


def is_complete(scores: Float[np.ndarray, "P M"]) -> Bool[np.ndarray, " P"]:
  """[P] whether a member failed on no task."""
  return np.asarray(np.isfinite(scores).all(axis=1))


def check_differences(
  scores: Float[np.ndarray, "P M"],
  names: Sequence[str],
  *,
  num_failed: int,
  where: str,
) -> None:
  """Raises unless there are two members, and differences on every task.

  Args:
    scores: [P, M] finite.
    names: [M] of the tasks.
    num_failed: members that were left out, for the message.
    where: which members they are, for the message.

  Raises:
    UndefinedError: which names the tasks on which all members score alike.
  """
  if len(scores) < 2:
    failed = f", and {num_failed} that failed" if num_failed else ""
    raise UndefinedError(
      f"D must be of at least two members, got {len(scores)}{where}{failed}."
      " Draw more members."
    )
  is_constant = np.ptp(scores, axis=0) == 0
  if is_constant.any():
    constant = [
      name for name, is_so in zip(names, is_constant, strict=True) if is_so
    ]
    raise UndefinedError(
      "Scores must differ between members on every task, got"
      f" {float(scores[0, is_constant.argmax()]):g} for all {len(scores)}"
      f" members on {', '.join(map(repr, constant))}{where}. A ranking of equals"
      " correlates with nothing: leave the task out."
    )


def keep_finite_tables(
  per_prompt: Sequence[Float[np.ndarray, "_P _Q"]], names: Sequence[str]
) -> tuple[list[Float[np.ndarray, "_P _Q"]], int]:
  """Tables of the members that failed in none, and how many others there are.

  Args:
    per_prompt: for each of M tasks the scores [P, Q] of the same members.
    names: [M] of the tasks.

  Raises:
    UserError: for tables of different members, a task without prompts, or a
      prompt that has no finite score at all.
  """
  tables = [np.asarray(table, np.float64) for table in per_prompt]
  sizes = [len(table) for table in tables]
  if len(set(sizes)) > 1:
    raise UserError(
      "Tasks must be scored with the same members, got"
      f" {', '.join(f'{n} for {t!r}' for n, t in zip(sizes, names, strict=True))}."
    )
  for name, table in zip(names, tables, strict=True):
    if not table.shape[1]:
      raise UserError(f"Task {name!r} must have a prompt, got none.")
    dead = np.flatnonzero(~np.isfinite(table).any(axis=0))
    if len(table) and len(dead):
      raise UserError(
        f"Every prompt must have a finite score, got none for prompt {dead[0]}"
        f" of task {name!r} ({len(dead)} such prompts). Leave them out."
      )
  is_finite = np.all(
    [np.isfinite(table).all(axis=1) for table in tables], axis=0
  )
  return [table[is_finite] for table in tables], int((~is_finite).sum())


def restore_ties(
  scores: Float[np.ndarray, "P M"],
) -> Float[np.ndarray, "P M"]:
  """Scores to twelve digits of the largest of the column.

  The last bit of a mean depends on the order of prompts, and would break ties.
  """
  scale = np.abs(scores).max(axis=0, initial=0.0)
  scale[scale == 0] = 1.0
  return np.round(scores / scale, 12) * scale
