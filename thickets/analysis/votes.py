"""How accurate votes would have been with other budgets, from one run.

Where all members of a run have answered the prompts that choose (`select`) and
those that judge (`dev`), smaller populations, other ensembles and fewer prompts
of selection are subsets of its records. None of it runs a model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from thickets.analysis import intervals, prompt_groups
from thickets.analysis.measurement import TaskScores
from thickets.analysis.prompt_groups import Groups
from thickets.errors import UserError
from thickets.search import answers, ensemble, selection

# Shares of a population, as in the authors' scripts and finer.
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclasses.dataclass(frozen=True)
class VoteAccuracy:
  """How accurate the vote is at one budget: N members drawn, K of them voting.

  Attributes:
    population: N, number of members that were drawn.
    top_k: K, number of these that voted.
    num_select: number of prompts that chose them.
    accuracy: [D] share of the judging prompts that each resampled population
      got right by vote.
    by_prompt: [Q] the same by prompt, averaged over the populations.
    members: [D] mean accuracy of the K members one by one.
    groups: [Q] group of each judging prompt; None where these are independent.
  """

  population: int
  top_k: int
  num_select: int
  accuracy: Float[np.ndarray, " D"]
  by_prompt: Float[np.ndarray, " Q"]
  members: Float[np.ndarray, " D"]
  groups: Groups | None = None

  def describe(self, base: Float[np.ndarray, " Q"]) -> dict[str, Any]:
    """The budget, its accuracy and its gain over the base, as JSON values.

    `gain_interval` is over prompts, by `intervals.paired_interval`. `spread` is the
    standard deviation over resampled populations; populations close to the whole
    run share most of their members, so that their spread is too small.

    Args:
      base: [Q] whether the base's answer is right.
    """
    gain = intervals.estimate_difference(
      self.by_prompt - base, groups=self.groups
    )
    return {
      "population": self.population,
      "top_k": self.top_k,
      "num_select": self.num_select,
      "num_judge": len(self.by_prompt),
      "num_judge_groups": prompt_groups.count_groups(
        self.groups, len(self.by_prompt)
      ),
      "num_draws": len(self.accuracy),
      "accuracy": float(self.accuracy.mean()),
      "spread": float(self.accuracy.std(ddof=1))
      if len(self.accuracy) > 1
      else 0.0,
      "single": float(self.members.mean()),
      "gain": gain.value,
      "gain_interval": [gain.low, gain.high],
      "gain_over": gain.over,
    }


def resample_votes(
  task: TaskScores,
  *,
  populations: Sequence[int],
  top_k: Sequence[int] = (),
  shares: Sequence[float] = SHARES,
  num_select: Sequence[int] = (),
  num_draws: int = 20,
  seed: int = 0,
) -> list[VoteAccuracy]:
  """Votes of smaller populations and of fewer prompts of selection.

  A population is drawn from the run without replacement, and so are the prompts
  that choose among it; all members of a run are exchangeable, so each is what
  RandOpt would have done with that budget. Ties go to the member drawn first. A
  member that failed on a prompt that chooses ranks last and has no vote; it still
  counts in `top_k`, and as wrong in `members`.

  Args:
    task: a task's answers; the first `task.num_select` prompts choose, the
      others judge.
    populations: sizes N, at most the number of members of the run.
    top_k: ensemble sizes K; those above N are left out.
    shares: further ensemble sizes as shares K/N of each population, rounded.
    num_select: numbers of prompts that choose; all of `select` by default.
    num_draws: number of populations drawn of each size; the whole run counts
      once, unless the prompts are drawn.
    seed: the seed of everything that is drawn.

  Returns:
    One accuracy for each N, number of prompts and K, in this order.

  Raises:
    UserError: if the run is too small, or one of the splits is missing.
  """
  _check(task, populations, num_select)
  rng = np.random.default_rng(seed)
  records = _read_records(task)
  found = []
  for size in populations:
    sizes = _list_sizes(size, top_k, shares, task.name)
    for count in num_select or (task.num_select,):
      is_whole = (size, count) == (len(task.scores), task.num_select)
      draws = [
        _draw_population(rng, records, size, count, sizes)
        for _ in range(1 if is_whole else num_draws)
      ]
      for column, k in enumerate(sizes):
        won_DQ = np.stack([won[:, column] for won, _ in draws])
        found.append(
          VoteAccuracy(
            population=size,
            top_k=k,
            num_select=count,
            accuracy=won_DQ.mean(axis=1),
            by_prompt=won_DQ.mean(axis=0),
            members=np.array([singles[column] for _, singles in draws]),
            groups=task.dev_groups,
          )
        )
  return found


def _list_sizes(
  population: int, top_k: Sequence[int], shares: Sequence[float], task: str
) -> list[int]:
  """The ensemble sizes of a population, ascending."""
  sizes = sorted(
    {k for k in top_k if 1 <= k <= population}
    | {max(1, round(share * population)) for share in shares}
  )
  if not sizes:
    raise UserError(
      f"top_k must hold one within 1 and {population}, the population, got"
      f" {[*top_k]} and no shares ({task})."
    )
  return sizes


@dataclasses.dataclass(frozen=True)
class _Records:
  """What all members answered.

  Attributes:
    select: [P, Q] scores on the prompts that choose.
    codes: [Q, P] codes of the votes on the prompts that judge.
    right: [Q, P] whether the answers that these votes are for are right.
  """

  select: Float[np.ndarray, "P _"]
  codes: Int[np.ndarray, "Q P"]
  right: Bool[np.ndarray, "Q P"]


def _read_records(task: TaskScores) -> _Records:
  votes_QP = task.members.vote[:, task.num_select :].T
  codes_QP, _ = ensemble.encode_votes(votes_QP.tolist())
  return _Records(
    select=task.scores[:, : task.num_select],
    codes=codes_QP,
    right=task.members.lenient[:, task.num_select :].T,
  )


def _draw_population(
  rng: np.random.Generator,
  records: _Records,
  size: int,
  num_select: int,
  sizes: Sequence[int],
) -> tuple[Bool[np.ndarray, "Q K"], Float[np.ndarray, " K"]]:
  """Draws one population; returns whether votes are right, and members' means.

  Args:
    rng: draws the members and the prompts of selection.
    records: what all members answered.
    size: number of members to draw.
    num_select: number of prompts of selection to draw.
    sizes: [K] sizes of its ensembles, ascending.

  Returns:
    [Q, K] whether each ensemble elects a right answer, and [K] the mean accuracy
    of its members.
  """
  drawn = np.sort(rng.choice(len(records.select), size, replace=False))
  prompts = rng.choice(records.select.shape[1], num_select, replace=False)
  scores = records.select[np.ix_(drawn, prompts)].mean(axis=1)
  order = selection.rank_members(scores)[: max(sizes)]
  has_failed_K = ~np.isfinite(scores[order])
  codes_QK = np.where(
    has_failed_K, ensemble.NO_VOTE, records.codes[:, drawn[order]]
  )
  right_QK = records.right[:, drawn[order]] & ~has_failed_K
  columns = np.array(sizes) - 1
  winners_QW = ensemble.majority_vote_prefixes(codes_QK)[:, columns]
  singles_K = np.cumsum(right_QK.mean(axis=0)) / np.arange(1, len(order) + 1)
  won_QW = answers.judge_winners(winners_QW, codes_QK, right_QK)
  return won_QW, singles_K[columns]


def _check(task, populations, num_select) -> None:
  num_members, num_prompts = task.scores.shape
  if not 0 < task.num_select <= num_prompts - 2:
    raise UserError(
      f"{task.name} must have prompts of select and at least two of dev, got"
      f" {task.num_select} and {num_prompts - task.num_select}. Measure with"
      " experiments/measure.py and tasks.num_dev above 1."
    )
  for name, values, most in (
    ("populations", populations, num_members),
    ("num_select", num_select, task.num_select),
  ):
    for value in values:
      if not 1 <= value <= most:
        raise UserError(
          f"{name} must be within 1 and {most}, what the run has, got {value}"
          f" ({task.name})."
        )
