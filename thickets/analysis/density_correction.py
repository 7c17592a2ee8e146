"""The density of experts on new prompts: sampling noise removed, and an interval.

Model. A member's gain on a prompt, over the base, is

  d_pq = g_p + u_q + v_pq,

with g_p its true gain over all prompts of the task, u_q what all members share
(the base was lucky, or the prompt is hard) and v_pq what is its own. Prompts are
drawn from the task independently. So the observed gains of the members, averaged
over Q prompts, are the true ones, all moved by one shift U of variance
tau^2 = var(u) / Q, and widened by noise of variance nu^2 = var(v) / Q. Averaged
over sets of prompts, their distribution is the true one widened by both, and both
variances can be estimated from the table, by an analysis of variance.

Estimate. The widening is undone by deconvolution: `NUM_STEPS` steps of expectation
maximisation (Richardson-Lucy) towards the distribution of gains that explains the
observed ones, from a normal start whose variance matches. Stopping early is what
regularises it; for normal gains the start is the answer.

Interval. A two-way bootstrap over members and prompts around a world whose members
have the corrected gains (each row of differences is moved as a whole, so that its
noise stays). Resampling the raw rows would add the noise once more. In each draw the
variances are estimated again and the distribution deconvolved again; there only nu^2
is removed, since the shift of the draw is the shift whose spread is asked for.

Groups. Where prompts come in groups, the columns of the table are groups: of each the
mean, weighted such that plain means over groups are those over prompts and vary as
ratios of sums do (`prompt_groups.mean_by_group`). All of the above holds of them.

References: Hesterberg (2015), "What teachers should know about the bootstrap", for
few groups; Richardson (1972) and Lucy (1974) for the iteration; Efron (2016),
"Empirical Bayes deconvolution estimates"; Rao and Wu (1988) for drawing Q - 1.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float
from scipy import special, stats

NUM_STEPS = 30
# The share of the variance between gains that is left at least when that of the
# shared shift is removed as well: a shift as wide as the gains themselves would leave
# a single step, which is unbiased but worthless.
_LEAST_LEFT = 0.2
_LEAST_SIGNAL = (
  0.02  # The least share of observed variance that counts as gains.
)
_LEAST_NOISE = 1 / 8  # In observed sd; below it, noise is not worth removing.
_ROUNDING = 1e-12  # Variance that rounding leaves, of scores of order one.
_STEP = 0.25  # The step of the grid, in sd of the noise.
_REACH = 100.0  # The reach of the grid, in sd of the noise.
_BLOCK = 1_000_000  # Members times resamples that are in memory at once.


@dataclasses.dataclass(frozen=True)
class Correction:
  """The corrected density of one group of members.

  Attributes:
    corrected: [M] share of members whose true gain reaches each margin.
    interval: [M, 2] low and high end of that share.
    joint_interval: [M, 2] its ends if several groups are looked at together.
    noise_sd: nu, the standard deviation of a member's own part of its observed
      gain, in score.
    shared_sd: tau, the standard deviation of the part that moves all members
      together, in score.
    gain_sd: standard deviation of the true gains of members that answer
      differently from the base.
  """

  corrected: Float[np.ndarray, " M"]
  interval: Float[np.ndarray, "M 2"]
  joint_interval: Float[np.ndarray, "M 2"]
  noise_sd: float
  shared_sd: float
  gain_sd: float


@dataclasses.dataclass(frozen=True)
class _Gains:
  """Distributions on grids, one for each of B draws."""

  centre: Float[np.ndarray, " B"]
  step: Float[np.ndarray, " B"]
  shares: Float[np.ndarray, "B G"]

  def share_reaching(
    self, margins: Float[np.ndarray, " M"]
  ) -> Float[np.ndarray, "B M"]:
    """[B, M] probability of at least each margin; cells are uniform inside."""
    half = self.shares.shape[1] // 2
    cells = np.arange(-half, half + 1, dtype=self.shares.dtype)
    reached = []
    for margin in margins:
      place = np.clip((margin - self.centre) / self.step, -half, half)
      inside = np.clip(cells - place[:, None] + 0.5, 0, 1)
      reached.append(np.sum(self.shares * inside, axis=1))
    return np.stack(reached, axis=1)

  def quantiles(self, levels: Float[np.ndarray, " L"]) -> np.ndarray:
    """[L] of the first distribution."""
    half = self.shares.shape[1] // 2
    below = np.concatenate([[0.0], np.cumsum(self.shares[0])])
    edges = self.centre[0] + self.step[0] * (
      np.arange(2 * half + 2) - half - 0.5
    )
    # Strictly growing, as interpolation asks; cells without mass are passed.
    below = below + 1e-12 * np.arange(len(below))
    return np.interp(levels * below[-1], below, edges)


def correct_density(
  differences: Float[np.ndarray, "P Q"],
  margins: Float[np.ndarray, " M"],
  *,
  num_failed: int,
  num_resamples: int,
  level: float,
  is_copy: Bool[np.ndarray, " P"] | None = None,
  of_groups: bool = False,
  num_sigmas: int = 1,
  rng: np.random.Generator,
) -> Correction:
  """Estimates the share of members whose true gain reaches each margin.

  Members equal to the base on every prompt are taken for no-ops: their gain is
  zero, without noise and without the shared shift, and reaches a margin of zero.

  Args:
    differences: [P, Q] score minus the base's score on each prompt, or
      `prompt_groups.mean_by_group` of it; members that did not fail.
    margins: [M] least gains that make an expert, in score.
    num_failed: number of members that failed; they reach no margin.
    num_resamples: draws of the bootstrap, at least 1.
    level: coverage of the interval, two-sided, within 0 and 1.
    is_copy: [P] whether a member equals the base on every prompt; by default,
      whether it does in every column.
    of_groups: whether columns are groups of prompts, which are few: quantiles of
      the bootstrap are then further out, by as much as Student's (Hesterberg).
    num_sigmas: number of sigmas that the joint intervals hold for together, with
      the same coverage or more (Bonferroni).
    rng: draws the bootstrap.

  Returns:
    The correction. Where fewer than two members answer differently from the
    base and are not failed, no variance can be estimated: one that does counts
    by what it reached, and the exact interval holds both that it reaches the
    margin and that it does not.
  """
  is_noop = ~np.any(differences, axis=1) if is_copy is None else is_copy
  moved = differences[~is_noop]
  num_noop, num_members = int(is_noop.sum()), len(differences) + num_failed
  atom = (margins <= 0) * (num_noop / num_members)
  levels = (level, 1 - (1 - level) / num_sigmas)
  if len(moved) < 2:
    return _count_few(moved, margins, atom, num_members, levels)
  gains, (noise, shared) = moved.mean(axis=1), _measure_noise(moved)
  spread = gains.var(ddof=1)
  left = max(spread - noise, 0.0)
  removable = min(shared, (1 - _LEAST_LEFT) * left)
  even = np.full((1, len(moved)), 1 / len(moved))
  share = len(moved) / num_members
  estimate = atom + share * _reach(
    gains[None], even, noise + removable, margins
  )
  world = _world_gains(gains, noise)
  num_groups = differences.shape[1] if of_groups else None
  draws = _resample(
    moved - (gains - world)[:, None],
    margins,
    num_noop=num_noop,
    num_failed=num_failed,
    num_resamples=num_resamples,
    rng=rng,
  )
  interval, joint = (
    _find_interval(draws, estimate, num_members, one, num_groups)
    for one in levels
  )
  return Correction(
    estimate,
    interval,
    joint,
    *(float(np.sqrt(variance)) for variance in (noise, shared, left)),
  )


def _count_few(moved, margins, atom, num_members: int, levels):
  """The correction where at most one member answers differently from the base."""
  reached = np.sum(moved.mean(axis=1)[:, None] >= margins - 1e-9, axis=0)
  least = np.rint(atom * num_members)
  interval, joint = (
    np.stack(
      [
        exact_interval(least, num_members, level)[:, 0],
        exact_interval(least + len(moved), num_members, level)[:, 1],
      ],
      axis=1,
    )
    for level in levels
  )
  return Correction(
    atom + reached / num_members, interval, joint, 0.0, 0.0, 0.0
  )


def exact_interval(
  successes: Float[np.ndarray, "..."], trials: int, level: float
) -> Float[np.ndarray, "... 2"]:
  """Clopper and Pearson's interval of a proportion, at least of its level.

  Args:
    successes: how many succeeded; a mean of shares within [0, 1], times the
      trials, is allowed and makes the interval wider than it must be.
    trials: how many there were.
    level: coverage, two-sided, within 0 and 1.

  Returns:
    Low and high end on the last axis.

  Reference: Clopper and Pearson (1934).
  """
  tail = (1 - level) / 2
  failures = trials - successes
  with np.errstate(invalid="ignore"):
    low = stats.beta.ppf(tail, successes, failures + 1)
    high = stats.beta.ppf(1 - tail, successes + 1, failures)
  low = np.where(successes <= 0, 0.0, low)
  high = np.where(failures <= 0, 1.0, high)
  return np.stack([low, high], axis=-1)


def _find_interval(
  draws, estimate, num_members: int, level: float, num_groups: int | None
):
  """[M, 2] the central range of the draws, as far as `_exact_hull` widens it."""
  tail = (1 - level) / 2
  if num_groups is not None:
    tail = special.ndtr(special.stdtrit(num_groups - 1, tail))
  interval = np.quantile(draws, [tail, 1 - tail], axis=0).T.astype(np.float64)
  return _exact_hull(interval, estimate, num_members, level)


def _exact_hull(interval, estimate, num_members: int, level: float):
  """Widens intervals to hold the estimate, and what members alone allow.

  Where no member, or each, is an expert, all resamples agree, which says
  nothing of the members that were not drawn: there the exact interval counts.
  Ends within half a member of zero or one are put there: a smooth distribution
  never quite reaches them, a share does.
  """
  low = np.minimum(interval[:, 0], estimate)
  high = np.maximum(interval[:, 1], estimate)
  low = np.where(low * num_members < 0.5, 0.0, low)
  high = np.where((1 - high) * num_members < 0.5, 1.0, high)
  count = estimate * num_members
  exact = exact_interval(np.rint(count), num_members, level)
  at_end = (count < 0.5) | (count > num_members - 0.5)
  low = np.where(at_end, np.minimum(low, exact[:, 0]), low)
  high = np.where(at_end, np.maximum(high, exact[:, 1]), high)
  return np.clip(np.stack([low, high], axis=1), 0.0, 1.0)


def _measure_noise(differences) -> tuple[float, float]:
  """Variances of the members' own noise and of the shared shift, in gains."""
  num_members, num_prompts = differences.shape
  rows, columns = differences.mean(axis=1), differences.mean(axis=0)
  rest = differences - rows[:, None] - columns + rows.mean()
  own = np.sum(rest**2) / ((num_members - 1) * (num_prompts - 1))
  shared = max(columns.var(ddof=1) - own / num_members, 0.0)
  return float(own / num_prompts), float(shared / num_prompts)


def _reach(gains, weights, noise: float, margins):
  """[M] of one population, deconvolved unless it is free of noise."""
  if noise <= _ROUNDING:
    return np.mean(gains[0][:, None] >= margins - 1e-9, axis=0)
  distribution = _deconvolve(gains, weights, np.array([noise]))
  return distribution.share_reaching(margins)[0]


def _world_gains(gains, noise: float):
  """Corrected gains, in the order of the observed ones; ties stay ties."""
  if noise <= _ROUNDING:
    return gains
  even = np.full((1, len(gains)), 1 / len(gains))
  distribution = _deconvolve(gains[None], even, np.array([noise]))
  ranks = stats.rankdata(gains) - 0.5
  return distribution.quantiles(ranks / len(gains))


def _resample(
  differences,
  margins,
  *,
  num_noop: int,
  num_failed: int,
  num_resamples: int,
  rng: np.random.Generator,
):
  """[B, M] the estimate in worlds of other members and other prompts."""
  num_moved, num_prompts = differences.shape
  num_members = num_moved + num_noop + num_failed
  table = differences.astype(np.float32)
  squares = table**2
  draws = []
  block = max(1, min(num_resamples, _BLOCK // num_members))
  for start in range(0, num_resamples, block):
    size = min(block, num_resamples - start)
    # Of Q - 1 prompts, so that the mean varies as that of Q prompts does.
    drawn = max(num_prompts - 1, 1)
    prompts = rng.multinomial(
      drawn, np.full(num_prompts, 1 / num_prompts), size
    )
    prompts = (prompts / drawn).astype(np.float32)
    place = rng.integers(0, num_members, (size, num_members))
    place += num_members * np.arange(size)[:, None]
    counts = np.bincount(place.ravel(), minlength=size * num_members)
    counts = counts.reshape(size, num_members)
    moved = counts[:, :num_moved].sum(axis=1)
    noops = counts[:, num_moved : num_moved + num_noop].sum(axis=1)
    # Even where none of them was drawn; what they reach then counts for nothing.
    members = np.where(
      moved[:, None],
      counts[:, :num_moved] / np.maximum(moved, 1)[:, None],
      1 / num_moved,
    )
    reached = _reach_drawn(
      table, squares, prompts, members.astype(np.float32), margins
    )
    reached = reached * moved[:, None] + noops[:, None] * (margins <= 0)
    draws.append(reached / num_members)
  return np.concatenate(draws)


def _reach_drawn(table, squares, prompts, members, margins):
  """[B, M] shares of drawn members, after correction on drawn prompts."""
  num_moved, num_prompts = table.shape
  gains = prompts @ table.T
  columns = members @ table
  mean = np.sum(prompts * columns, axis=1)
  # The analysis of variance of `_measure_noise`, weighted.
  own = np.sum(prompts * (members @ squares), axis=1)
  own -= np.sum(members * gains**2, axis=1)
  own -= np.sum(prompts * columns**2, axis=1) - mean**2
  own *= num_moved / (num_moved - 1) / (num_prompts - 1)
  return _deconvolve(gains, members, np.maximum(own, 0.0)).share_reaching(
    margins.astype(np.float32)
  )


def _deconvolve(gains, weights, noise) -> _Gains:
  """Distributions of gains that explain the observed ones, given the noise.

  Args:
    gains: [B, P] observed.
    weights: [B, P] of the members, with sum 1 in each row.
    noise: [B] variance of the noise in them.

  Returns:
    Distributions on grids whose step is a part of the noise.
  """
  count = gains.shape[1]
  centre = np.sum(weights * gains, axis=1)
  # Members that were not drawn take no room on the grid. Otherwise, where a draw
  # holds one member several times, its small spread would make small steps, and
  # the distance to the others would make many of them, in all draws of the block.
  offset = np.where(weights > 0, gains - centre[:, None], 0)
  spread = np.sum(weights * offset**2, axis=1) * (count / (count - 1))
  spread = np.maximum(spread, _ROUNDING)
  noise = np.clip(noise, _LEAST_NOISE**2 * spread, (1 - _LEAST_SIGNAL) * spread)
  step = _STEP * np.sqrt(noise)
  cells = np.rint(offset / step[:, None])
  reach = min(float(np.abs(cells).max()), _REACH / _STEP)
  half = int(reach) + int(4 / _STEP)
  cells = np.clip(cells, -reach, reach).astype(np.int64) + half
  width = 2 * half + 1
  cells += width * np.arange(len(gains))[:, None]
  observed = np.bincount(
    cells.ravel(), weights.ravel(), minlength=width * len(gains)
  )
  observed = observed.reshape(len(gains), width).astype(gains.dtype)
  grid = np.arange(-half, half + 1, dtype=gains.dtype) * gains.dtype.type(_STEP)
  shares = np.exp(-0.5 * grid**2 * (noise / (spread - noise))[:, None])
  shares = np.maximum(shares, 1e-12)  # No cell is ruled out from the start.
  shares /= shares.sum(axis=1, keepdims=True)
  kernel = np.exp(-0.5 * (grid[:, None] - grid) ** 2)
  kernel /= kernel.sum(axis=1).max()
  for _ in range(NUM_STEPS):
    expected = np.maximum(shares @ kernel, 1e-20)
    shares = shares * ((observed / expected) @ kernel)
    shares /= shares.sum(axis=1, keepdims=True)
  return _Gains(centre, step, shares)
