"""Rank correlations of the columns of a table, and how they vary.

Ranks are mid-ranks: a member's percentile is the share of members below it plus
half the share that ties with it, itself included, which is (average rank - 1/2)
/ N. Its mean is one half whatever the ties, and members may carry weights, so
that a resample is the same table with other weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from thickets.analysis import score_tables


class Column(NamedTuple):
  """The order of one column, found once and used for all resamples.

  Attributes:
    order: [P] positions of the members from the lowest score to the highest.
    bounds: where in `order` each group of equal scores begins, then P.
    group: [P] number of the group that a member belongs to.
  """

  order: Int[np.ndarray, " P"]
  bounds: Int[np.ndarray, " groups_and_one"]
  group: Int[np.ndarray, " P"]

  @classmethod
  def sort(cls, scores: Float[np.ndarray, " P"]) -> Column:
    """Sorts finite scores."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    is_first = np.r_[True, ordered[1:] != ordered[:-1]]
    group = np.empty(len(scores), np.int64)
    group[order] = np.cumsum(is_first) - 1
    bounds = np.r_[np.flatnonzero(is_first), len(scores)]
    return cls(order, bounds, group)

  def percentiles(self) -> Float[np.ndarray, " P"]:
    """[P] percentile ranks in (0, 1)."""
    ends = self.bounds / len(self.order)
    return ((ends[1:] + ends[:-1]) / 2)[self.group]

  def above(self, values: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """[P] mean over members of their value where they score above member p.

    The value of a member that ties with p counts half.
    """
    sums = np.r_[0.0, np.cumsum(values[self.order])][self.bounds]
    return (sums[-1] - (sums[1:] + sums[:-1]) / 2)[self.group] / len(values)


def percentile_ranks(
  scores: Float[np.ndarray, "P M"],
) -> Float[np.ndarray, "P M"]:
  """[P, M] percentile ranks of each column in (0, 1), ties by average rank."""
  return np.stack(
    [Column.sort(column).percentiles() for column in scores.T], axis=1
  )


def correlate_ranks(
  scores: Float[np.ndarray, "P M"],
) -> Float[np.ndarray, "M M"]:
  """[M, M] Pearson correlation of the columns' percentile ranks; none constant."""
  centred = percentile_ranks(scores) - 0.5
  products = centred.T @ centred
  spread = np.sqrt(np.diag(products))
  correlation = products / np.outer(spread, spread)
  np.fill_diagonal(correlation, 1.0)
  return np.clip(correlation, -1.0, 1.0)


def mean_pair(matrix: Float[np.ndarray, "M M"]) -> float:
  """Mean of the entries off the diagonal of a symmetric matrix."""
  return float(matrix[np.triu_indices(len(matrix), 1)].mean())


def resample_discordance(
  columns: Sequence[Column], weights: Float[np.ndarray, "P B"]
) -> Float[np.ndarray, " B"]:
  """[B] one minus the mean rank correlation, under each set of weights.

  Ranks are taken anew in each resample: a member drawn three times counts as
  three that tie. Ranks of the whole table, only weighted anew, would be
  cheaper and would leave out that ranks are estimated too.

  Args:
    columns: M columns of P members each.
    weights: [P, B] how often each member was drawn in each of B resamples.

  Returns:
    [B] discordances; NaN where a column is constant in the resample.
  """
  total = weights.sum(axis=0)
  sum_PB = np.zeros_like(weights)
  for column in columns:
    below = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights[column.order], axis=0, out=below[1:])
    below = below[column.bounds]
    centred_PB = ((below[1:] + below[:-1]) / (2 * total) - 0.5)[column.group]
    squares = np.einsum("pb,pb,pb->b", weights, centred_PB, centred_PB)
    # A constant column's are rounding errors; others reach at least a sixth.
    squares[squares < 1e-9] = np.nan
    centred_PB /= np.sqrt(squares)
    sum_PB += centred_PB
  # The sum of all entries of the correlation matrix is a square, whence the
  # bound of D as well; and it costs M products in place of M (M - 1) / 2.
  entries = np.einsum("pb,pb,pb->b", weights, sum_PB, sum_PB)
  size = len(columns)
  return 1 - (entries - size) / (size * (size - 1))


def correlation_influence(
  columns: Sequence[Column],
) -> tuple[Float[np.ndarray, "M M"], Float[np.ndarray, "P M M"]]:
  """Rank correlations, and what each member contributes to them.

  The influence of member p is the derivative of the correlation by p's weight;
  it includes what p changes in the ranks of others. The mean over members is
  zero, and the standard deviation over sqrt(P) is the correlation's standard
  error over members.

  Args:
    columns: M columns, none constant.

  Returns:
    [M, M] correlations and [P, M, M] influences.

  Reference: Borkowf (2002), "Computing the nonnull asymptotic variance and the
    asymptotic relative efficiency of Spearman's rank correlation"; Hampel
    (1974) for influence functions.
  """
  z_MP = np.stack([column.percentiles() - 0.5 for column in columns])
  size, num_members = z_MP.shape
  products_MM = z_MP @ z_MP.T / num_members
  above_MMP = np.stack(
    [np.stack([column.above(z) for z in z_MP]) for column in columns]
  )
  above_MMP -= above_MMP.mean(axis=2, keepdims=True)
  spread_M = np.sqrt(np.diag(products_MM))
  influence = np.empty((num_members, size, size))
  for j in range(size):
    for k in range(size):
      influence[:, j, k] = (
        z_MP[j] * z_MP[k]
        - products_MM[j, k]
        + above_MMP[j, k]
        + above_MMP[k, j]
      ) / (spread_M[j] * spread_M[k])
  correlation = products_MM / np.outer(spread_M, spread_M)
  own = np.einsum("pjj->pj", influence).copy()
  influence -= correlation * (own[:, :, None] + own[:, None, :]) / 2
  return correlation, influence


def mean_pairs(
  matrices: Float[np.ndarray, "P M M"],
) -> Float[np.ndarray, " P"]:
  """[P] mean of the entries off the diagonal of each matrix."""
  size = matrices.shape[1]
  diagonal = np.einsum("pjj->p", matrices)
  return (matrices.sum(axis=(1, 2)) - diagonal) / (size * (size - 1))


def mean_prompts(
  table: Float[np.ndarray, "P Q"], is_in: Bool[np.ndarray, "Q C"]
) -> Float[np.ndarray, "P C"]:
  """[P, C] mean scores on subsets of the prompts, with ties intact."""
  return score_tables.restore_ties(table @ (is_in / is_in.sum(axis=0)))
