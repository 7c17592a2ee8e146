"""What chosen members reach beside the base, random members and self-consistency.

Of a measured neighbourhood: `select` chooses the members, and all comparisons are on
the prompts of `dev`, at equal numbers of responses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import intervals, votes_by_sigma
from thickets.analysis.intervals import Estimate
from thickets.analysis.measurement import Measurement, TaskScores
from thickets.errors import UserError
from thickets.search import answers, ensemble, selection
from thickets.search.answers import Answers

_NUM_DRAWS = 50  # Sets of random members whose votes are averaged.

# Differences by name: what is compared, and with what.
DIFFERENCES: Mapping[str, tuple[str, str]] = {
  "best member - base": ("best", "base"),
  "vote - base": ("vote", "base"),
  "vote - random members": ("vote", "random"),
  "vote - self-consistency": ("vote", "samples"),
}


@dataclasses.dataclass(frozen=True)
class TaskVotes:
  """Who is right on the prompts of `dev` of one task.

  Attributes:
    right: [Q] by the name of a row (`base`, `best`, `vote`, `random` and, where the
      base was sampled, `samples`), the probability that its answer is right.
    k: number of responses that vote.
    either: [Q] the same, where the answer that another task wants of the same
      question is right as well; empty where there is no such task.
    groups: [Q] names of what is drawn together; None where prompts are
      independent.
  """

  right: Mapping[str, Float[np.ndarray, " Q"]]
  k: int
  either: Mapping[str, Float[np.ndarray, " Q"]] = dataclasses.field(
    default_factory=dict
  )
  groups: Sequence[str] | None = None

  def rate(self, row: str) -> Estimate:
    """The share of prompts that a row has right, with its interval over prompts."""
    return intervals.estimate_mean(self.right[row], groups=self.groups)

  def compare(self) -> dict[str, Estimate]:
    """The differences that can be taken, with their intervals over prompts."""
    return {
      name: intervals.estimate_difference(
        self.right[left] - self.right[other], groups=self.groups
      )
      for name, (left, other) in DIFFERENCES.items()
      if {left, other} <= self.right.keys()
    }

  def describe(self) -> dict[str, Any]:
    """As JSON values."""
    return {
      "k": self.k,
      "num_prompts": len(self.right["base"]),
      "right": {row: self.rate(row).to_json("mean") for row in self.right},
      "differences": {
        name: found.to_json("mean") for name, found in self.compare().items()
      },
      "either": {
        row: intervals.estimate_mean(right, groups=self.groups).to_json("mean")
        for row, right in self.either.items()
      },
    }


def measure_task_votes(
  task: TaskScores,
  k: int,
  samples: Answers | None = None,
  *,
  other: TaskScores | None = None,
  seed: int = 0,
) -> TaskVotes:
  """Lets the best, the random and the sampled answers to a task vote.

  Args:
    task: answers of the members of one sigma, to prompts of both splits.
    k: number of members that vote, and of samples.
    samples: [K, Q] answers that were sampled from the base to the prompts of
      `dev`, at least k of them.
    other: the answers of the same members to the same prompts, graded by what
      another task wants.
    seed: the seed of the sets of random members.

  Returns:
    Who is right. `random` is the mean over sets of k members whom nobody chose.
  """
  judged = task.members.from_prompt(task.num_select)
  scores = task.scores[:, : task.num_select].mean(axis=1)
  ranks = selection.select_top_k(scores, k).tolist()
  vote, base = votes_by_sigma.elect_best(task, k)
  right = {
    "base": base,
    "best": judged.lenient[ranks[0]].astype(np.float64),
    "vote": vote.by_prompt,
    "random": _elect_random(judged, k, seed),
  }
  if samples is not None:
    right["samples"] = samples.first(k).elect()[:, -1].astype(np.float64)
  either = {}
  if other is not None:
    either = _accept_either(task, other, ranks)
  return TaskVotes(right, k, either, task.dev_groups)


def compare_votes(
  measured: Measurement,
  samples: Mapping[str, tuple[float, Answers]],
  k: int,
) -> dict[str, dict[str, TaskVotes]]:
  """Compares the votes of a measured neighbourhood, task by task.

  Args:
    measured: answers to prompts of both splits.
    samples: by task, the temperature and the answers of the base, as
      `measurement.read_samples` returns them; tasks may be missing.
    k: number of members that vote.

  Returns:
    By task, who is right at each sigma ("sigma 0.004"); where there are several,
    also for the population of "all sigmas", in which select chooses among them.

  Raises:
    UserError: if a task lacks prompts of a split, or a sigma has fewer than k
      members.
  """
  levels = {
    f"sigma {sigma:g}": np.flatnonzero(measured.sigmas == sigma).tolist()
    for sigma in np.unique(measured.sigmas).tolist()
  }
  for level, rows in levels.items():
    if not 1 <= k <= len(rows):
      raise UserError(
        f"K must be at least 1 and at most {len(rows)}, the members of {level}, got"
        f" {k}."
      )
  if len(levels) > 1:
    levels["all sigmas"] = [*range(len(measured.members))]
  for name, task in measured.tasks.items():
    if not 0 < task.num_select < task.scores.shape[1]:
      raise UserError(
        f"{name} must have prompts of select and of dev, got {task.num_select} and"
        f" {task.scores.shape[1] - task.num_select}. Name a run of"
        " experiments.measure with both, or let fewer prompts of select choose."
      )
  return {
    name: {
      level: measure_task_votes(
        dataclasses.replace(task, members=task.members.take(rows)),
        k,
        samples[name][1] if name in samples else None,
      )
      for level, rows in levels.items()
    }
    for name, task in measured.tasks.items()
  }


def pool_tasks(tasks: Mapping[str, TaskVotes]) -> TaskVotes:
  """The mean over tasks, whose prompts of one number are drawn together.

  Two tasks may ask the same questions and want different answers, and then what one
  of them gains the other may lose; so prompts of one number are one group.

  Args:
    tasks: who is right on each task, by name; all have as many prompts.
  """
  rows = set.intersection(*(set(votes.right) for votes in tasks.values()))
  first = next(iter(tasks.values()))
  return TaskVotes(
    {
      row: np.concatenate([votes.right[row] for votes in tasks.values()])
      for row in first.right
      if row in rows
    },
    first.k,
    {
      row: np.concatenate([votes.either[row] for votes in tasks.values()])
      for row in first.either
      if all(row in votes.either for votes in tasks.values())
    },
    [
      str(number)
      for votes in tasks.values()
      for number in range(len(votes.right["base"]))
    ],
  )


def accept_either(task: TaskScores, other: TaskScores) -> TaskScores:
  """One of two tasks that ask the same, with what either wants as right.

  Args:
    task: the answers of members and base by what the first task wants.
    other: the same answers to the same prompts by what the second wants.
  """

  def accept(first: Answers, second: Answers) -> Answers:
    both = {
      name: getattr(first, name) | getattr(second, name)
      for name in ("correct", "lenient")
    }
    score = np.maximum(first.score, second.score)
    return dataclasses.replace(first, score=score, **both)

  return dataclasses.replace(
    task,
    base=accept(task.base, other.base),
    members=accept(task.members, other.members),
  )


def _accept_either(
  task: TaskScores, other: TaskScores, ranks: Sequence[int]
) -> dict[str, Float[np.ndarray, " Q"]]:
  """Who is right by what either of two tasks wants of the same questions.

  The votes are those of the first task: its members, and what they elect.
  """
  both = accept_either(task, other)
  chosen = both.members.from_prompt(task.num_select).take(ranks)
  return {
    "base": both.base.from_prompt(task.num_select)
    .lenient[0]
    .astype(np.float64),
    "best": chosen.lenient[0].astype(np.float64),
    "vote": chosen.elect()[:, -1].astype(np.float64),
  }


def _elect_random(
  judged: Answers, k: int, seed: int
) -> Float[np.ndarray, " Q"]:
  codes_QP, _ = ensemble.encode_votes(judged.vote.T.tolist())
  right_QP = judged.lenient.T
  rng = np.random.default_rng(seed)
  won = []
  for _ in range(_NUM_DRAWS):
    drawn = rng.choice(right_QP.shape[1], k, replace=False)
    codes = codes_QP[:, drawn]
    winners = ensemble.majority_vote_prefixes(codes)[:, -1:]
    won.append(answers.judge_winners(winners, codes, right_QP[:, drawn])[:, 0])
  return np.mean(won, axis=0)
