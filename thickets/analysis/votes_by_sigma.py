"""The vote of the best members at each sigma, and the regime that follows.

Members are chosen on the prompts of `select` and judged on those of `dev`.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from thickets.analysis import (
  decomposition,
  intervals,
  prompt_groups,
  regimes,
  votes,
)
from thickets.analysis.decomposition import Decomposition
from thickets.analysis.density import Density
from thickets.analysis.intervals import Estimate
from thickets.analysis.measurement import TaskScores
from thickets.analysis.regimes import RegimeCall, SigmaFacts, Thresholds
from thickets.analysis.votes import VoteAccuracy
from thickets.search import selection


@dataclasses.dataclass(frozen=True)
class SigmaVote:
  """The vote of the best members of one sigma, and what its gain is made of.

  Attributes:
    vote: what `vote_of_best` returns.
    parts: what the gain of the vote, and of single members, is made of.
    facts: what the call of the regime reads of this sigma.
  """

  vote: dict[str, Any]
  parts: tuple[Decomposition, ...]
  facts: SigmaFacts


def measure_votes(
  task: TaskScores,
  sigmas: Float[np.ndarray, " P"],
  density: Density,
  *,
  top_share: float,
  margin: float,
) -> dict[float, SigmaVote]:
  """Measures the vote at each sigma at which enough members have a score.

  Args:
    task: the answers to the prompts of both splits.
    sigmas: [P] standard deviation of each member's noise.
    density: the density of these members on all prompts.
    top_share: K/N, above 0 and at most 1: the share of the members that vote.
    margin: least gain that makes an expert, in score; one of the density's.
  """
  found = {}
  for row, sigma in enumerate(density.sigmas.tolist()):
    rows = np.flatnonzero(sigmas == sigma).tolist()
    level = dataclasses.replace(task, members=task.members.take(rows))
    k = max(1, round(top_share * len(level.scores)))
    if np.isfinite(level.scores).all(axis=1).sum() < k:
      logging.warning(
        "%s: no vote at sigma %g, where too few members have a score.",
        *(task.name, sigma),
      )
      continue
    vote, base = elect_best(level, k)
    found[sigma] = SigmaVote(
      vote.describe(base),
      _decompose(level, k),
      _read_facts(level, vote.by_prompt - base, density, row, margin),
    )
  return found


def vote_of_best(task: TaskScores, k: int) -> dict[str, Any]:
  """Describes the vote of the K best on `select`, judged on `dev`.

  Args:
    task: the answers to the prompts of both splits.
    k: number of members that vote.

  Returns:
    The JSON values of `votes.VoteAccuracy.describe`.
  """
  vote, base = elect_best(task, k)
  return vote.describe(base)


def call_regime(
  found: Sequence[SigmaVote],
  task: TaskScores,
  *,
  margin: float,
  score_range: tuple[float, float],
) -> RegimeCall:
  """Calls the regime of a task over all sigmas that were measured.

  Args:
    found: what `measure_votes` found at each sigma, at least one.
    task: the answers of the base, to the prompts of the density.
    margin: least gain that makes an expert, in score.
    score_range: least and largest score of the task.
  """
  # On few prompts (or groups of prompts) even a vote that changes no answer has an
  # interval wider than five points. A gain that such prompts could not show is
  # not held against flatness.
  flat_gain = max(0.05, 4 / (found[0].vote["num_judge_groups"] + 2))
  return regimes.call_regime(
    [one.facts for one in found],
    base_score=float(task.base_scores.mean()),
    base_form=float(task.base.format.mean()),
    num_prompts=prompt_groups.count_groups(task.groups, len(task.base_scores)),
    margin=margin,
    score_range=score_range,
    thresholds=Thresholds(flat_gain=flat_gain),
  )


def elect_best(
  task: TaskScores, k: int
) -> tuple[VoteAccuracy, Float[np.ndarray, " Q"]]:
  """Lets the K best on `select` vote on the prompts of `dev`.

  Args:
    task: the answers of the members of one sigma, to the prompts of both splits.
    k: number of members that vote.

  Returns:
    The vote, in which members that failed on `select` have none, and [Q] whether
    the base is right on the same prompts.
  """
  (vote,) = votes.resample_votes(
    task, populations=(len(task.scores),), top_k=(k,), shares=()
  )
  return vote, task.base.lenient[0, task.num_select :].astype(np.float64)


def _decompose(task: TaskScores, k: int) -> tuple[Decomposition, ...]:
  """What the gains of the vote, its members and random members are made of."""
  scores = task.scores[:, : task.num_select].mean(axis=1)
  judged = task.members.from_prompt(task.num_select)
  return decomposition.decompose_run(
    task.base.from_prompt(task.num_select),
    judged.take(selection.select_top_k(scores, k).tolist()),
    k=k,
    random=judged.take(np.flatnonzero(np.isfinite(scores))[:k].tolist()),
    groups=task.dev_groups,
  )


def _read_facts(
  task: TaskScores,
  gains: Float[np.ndarray, " Q"],
  density: Density,
  row: int,
  margin: float,
) -> SigmaFacts:
  """What the call of the regime reads of one sigma.

  Args:
    task: the answers of this sigma's members.
    gains: [Q] what the vote is right on more than the base, on prompts of `dev`.
    density: the density at all sigmas.
    row: the place of this sigma among them.
    margin: least gain that makes an expert, in score.
  """
  column = int(np.argmin(np.abs(density.margins - margin)))
  low, high = density.corrected_interval[row, column].tolist()
  joint_tail = (1 - density.level) / 2 / len(density.sigmas)
  joint_z = -statistics.NormalDist().inv_cdf(joint_tail)
  is_scored = np.isfinite(task.scores).all(axis=1)
  members = task.members.take(np.flatnonzero(is_scored).tolist())
  is_changed = (members.score != task.base.score) | (
    members.vote != task.base.vote
  )
  return SigmaFacts(
    sigma=float(density.sigmas[row]),
    member_score=float(members.score.mean()),
    member_form=float(members.format.mean()),
    changed_frac=float(is_changed.mean()),
    density=Estimate(
      float(density.corrected[row, column]),
      low,
      high,
      density.over["corrected"],
    ),
    gain=intervals.estimate_difference(gains, groups=task.dev_groups),
    joint_density_low=float(density.corrected_joint_interval[row, column, 0]),
    joint_gain_low=intervals.paired_interval(
      gains, z=joint_z, groups=task.dev_groups
    )[0],
  )
