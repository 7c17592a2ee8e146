"""What is left of a choice: gains over the base where it was made, and elsewhere.

The member that did best on the prompts of selection was also the luckiest there, so
its score falls on others: the winner's curse. But the base's score differs between
the two sets of prompts as well, since one may simply be easier. So what is compared
are gains over the base on the same prompts, and never scores of different prompts.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import intervals, random_members
from thickets.analysis.prompt_groups import Groups
from thickets.search.answers import Answers


@dataclasses.dataclass(frozen=True)
class SelectAnswers:
  """Answers to the prompts of selection.

  Attributes:
    base: [1, Q] the base's greedy answers.
    chosen: [K, Q] answers of the best members, by rank.
    random: [K, Q] answers of the members that were drawn first.
    groups: [Q] group of each prompt; None where prompts are independent.
  """

  base: Answers
  chosen: Answers
  random: Answers
  groups: Groups | None = None


def describe_gains(
  select: SelectAnswers,
  base: Answers,
  chosen: Answers,
  random: Answers,
  *,
  primary_k: int,
  groups: Groups | None = None,
) -> list[dict[str, Any]]:
  """Scores, and gains in score over the base, on both sets of prompts.

  Gains on the prompts of selection are flattered for those that were chosen there;
  their intervals are over other prompts and the same members, and do not know of
  the choice.

  Args:
    select: answers to the prompts of selection.
    base: [1, Q] the base's answers to the prompts of judging.
    chosen: [K, Q] answers of the best members to these, by rank.
    random: [K, Q] answers of members that nobody chose, to these.
    primary_k: number of the best members whose mean is given.
    groups: [Q] group of each prompt of judging; None where these are independent.

  Returns:
    For the base, the best member, the mean of the best and the mean of random
    ones: `role`, `name` and for `select` and `judge` each the mean `score` and the
    `gain`; None where all of them failed.
  """
  sides = {"select": select.base, "judge": base}
  labels = {"select": select.groups, "judge": groups}
  compared = [
    ("best", "best member", select.chosen.first(1), chosen.first(1)),
    (
      "chosen-mean",
      f"mean of the best {primary_k}",
      select.chosen.first(primary_k),
      chosen.first(primary_k),
    ),
    (
      "random-mean",
      f"mean of {len(random.score)} random members",
      select.random,
      random,
    ),
  ]
  of_base = {
    side: {"score": float(of.score.mean()), "gain": None}
    for side, of in sides.items()
  }
  return [
    {"role": "base", "name": "base", **of_base},
    *(
      {"role": role, "name": name}
      | {
        side: _describe(
          answers.score,
          sides[side].score[0],
          labels[side],
          role == "random-mean",
        )
        for side, answers in (("select", on_select), ("judge", on_judge))
      }
      for role, name, on_select, on_judge in compared
    ),
  ]


def _describe(
  scores_KQ: Float[np.ndarray, "K Q"],
  base_Q: Float[np.ndarray, " Q"],
  groups: Groups | None,
  is_random: bool,
) -> dict[str, Any]:
  """The mean score and gain of those that did not fail."""
  kept = scores_KQ[np.isfinite(scores_KQ).all(axis=1)]
  if not len(kept):
    return {"score": None, "gain": None}
  gains_KQ = kept - base_Q
  # Scores may exceed one, as where an answer has a bonus for its form.
  reach = max(1.0, math.ceil(float(np.abs(gains_KQ).max())))
  gain = intervals.estimate_difference(
    gains_KQ.mean(axis=0), reach=reach, groups=groups
  )
  if is_random:
    gain = random_members.widen_mean(gain, gains_KQ.mean(axis=1), reach=reach)
  return {"score": float(kept.mean()), "gain": gain.to_json("mean")}
