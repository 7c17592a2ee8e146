"""How much the answers of randomly drawn members vary from draw to draw.

The members of a control ("K random members") are a sample, as the prompts are. An
interval over prompts alone takes these very members as given, and says too much of
what K others would reach. Here several sets of K are drawn from the members that
answered, with replacement, and each set votes anew: the variance between sets is
that over members. A set that is drawn so holds members twice, which lowers what its
vote reaches but not by much what that varies; so the variance is used, and the
estimate stays that of the members themselves.

Both variances are added. What a member and a prompt have only together is in both,
so that the interval is a little too wide.

Reference: Owen (2007), "The pigeonhole bootstrap", for two-way resampling and the
  interaction that it counts twice.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float
from scipy import stats

from thickets.analysis.intervals import Estimate
from thickets.search import answers, ensemble
from thickets.search.answers import Answers


@dataclasses.dataclass(frozen=True)
class RandomVotes:
  """What sets of as many members as answered reach, drawn from these.

  Attributes:
    vote: [D, K] share of prompts that the vote of the first k of each of D drawn
      sets has right.
    passed: [D, K] share of prompts that one of the first k has right at least.
    num_members: K, number of members that answered.
  """

  vote: Float[np.ndarray, "D K"]
  passed: Float[np.ndarray, "D K"]
  num_members: int

  def widen_vote(self, found: Estimate, k: int) -> Estimate:
    """An estimate that the vote of k random members is part of, over both."""
    return self._widen(found, self.vote[:, k - 1])

  def widen_passed(self, found: Estimate, k: int) -> Estimate:
    """An estimate of what one of k random members has right, over both."""
    return self._widen(found, self.passed[:, k - 1])

  def _widen(self, found: Estimate, drawn: Float[np.ndarray, " D"]) -> Estimate:
    if self.num_members < 2:
      return found  # One member says nothing of others.
    # K drawn out of K vary less than K drawn out of all, by one in K.
    unbiased = self.num_members / (self.num_members - 1)
    error = math.sqrt(float(np.var(drawn)) * unbiased)
    return widen(found, error, self.num_members)


def draw_votes(
  random: Answers, *, num_draws: int = 200, seed: int = 0
) -> RandomVotes:
  """Lets sets of members vote that are drawn from those that answered.

  Args:
    random: [K, Q] answers of members that nobody chose.
    num_draws: number of sets of K members that are drawn, with replacement.
    seed: the seed of the draws.
  """
  codes_QK, _ = ensemble.encode_votes(random.vote.T.tolist())
  right_QK = random.lenient.T
  num_members = right_QK.shape[1]
  rng = np.random.default_rng(seed)
  vote, passed = [], []
  for _ in range(num_draws):
    drawn = rng.integers(0, num_members, num_members)
    codes, right = codes_QK[:, drawn], right_QK[:, drawn]
    winners = ensemble.majority_vote_prefixes(codes)
    vote.append(answers.judge_winners(winners, codes, right).mean(axis=0))
    passed.append(np.logical_or.accumulate(right, axis=1).mean(axis=0))
  return RandomVotes(np.stack(vote), np.stack(passed), num_members)


def widen_mean(
  found: Estimate, values: Float[np.ndarray, " K"], *, reach: float = 1.0
) -> Estimate:
  """A mean over members and prompts with an interval over both.

  Args:
    found: the mean, with its interval over prompts.
    values: [K] the mean over prompts of each member; NaN marks a failed one,
      which is left out.
    reach: largest value that is possible; its negative is the least one.
  """
  values = values[np.isfinite(values)]
  if len(values) < 2:
    return found
  error = float(values.std(ddof=1)) / math.sqrt(len(values))
  return widen(found, error, len(values), reach=reach)


def widen(
  found: Estimate, error: float, num_members: int, *, reach: float = 1.0
) -> Estimate:
  """Adds the standard error over members to an interval over prompts.

  The distances to the ends add as independent ones do, those over members with
  Student's quantile.

  Args:
    found: an estimate with its interval over prompts.
    error: standard error over members.
    num_members: number of members that it was estimated from, at least 2.
    reach: largest value that is possible; its negative is the least one.
  """
  half = float(stats.t.ppf(0.975, num_members - 1)) * error
  low = found.value - math.hypot(found.value - found.low, half)
  high = found.value + math.hypot(found.high - found.value, half)
  over = f"{found.over} and members"
  return Estimate(found.value, max(low, -reach), min(high, reach), over)
