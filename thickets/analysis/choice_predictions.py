"""How many members turn an answer, and how many first order says.

A base prefers one of two words to the other by some log-odds. In first order a
member's log-odds are normal about those of the base, with sigma times the norm of
their gradient as standard deviation, so that the share of members that prefer the
other word should be

    Phi(-|log_odds| / (sigma * gradient_norm)).

`experiments.preferences` measures log-odds of base and members and the gradient's
norm, on each prompt of one task.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import special

from thickets.analysis import convention_claims, intervals, trends
from thickets.analysis.convention_claims import Claim
from thickets.analysis.intervals import Estimate
from thickets.analysis.prompt_groups import Groups
from thickets.errors import UserError

FILE = "preferences.json"
_NEAR = (
  0.1  # A prediction is right if it is within so much, of shares from 0 to 1.
)


@dataclasses.dataclass(frozen=True)
class Level:
  """What the members of one sigma prefer, and what was predicted of it.

  Attributes:
    sigma: standard deviation of the noise.
    relative_norm: its norm relative to that of the weights.
    predicted: [Q] share of members that prefer the right word, in first order.
    measured: [Q] the share that does.
    predicted_turned: share of the answers that members turn in first order, mean
      over prompts.
    turned: the share that they do, less the predicted one.
    spread: root mean square of the change of log-odds, relative to the predicted
      one, median over prompts; 1 if first order holds.
    num_members: how many members there are, without those that failed.
    num_failed: members whose log-odds are not finite, which count nowhere.
  """

  sigma: float
  relative_norm: float
  predicted: Float[np.ndarray, " Q"]
  measured: Float[np.ndarray, " Q"]
  predicted_turned: float
  turned: Estimate
  spread: float
  num_members: int
  num_failed: int

  def to_json(self) -> dict[str, Any]:
    """The numbers that are not by prompt, as plain values."""
    return {
      "sigma": self.sigma,
      "relative_norm": self.relative_norm,
      "predicted_turned": self.predicted_turned,
      "turned_less_predicted": self.turned.to_json(),
      "spread": self.spread,
      "num_members": self.num_members,
      "num_failed": self.num_failed,
    }


def read_preferences(folder: str | os.PathLike[str]) -> dict[str, Any]:
  """Reads what `experiments.preferences` wrote into a folder.

  Raises:
    UserError: if there is no such file.
  """
  path = pathlib.Path(folder) / FILE
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise UserError(
      f"{path} must be a JSON file of experiments.preferences, got {error}."
    ) from error


def compare_levels(found: dict[str, Any]) -> list[Level]:
  """Compares members with first order, by sigma.

  Args:
    found: the contents of preferences.json.
  """
  base, norms = np.array(found["base"]), np.array(found["gradient_norms"])
  return [
    _compare(
      *(float(sigma), found["relative_norms"][sigma]),
      *(base, norms, np.array(values)),
      found["groups"],
      # Files from before failed members were left out have none.
      found.get("num_failed", {}).get(sigma, 0),
    )
    for sigma, values in found["members"].items()
  ]


def _compare(
  sigma: float,
  relative_norm: float,
  base: Float[np.ndarray, " Q"],
  norms: Float[np.ndarray, " Q"],
  members: Float[np.ndarray, "P Q"],
  groups: Groups | None,
  num_failed: int,
) -> Level:
  deviations = sigma * norms
  predicted_turned = special.ndtr(-np.abs(base) / deviations)
  is_turned = (members > 0) != (base > 0)
  mean = trends.fit_mean(is_turned - predicted_turned, groups=groups)
  over = "prompts" if groups is None else "groups of prompts"
  return Level(
    sigma=sigma,
    relative_norm=relative_norm,
    predicted=special.ndtr(base / deviations),
    measured=(members > 0).mean(axis=0),
    predicted_turned=float(predicted_turned.mean()),
    turned=Estimate(mean.value, *mean.interval, f"members and {over}"),
    spread=float(
      np.median(np.sqrt(np.mean((members - base) ** 2, axis=0)) / deviations)
    ),
    num_members=len(members),
    num_failed=num_failed,
  )


def judge_levels(found: dict[str, Any]) -> list[Claim]:
  """Whether members turn as many answers as first order says, at each sigma.

  Shown if the interval of the difference lies within 10 points of zero, refuted if
  it lies outside of them.

  Args:
    found: the contents of preferences.json.
  """
  claims = []
  for level in compare_levels(found):
    failed = f" ({level.num_failed} more failed)" if level.num_failed else ""
    n = (
      f"{level.num_members} members{failed}, {len(level.measured)} prompts; predicted"
      f" {100 * level.predicted_turned:.1f} %; log-odds vary {level.spread:.2f} times"
      " as much as predicted (median of prompts)"
    )
    claims.append(
      Claim(
        f"{found['model']}, {found['task']}: at sigma {level.sigma:g} members turn"
        " as many answers as first order predicts, within 10 points",
        convention_claims.judge_between(level.turned, -_NEAR, _NEAR),
        level.turned,
        n,
        "points",
      )
    )
  return claims


def say_what(found: dict[str, Any]) -> str:
  """What was measured, as a title."""
  first, second = found["answers"]
  asked = f"{found['task']}: {first} or {second}"
  begin = f" behind “{found['begin']}”" if found["begin"] else ""
  return f"{found['model']}, {asked}{begin}"


def count_right(found: dict[str, Any]) -> dict[str, Estimate]:
  """By sigma, the share of members that prefer more right words than the base."""
  base = np.mean(np.array(found["base"]) > 0)
  shares = {}
  for sigma, values in found["members"].items():
    right = np.mean(np.array(values) > 0, axis=1)
    shares[sigma] = intervals.estimate_share(
      int((right > base).sum()), len(right), over="members"
    )
  return shares
