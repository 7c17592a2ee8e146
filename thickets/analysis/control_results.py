"""How much answers depend on the pictures that they are about.

The same questions are asked without their picture, and with that of another question.
Who uses its pictures is right less often then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from thickets.analysis import intervals, prompt_groups
from thickets.analysis.prompt_groups import Groups
from thickets.runs.directory import BASE_POSITION
from thickets.search import answers
from thickets.search.answers import AnswerSource


def summarise_controls(
  source: AnswerSource,
  splits: Mapping[str, str],
  asked: Sequence[int] | Int[np.ndarray, " C"],
  chosen: Sequence[int] | Int[np.ndarray, " K"],
  *,
  primary_k: int,
  groups: Groups | None = None,
) -> dict[str, Any]:
  """Compares answers with the own picture and under each control.

  Args:
    source: the open run directory, or what regrades one.
    splits: the split of each control in the log, by name; its prompts are those of
      judge at `asked`.
    asked: [C] places among the prompts of judge of those that controls are of.
    chosen: [K] positions of the chosen members, by rank.
    primary_k: size of the ensemble that is reported.
    groups: [Q] group of each prompt of judge; None where they are independent.

  Returns:
    JSON values: `num_prompts`, `num_groups`, and `rows` of base, best member and
    vote, each with the share `own` that is right with the own picture, and by control
    the share `right` and the paired difference `loss` of the two.
  """
  places = np.asarray(asked)
  of_asked = None if groups is None else [groups[place] for place in places]
  own = _read_right(source, "judge", chosen, primary_k, places)
  found = {
    name: _read_right(source, split, chosen, primary_k, slice(None))
    for name, split in splits.items()
  }
  return {
    "num_prompts": len(places),
    "num_groups": prompt_groups.count_groups(of_asked, len(places)),
    "rows": [
      {
        "role": role,
        "name": name,
        "own": intervals.estimate_mean(own[role], groups=of_asked).to_json(
          "mean"
        ),
        "controls": {
          control: _compare(own[role], right[role], of_asked)
          for control, right in found.items()
        },
      }
      for role, name in (
        ("base", "base"),
        ("best", "best member"),
        ("vote", f"vote, K={primary_k}"),
      )
    ],
  }


def _read_right(
  source: AnswerSource,
  split: str,
  chosen: Sequence[int] | Int[np.ndarray, " K"],
  primary_k: int,
  places: Any,
) -> dict[str, Bool[np.ndarray, " C"]]:
  """Which prompts base, best member and vote have right."""
  base = answers.read_answers(source, split, [BASE_POSITION])
  members = answers.read_answers(source, split, chosen[:primary_k])
  return {
    "base": base.lenient[0][places],
    "best": members.lenient[0][places],
    "vote": members.elect()[:, -1][places],
  }


def _compare(
  own: Bool[np.ndarray, " C"],
  right: Bool[np.ndarray, " C"],
  groups: Groups | None,
) -> dict[str, Any]:
  loss = own.astype(np.float64) - right
  return {
    "right": intervals.estimate_mean(right, groups=groups).to_json("mean"),
    "loss": intervals.estimate_difference(loss, groups=groups).to_json("mean"),
  }
