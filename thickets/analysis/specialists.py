"""Who is good at what: rank lines, clusters, overlaps, specialists.

All tables are [P, M]: the mean score of each member on each task. A member with
a score that is not finite has failed; it is an expert in nothing, ranked last
where members are chosen, and left out, and counted, where ranks or distances of
members are compared.

Reference: Gan and Isola (2026), arXiv:2603.12228, figure 4.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from thickets.analysis import intervals, rank_correlation, score_tables
from thickets.errors import UserError
from thickets.search import selection


@dataclasses.dataclass(frozen=True)
class RankLines:
  """Percentile ranks of some members over the tasks.

  Attributes:
    percentiles: [L, M] in (0, 1), among all members that did not fail.
    members: [L] positions of those members.
    names: [M] names of the tasks.
    num_members: members that were ranked.
    num_failed: members left out since a score of theirs is not finite.
  """

  percentiles: Float[np.ndarray, "L M"]
  members: Int[np.ndarray, " L"]
  names: tuple[str, ...]
  num_members: int
  num_failed: int


def rank_lines(
  scores: Float[np.ndarray, "P M"],
  *,
  names: Sequence[str],
  num_lines: int = 100,
) -> RankLines:
  """Ranks members on each task and keeps the first of them to draw.

  Members are drawn independently, so the first are as good a sample as any and
  need no seed.

  Args:
    scores: [P, M] each member's score on each task; members should be of one
      sigma.
    names: [M] names of the tasks.
    num_lines: number of members to keep, at most.
  """
  names = score_tables.check_names(names, scores.shape[1])
  kept = np.flatnonzero(score_tables.is_complete(scores))
  if not len(kept):
    raise UserError(
      f"At least one member must have finite scores, got none of {len(scores)}."
    )
  ranks = rank_correlation.percentile_ranks(
    score_tables.restore_ties(np.asarray(scores[kept], np.float64))
  )
  return RankLines(
    percentiles=ranks[:num_lines],
    members=kept[:num_lines],
    names=names,
    num_members=len(kept),
    num_failed=len(scores) - len(kept),
  )


@dataclasses.dataclass(frozen=True)
class Overlap:
  """How much the best members of two tasks have in common.

  Attributes:
    share: [M, M] members in both top-K sets, over K.
    low: [M, M] lower end of what chance gives: K members drawn at random.
    high: [M, M] upper end of it; chance stays within both with `level` or more.
    expected: K / N, the mean share by chance.
    k: members chosen on each task.
    level: coverage of the interval of chance, two-sided.
    names: [M] names of the tasks.
    num_members: N, members drawn, failed ones included.
    num_failed: [M] of these, the failed ones on each task; never chosen.
  """

  share: Float[np.ndarray, "M M"]
  low: Float[np.ndarray, "M M"]
  high: Float[np.ndarray, "M M"]
  expected: float
  k: int
  level: float
  names: tuple[str, ...]
  num_members: int
  num_failed: tuple[int, ...]

  def to_json(self) -> dict[str, Any]:
    """Plain values."""
    plain = dataclasses.asdict(self)
    arrays = {name: plain[name].tolist() for name in ("share", "low", "high")}
    return {
      "units": "shares of the K best members of a task",
      **plain,
      **arrays,
      "names": list(self.names),
      "num_failed": list(self.num_failed),
    }


def topk_overlap(
  scores: Float[np.ndarray, "P M"],
  k: int,
  *,
  names: Sequence[str],
  level: float = 0.95,
) -> Overlap:
  """Measures how many of one task's K best members another task shares.

  Ties are broken as RandOpt does, by the order of drawing. That rule is the
  same on all tasks, so two tasks of coarse scores share members for no better
  reason: large overlaps of tasks with few distinct scores deserve doubt.

  Args:
    scores: [P, M] each member's score on each task; members should be of one
      sigma.
    k: number of members to choose on each task.
    names: [M] names of the tasks.
    level: coverage of the hypergeometric interval of chance, two-sided.

  Raises:
    UserError: if k is below one or above the members that did not fail on a
      task.
  """
  names = score_tables.check_names(names, scores.shape[1])
  is_finite = np.isfinite(scores)
  num_finite = is_finite.sum(axis=0)
  if not 1 <= k <= num_finite.min():
    worst = int(num_finite.argmin())
    raise UserError(
      "k must be within 1 and the number of members with a finite score, got"
      f" {k} with {num_finite[worst]} of {len(scores)} on"
      f" {names[worst]!r}. Lower k."
    )
  is_chosen = np.zeros(scores.shape, np.int64)
  for task, column in enumerate(scores.T):
    column = np.where(is_finite[:, task], column, 0.0)[:, None]
    column = score_tables.restore_ties(column)[:, 0]
    ranked = selection.rank_members(
      np.where(is_finite[:, task], column, np.nan)
    )
    is_chosen[ranked[:k], task] = 1
  chance = scipy.stats.hypergeom(len(scores), k, k)
  tail = (1 - level) / 2
  low, high = chance.ppf(tail) / k, chance.ppf(1 - tail) / k
  shape = (len(names), len(names))
  return Overlap(
    share=is_chosen.T @ is_chosen / k,
    low=np.full(shape, float(low)),
    high=np.full(shape, float(high)),
    expected=k / len(scores),
    k=k,
    level=level,
    names=names,
    num_members=len(scores),
    num_failed=tuple((len(scores) - num_finite).tolist()),
  )


@dataclasses.dataclass(frozen=True)
class SpecialistTable:
  """Who is an expert in one task, in several, in all.

  Attributes:
    names: [M] names of the tasks.
    margin: least gain over the base that makes an expert, in score.
    num_members: N, failed ones included: they are experts in nothing.
    num_failed: members with a score that is not finite on some task.
    experts: [M] members that are experts in each task.
    specialists: [M] number of these that are experts in no other task.
    expected_specialists: [M] mean number if tasks were independent with these
      numbers of experts.
    by_count: [M + 1] members that are experts in exactly 0, 1, ..., M tasks.
    expected_by_count: [M + 1] mean numbers if tasks were independent.
  """

  names: tuple[str, ...]
  margin: float
  num_members: int
  num_failed: int
  experts: Int[np.ndarray, " M"]
  specialists: Int[np.ndarray, " M"]
  expected_specialists: Float[np.ndarray, " M"]
  by_count: Int[np.ndarray, " M_and_one"]
  expected_by_count: Float[np.ndarray, " M_and_one"]

  @property
  def several(self) -> int:
    """Members that are experts in at least two tasks."""
    return int(self.by_count[2:].sum())

  @property
  def generalists(self) -> int:
    """Members that are experts in all tasks."""
    return int(self.by_count[-1])

  def to_json(self) -> dict[str, Any]:
    """Plain values; shares with Wilson's 95 % interval over members."""
    return {
      "units": "counts of members; shares of all members, failed ones included",
      "margin": self.margin,
      "num_members": self.num_members,
      "num_failed": self.num_failed,
      "tasks": [
        {
          "name": name,
          "experts": self._count(self.experts[task]),
          "specialists": self._count(
            self.specialists[task], self.expected_specialists[task]
          ),
        }
        for task, name in enumerate(self.names)
      ],
      "in_at_least_two": self._count(
        self.several, self.expected_by_count[2:].sum()
      ),
      "generalists": self._count(self.generalists, self.expected_by_count[-1]),
      "by_number_of_tasks": [
        self._count(count, expected)
        for count, expected in zip(
          self.by_count, self.expected_by_count, strict=True
        )
      ],
    }

  def _count(self, count, expected=None):
    entry = intervals.describe_count(
      int(count), self.num_members, over="members"
    )
    if expected is not None:
      entry["expected_if_independent"] = float(expected)
    return entry

  def format(self) -> str:
    """Lays the table out for the console."""
    width = max(12, *map(len, self.names))
    lines = [f"{'task':{width}}  experts  in it only  expected if independent"]
    rows = zip(
      self.names,
      self.experts,
      self.specialists,
      self.expected_specialists,
      strict=True,
    )
    lines += [
      f"{name:{width}}  {experts:7d}  {only:10d}  {expected:23.1f}"
      for name, experts, only, expected in rows
    ]
    expected = self.expected_by_count
    lines += [
      f"{'two or more':{width}}  {self.several:7d}  {'':10}"
      f"  {expected[2:].sum():23.1f}",
      f"{'all':{width}}  {self.generalists:7d}  {'':10}  {expected[-1]:23.1f}",
      f"{'none':{width}}  {self.by_count[0]:7d}  {'':10}  {expected[0]:23.1f}",
      f"of {self.num_members} members, {self.num_failed} failed; gain of at"
      f" least {self.margin:g} over the base",
    ]
    return "\n".join(lines)


def specialist_table(
  scores: Float[np.ndarray, "P M"],
  base_scores: Float[np.ndarray, " M"],
  *,
  margin: float,
  names: Sequence[str],
) -> SpecialistTable:
  """Counts experts in one task only, in several and in all.

  Args:
    scores: [P, M] each member's score on each task; members should be of one
      sigma.
    base_scores: [M] the base's score on the prompts of each task.
    margin: least gain that makes an expert, in score; not negative. At zero a
      tie with the base counts as success.
    names: [M] names of the tasks.

  Raises:
    UserError: if a score of the base is not finite or the margin is negative.
  """
  names = score_tables.check_names(names, scores.shape[1])
  if not margin >= 0:
    raise UserError(f"margin must not be negative, got {margin}.")
  if not len(scores):
    raise UserError("scores must hold at least one member, got none.")
  if not np.isfinite(base_scores).all():
    bad = names[int(np.flatnonzero(~np.isfinite(base_scores))[0])]
    raise UserError(
      f"base_scores must be finite, got another for {bad!r}. Experts are those"
      " that gain over the base, so that it must be scored."
    )
  is_finite = np.isfinite(scores)
  # Decimal margins such as 0.02 must include gains of exactly that.
  slack = 1e-9 * np.maximum(1.0, np.abs(base_scores))
  gain = np.where(is_finite, scores, -np.inf) - base_scores
  is_expert = gain >= margin - slack
  num_tasks = is_expert.sum(axis=1)
  size = len(names)
  rate = is_expert.mean(axis=0)
  return SpecialistTable(
    names=names,
    margin=float(margin),
    num_members=len(scores),
    num_failed=int((~is_finite.all(axis=1)).sum()),
    experts=is_expert.sum(axis=0),
    specialists=(is_expert & (num_tasks == 1)[:, None]).sum(axis=0),
    expected_specialists=len(scores) * _only_one(rate),
    by_count=np.bincount(num_tasks, minlength=size + 1),
    expected_by_count=len(scores) * _count_distribution(rate),
  )


def _only_one(rate):
  """[M] chance of success in one task and in no other."""
  others = np.array(
    [np.prod(np.delete(1 - rate, task)) for task in range(len(rate))]
  )
  return rate * others


def _count_distribution(rate):
  """[M + 1] chances of 0, 1, ..., M successes of independent trials."""
  chances = np.ones(1)
  for one in rate:
    chances = np.convolve(chances, [1 - one, one])
  return chances
