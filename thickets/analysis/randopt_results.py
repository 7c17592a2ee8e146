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

from thickets.analysis import intervals
from thickets.members import Member
from thickets.runs.directory import BASE_POSITION
from thickets.runs.split_labels import Split
from thickets.search import answers
from thickets.search.answers import Answers, AnswerSource

_UNITS = (
  "select_score and judge_score are mean scores of the task; judge and gain are"
  " shares of prompts whose answer is right, strict those that have the form asked"
  " for as well; 95 % intervals, over what their field over names: Wilson's of shares"
  " and means, that of Bonett and Price of paired differences"
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
  """

  base: Answers
  chosen: Answers
  random: Answers
  samples: Answers | None = None
  temperature: float | None = None


def read_judged(
  source: AnswerSource,
  chosen: Sequence[int] | Int[np.ndarray, " K"],
  temperature: float | None,
) -> JudgedAnswers:
  """Reads everybody's answers to the prompts of judging.

  Args:
    source: the open run directory, or what regrades one.
    chosen: [K] positions of the chosen members, by rank.
    temperature: at which the base was sampled; None if it was not.
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
  )


def summarise_randopt(
  members: Sequence[Member],
  scores: Float[np.ndarray, " P"],
  base_select: Answers,
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
    base_select: [1, Q] the base's answers to the prompts of selection.
    positions: [K] places of the chosen members in the population, by rank.
    judged: everybody's answers to the prompts of judging.
    top_k: sizes of the ensembles in the table.
    primary_k: size of the ensemble that is reported, chosen beforehand.
    dev: what each temperature of self-consistency reached on `dev`.
    note: what a reader of the table must know about the task.
  """
  right = {"vote": judged.chosen.elect(), "random": judged.random.elect()}
  if judged.samples is not None:
    right["samples"] = judged.samples.elect()
  base = judged.base.lenient[0]
  base_score = float(base_select.score.mean())
  scores = np.asarray(scores)
  return {
    "units": _UNITS,
    "num_select": base_select.score.shape[1],
    "num_judge": len(base),
    "primary_k": primary_k,
    "note": note,
    "table": [
      *_single_rows(judged, scores, base_score, positions, primary_k),
      *_vote_rows(right, base, top_k, primary_k, judged),
    ],
    "differences": _differences(right, base, primary_k),
    "population": _describe_population(members, scores, base_score),
    "winners_curse": _describe_curse(scores, positions, judged),
    "dev": [dict(row) for row in dev],
    "curves": {
      name: [_describe_mean(column) for column in right_QK.T]
      for name, right_QK in right.items()
    },
    "chosen": _describe_chosen(members, scores, positions, judged.chosen),
    "random": [
      {
        "position": position,
        "select_score": _finite(scores[position]),
        "judge_score": _finite(judged.random.score[position].mean()),
      }
      for position in range(len(judged.random.score))
    ],
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
  base = judged.base.lenient[0]
  return [
    _single_row("base", judged.base, base, select=base_score, role="base"),
    _single_row(
      f"mean of {num_random} random members",
      judged.random,
      base,
      select=_nan_mean(scores[:num_random]),
      role="random-mean",
    ),
    _single_row(
      "best member",
      judged.chosen.first(1),
      base,
      select=float(scores[positions[0]]),
      role="best",
    ),
    _single_row(
      f"mean of the best {primary_k}",
      judged.chosen.first(primary_k),
      base,
      select=float(np.mean(scores[list(positions[:primary_k])])),
      role="chosen-mean",
    ),
  ]


def _single_row(name, answers: Answers, base, *, select, role):
  """A row of one response per prompt, the mean over respondents."""
  lenient_Q = answers.lenient.mean(axis=0)
  row = {
    "role": role,
    "name": name,
    "responses": 1,
    "select_score": _finite(select),
    "judge_score": _finite(_nan_mean(answers.score)),
    "judge": _describe_mean(lenient_Q),
    "strict": float(answers.correct.mean()),
  }
  if role != "base":
    row["gain"] = _describe_difference(lenient_Q - base)
  return row


def _vote_rows(
  right: Mapping[str, Bool[np.ndarray, "Q _"]],
  base: Bool[np.ndarray, " Q"],
  top_k: Sequence[int],
  primary_k: int,
  judged: JudgedAnswers,
) -> list[dict[str, Any]]:
  """The rows of the table in which several responses vote."""
  sizes = sorted({primary_k, *top_k})
  groups = [
    ("vote", "vote", sizes),
    ("random", "random members", [primary_k]),
  ]
  if judged.samples is not None:
    name = f"self-consistency T={judged.temperature:g}"
    groups.append(("samples", name, sizes))
  return [
    {
      "role": f"{role}-primary" if k == primary_k else role,
      "name": f"{name}, K={k}" + (" (primary)" if k == primary_k else ""),
      "responses": k,
      "judge": _describe_mean(right[role][:, k - 1]),
      "gain": _describe_difference(
        right[role][:, k - 1].astype(np.float64) - base
      ),
    }
    for role, name, sizes_of_group in groups
    for k in sizes_of_group
    if k <= right[role].shape[1]
  ]


def _differences(right, base, primary_k):
  vote = right["vote"][:, primary_k - 1].astype(np.float64)
  others = {
    "vote - base": base,
    "vote - random members": right["random"][:, primary_k - 1],
  }
  if "samples" in right:
    others["vote - self-consistency"] = right["samples"][:, primary_k - 1]
  return [
    {"name": name, "k": primary_k, **_describe_difference(vote - other)}
    for name, other in others.items()
  ]


def _describe_population(members, scores, base_score):
  """Scores on the prompts of selection; a failure is no expert."""
  sigmas = np.array([member.sigma for member in members])
  return {
    "size": len(scores),
    "base_score": base_score,
    **_describe_scores(scores, base_score),
    "by_sigma": [
      {
        "sigma": float(sigma),
        "size": int((sigmas == sigma).sum()),
        **_describe_scores(scores[sigmas == sigma], base_score),
      }
      for sigma in np.unique(sigmas)
    ],
  }


def _describe_scores(scores, base_score):
  finite = scores[np.isfinite(scores)]
  better = int((finite > base_score).sum())
  return {
    "num_failed": len(scores) - len(finite),
    "mean_score": _finite(finite.mean()) if len(finite) else None,
    "best_score": _finite(finite.max()) if len(finite) else None,
    "better_than_base": intervals.describe_count(
      better, len(scores), over="members"
    ),
  }


def _describe_curse(scores, positions, judged):
  return {
    "select_score": float(scores[positions[0]]),
    "judge_score": _finite(judged.chosen.score[0].mean()),
    "chosen_select_score": float(np.mean(scores[list(positions)])),
    "chosen_judge_score": _finite(judged.chosen.score.mean()),
    "base_judge_score": float(judged.base.score.mean()),
  }


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


def _describe_mean(
  values: Bool[np.ndarray, " Q"] | Float[np.ndarray, " Q"],
) -> dict[str, float | str]:
  """The mean over prompts of flags or of shares of members, with its interval."""
  return intervals.estimate_mean(values).to_json("mean")


def _describe_difference(
  differences: Float[np.ndarray, " Q"],
) -> dict[str, float | str]:
  """The mean paired difference over prompts, with its interval."""
  return intervals.estimate_difference(differences).to_json("mean")


def _finite(value: Any) -> float | None:
  return float(value) if math.isfinite(value) else None
