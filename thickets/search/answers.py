"""Answers, single or elected, and how many are right on the prompts of judging.

Pure functions turn the channels of records into arrays over prompts, which are
then averaged and compared prompt by prompt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from absl import logging
from jaxtyping import Bool, Float, Int, Shaped

from thickets.search import ensemble


@dataclasses.dataclass(frozen=True)
class Answers:
  """How several respondents answered the same prompts, by rank.

  Attributes:
    score: [K, Q] what selection averages.
    correct: [K, Q] whether the answer is right and in the form asked for.
    lenient: [K, Q] whether the answer that is voted with is right.
    format: [K, Q] whether the form is right.
    vote: [K, Q] keys, empty for no vote.
  """

  score: Float[np.ndarray, "K Q"]
  correct: Bool[np.ndarray, "K Q"]
  lenient: Bool[np.ndarray, "K Q"]
  format: Bool[np.ndarray, "K Q"]
  vote: Shaped[np.ndarray, "K Q"]

  @classmethod
  def stack(cls, channels: Iterable[Mapping[str, np.ndarray]]) -> Answers:
    """Stacks the channels [Q] of respondents, and lets go of all others."""
    names = [field.name for field in dataclasses.fields(cls)]
    kept = [[fields[name] for name in names] for fields in channels]
    columns = zip(*kept, strict=True)
    return cls(**dict(zip(names, map(np.stack, columns), strict=True)))

  def first(self, k: int) -> Answers:
    """The k best of them."""
    return self.take(range(k))

  def take(self, ranks: Sequence[int]) -> Answers:
    """Some of them, in the order given."""
    return Answers(
      **{
        field.name: getattr(self, field.name)[list(ranks)]
        for field in dataclasses.fields(self)
      }
    )

  def from_prompt(self, start: int) -> Answers:
    """Their answers to all prompts from the place `start` on."""
    return Answers(
      **{
        field.name: getattr(self, field.name)[:, start:]
        for field in dataclasses.fields(self)
      }
    )

  def elect(self) -> Bool[np.ndarray, "Q K"]:
    """[Q, K] whether the answer that the k best elect is right.

    By the rule of `ensemble.majority_vote`; where nobody votes it is wrong.
    """
    codes_QK, _ = ensemble.encode_votes(self.vote.T.tolist())
    self._warn_of_contradictions(codes_QK)
    winners_QK = ensemble.majority_vote_prefixes(codes_QK)
    return judge_winners(winners_QK, codes_QK, self.lenient.T)

  def _warn_of_contradictions(self, codes_QK) -> None:
    """Same vote, same answer: what a grader that breaks this elects is chance."""
    prompts_QK = np.broadcast_to(
      np.arange(len(codes_QK))[:, None], codes_QK.shape
    )
    voted_QK = codes_QK != ensemble.NO_VOTE
    votes = np.stack([prompts_QK[voted_QK], codes_QK[voted_QK]])
    with_verdict = np.vstack([votes, self.lenient.T[voted_QK]])
    num_votes = np.unique(votes, axis=1).shape[1]
    num_verdicts = np.unique(with_verdict, axis=1).shape[1]
    if num_verdicts > num_votes:
      logging.warning(
        "%d elections have voters of one key whose answers are graded"
        " differently; the best-ranked counts. The task's vote keys are too"
        " coarse.",
        num_verdicts - num_votes,
      )


@runtime_checkable
class AnswerSource(Protocol):
  """Where answers are read from, such as a `directory.Run`."""

  def channels(self, split: str, position: int) -> Mapping[str, np.ndarray]:
    """Channels [Q, ...] of the member at a position of the population."""
    ...


def read_answers(
  source: AnswerSource,
  split: str,
  positions: Iterable[int] | Int[np.ndarray, " K"],
) -> Answers:
  """Reads the answers of several respondents.

  Args:
    source: the open run directory, or what regrades one.
    split: the name of the prompts in the log.
    positions: [K] positions of the respondents in the population, by rank.
  """
  return Answers.stack(
    source.channels(split, int(position)) for position in positions
  )


def judge_winners(
  winners_QW: Int[np.ndarray, "Q W"],
  codes_QK: Int[np.ndarray, "Q K"],
  right_QK: Bool[np.ndarray, "Q K"],
) -> Bool[np.ndarray, "Q W"]:
  """Returns whether each elected answer is right.

  It is right if the best-ranked member that voted for it answered rightly.

  Args:
    winners_QW: [Q, W] code of the answer that won each of W elections, which are
      held among these voters or among some of them.
    codes_QK: [Q, K] code of the answer that each voter voted for, by rank.
    right_QK: [Q, K] whether each voter's answer is right.

  Returns:
    [Q, W] whether the winner is right; false where nobody voted.
  """
  voter_QW = np.stack(
    [(codes_QK == column[:, None]).argmax(axis=1) for column in winners_QW.T],
    axis=1,
  )
  right_QW = np.take_along_axis(right_QK, voter_QW, axis=1)
  return right_QW & (winners_QW != ensemble.NO_VOTE)
