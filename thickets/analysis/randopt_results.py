"""The results of one RandOpt run on a language task, as one JSON object.

Everything that the console prints and the plots draw comes from here, with
units, counts and intervals. All rows count an answer by the same rule: it is right
if the answer that it votes for is right, wherever in the response that stands;
`strict` demands the form that the prompt asked for as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from thickets.analysis import (
  intervals,
  population_scores,
  prompt_groups,
  random_members,
  selection_gains,
  voters,
)
from thickets.analysis.intervals import Estimate
from thickets.analysis.prompt_groups import Groups
from thickets.analysis.random_members import RandomVotes
from thickets.analysis.selection_gains import SelectAnswers
from thickets.members import Member
from thickets.runs.directory import BASE_POSITION
from thickets.runs.split_labels import Split
from thickets.search import answers
from thickets.search.answers import Answers, AnswerSource

_UNITS = (
  "select_score and judge_score are mean scores of the task; judge and gain are"
  " shares of prompts whose answer is right, strict those that have the form asked"
  " for as well, pass_at_k those that at least one of the k answers has right; won"
  " and lost count the prompts that only one of two has right; error_correlation is"
  " the mean over pairs of voters; 95 % intervals, over what their field over names:"
  " Wilson's of shares and means, that of Bonett and Price of paired differences,"
  " widened by the variance between sets of members where it names members too"
)


@dataclasses.dataclass(frozen=True)
class JudgedAnswers:
  """Everybody's answers to the prompts of judging.

  Attributes:
    base: [1, Q] the base's greedy answers.
    chosen: [K, Q] answers of the best members, by rank.
    random: [K, Q] answers of the members that were drawn first, whatever they
      scored.
    samples: [K, Q] answers that were sampled from the base; None without
      self-consistency.
    temperature: at which they were sampled, chosen on `dev`.
    groups: [Q] group of each prompt; None where prompts are independent.
  """

  base: Answers
  chosen: Answers
  random: Answers
  samples: Answers | None = None
  temperature: float | None = None
  groups: Groups | None = None


def read_select(
  source: AnswerSource,
  chosen: Sequence[int] | Int[np.ndarray, " K"],
  groups: Groups | None = None,
) -> SelectAnswers:
  """Reads the answers to the prompts of selection, as `read_judged` the others."""
  return SelectAnswers(
    base=answers.read_answers(source, "select", [BASE_POSITION]),
    chosen=answers.read_answers(source, "select", chosen),
    random=answers.read_answers(source, "select", range(len(chosen))),
    groups=groups,
  )


def read_judged(
  source: AnswerSource,
  chosen: Sequence[int] | Int[np.ndarray, " K"],
  temperature: float | None,
  groups: Groups | None = None,
) -> JudgedAnswers:
  """Reads everybody's answers to the prompts of judging.

  Args:
    source: the open run directory, or what regrades one.
    chosen: [K] positions of the chosen members, by rank.
    temperature: at which the base was sampled; None if it was not.
    groups: [Q] group of each prompt; None where prompts are independent.
  """
  first = range(len(chosen))
  samples = None
  if temperature is not None:
    label = Split("judge", temperature=temperature).label
    samples = answers.read_answers(source, label, first)
  return JudgedAnswers(
    base=answers.read_answers(source, "judge", [BASE_POSITION]),
    chosen=answers.read_answers(source, "judge", chosen),
    random=answers.read_answers(source, "judge", first),
    samples=samples,
    temperature=temperature,
    groups=groups,
  )


def summarise_randopt(
  members: Sequence[Member],
  scores: Float[np.ndarray, " P"],
  select: SelectAnswers,
  positions: Sequence[int],
  judged: JudgedAnswers,
  *,
  top_k: Sequence[int],
  primary_k: int,
  dev: Sequence[Mapping[str, Any]] = (),
  note: str = "",
) -> dict[str, Any]:
  """Returns the contents of `results.json`, apart from timing.

  Args:
    members: [P] the population.
    scores: [P] each member's mean score on the prompts of selection, NaN where it
      failed.
    select: answers to the prompts of selection.
    positions: [K] places of the chosen members in the population, by rank.
    judged: everybody's answers to the prompts of judging.
    top_k: sizes of the ensembles in the table.
    primary_k: size of the ensemble that is reported, chosen beforehand.
    dev: what each temperature of self-consistency reached on `dev`.
    note: what a reader of the table must know about the task.
  """
  voting = {"vote": judged.chosen, "random": judged.random}
  if judged.samples is not None:
    voting["samples"] = judged.samples
  right = {role: group.elect() for role, group in voting.items()}
  draws = random_members.draw_votes(judged.random)
  base, num_select = judged.base.lenient[0], select.base.score.shape[1]
  base_score = float(select.base.score.mean())
  scores = np.asarray(scores)
  return {
    "units": _UNITS,
    "num_select": num_select,
    "num_judge": len(base),
    "num_select_groups": prompt_groups.count_groups(select.groups, num_select),
    "num_judge_groups": prompt_groups.count_groups(judged.groups, len(base)),
    "primary_k": primary_k,
    "note": note,
    "table": [
      *_single_rows(judged, scores, base_score, positions, primary_k),
      *_vote_rows(voting, right, top_k, primary_k, judged, draws),
    ],
    "differences": _differences(right, base, primary_k, draws, judged.groups),
    "population": population_scores.describe_population(
      members, scores, base_score
    ),
    "winners_curse": _describe_curse(select, judged, primary_k),
    "dev": [dict(row) for row in dev],
    "curves": {
      role: _describe_curve(role, draws, right_QK, judged.groups)
      for role, right_QK in right.items()
    },
    "chosen": _describe_chosen(members, scores, positions, judged.chosen),
    "random": _describe_random(scores, judged.random),
  }


def _single_rows(
  judged: JudgedAnswers,
  scores: Float[np.ndarray, " P"],
  base_score: float,
  positions: Sequence[int],
  primary_k: int,
) -> list[dict[str, Any]]:
  """The rows of the table that give one response to each prompt."""
  num_random = len(judged.random.lenient)
  return [
    _single_row("base", judged.base, judged, select=base_score, role="base"),
    _single_row(
      f"mean of {num_random} random members",
      judged.random,
      judged,
      select=_nan_mean(scores[:num_random]),
      role="random-mean",
    ),
    _single_row(
      "best member",
      judged.chosen.first(1),
      judged,
      select=float(scores[positions[0]]),
      role="best",
    ),
    _single_row(
      f"mean of the best {primary_k}",
      judged.chosen.first(primary_k),
      judged,
      select=float(np.mean(scores[list(positions[:primary_k])])),
      role="chosen-mean",
    ),
  ]


def _single_row(name, group: Answers, judged: JudgedAnswers, *, select, role):
  """A row of one response per prompt, the mean over respondents."""
  base, lenient_Q = judged.base.lenient[0], group.lenient.mean(axis=0)
  judge = intervals.estimate_mean(lenient_Q, groups=judged.groups)
  gain = intervals.estimate_difference(lenient_Q - base, groups=judged.groups)
  if role == "random-mean":
    # Failed members count, as wrong: they are drawn like others.
    by_member = group.lenient.mean(axis=1)
    judge = random_members.widen_mean(judge, by_member)
    gain = random_members.widen_mean(gain, by_member - base.mean())
  row = {
    "role": role,
    "name": name,
    "responses": 1,
    "select_score": _finite(select),
    "judge_score": _finite(_nan_mean(group.score)),
    "judge": _clip(judge).to_json("mean"),
    "strict": float(group.correct.mean()),
  }
  if role != "base":
    row["gain"] = gain.to_json("mean")
  if role == "best":
    row |= voters.count_discordant(group.lenient[0], base)
  return row


def _vote_rows(
  voting: Mapping[str, Answers],
  right: Mapping[str, Bool[np.ndarray, "Q _"]],
  top_k: Sequence[int],
  primary_k: int,
  judged: JudgedAnswers,
  draws: RandomVotes,
) -> list[dict[str, Any]]:
  """The rows of the table in which several responses vote."""
  sizes = sorted({primary_k, *top_k})
  names = {"vote": "vote", "random": "random members"}
  if judged.samples is not None:
    names["samples"] = f"self-consistency T={judged.temperature:g}"
  return [
    {
      "role": f"{role}-primary" if k == primary_k else role,
      "name": f"{name}, K={k}" + (" (primary)" if k == primary_k else ""),
      "responses": k,
      **_vote_row(
        role, voting[role].first(k), right[role][:, k - 1], judged, draws
      ),
    }
    for role, name in names.items()
    for k in ([primary_k] if role == "random" else sizes)
    if k <= right[role].shape[1]
  ]


def _vote_row(
  role: str,
  group: Answers,
  right_Q: Bool[np.ndarray, " Q"],
  judged: JudgedAnswers,
  draws: RandomVotes,
) -> dict[str, Any]:
  """What the vote of a group is right on, and how far its voters could get."""
  k, base, groups = len(group.lenient), judged.base.lenient[0], judged.groups
  passed = intervals.estimate_mean(
    voters.pass_at_k(group.lenient)[:, -1], groups=groups
  )
  if role == "random":
    passed = _clip(draws.widen_passed(passed, k))
  gain = intervals.estimate_difference(
    right_Q.astype(np.float64) - base, groups=groups
  )
  judge = intervals.estimate_mean(right_Q, groups=groups)
  return {
    "judge": _clip(_widen(role, draws, judge, k)).to_json("mean"),
    "gain": _widen(role, draws, gain, k).to_json("mean"),
    **voters.count_discordant(right_Q, base),
    "pass_at_k": passed.to_json("mean"),
    "error_correlation": voters.correlate_errors(group.lenient),
  }


def _differences(right, base, primary_k, draws: RandomVotes, groups):
  vote = right["vote"][:, primary_k - 1]
  others = {"base": base, "random": right["random"][:, primary_k - 1]}
  names = {"base": "base", "random": "random members"}
  if "samples" in right:
    others["samples"] = right["samples"][:, primary_k - 1]
    names["samples"] = "self-consistency"
  found = []
  for role, other in others.items():
    difference = intervals.estimate_difference(
      vote.astype(np.float64) - other, groups=groups
    )
    found.append(
      {
        "name": f"vote - {names[role]}",
        "k": primary_k,
        **_widen(role, draws, difference, primary_k).to_json("mean"),
        **voters.count_discordant(vote, other),
      }
    )
  return found


def _describe_curve(
  role: str, draws: RandomVotes, right_QK: Bool[np.ndarray, "Q K"], groups
) -> list[dict[str, Any]]:
  """The share of prompts that the vote of the first k has right, for each k."""
  found = []
  for k, right_Q in enumerate(right_QK.T, start=1):
    share = intervals.estimate_mean(right_Q, groups=groups)
    found.append(_clip(_widen(role, draws, share, k)).to_json("mean"))
  return found


def _widen(role: str, draws: RandomVotes, found: Estimate, k: int) -> Estimate:
  """An estimate over prompts, and over members where these are random ones."""
  return draws.widen_vote(found, k) if role == "random" else found


def _clip(share: Estimate) -> Estimate:
  return dataclasses.replace(share, low=max(share.low, 0.0))


def _describe_chosen(
  members, scores, positions, chosen: Answers
) -> list[dict[str, Any]]:
  """What each chosen member scored on select and on judge, by rank."""
  return [
    {
      "rank": rank,
      "position": int(position),
      "sigma": members[position].sigma,
      "select_score": float(scores[position]),
      "judge_score": _finite(chosen.score[rank].mean()),
      "judge_accuracy": float(chosen.lenient[rank].mean()),
    }
    for rank, position in enumerate(positions)
  ]


def _nan_mean(values: np.ndarray) -> float:
  finite = values[np.isfinite(values)]
  return float(finite.mean()) if len(finite) else math.nan


def _describe_curse(
  select: SelectAnswers, judged: JudgedAnswers, primary_k: int
) -> list[dict[str, Any]]:
  return selection_gains.describe_gains(
    select,
    judged.base,
    judged.chosen,
    judged.random,
    primary_k=primary_k,
    groups=judged.groups,
  )


def _describe_random(scores, random: Answers) -> list[dict[str, Any]]:
  """What each random member scored on select and on judge, as drawn."""
  return [
    {
      "position": position,
      "select_score": _finite(scores[position]),
      "judge_score": _finite(random.score[position].mean()),
    }
    for position in range(len(random.score))
  ]


def _finite(value: Any) -> float | None:
  return float(value) if math.isfinite(value) else None
