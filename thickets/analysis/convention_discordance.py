"""Discordance against the number of independent conventions, from studies of them.

Each family of questions has two tasks, which want opposite things; tasks of different
families have nothing to do with each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import convention_points
from thickets.analysis.convention_claims import Claim, judge, judge_between
from thickets.analysis.convention_points import Point
from thickets.analysis.intervals import Estimate


def rank_families(point: Point) -> list[tuple[str, str]]:
  """The pairs of tasks on which the members of every run can be ranked.

  Where all members of a run answer a task alike, it ranks none of them, and the
  discordance of that run is one of the other tasks.
  """
  ranked = [
    set(level["discordance"]["names"] if level["discordance"] else ())
    for level in point.levels
  ]
  pairs = zip(point.tasks[::2], point.tasks[1::2], strict=True)
  return [pair for pair in pairs if all({*pair} <= names for names in ranked)]


def _read_matrices(
  point: Point, tasks: Sequence[str]
) -> Float[np.ndarray, "T S M M"]:
  """How tasks' rankings correlate in each run."""
  found = []
  for of in point.runs:
    found.append([])
    for run in of:
      discordance = run["levels"][point.sigma]["discordance"]
      places = [discordance["names"].index(task) for task in tasks]
      matrix = np.array(discordance["correlation"])
      found[-1].append(matrix[np.ix_(places, places)])
  return np.array(found)


def measure_discordance_of_pairs(point: Point) -> list[dict[str, Any]]:
  """Discordance against the number of families, mean over all sets of so many.

  Returns:
    For each number of families `k` that every run ranks, the D of both their tasks,
    of their first tasks alone (None for one), the `rise` of the former since one
    family, and its `bound`, with intervals over trainings (None for a single
    training).
  """
  rows = []
  families = rank_families(point)
  if not families:
    return []
  matrices_TS = _read_matrices(
    point, [task for pair in families for task in pair]
  )
  single_TS = np.zeros(())  # D of one family, which comes first.
  for k in range(1, len(families) + 1):
    both_TS, first_TS = (
      np.array(
        [[_mean_discordance(m, k, alone) for m in of] for of in matrices_TS]
      )
      for alone in (False, True)
    )
    if k == 1:
      single_TS = both_TS
    both, first, rise = map(
      convention_points.estimate_over_trainings,
      (both_TS, first_TS, both_TS - single_TS),
    )
    rows.append(
      {
        "k": k,
        "both": both and both.to_json(),
        "first": first.to_json() if first and k > 1 else None,
        "rise": rise and rise.to_json(),
        "bound": 2 * k / (2 * k - 1),
      }
    )
  return rows


def _mean_discordance(matrix: np.ndarray, k: int, alone: bool) -> float:
  """D of k families, mean over the sets of so many; `alone` for first tasks."""
  size = len(matrix) // 2
  blocks = matrix.reshape(size, 2, size, 2)
  is_other = ~np.eye(size, dtype=bool)
  if alone:
    return 1 - blocks[:, 0, :, 0][is_other].mean() if k > 1 else math.nan
  within = np.mean([blocks[i, 0, i, 1] for i in range(size)])
  if k == 1:
    return float(1 - within)
  between = blocks.transpose(0, 2, 1, 3)[is_other].mean()
  return float(1 - (within + (2 * k - 2) * between) / (2 * k - 1))


def say_families(point: Point) -> str:
  """What numbers of families rest on, in words."""
  ranked = {pair[0] for pair in rank_families(point)}
  left_out = [name for name in point.tasks[::2] if name not in ranked]
  size = convention_points.say_size(point)
  if not left_out:
    return size
  names = ", ".join(name.split("/")[1] for name in left_out)
  return f"{size}; without {names}, which do not rank the members of every run"


def judge_discordance(rows: Sequence[Mapping[str, Any]], n: str) -> list[Claim]:
  """Whether tasks of independent conventions rank members independently.

  Args:
    rows: what `measure_discordance_of_pairs` returned.
    n: what they rest on, in words.
  """
  if len(rows) < 2 or rows[0]["both"] is None:
    why = f"fewer than two families are ranked, or one training; {n}"
    return [
      judge("tasks of different families rank members independently", None, why)
    ]
  last = rows[-1]
  first = Estimate(**last["first"])
  pair = Estimate(**rows[0]["both"])
  return [
    Claim(
      f"first tasks of {last['k']} families rank members independently: D lies"
      " within 0.1 of 1",
      judge_between(first, 0.9, 1.1),
      first,
      n,
      "D",
    ),
    judge(
      "two conventions of one family rank members against each other: D is above 1",
      pair,
      n,
      above=1.0,
      unit="D",
    ),
    judge(
      f"D of both tasks rises with the number of families (here from"
      f" {pair.value:.2f} of one to {last['both']['value']:.2f} of {last['k']})",
      Estimate(**last["rise"]),
      n,
      unit="D",
    ),
  ]
