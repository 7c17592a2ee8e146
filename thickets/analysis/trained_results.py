"""What a training has come to on the prompts of judging, beside its base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from thickets.analysis import intervals, prompt_groups, voters
from thickets.analysis.prompt_groups import Groups
from thickets.search.answers import Answers

_UNITS = (
  "judge and gain are shares of prompts whose answer is right, strict those that"
  " have the form asked for as well; judge_score is the mean score of the task; won"
  " and lost count the prompts that only one of two has right; 95 % intervals over"
  " prompts: Wilson's of shares, that of Bonett and Price of paired differences"
)


def summarise_trained(
  models: Mapping[str, Answers], groups: Groups | None = None
) -> dict[str, Any]:
  """Compares models of one answer to each prompt with the first of them.

  Args:
    models: [1, Q] the answers of each to the prompts of judging, by name; the
      base comes first.
    groups: [Q] group of each prompt; None where prompts are independent.
  """
  base = next(iter(models.values())).lenient[0]
  return {
    "units": _UNITS,
    "num_judge": len(base),
    "num_judge_groups": prompt_groups.count_groups(groups, len(base)),
    "table": [
      _describe_model(name, found, base if place else None, groups)
      for place, (name, found) in enumerate(models.items())
    ],
  }


def _describe_model(
  name: str, found: Answers, base: np.ndarray | None, groups: Groups | None
) -> dict[str, Any]:
  """A row of the table, with the gain over the base unless it is the base."""
  right = found.lenient[0]
  score = float(found.score.mean())
  row = {
    "name": name,
    "judge": intervals.estimate_mean(right, groups=groups).to_json("mean"),
    "strict": float(found.correct.mean()),
    "judge_score": score if np.isfinite(score) else None,
  }
  if base is not None:
    gain = intervals.estimate_difference(
      right.astype(np.float64) - base, groups=groups
    )
    row["gain"] = gain.to_json("mean")
    row |= voters.count_discordant(right, base)
  return row


def describe_watched(
  watched: Mapping[int, Answers], groups: Groups | None = None
) -> list[dict[str, Any]]:
  """What the weights reached on `dev` after some numbers of steps.

  Args:
    watched: [1, Q] the answers after each number of steps.
    groups: [Q] group of each prompt; None where prompts are independent.
  """
  rows = []
  for step, found in watched.items():
    score = float(found.score.mean())
    right = intervals.estimate_mean(found.lenient[0], groups=groups)
    rows.append(
      {
        "step": step,
        "score": score if np.isfinite(score) else None,
        "right": right.to_json("mean"),
      }
    )
  return rows


def describe_populations(
  scores_SP: Float[np.ndarray, "S P"],
) -> list[dict[str, Any]]:
  """The scores of the members of each step, of those that did not fail.

  Args:
    scores_SP: [S, P] score of each member of each step, not finite where one
      failed; at least one of each step did not.
  """
  rows = []
  for step, scores in enumerate(scores_SP, start=1):
    kept = scores[np.isfinite(scores)]
    rows.append(
      {
        "step": step,
        "mean": float(kept.mean()),
        "lowest": float(kept.min()),
        "highest": float(kept.max()),
        "num_failed": len(scores) - len(kept),
      }
    )
  return rows
