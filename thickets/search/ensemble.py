"""Ensembles: what the chosen members answer together.

Members vote on discrete answers and average continuous ones; their weights are
never averaged.

Reference: Gan and Isola (2026), arXiv:2603.12228, eq. 5.
"""

import collections
from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int, Shaped

Key = TypeVar("Key", bound=Hashable)

NO_VOTE = -1


def majority_vote(votes: Sequence[Key | None]) -> Key | None:
  """Returns the plurality winner among vote keys given in the order of rank.

  None and "" are no votes. A tie goes to the key that the best-ranked of its
  voters gave first: A, B, B, A elects A, and "", B, A, A elects A.

  Args:
    votes: [K] vote keys, best-ranked member first.

  Returns:
    The winning key, or None if nobody voted.
  """
  counts = collections.Counter(
    vote for vote in votes if vote is not None and vote != ""
  )
  # Counter keeps the order of first appearance, and max the first maximum.
  return max(counts, key=counts.__getitem__) if counts else None


def encode_votes(
  votes: Sequence[Sequence[Key | None]],
) -> tuple[Int[np.ndarray, "Q K"], list[Key]]:
  """Gives every distinct vote key an integer code.

  Args:
    votes: for each prompt, the K members' keys in the order of rank.

  Returns:
    [Q, K] codes, `NO_VOTE` for None and "", and the keys by code.
  """
  keys: dict[Key, int] = {}
  codes = [
    [
      NO_VOTE
      if vote is None or vote == ""
      else keys.setdefault(vote, len(keys))
      for vote in row
    ]
    for row in votes
  ]
  num_members = len(votes[0]) if votes else 0
  return np.array(codes, np.int64).reshape(len(votes), num_members), list(keys)


def majority_vote_prefixes(
  codes_QK: Int[np.ndarray, "Q K"],
) -> Int[np.ndarray, "Q K"]:
  """Elects the winner of every prefix of the ranking, in one pass.

  Args:
    codes_QK: [Q, K] vote codes by rank, negative for no vote.

  Returns:
    [Q, K] where column k - 1 holds the winners of the k best-ranked members by
    the rule of `majority_vote`, `NO_VOTE` where none of them voted.
  """
  codes_QK = np.asarray(codes_QK)
  num_prompts, num_members = codes_QK.shape
  rows = np.arange(num_prompts)
  # A code is replaced by the rank at which its prompt first saw it, so that
  # counts fit into [Q, K] and the smaller of two tied codes is the earlier.
  first_QK = _first_ranks(codes_QK)
  counts_QK = np.zeros((num_prompts, num_members), np.int64)
  winners_QK = np.full((num_prompts, num_members), NO_VOTE, np.int64)
  best_Q = np.full(num_prompts, -1)  # First rank of the leading code.
  for rank in range(num_members):
    voted_Q = codes_QK[:, rank] >= 0
    first_Q = first_QK[:, rank]
    counts_QK[rows, first_Q] += voted_Q
    challenger_Q = counts_QK[rows, first_Q]
    leader_Q = np.where(best_Q >= 0, counts_QK[rows, best_Q], 0)
    overtakes_Q = voted_Q & (
      (challenger_Q > leader_Q)
      | ((challenger_Q == leader_Q) & (first_Q < best_Q))
    )
    best_Q = np.where(overtakes_Q, first_Q, best_Q)
    winners_QK[:, rank] = np.where(best_Q >= 0, codes_QK[rows, best_Q], NO_VOTE)
  return winners_QK


def _first_ranks(codes_QK: Int[np.ndarray, "Q K"]) -> Int[np.ndarray, "Q K"]:
  """[Q, K] the smallest rank at which the prompt has the same code."""
  order_QK = np.argsort(codes_QK, axis=1, kind="stable")
  sorted_QK = np.take_along_axis(codes_QK, order_QK, axis=1)
  starts_QK = np.ones(codes_QK.shape, np.bool_)
  starts_QK[:, 1:] = sorted_QK[:, 1:] != sorted_QK[:, :-1]
  group_QK = np.maximum.accumulate(
    np.where(starts_QK, np.arange(codes_QK.shape[1]), 0), axis=1
  )
  first_QK = np.empty_like(order_QK)
  np.put_along_axis(
    first_QK, order_QK, np.take_along_axis(order_QK, group_QK, axis=1), axis=1
  )
  return first_QK


def mean_ensemble(
  predictions: Shaped[Any, "K ..."],
) -> Float[np.ndarray, "..."]:
  """Returns the mean prediction of K members, accumulated in float64.

  Raises:
    ValueError: if there are no members.
  """
  predictions = _check_predictions(predictions)
  mean = np.mean(predictions, axis=0, dtype=np.float64)
  return mean.astype(_mean_dtype(predictions))


def mean_ensemble_prefixes(
  predictions: Shaped[Any, "K ..."],
) -> Float[np.ndarray, "K ..."]:
  """Returns the mean of every prefix of the ranking: entry k - 1 of the k best."""
  predictions = _check_predictions(predictions)
  totals = np.cumsum(predictions, axis=0, dtype=np.float64)
  counts = np.arange(1, len(predictions) + 1).reshape(
    -1, *([1] * (predictions.ndim - 1))
  )
  return (totals / counts).astype(_mean_dtype(predictions))


def _check_predictions(predictions: Any) -> np.ndarray:
  predictions = np.asarray(predictions)
  if not len(predictions):
    raise ValueError("An ensemble must have at least one member, got none.")
  return predictions


def _mean_dtype(predictions: np.ndarray) -> np.dtype:
  is_floating = np.issubdtype(predictions.dtype, np.floating)
  return predictions.dtype if is_floating else np.dtype(np.float64)
