"""Spectral discordance: do tasks agree on which members are good?

D is one minus the mean rank correlation of members' scores between tasks: 0 if
all tasks rank members alike, 1 if their rankings have nothing in common, more
if what is good for one task is bad for another.

Coarse scores push D towards one without any diversity, and members of several
sigmas push it towards zero. So D is measured within one sigma, and beside it
stand the reliability of each task's ranking, the D that noise alone would
give, and D with the noise taken out.

Reference: Gan and Isola (2026), arXiv:2603.12228, equation 2 and appendix H.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from thickets.analysis import (
  discordance_intervals,
  prompt_groups,
  rank_correlation,
  reliability,
  score_tables,
)
from thickets.analysis.prompt_groups import Groups
from thickets.analysis.rank_correlation import Column
from thickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class Discordance:
  """Spectral discordance D with its uncertainty and what noise makes of it.

  Attributes:
    value: D of the members measured, within 0 and `bound`.
    bound: M / (M - 1), the largest D of M tasks.
    interval: for D of the whole neighbourhood (infinitely many members) on
      these very prompts; bootstrap over members.
    interval_new_prompts: for D of the neighbourhood on as many other prompts of
      the same tasks, the mean over such sets; None if a task has one prompt.
    level: coverage of all intervals, two-sided.
    correlation: [M, M] rank correlations of the tasks.
    reliability: [M] rank correlation expected between two sets of as many
      prompts of a task; NaN for a task with one prompt.
    floor: what D would be if all tasks ranked members alike up to the noise of
      measurement, 1 - mean sqrt(rel_j rel_k); a reliability below zero counts
      as zero. None if a reliability is unknown.
    disattenuated: D without the noise, 1 - mean C_jk / sqrt(rel_j rel_k). It is
      an estimate and may leave [0, bound]. None where undefined.
    disattenuated_interval: its ends, over members and on these prompts; None
      where `disattenuated` is.
    disattenuated_note: why `disattenuated` is undefined; empty where it is not.
    names: [M] names of the tasks.
    num_members: number of members that were ranked.
    num_failed: number of members left out because a score is not finite.
    num_prompts: [M] number of prompts of each task.
    num_groups: [M] number of groups that they come in; as many where they are
      independent.
    num_resamples: number of bootstrap resamples that were drawn.
    num_undefined: number of these that were left out because all members score
      alike on a task.
    sigma: standard deviation of the members' noise; None if unknown or pooled.
    pooled: whether members of several sigmas were ranked together, which drags
      D down.
  """

  value: float
  bound: float
  interval: tuple[float, float]
  interval_new_prompts: tuple[float, float] | None
  level: float
  correlation: Float[np.ndarray, "M M"]
  reliability: Float[np.ndarray, " M"]
  floor: float | None
  disattenuated: float | None
  disattenuated_interval: tuple[float, float] | None
  disattenuated_note: str
  names: tuple[str, ...]
  num_members: int
  num_failed: int
  num_prompts: tuple[int, ...]
  num_groups: tuple[int, ...]
  num_resamples: int
  num_undefined: int
  sigma: float | None = None
  pooled: bool = False

  def to_json(self) -> dict[str, Any]:
    """Plain values; what is undefined is None."""
    plain = {
      field.name: _to_plain(getattr(self, field.name))
      for field in dataclasses.fields(self)
    }
    return {
      "units": (
        "value, floor and disattenuated are D, without unit; reliability and"
        " correlation are rank correlations"
      ),
      **plain,
    }


def spectral_discordance(
  scores: Float[np.ndarray, "P M"], *, names: Sequence[str] | None = None
) -> float:
  """Returns one minus the mean rank correlation between tasks.

  Percentile ranks within each column are (average rank - 1/2) / P, ties sharing
  the average; C is their Pearson correlation; D = 1 - mean of C_jk, j != k.

  Args:
    scores: [P, M] score of each member on each task, finite; any unit. Those
      that agree in twelve digits of the column's largest tie.
    names: [M] names of the tasks, for messages.

  Returns:
    D within 0 and M / (M - 1).

  Raises:
    UserError: with fewer than two members or tasks, a score that is not finite,
      or a task on which all members score alike, whose ranks correlate with
      nothing.
  """
  scores = np.asarray(scores, np.float64)
  if scores.ndim != 2:
    raise UserError(
      f"scores must be [members, tasks], got shape {scores.shape}. Average over"
      " the prompts of each task, or use measure_discordance."
    )
  names = _name_tasks(names, scores.shape[1])
  if not np.isfinite(scores).all():
    members = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    raise UserError(
      f"scores must be finite, got {len(members)} members with others, the"
      f" first at {members[0]}. Leave failed members out and count them, or use"
      " measure_discordance, which does."
    )
  scores = score_tables.restore_ties(scores)
  score_tables.check_differences(scores, names, num_failed=0, where="")
  return _discordance(scores)


# Over 60 lines for its docstring: what its intervals mean belongs here.
def measure_discordance(
  per_prompt: Sequence[Float[np.ndarray, "_P _Q"]],
  *,
  names: Sequence[str] | None = None,
  groups: Sequence[Groups | None] | None = None,
  num_resamples: int = 1000,
  num_splits: int = 50,
  seed: int = 0,
  level: float = 0.95,
  sigma: float | None = None,
) -> Discordance:
  """Measures D of one neighbourhood, with intervals and the noise's part in it.

  Members should be of one sigma: see `discordance_by_sigma`.

  `interval` is the bootstrap over members, bias-corrected and accelerated, with
  ranks taken anew in each resample. Drawing members with replacement makes them
  tie with themselves, which moves resampled D by about 3 (mean correlation -
  mean Kendall's tau) / P, as much as D itself is biased by; the correction for
  bias takes it out. For small P the quantiles are Student's (Hesterberg).

  `interval_new_prompts` widens it by the variance over prompts, found by leaving
  out a twentieth of the prompts of one task at a time (a grouped jackknife, of
  which only what two halves of the members have in common counts), as prompts
  drawn with replacement would add noise of their own. It takes prompts of a
  task as independent, and tasks as having none in common.

  Args:
    per_prompt: for each of M tasks the scores [P, Q] of the same P members on
      the Q prompts of the task. A member with a score that is not finite in
      any task is left out of all ranks, and counted.
    names: [M] names of the tasks.
    groups: for each task the label of each prompt's group, [Q], or None where its
      prompts are independent. Groups are then left out and halved, not prompts.
    num_resamples: draws of the bootstrap, at least 1.
    num_splits: how often the prompts are halved for a reliability, at least 1.
    seed: the seed of resamples, splits and groups of prompts.
    level: coverage of the intervals, two-sided, within 0 and 1.
    sigma: standard deviation of the members' noise, to be kept in the result.

  Returns:
    D and all that belongs to it.

  Raises:
    UserError: with fewer than two tasks or members that did not fail, tables
      of different members, or a task on which all members score alike.
  """
  if not (num_resamples >= 1 and num_splits >= 1 and 0 < level < 1):
    raise UserError(
      "num_resamples and num_splits must be at least 1 and level within 0 and"
      f" 1, got {num_resamples}, {num_splits} and {level}."
    )
  names = _name_tasks(names, len(per_prompt))
  where = "" if sigma is None else f" at sigma {sigma:g}"
  numbers = prompt_groups.number_by_task(
    groups, [np.shape(table)[1] for table in per_prompt], names
  )
  tables, num_failed = score_tables.keep_finite_tables(per_prompt, names)
  scores = score_tables.restore_ties(
    np.stack([table.mean(axis=1) for table in tables], axis=1)
  )
  score_tables.check_differences(
    scores, names, num_failed=num_failed, where=where
  )
  resample_rng, split_rng, group_rng = np.random.default_rng(seed).spawn(3)

  value = _discordance(scores)
  columns = [Column.sort(column) for column in scores.T]
  correlation, influence = rank_correlation.correlation_influence(columns)
  drawn = discordance_intervals.resample_members(
    columns, num_resamples, resample_rng
  )
  defined = drawn[np.isfinite(drawn)]
  _warn_of_undefined(len(defined), num_resamples, where)
  bound = len(names) / (len(names) - 1)
  one = -rank_correlation.mean_pairs(influence)
  interval = discordance_intervals.bca_interval(value, defined, one, level)
  return Discordance(
    value=value,
    bound=bound,
    interval=_clip(interval, bound),
    interval_new_prompts=_widen(
      value, interval, defined, tables, numbers, scores, bound, level, group_rng
    ),
    level=level,
    correlation=rank_correlation.correlate_ranks(scores),
    **reliability.measure_noise(
      tables,
      numbers,
      correlation,
      influence,
      names,
      num_splits=num_splits,
      rng=split_rng,
      level=level,
    ),
    names=names,
    num_members=len(scores),
    num_failed=num_failed,
    num_prompts=tuple(table.shape[1] for table in tables),
    num_groups=tuple(
      len(prompt_groups.count_by_group(of_task, table.shape[1]))
      for of_task, table in zip(numbers, tables, strict=True)
    ),
    num_resamples=num_resamples,
    num_undefined=num_resamples - len(defined),
    sigma=sigma,
  )


def discordance_by_sigma(
  per_prompt: Sequence[Float[np.ndarray, "_P _Q"]],
  sigmas: Float[np.ndarray, " P"],
  *,
  names: Sequence[str] | None = None,
  pooled: bool = False,
  skip_undefined: bool = False,
  **options: Any,
) -> tuple[Discordance, ...]:
  """Measures D within each sigma, from the smallest to the largest.

  Args:
    per_prompt: for each of M tasks the scores [P, Q] of the same P members.
    sigmas: [P] standard deviation of each member's noise; an antithetic twin's
      -sigma counts as sigma.
    names: [M] names of the tasks.
    pooled: rank members of all sigmas together and return one D. A sigma that
      harms all tasks then makes tasks agree, and drags D down.
    skip_undefined: leave out, with a warning, sigmas at which D is undefined
      (one member, or a task on which all score alike) instead of raising.
    **options: further arguments of `measure_discordance`.

  Returns:
    One `Discordance` per sigma, or the pooled one.

  Raises:
    UserError: where `measure_discordance` does; it names the sigma.
  """
  sigmas = np.abs(np.asarray(sigmas, np.float64))
  names = _name_tasks(names, len(per_prompt))
  for name, table in zip(names, per_prompt, strict=True):
    if len(table) != len(sigmas):
      raise UserError(
        f"sigmas must hold one per member, got {len(sigmas)} for the"
        f" {len(table)} members of task {name!r}."
      )
  levels = np.unique(sigmas)
  if pooled and len(levels) > 1:
    logging.warning(
      "Members of %d sigmas are ranked together: a sigma that harms all tasks"
      " makes them agree, so that this D is too low. Leave `pooled` out to"
      " measure D within each sigma.",
      len(levels),
    )
    result = measure_discordance(per_prompt, names=names, **options)
    return (dataclasses.replace(result, pooled=True),)
  results = []
  for sigma in levels:
    tables = [np.asarray(table)[sigmas == sigma] for table in per_prompt]
    try:
      results.append(
        measure_discordance(tables, names=names, sigma=float(sigma), **options)
      )
    except score_tables.UndefinedError as error:
      if not skip_undefined:
        raise
      logging.warning("D is left out%s: %s", f" at sigma {sigma:g}", error)
  return tuple(results)


def _discordance(scores):
  correlation = rank_correlation.correlate_ranks(scores)
  value = 1 - rank_correlation.mean_pair(correlation)
  size = len(correlation)
  return float(np.clip(value, 0.0, size / (size - 1)))


def _name_tasks(names, size) -> tuple[str, ...]:
  """Checks the names of two tasks at least, or makes some up."""
  if names is None:
    names = [f"task {task}" for task in range(size)]
  names = score_tables.check_names(names, size)
  if size < 2:
    raise UserError(
      f"D must be of at least two tasks, got {size} ({', '.join(names)})."
      " It compares how tasks rank the same members."
    )
  return names


def _warn_of_undefined(num_defined, num_resamples, where):
  if num_defined < 0.95 * num_resamples:
    logging.warning(
      "%d of %d resamples%s hold a task on which all members score alike and"
      " were left out; too few members differ for an interval to be trusted.",
      num_resamples - num_defined,
      num_resamples,
      where,
    )


def _clip(interval, bound):
  low, high = interval
  return max(0.0, low), min(bound, high)


def _widen(value, interval, drawn, tables, numbers, scores, bound, level, rng):
  """The interval over members and prompts; None if a task has one prompt."""
  if min(table.shape[1] for table in tables) < 2:
    return None
  over_prompts = sum(
    discordance_intervals.jackknife_prompts(
      table, np.delete(scores, task, axis=1), rng, numbers[task]
    )
    for task, table in enumerate(tables)
  )
  over_members = float(np.var(drawn, ddof=1)) if len(drawn) > 1 else 0.0
  wider = discordance_intervals.add_prompts(
    value,
    interval,
    over_members,
    over_prompts,
    num_members=len(scores),
    level=level,
  )
  return _clip(wider, bound)


def _to_plain(value):
  if isinstance(value, np.ndarray | tuple | list):
    return [_to_plain(item) for item in value]
  if isinstance(value, float | np.floating):
    return float(value) if math.isfinite(value) else None
  return value
