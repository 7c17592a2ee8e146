"""What a density is asked of: tables that fit, and margins in the score's range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thickets.errors import UserError


def check_tables(scores, sigmas, base_scores, score_range) -> None:
  """Checks the tables of a density.

  Args:
    scores: [P, Q] of each member on each prompt; NaN where it failed.
    sigmas: [P] each member's sigma.
    base_scores: [Q] the base's scores on the same prompts.
    score_range: least and largest score of the task.

  Raises:
    UserError: if a shape does not fit, or a value is missing or out of range.
  """
  for name, values, axes in (
    ("scores", scores, "[members, prompts]"),
    ("sigmas", sigmas, "[members]"),
    ("base_scores", base_scores, "[prompts]"),
  ):
    if values.ndim != axes.count(",") + 1:
      raise UserError(f"{name} must be {axes}, got shape {values.shape}.")
  num_members, num_prompts = scores.shape
  if len(sigmas) != num_members:
    raise UserError(
      "sigmas must hold one value for each member, got"
      f" {len(sigmas)} for {num_members} rows of scores."
    )
  if len(base_scores) != num_prompts:
    raise UserError(
      "base_scores must hold one value for each prompt, got"
      f" {len(base_scores)} for {num_prompts} columns of scores. Score the base"
      " on the prompts of the members."
    )
  if num_members < 2 or num_prompts < 2:
    raise UserError(
      "scores must hold at least two members and two prompts, got a table of"
      f" {num_members} x {num_prompts}. A density is a share of many members."
    )
  if missing := int(np.isnan(base_scores).sum()):
    raise UserError(
      "base_scores must hold no NaN (the base record is missing or has failed),"
      f" got {missing} of {num_prompts}. Score the base again."
    )
  if not np.all(np.isfinite(sigmas)):
    raise UserError(
      "sigmas must be finite numbers, got"
      f" {sigmas[~np.isfinite(sigmas)][0]} (member"
      f" {int(np.argmin(np.isfinite(sigmas)))})."
    )
  _check_range("scores", scores[~np.isnan(scores)], score_range)
  _check_range("base_scores", base_scores, score_range)


def _check_range(name: str, values, score_range) -> None:
  low, high = score_range
  if not low < high:
    raise UserError(
      f"score_range must grow, got {low:g} to {high:g}. Give the task's least"
      " and largest score."
    )
  is_outside = (values < low) | (values > high) | np.isinf(values)
  if is_outside.any():
    raise UserError(
      f"{name} must lie within score_range {low:g} to {high:g}, got"
      f" {values[is_outside][0]:g}. Give the task's own score_range."
    )


def make_margins(
  margins: Sequence[float],
  ratios: Sequence[float],
  base_score: float,
  score_range: tuple[float, float],
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
  """Returns absolute margins, and the ratios that some of them stand for.

  Args:
    margins: least gains that make an expert, in score; zero is added.
    ratios: least ratios of a member's score to the base's.
    base_score: the base's mean score.
    score_range: least and largest score of the task.

  Returns:
    [M] margins and [M] ratios, NaN for margins that were given as such.

  Raises:
    UserError: if a margin or a ratio is out of range.
  """
  if ratios and not base_score > 0:
    raise UserError(
      "ratios must be of a base with a positive score, got a base score of"
      f" {base_score:g}. Use margins."
    )
  absolute = sorted({0.0, *map(float, margins)})
  ratios = sorted(set(map(float, ratios)))
  span = float(score_range[1]) - float(score_range[0])
  for margin in absolute:
    if not 0 <= margin <= span:
      raise UserError(
        f"margins must lie within 0 and the score's range {span:g}, got"
        f" {margin:g}. An expert is at least as good as the base."
      )
  relative = [(ratio - 1) * base_score for ratio in ratios]
  for ratio, margin in zip(ratios, relative, strict=True):
    if not (ratio > 0 and abs(margin) <= span):
      raise UserError(
        f"ratios must give margins within the score's range {span:g}, got"
        f" {ratio:g} (margin {margin:g} at base score {base_score:g})."
      )
  names = [np.nan] * len(absolute) + ratios
  return np.array(absolute + relative), np.array(names)
