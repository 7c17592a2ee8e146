"""Solution density: which share of the neighbourhood are experts, with errors.

Four numbers stand side by side, because each answers another question:

- plain: the share of members that reach the margin on *these* prompts;
- confirmed: the share that reaches it on each of two halves of these prompts;
- corrected: the share whose *true* gain reaches it, on new prompts of the task;
- null: what the plain share would be if no member had a true gain.

Reference: Gan and Isola (2026), arXiv:2603.12228, eq. 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from thickets.analysis import (
  density_correction,
  density_inputs,
  density_null,
  prompt_groups,
)
from thickets.analysis.prompt_groups import Groups
from thickets.errors import UserError

ESTIMANDS = {
  "plain": (
    "density on these prompts: probability that a new member's mean gain on"
    " these prompts is at least the margin (interval: Clopper-Pearson, members)"
  ),
  "confirmed": (
    "probability that a new member's mean gain is at least the margin on both"
    " halves of a random split of these prompts (interval: Clopper-Pearson on"
    " the mean over splits, members; conservative)"
  ),
  "repeated": (
    "of the members that reach the margin on one half of these prompts, the"
    " share that reaches it on the other half as well"
  ),
  "corrected": (
    "density on new prompts: probability that a new member's expected gain over"
    " all prompts of the task is at least the margin (interval: two-way"
    " bootstrap over members and prompts)"
  ),
  "null": (
    "plain density of a population in which no member has a true gain: mean"
    " over sets of prompts (interval: the central range over sets of prompts)"
  ),
}
# What the interval of each estimate ranges over; prompts stand for groups of prompts
# where these are drawn.
_OVER = {
  "plain": "members",
  "confirmed": "members",
  "corrected": "prompts and members",
  "null": "sets of prompts",
}


@dataclasses.dataclass(frozen=True)
class Density:
  """Densities at S levels of sigma and M margins, in [0, 1].

  `ESTIMANDS` says what each of them estimates. Failed members are no experts and
  count in every denominator.

  Attributes:
    sigmas: [S] standard deviations of the noise, ascending.
    margins: [M] least gains that make an expert, in score: first those that were
      given as such, ascending.
    ratios: [M] score over the base's score that a margin stands for; NaN for
      those that were given as absolute ones.
    num_members: [S] number of members at each sigma, failed ones included.
    num_failed: [S] number of these with a NaN score.
    num_prompts: Q, the number of prompts.
    num_groups: number of groups that the prompts come in; Q where they are
      independent. Where it is below Q, sets of prompts are sets of groups.
    base_score: mean of the base's scores on the same prompts.
    level: coverage of the intervals, two-sided.
    plain: [S, M] with `plain_interval` [S, M, 2].
    confirmed: [S, M] with `confirmed_interval` [S, M, 2].
    repeated: [S, M] NaN where no member reaches the margin on any half.
    corrected: [S, M] with `corrected_interval` [S, M, 2].
    corrected_joint_interval: [S, M, 2] wider ones, which hold at all sigmas together
      with that level or more (Bonferroni): for the best of several sigmas.
    null: [S, M] with `null_interval` [S, M, 2].
    noise_sd: [S] standard deviation of a member's own sampling noise in its
      observed gain, in score.
    shared_sd: [S] standard deviation of the shift that all members share, in
      score.
    gain_sd: [S] estimated standard deviation of the true gains of the members
      that are not copies of the base, in score. Where it is below `shared_sd`, the
      prompts are too few for a density on new prompts, and the interval of
      `corrected` says so.
  """

  sigmas: Float[np.ndarray, " S"]
  margins: Float[np.ndarray, " M"]
  ratios: Float[np.ndarray, " M"]
  num_members: Int[np.ndarray, " S"]
  num_failed: Int[np.ndarray, " S"]
  num_prompts: int
  num_groups: int
  base_score: float
  level: float
  plain: Float[np.ndarray, "S M"]
  plain_interval: Float[np.ndarray, "S M 2"]
  confirmed: Float[np.ndarray, "S M"]
  confirmed_interval: Float[np.ndarray, "S M 2"]
  repeated: Float[np.ndarray, "S M"]
  corrected: Float[np.ndarray, "S M"]
  corrected_interval: Float[np.ndarray, "S M 2"]
  corrected_joint_interval: Float[np.ndarray, "S M 2"]
  null: Float[np.ndarray, "S M"]
  null_interval: Float[np.ndarray, "S M 2"]
  noise_sd: Float[np.ndarray, " S"]
  shared_sd: Float[np.ndarray, " S"]
  gain_sd: Float[np.ndarray, " S"]

  @property
  def over(self) -> dict[str, str]:
    """What the interval of each estimate ranges over, in words."""
    is_alone = self.num_groups == self.num_prompts
    unit = "prompts" if is_alone else "groups of prompts"
    return {name: over.replace("prompts", unit) for name, over in _OVER.items()}

  def rows(self) -> list[dict[str, Any]]:
    """One dict of plain values for each sigma and margin; NaN becomes None."""
    return [
      self._row(s, m)
      for s in range(len(self.sigmas))
      for m in range(len(self.margins))
    ]

  def _row(self, s: int, m: int) -> dict[str, Any]:
    row = {
      "sigma": float(self.sigmas[s]),
      "margin": float(self.margins[m]),
      "ratio": _plain_value(self.ratios[m]),
      "num_members": int(self.num_members[s]),
      "num_failed": int(self.num_failed[s]),
      "num_prompts": self.num_prompts,
      "base_score": self.base_score,
    }
    for name in _OVER:
      row[name] = _plain_value(getattr(self, name)[s, m])
      low, high = getattr(self, f"{name}_interval")[s, m]
      row |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    row["repeated"] = _plain_value(self.repeated[s, m])
    # Where the gains are narrower than the shift, only the interval counts.
    row["gain_sd"] = _plain_value(self.gain_sd[s])
    row["shared_sd"] = _plain_value(self.shared_sd[s])
    return row

  def to_json(self) -> dict[str, Any]:
    """Plain values: the rows, the noise at each sigma, and what is estimated."""
    noise = [
      {
        "sigma": float(sigma),
        "num_members": int(self.num_members[s]),
        "num_failed": int(self.num_failed[s]),
        "noise_sd": _plain_value(self.noise_sd[s]),
        "shared_sd": _plain_value(self.shared_sd[s]),
        "gain_sd": _plain_value(self.gain_sd[s]),
      }
      for s, sigma in enumerate(self.sigmas)
    ]
    return {
      "estimands": dict(ESTIMANDS),
      "over": self.over,
      "level": self.level,
      "num_prompts": self.num_prompts,
      "num_groups": self.num_groups,
      "base_score": self.base_score,
      "by_sigma": noise,
      "rows": self.rows(),
    }


@dataclasses.dataclass(frozen=True)
class _Draws:
  """What is drawn at random at each sigma; see `solution_density`."""

  num_resamples: int
  num_splits: int
  seed: int
  level: float

  def __post_init__(self):
    if self.num_resamples < 1 or self.num_splits < 1:
      raise UserError(
        "num_resamples and num_splits must be at least 1, got"
        f" {self.num_resamples} and {self.num_splits}."
      )
    if not 0 < self.level < 1:
      raise UserError(f"level must be within 0 and 1, got {self.level:g}.")


def solution_density(
  scores: Float[np.ndarray, "P Q"],
  sigmas: Float[np.ndarray, " P"],
  base_scores: Float[np.ndarray, " Q"],
  *,
  margins: Sequence[float] = (0.0, 0.02, 0.05),
  ratios: Sequence[float] = (),
  groups: Groups | None = None,
  score_range: tuple[float, float] = (0.0, 1.0),
  num_resamples: int = 1000,
  num_splits: int = 50,
  seed: int = 0,
  level: float = 0.95,
) -> Density:
  """Measures the share of members that are experts, at each sigma and margin.

  Args:
    scores: [P, Q] of each member on each prompt, higher is better. A member with
      a NaN anywhere has failed: it is counted, and is no expert.
    sigmas: [P] each member's sigma; those of equal sigma form a group of any size.
    base_scores: [Q] the base's scores on the same prompts.
    margins: smallest gains that make an expert, in score (0.02 is two points).
      Zero is always reported beside them; there a tie is a success.
    ratios: margins in other words: the member's score over the base's, so that
      1.05 means (1.05 - 1) times the base's score. Below one they ask whether
      members fall short, as the paper's figures do.
    groups: [Q] label of each prompt's group, where prompts come in groups (variants
      of a template, questions on one image); then groups and not prompts are drawn
      and halved. None where prompts are independent.
    score_range: least and largest score of the task.
    num_resamples: draws of the bootstrap and of the null, at least 1.
    num_splits: random halvings of the prompts for `confirmed`, at least 1.
    seed: for splits, bootstrap and null; the same at each sigma.
    level: coverage of the intervals, two-sided, within 0 and 1.

  Returns:
    The densities with their intervals; the model behind the correction, and
    where it fails, are in docs/density.md.

  Raises:
    UserError: if shapes do not fit, there are fewer than two members or prompts,
      the base has a missing score, groups do not fit, a score or a margin lies outside the score's
      range, or a ratio is asked of a base whose score is not positive.
  """
  scores, sigmas, base_scores = map(np.asarray, (scores, sigmas, base_scores))
  density_inputs.check_tables(scores, sigmas, base_scores, score_range)
  draws = _Draws(num_resamples, num_splits, seed, level)
  base_score = float(np.mean(base_scores, dtype=np.float64))
  margins_M, ratios_M = density_inputs.make_margins(
    margins, ratios, base_score, score_range
  )
  differences = np.asarray(scores, np.float64) - base_scores
  levels = np.unique(np.asarray(sigmas, np.float64))
  numbers = prompt_groups.number_groups(groups, len(base_scores))
  found = [
    _measure_sigma(
      differences[sigmas == sigma], numbers, margins_M, draws, len(levels)
    )
    for sigma in levels
  ]
  return Density(
    sigmas=levels,
    margins=margins_M,
    ratios=ratios_M,
    num_prompts=len(base_scores),
    num_groups=len(prompt_groups.count_by_group(numbers, len(base_scores))),
    base_score=base_score,
    level=level,
    **{name: np.stack([one[name] for one in found]) for name in found[0]},
  )


def _measure_sigma(
  differences: Float[np.ndarray, "P Q"],
  numbers: Int[np.ndarray, " Q"] | None,
  margins: Float[np.ndarray, " M"],
  draws: _Draws,
  num_sigmas: int,
) -> dict[str, np.ndarray]:
  """The fields of `Density` at one sigma."""
  has_failed = np.isnan(differences).any(axis=1)
  table, total = differences[~has_failed], len(differences)
  # Fresh streams for each sigma: the others do not change its numbers.
  split_rng, boot_rng, null_rng = np.random.default_rng(draws.seed).spawn(3)
  # Tolerant of rounding: 0.52 - 0.5 reaches 0.02.
  reached = np.sum(table.mean(axis=1)[:, None] >= margins - 1e-9, axis=0)
  confirmed, repeated = density_null.measure_confirmed(
    prompt_groups.sum_by_group(table, numbers),
    margins,
    sizes=prompt_groups.count_by_group(numbers, table.shape[1]),
    num_splits=draws.num_splits,
    rng=split_rng,
  )
  by_group = prompt_groups.mean_by_group(table, numbers)
  null = density_null.sample_null(
    by_group, margins, num_resamples=draws.num_resamples, rng=null_rng
  )
  correction = density_correction.correct_density(
    by_group,
    margins,
    is_copy=~np.any(table, axis=1),
    of_groups=numbers is not None,
    num_failed=int(has_failed.sum()),
    num_resamples=draws.num_resamples,
    level=draws.level,
    num_sigmas=num_sigmas,
    rng=boot_rng,
  )
  tail = (1 - draws.level) / 2
  exact = density_correction.exact_interval
  return {
    "num_members": np.asarray(total),
    "num_failed": np.asarray(has_failed.sum()),
    "plain": reached / total,
    "plain_interval": exact(reached.astype(np.float64), total, draws.level),
    "confirmed": confirmed / total,
    "confirmed_interval": exact(confirmed, total, draws.level),
    "repeated": repeated,
    "corrected": correction.corrected,
    "corrected_interval": correction.interval,
    "corrected_joint_interval": correction.joint_interval,
    "null": null.mean(axis=0) / total,
    "null_interval": np.quantile(null, [tail, 1 - tail], axis=0).T / total,
    "noise_sd": np.asarray(correction.noise_sd),
    "shared_sd": np.asarray(correction.shared_sd),
    "gain_sd": np.asarray(correction.gain_sd),
  }


def _plain_value(value) -> float | None:
  return None if np.isnan(value) else float(value)
