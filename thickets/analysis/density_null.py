"""Two checks beside a density: what half the prompts confirm, and pure noise."""

import numpy as np
from jaxtyping import Float, Int

_BLOCK = 1_000_000  # Members times resamples that are in memory at once.
_SLACK = 1e-4  # In scores of one prompt; sums are of float32.


def measure_confirmed(
  differences: Float[np.ndarray, "P Q"],
  margins: Float[np.ndarray, " M"],
  *,
  sizes: Int[np.ndarray, " Q"],
  num_splits: int,
  rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
  """Counts the members that reach a margin twice, on disjoint prompts.

  The prompts are split at random into halves. A member is confirmed if its mean
  gain reaches the margin on one half, where it is found, and on the other, where
  it is counted.

  Args:
    differences: [P, Q] each member's score minus the base's score on each prompt,
      or its sum over each group of prompts; only members that did not fail.
    margins: [M] least gains that make an expert, in score.
    sizes: [Q] number of prompts that each column is the sum of. A column is never
      divided, so that the halves have no group in common.
    num_splits: number of splits that are averaged.
    rng: draws the splits.

  Returns:
    confirmed: [M] number of confirmed members, averaged over splits.
    repeated: [M] share of the members found on a half that reach the margin on
      the other as well; NaN where none is ever found.
  """
  num_prompts = differences.shape[1]
  first = num_prompts // 2
  order = np.argsort(rng.random((num_splits, num_prompts)), axis=1)
  is_first = order < first
  table = differences.astype(np.float32)
  halves = []
  for half in (is_first, ~is_first):
    size = (half @ sizes)[:, None]
    sums = half.astype(np.float32) @ table.T
    halves.append([sums >= size * margin - _SLACK for margin in margins])
  both = np.array(
    [np.count_nonzero(a & b) for a, b in zip(*halves, strict=True)], np.float64
  )
  either = np.array(
    [
      np.count_nonzero(a) + np.count_nonzero(b)
      for a, b in zip(*halves, strict=True)
    ],
    np.float64,
  )
  repeated = np.full(len(margins), np.nan)
  np.divide(2 * both, either, out=repeated, where=either > 0)
  return both / num_splits, repeated


def sample_null(
  differences: Float[np.ndarray, "P Q"],
  margins: Float[np.ndarray, " M"],
  *,
  num_resamples: int,
  rng: np.random.Generator,
) -> Float[np.ndarray, "B M"]:
  """Counts of members that noise alone would carry over each margin.

  The mean gain of each member is taken away, so that none is better or worse than
  the base, and its prompts are drawn anew with replacement, the same ones for all
  members: their own noise and the shift that they share both stay. A member that
  equals the base on every prompt stays at a gain of zero, and reaches margin zero.

  Args:
    differences: [P, Q] each member's score minus the base's score on each prompt,
      or `prompt_groups.mean_by_group` of it; only members that did not fail.
    margins: [M] least gains that make an expert, in score.
    num_resamples: number of sets of prompts.
    rng: draws the prompts.

  Returns:
    [B, M] number of the members whose observed gain reaches the margin.
  """
  num_members, num_prompts = differences.shape
  even = np.full(num_prompts, 1 / num_prompts)
  table = differences.astype(np.float32)
  sums = table.sum(axis=1)
  block = max(1, min(num_resamples, _BLOCK // max(num_members, 1)))
  counts = []
  for start in range(0, num_resamples, block):
    size = min(block, num_resamples - start)
    drawn = rng.multinomial(num_prompts, even, size).astype(np.float32)
    noise = drawn @ table.T - sums
    counts.append(
      [
        np.count_nonzero(noise >= num_prompts * margin - _SLACK, axis=1)
        for margin in margins
      ]
    )
  return np.concatenate(counts, axis=1).T.astype(np.float64)
