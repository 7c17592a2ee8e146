"""The figures of one RandOpt run on a language task, as one JSON object.

Everything that the console prints and the plots draw comes from here, with
units, counts and intervals. All rows are right by the same rule: an answer
counts when the answer that a vote would be cast for is right, wherever in the
response it stands; `strict` demands the form that the prompt asked for as well.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from thickets.analysis import intervals
from thickets.members import Member
from thickets.search.answers import Answers


@dataclasses.dataclass(frozen=True)
class Judged:
  """Everybody's answers on the prompts of judging.

  Attributes:
    base: [1, Q] the base's greedy answers.
    chosen: [K, Q] of the best members, by rank.
    random: [K, Q] of members that were drawn first, whatever their scores.
    samples: [K, Q] of the base, sampled; None without self-consistency.
    temperature: of the samples, chosen on `dev`.
  """

  base: Answers
  chosen: Answers
  random: Answers
  samples: Answers | None = None
  temperature: float | None = None


def summarise_run(
  members: Sequence[Member],
  scores: Float[np.ndarray, " P"],
  base_select: Answers,
  positions: Sequence[int],
  judged: Judged,
  *,
  top_k: Sequence[int],
  primary_k: int,
  dev: Sequence[Mapping[str, Any]] = (),
  note: str = "",
) -> dict[str, Any]:
  """Returns the contents of `results.json`, apart from timing.

  Args:
    members: [P] the population.
    scores: [P] mean scores on the prompts of selection, NaN for a failure.
    base_select: [1, Q] the base's answers there.
    positions: [K] of the chosen members, by rank.
    judged: the answers on the prompts of judging.
    top_k: ensemble sizes of the table.
    primary_k: the one that is reported, chosen beforehand.
    dev: what the temperatures reached on `dev`, for the record.
    note: what a reader of the table must know about the task.
  """
  right = {
    "vote": judged.chosen.elect(),
    "random": judged.random.elect(),
  }
  if judged.samples is not None:
    right["samples"] = judged.samples.elect()
  base = judged.base.lenient[0]
  sizes = sorted({primary_k, *top_k})
  base_score = float(base_select.score.mean())
  scores = np.asarray(scores)
  rows = [
    _single_row("base", judged.base, base, select=base_score, role="base"),
    _single_row(
      f"mean of {len(judged.random.lenient)} random members",
      judged.random,
      base,
      select=_nan_mean(scores[: len(judged.random.lenient)]),
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
    *_vote_rows("vote", "vote", right["vote"], base, sizes, primary_k),
    *_vote_rows(
      "random",
      "random members",
      right["random"],
      base,
      [primary_k],
      primary_k,
    ),
  ]
  if "samples" in right:
    name = f"self-consistency T={judged.temperature:g}"
    rows += _vote_rows(
      "samples", name, right["samples"], base, sizes, primary_k
    )
  return {
    "units": (
      "select_score and judge_score are mean scores of the task; judge and gain"
      " are shares of prompts whose answer is right, strict those that have the"
      " form asked for as well; 95 % intervals over prompts, Wilson's of single"
      " answers and votes, the paired bootstrap's of means and differences"
    ),
    "num_select": base_select.score.shape[1],
    "num_judge": len(base),
    "primary_k": primary_k,
    "note": note,
    "table": rows,
    "differences": _differences(right, base, primary_k),
    "population": _describe_population(members, scores, base_score),
    "winners_curse": _describe_curse(scores, positions, judged),
    "dev": [dict(row) for row in dev],
    "curves": {
      name: [describe_share(column) for column in right_QK.T]
      for name, right_QK in right.items()
    },
    "chosen": [
      {
        "rank": rank,
        "position": int(position),
        "sigma": members[position].sigma,
        "select_score": float(scores[position]),
        "judge_score": _finite(judged.chosen.score[rank].mean()),
        "judge_accuracy": float(judged.chosen.lenient[rank].mean()),
      }
      for rank, position in enumerate(positions)
    ],
    "random": [
      {
        "position": position,
        "select_score": _finite(scores[position]),
        "judge_score": _finite(judged.random.score[position].mean()),
      }
      for position in range(len(judged.random.score))
    ],
  }


def describe_share(
  values: Bool[np.ndarray, " Q"] | Float[np.ndarray, " Q"],
) -> dict[str, Any]:
  """Mean over prompts with its 95 % interval.

  Wilson's for flags, which holds where all are alike too; the bootstrap's for
  means over respondents and for differences.
  """
  if values.dtype == np.bool_:
    low, high = intervals.wilson_interval(int(values.sum()), len(values))
  else:
    low, high = intervals.bootstrap_interval(values)
  return {"mean": float(np.mean(values)), "low": low, "high": high}


def format_results(results: Mapping[str, Any]) -> str:
  """Lays the results out for the console."""
  header = (
    f"% of {results['num_judge']} prompts",
    "responses",
    "score, select",
    "score, judge",
    "right",
    "[95 %]",
    "over base",
    "[95 %]",
  )
  rows = [
    (
      row["name"],
      str(row["responses"]),
      _percent(row.get("select_score")),
      _percent(row.get("judge_score")),
      _percent(_mean(row.get("judge"))),
      _interval(row.get("judge")),
      _percent(_mean(row.get("gain")), sign=True),
      _interval(row.get("gain"), sign=True),
    )
    for row in results["table"]
  ]
  widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
  lines = [
    "  ".join(
      (row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))
    ).rstrip()
    for row in (header, *rows)
  ]
  whole, curse = results["population"], results["winners_curse"]
  share = whole["better_than_base"]
  lines += ["", "Paired differences at the primary K, points [95 %]:"]
  lines += [
    f"  {row['name']}: {_percent(row['mean'], sign=True)}"
    f" {_interval(row, sign=True)}"
    for row in results["differences"]
  ]
  lines += [
    "",
    f"{whole['size']} members, {whole['num_failed']} failed, mean"
    f" {_percent(whole['mean_score'])} on {results['num_select']} prompts of"
    f" selection; {share['count']} better than the base there:"
    f" {share['frac']:.1%} [{share['low']:.1%}, {share['high']:.1%}]",
    "Winner's curse: the best member was selected with a score of"
    f" {_percent(curse['select_score'])} and reaches"
    f" {_percent(curse['judge_score'])} on unseen prompts.",
  ]
  if results["dev"]:
    tried = ", ".join(
      f"{row['temperature']:g}: {_percent(row['accuracy'])}"
      for row in results["dev"]
    )
    lines.append(
      f"Temperature of self-consistency, chosen on {results['dev'][0]['size']}"
      f" prompts of dev: {tried}"
    )
  if results["note"]:
    lines.append(results["note"])
  return "\n".join(lines)


def _single_row(name, answers: Answers, base, *, select, role):
  """A row of one response per prompt, the mean over respondents."""
  lenient_Q = answers.lenient.mean(axis=0)
  is_single = len(answers.lenient) == 1
  row = {
    "role": role,
    "name": name,
    "responses": 1,
    "select_score": _finite(select),
    "judge_score": _finite(_nan_mean(answers.score)),
    "judge": describe_share(answers.lenient[0] if is_single else lenient_Q),
    "strict": float(answers.correct.mean()),
  }
  if role != "base":
    row["gain"] = describe_share(lenient_Q - base)
  return row


def _vote_rows(role, name, right_QK, base, sizes, primary_k):
  return [
    {
      "role": f"{role}-primary" if k == primary_k else role,
      "name": f"{name}, K={k}" + (" (primary)" if k == primary_k else ""),
      "responses": k,
      "judge": describe_share(right_QK[:, k - 1]),
      "gain": describe_share(right_QK[:, k - 1].astype(float) - base),
    }
    for k in sizes
    if k <= right_QK.shape[1]
  ]


def _differences(right, base, primary_k):
  vote = right["vote"][:, primary_k - 1].astype(float)
  others = {
    "vote - base": base,
    "vote - random members": right["random"][:, primary_k - 1],
  }
  if "samples" in right:
    others["vote - self-consistency"] = right["samples"][:, primary_k - 1]
  return [
    {"name": name, "k": primary_k, **describe_share(vote - other)}
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
  low, high = intervals.wilson_interval(better, len(scores))
  return {
    "num_failed": len(scores) - len(finite),
    "mean_score": _finite(finite.mean()) if len(finite) else None,
    "best_score": _finite(finite.max()) if len(finite) else None,
    "better_than_base": {
      "count": better,
      "frac": better / len(scores),
      "low": low,
      "high": high,
    },
  }


def _describe_curse(scores, positions, judged):
  return {
    "select_score": float(scores[positions[0]]),
    "judge_score": _finite(judged.chosen.score[0].mean()),
    "chosen_select_score": float(np.mean(scores[list(positions)])),
    "chosen_judge_score": _finite(judged.chosen.score.mean()),
    "base_judge_score": float(judged.base.score.mean()),
  }


def _nan_mean(values: np.ndarray) -> float:
  finite = values[np.isfinite(values)]
  return float(finite.mean()) if len(finite) else math.nan


def _mean(share):
  return None if share is None else share["mean"]


def _percent(value: float | None, *, sign: bool = False) -> str:
  if value is None:
    return "–"
  return f"{100 * value:{'+' if sign else ''}.1f}"


def _interval(share, *, sign: bool = False) -> str:
  if share is None:
    return ""
  low = _percent(share["low"], sign=sign)
  return f"[{low}, {_percent(share['high'], sign=sign)}]"


def _finite(value: Any) -> float | None:
  return float(value) if math.isfinite(value) else None
