"""How much answers depend on the pictures that they are about.

The same questions are asked without their picture, and with that of another question.
Who uses its pictures is right less often then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from thickets.analysis import intervals, prompt_groups
from thickets.analysis.prompt_groups import Groups
from thickets.runs.directory import BASE_POSITION
from thickets.search import answers
from thickets.search.answers import AnswerSource


def summarise_controls(
  source: AnswerSource,
  controls: Sequence[str],
  asked: Sequence[int],
  voting: Sequence[int],
  *,
  groups: Groups | None = None,
) -> dict[str, Any]:
  """Compares answers with the own picture and under each control.

  Args:
    source: the open run directory, or what regrades one.
    controls: the splits of the controls in the log, whose prompts are those of judge
      at `asked`.
    asked: [C] places among the prompts of judge of those that controls are of.
    voting: positions of the members that vote, by rank.
    groups: [Q] group of each prompt of judge; None where they are independent.

  Returns:
    JSON values: `num_prompts`, `num_groups`, and `rows` of base, best member and
    vote, each with the share `own` that is right with the own picture, and by control
    the share `right` and the paired difference `loss` of the two.
  """
  places = np.asarray(asked)
  of_asked = None if groups is None else [groups[place] for place in places]
  own = {
    role: right[places]
    for role, right in _read_right(source, "judge", voting).items()
  }
  found = {name: _read_right(source, name, voting) for name in controls}
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
        ("vote", f"vote, K={len(voting)}"),
      )
    ],
  }


def _read_right(
  source: AnswerSource, split: str, voting: Sequence[int]
) -> dict[str, Bool[np.ndarray, " Q"]]:
  """Which prompts base, best member and vote have right."""
  base = answers.read_answers(source, split, [BASE_POSITION])
  members = answers.read_answers(source, split, voting)
  return {
    "base": base.lenient[0],
    "best": members.lenient[0],
    "vote": members.elect()[:, -1],
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
