"""The results of one RandOpt run on a regression task, as one JSON object.

Everything that the console prints and the plots draw comes from here, with
units, counts and intervals. Errors are in natural units (mean squared error,
lower is better); scores in the records are their negatives.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from thickets.analysis import intervals
from thickets.errors import UserError
from thickets.members import Member
from thickets.runs import directory
from thickets.search import ensemble, selection


def squared_errors(
  predictions: Float[np.ndarray, "... Q T"], target: Float[np.ndarray, "Q T"]
) -> Float[np.ndarray, "... Q"]:
  """Mean squared error of each prompt over its horizon."""
  difference = np.asarray(predictions, np.float64) - np.asarray(target)
  return np.mean(np.square(difference), axis=-1)


def summarise_population(
  members: Sequence[Member],
  scores: Float[np.ndarray, " P"],
  base_score: float,
) -> dict[str, Any]:
  """Describes the errors of a population on the prompts of selection.

  A failed member is worse than any other: it counts in the median and in the
  share better than the base as an infinite error.

  Args:
    members: [P] the population.
    scores: [P] negative mean squared errors, NaN where a member failed.
    base_score: the base's score on the same prompts.
  """
  errors = np.where(np.isfinite(scores), -scores, np.inf)
  sigmas = np.array([member.sigma for member in members])
  return {
    "size": len(errors),
    "num_failed": int(np.isinf(errors).sum()),
    "median_mse": _finite(np.median(errors)),
    "best_mse": _finite(np.min(errors)),
    "better_than_base": _share(errors < -base_score),
    "by_sigma": [
      {
        "sigma": float(sigma),
        "size": int((sigmas == sigma).sum()),
        "median_mse": _finite(np.median(errors[sigmas == sigma])),
        "best_mse": _finite(np.min(errors[sigmas == sigma])),
        "better_than_base": _share(errors[sigmas == sigma] < -base_score),
      }
      for sigma in np.unique(sigmas)
    ],
  }


def summarise_ensembles(
  predictions_KQT: Float[np.ndarray, "K Q T"],
  target_QT: Float[np.ndarray, "Q T"],
) -> list[dict[str, Any]]:
  """Errors of the mean of the k best members, for every k from 1 to K."""
  means_KQT = ensemble.mean_ensemble_prefixes(predictions_KQT)
  return [
    {"k": k, **describe_errors(errors_Q)}
    for k, errors_Q in enumerate(squared_errors(means_KQT, target_QT), start=1)
  ]


def summarise_blocks(
  blocks: Mapping[int, Sequence[Int[np.ndarray, " K"]]],
  predictions: Mapping[int, Float[np.ndarray, "Q T"]],
  target_QT: Float[np.ndarray, "Q T"],
) -> list[dict[str, Any]]:
  """Errors of ensembles from smaller populations, over several of each size.

  Args:
    blocks: for each population size, the positions that each block chose.
    predictions: [Q, T] answers of the member at every position that occurs.
    target_QT: [Q, T] the truth.
  """
  rows = []
  for size, choices in sorted(blocks.items()):
    errors = [
      float(
        squared_errors(
          ensemble.mean_ensemble(
            np.stack([predictions[int(p)] for p in chosen])
          ),
          target_QT,
        ).mean()
      )
      for chosen in choices
    ]
    if errors:
      rows.append(
        {
          "n": size,
          "num_blocks": len(errors),
          "median_mse": float(np.median(errors)),
          "min_mse": min(errors),
          "max_mse": max(errors),
        }
      )
  return rows


def describe_errors(errors_Q: Float[np.ndarray, " Q"]) -> dict[str, Any]:
  """Mean over prompts, its standard error, and their number."""
  return {
    "mse": _finite(np.mean(errors_Q)),
    "se": _finite(intervals.standard_error(errors_Q)),
    "num_prompts": len(errors_Q),
  }


@dataclasses.dataclass(frozen=True)
class JudgingPlan:
  """Who answers the prompts of judging.

  Attributes:
    chosen: [K] the best positions by rank, K the largest ensemble.
    blocks: for each smaller population size, the positions each block chose.
    shown: positions to show as they were drawn.
    judged: all positions to evaluate, ascending.
  """

  chosen: Int[np.ndarray, " K"]
  blocks: Mapping[int, Sequence[Int[np.ndarray, " primary_k"]]]
  shown: Sequence[int]
  judged: Sequence[int]


@dataclasses.dataclass(frozen=True)
class JudgedPredictions:
  """The answers to the prompts of judging.

  Attributes:
    plan: who answered.
    base_select_score: the base's score on the prompts of selection.
    predictions: [Q, T] answers by the member's position, the base's at -1.
    target: [Q, T] the truth.
  """

  plan: JudgingPlan
  base_select_score: float
  predictions: Mapping[int, Float[np.ndarray, "Q T"]]
  target: Float[np.ndarray, "Q T"]

  @property
  def base(self) -> Float[np.ndarray, "Q T"]:
    """[Q, T] the base's answers."""
    return self.predictions[directory.BASE_POSITION]

  def of(
    self, positions: Iterable[int] | Int[np.ndarray, " K"]
  ) -> Float[np.ndarray, "K Q T"]:
    """[K, Q, T] the answers of members."""
    return np.stack([self.predictions[int(p)] for p in positions])


def plan_judging(
  scores: Float[np.ndarray, " P"],
  *,
  top_k: Sequence[int],
  primary_k: int,
  populations: Sequence[int],
  num_blocks: int,
  num_random: int,
) -> JudgingPlan:
  """Decides, by the scores on select alone, who answers the prompts of judging.

  Args:
    scores: [P] on the prompts of selection.
    top_k: ensemble sizes.
    primary_k: the ensemble size of the smaller populations.
    populations: sizes of the smaller populations; those that the population cannot hold, or that
      hold fewer than `primary_k`, are left out.
    num_blocks: smaller populations of each size, at most.
    num_random: members to show as they were drawn.

  Raises:
    UserError: if too few members have a finite score.
  """
  num_finite = int(np.isfinite(scores).sum())
  if max(top_k) > num_finite:
    raise UserError(
      f"the largest ensemble needs {max(top_k)} members with a finite score, but"
      f" only {num_finite} of {len(scores)} have one. Lower the sigmas or K."
    )
  chosen = selection.select_top_k(scores, max(top_k))
  blocks = {
    size: selection.select_in_blocks(scores, size, primary_k, most=num_blocks)
    for size in sorted({*populations, len(scores)})
    if primary_k <= size <= len(scores)
  }
  shown = range(min(num_random, len(scores)))
  judged = {*shown, *map(int, chosen)}
  for choices in blocks.values():
    judged.update(int(position) for block in choices for position in block)
  return JudgingPlan(chosen, blocks, shown, sorted(judged))


def read_predictions(
  folder: directory.Run, plan: JudgingPlan, *, target: Float[np.ndarray, "Q T"]
) -> JudgedPredictions:
  """Reads the answers on the prompts of judging from a run's log.

  Args:
    folder: with records of `plan.judged` and the base on the split `judge`.
    plan: who answered.
    target: [Q, T] the truth.
  """
  positions = [directory.BASE_POSITION, *plan.judged]
  predictions = folder.channel("judge", positions, "prediction")
  return JudgedPredictions(
    plan=plan,
    base_select_score=folder.record("select", directory.BASE_POSITION).score,
    predictions=dict(zip(positions, predictions, strict=True)),
    target=target,
  )


def summarise_signals(
  members: Sequence[Member],
  scores: Float[np.ndarray, " P"],
  judged: JudgedPredictions,
  *,
  num_select: int,
  primary_k: int,
  top_k: Sequence[int],
  repeated: bool = False,
  note: str = "",
) -> dict[str, Any]:
  """Returns the contents of `results.json`, apart from timing.

  Args:
    members: [P] the population.
    scores: [P] each member's score on the prompts of selection.
    judged: the answers to the prompts of judging.
    num_select: number of prompts of selection.
    primary_k: size of the ensemble that is reported, chosen beforehand.
    top_k: sizes of the other ensembles in the table.
    repeated: whether all prompts are copies of one. They then agree in every
      error, whose standard error over prompts would be 0 and is left out.
    note: what a reader of the table must know about the task.
  """
  whole = summarise_population(members, scores, judged.base_select_score)
  by_k = summarise_ensembles(judged.of(judged.plan.chosen), judged.target)
  base = describe_errors(squared_errors(judged.base, judged.target))
  if repeated:
    base = base | {"se": None}
    by_k = [row | {"se": None} for row in by_k]
  return {
    "units": "mean squared error per predicted value; s.e. over prompts",
    "num_select": num_select,
    "num_judge": base["num_prompts"],
    "primary_k": primary_k,
    "note": note,
    "table": [
      {
        "role": "base",
        "name": "base",
        "select_mse": _finite(-judged.base_select_score),
        **_judge(base),
      },
      *_member_rows(whole, by_k, primary_k=primary_k, top_k=top_k),
    ],
    "population": whole,
    "ensemble_by_k": by_k,
    "ensemble_by_n": summarise_blocks(
      judged.plan.blocks, judged.predictions, judged.target
    ),
  }


def _member_rows(
  whole: Mapping[str, Any],
  by_k: Sequence[Mapping[str, Any]],
  *,
  primary_k: int,
  top_k: Sequence[int],
) -> list[dict[str, Any]]:
  """The rows of the table below the base's: single members, then ensembles."""
  return [
    {
      "role": "median",
      "name": "population median",
      "select_mse": whole["median_mse"],
    },
    {
      "role": "top-1",
      "name": "top-1",
      "select_mse": whole["best_mse"],
      **_judge(by_k[0]),
    },
    *(
      {
        "role": "primary" if k == primary_k else "ensemble",
        "name": f"ensemble K={k}" + (" (primary)" if k == primary_k else ""),
        **_judge(by_k[k - 1]),
      }
      for k in sorted({primary_k, *top_k})
      if k > 1 or k == primary_k
    ),
  ]


def _share(flags: Bool[np.ndarray, " P"]) -> dict[str, float | str]:
  """How many members are better than the base, and which share of them."""
  return intervals.describe_count(int(flags.sum()), len(flags), over="members")


def _judge(errors: Mapping[str, Any]) -> dict[str, Any]:
  return {"judge_mse": errors["mse"], "judge_se": errors["se"]}


def _finite(value: Any) -> float | None:
  return float(value) if math.isfinite(value) else None
