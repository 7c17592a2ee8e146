"""Reasoning or format: what the gain over the base is made of.

Each prompt falls into one of six parts, by what the base answered and whether
the method is right:

    base                             method right    method wrong
    right, in the form asked for     kept            regression
    right, the form is wrong         format          lost
    wrong                            reasoning       both_wrong

The paper shows kept, format, reasoning and regression. `lost` it leaves out:
prompts whose answer the base had right, but not in form, and the method has
wrong. Over a base that is read leniently the gain is reasoning less regression
less lost; that format counts as gain is an effect of reading the base strictly.

Reference: Gan and Isola (2026), arXiv:2603.12228, figure 9.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Bool, Int

from thickets.analysis import intervals
from thickets.analysis.prompt_groups import Groups
from thickets.errors import UserError
from thickets.search.answers import Answers

PARTS = ("kept", "format", "reasoning", "regression", "lost", "both_wrong")
# What each part adds to: the gain over the strict base, and the lenient one.
_OVER_STRICT = {"format": 1, "reasoning": 1, "regression": -1}
_OVER_LENIENT = {"reasoning": 1, "regression": -1, "lost": -1}


@dataclasses.dataclass(frozen=True)
class Decomposition:
  """The six parts of one method's prompts, or of the mean of several members'.

  Attributes:
    name: name of the method, and how its answers are read.
    counts: [P, 6] prompts in each of `PARTS`, one row per member; a row sums to
      the number of prompts. One row for an ensemble.
    rows: [Q, 6] share of the members whose prompt falls into each part; flags
      where there is one row.
    num_failed: number of members left out because they failed.
    num_contradictions: number of prompts that the base has right strictly and
      wrong leniently; they count as right in form.
    groups: [Q] group of each prompt; None where prompts are independent.
  """

  name: str
  counts: Int[np.ndarray, "P 6"]
  rows: np.ndarray
  num_failed: int
  num_contradictions: int
  groups: Groups | None = None

  @property
  def num_prompts(self) -> int:
    """Q, the number of prompts."""
    return len(self.rows)

  @property
  def shares(self) -> dict[str, float]:
    """Mean share of the prompts in each part; they sum to one."""
    total = self.counts.sum(axis=0) / (len(self.counts) * self.num_prompts)
    return dict(zip(PARTS, total.tolist(), strict=True))

  @property
  def accuracy(self) -> float:
    """Share that the method has right: kept, format and reasoning."""
    shares = self.shares
    return shares["kept"] + shares["format"] + shares["reasoning"]

  @property
  def base_strict(self) -> float:
    """Share that the base has right in the form asked for."""
    return self.shares["kept"] + self.shares["regression"]

  @property
  def base_lenient(self) -> float:
    """Share that the base has right in whatever form."""
    return self.base_strict + self.shares["format"] + self.shares["lost"]

  def to_json(self) -> dict[str, Any]:
    """Plain values: counts, shares and gains with 95 % intervals over prompts.

    Shares and gross gains and losses have that of `intervals.estimate_mean`, net
    gains that of `intervals.estimate_difference`. Members are held fixed.
    """
    strict = self._gains(_OVER_STRICT)
    lenient = self._gains(_OVER_LENIENT)
    mean_counts = self.counts.mean(axis=0).tolist()
    return {
      "name": self.name,
      "units": (
        "counts of prompts, the mean over members; all else shares of prompts"
        " with 95 % intervals over prompts"
      ),
      "num_prompts": self.num_prompts,
      "num_members": len(self.counts),
      "num_failed": self.num_failed,
      "num_contradictions": self.num_contradictions,
      "counts": dict(zip(PARTS, mean_counts, strict=True)),
      "parts": {part: self._describe({part: 1}) for part in PARTS},
      "accuracy": self._describe({"kept": 1, "format": 1, "reasoning": 1}),
      "base_strict": self._describe({"kept": 1, "regression": 1}),
      "base_lenient": self._describe(
        {"kept": 1, "regression": 1, "format": 1, "lost": 1}
      ),
      "over_strict_base": strict,
      "over_lenient_base": lenient,
    }

  def _gains(self, signs):
    """Gross gain, gross loss, and the first less the second."""
    return {
      "gain": self._describe({p: 1 for p, s in signs.items() if s > 0}),
      "loss": self._describe({p: 1 for p, s in signs.items() if s < 0}),
      "net": self._describe(signs),
    }

  def _describe(self, signs):
    """Mean over prompts of the sum of some parts, with its interval."""
    weights = np.array([signs.get(part, 0) for part in PARTS], np.float64)
    values = self.rows @ weights
    if weights.min() < 0:
      found = intervals.estimate_difference(values, groups=self.groups)
    else:
      found = intervals.estimate_mean(values, groups=self.groups)
    # From counts, so that parts sum without a trace of rounding.
    mean = float(self.counts.sum(axis=0) @ weights)
    mean /= len(self.counts) * self.num_prompts
    return dataclasses.replace(found, value=mean).to_json("mean")


def decompose(
  base_strict: Bool[np.ndarray, " _Q"],
  base_lenient: Bool[np.ndarray, " _Q"],
  correct: Bool[np.ndarray, " _Q"] | Bool[np.ndarray, "_P _Q"],
  *,
  name: str,
  failed: Bool[np.ndarray, " _P"] | None = None,
  groups: Groups | None = None,
) -> Decomposition:
  """Sorts prompts by what the base and a method made of them.

  Args:
    base_strict: [Q] whether the base's answer is right, in the form asked for.
    base_lenient: [Q] whether it is right wherever in the response it stands.
    correct: [Q] whether the method is right; or [P, Q], of several members,
      whose mean is then taken. Read strictly or leniently, as the name says.
    name: name of the method, for results and messages.
    failed: [P] members to leave out, and to count; none by default.
    groups: [Q] group of each prompt; None where prompts are independent.

  Raises:
    UserError: without prompts or members, or if lengths differ.
  """
  correct_PQ = np.atleast_2d(correct)
  failed = np.zeros(len(correct_PQ), bool) if failed is None else failed
  _check_answers(base_strict, base_lenient, correct_PQ, failed, name)
  contradictions = int((base_strict & ~base_lenient).sum())
  if contradictions:
    logging.warning(
      "%s: the base is right strictly and wrong leniently on %d prompts; they"
      " count as right in form. The task's extractions disagree.",
      name,
      contradictions,
    )
  right_PQ = correct_PQ[~failed]
  states_Q3 = np.stack(
    [base_strict, base_lenient & ~base_strict, ~(base_lenient | base_strict)],
    axis=1,
  ).astype(np.int64)
  num_right_Q = right_PQ.sum(axis=0)[:, None]
  num_Q6 = np.hstack(
    [states_Q3 * num_right_Q, states_Q3 * (len(right_PQ) - num_right_Q)]
  )
  # Right: kept, format, reasoning; wrong: regression, lost, both wrong.
  right_P3 = right_PQ.astype(np.int64) @ states_Q3
  return Decomposition(
    name=name,
    counts=np.hstack([right_P3, states_Q3.sum(axis=0) - right_P3]),
    rows=num_Q6 / len(right_PQ),
    num_failed=int(failed.sum()),
    num_contradictions=contradictions,
    groups=groups,
  )


def _check_answers(
  base_strict, base_lenient, correct_PQ, failed, name: str
) -> None:
  if not len(base_strict) == len(base_lenient) == correct_PQ.shape[1] > 0:
    raise UserError(
      "Base and method must have answered the same prompts, at least one, got"
      f" {len(base_strict)} strict and {len(base_lenient)} lenient ones of the"
      f" base and {correct_PQ.shape[1]} of the method ({name})."
    )
  if len(failed) != len(correct_PQ) or failed.all():
    raise UserError(
      "failed must hold one flag per member, not all of them true, got"
      f" {len(failed)} flags, {int(failed.sum())} true, for"
      f" {len(correct_PQ)} members ({name})."
    )


def decompose_run(
  base: Answers,
  chosen: Answers,
  *,
  k: int,
  random: Answers | None = None,
  groups: Groups | None = None,
) -> tuple[Decomposition, ...]:
  """Decomposes an ensemble and its single members.

  A vote is for an answer and has no form, so an ensemble's answers are read
  leniently, by the rule of `Answers.elect`. Single members are read both ways.

  Args:
    base: [1, Q] the base's answers.
    chosen: [K, Q] the answers of the best members, by rank.
    k: number of members that vote, the best ones.
    random: [K, Q] the answers of the members that were drawn first, whatever
      they scored; selection has not touched these. Left out by default.
    groups: [Q] group of each prompt; None where prompts are independent.

  Returns:
    The vote, the k chosen members leniently and strictly, then the random ones.

  Raises:
    UserError: if k is below one or above the number of chosen members.
  """
  if not 1 <= k <= len(chosen.correct):
    raise UserError(
      f"k must be within 1 and the number of chosen members, got {k} of"
      f" {len(chosen.correct)}. Lower k."
    )
  strict, lenient = base.correct[0], base.lenient[0]
  several = {f"{k} chosen members": chosen.first(k)}
  if random is not None:
    several[f"{len(random.correct)} random members"] = random
  singles = [
    decompose(
      strict,
      lenient,
      right,
      name=f"mean of {members}, {reading}",
      groups=groups,
    )
    for members, answers in several.items()
    for reading, right in (
      ("lenient", answers.lenient),
      ("strict", answers.correct),
    )
  ]
  elected = chosen.first(k).elect()[:, -1]
  vote = decompose(strict, lenient, elected, name=f"vote of {k}", groups=groups)
  return (vote, *singles)
