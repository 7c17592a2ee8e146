"""One model out of a searched population, without training.

Each candidate is one `Member` of many terms: its weights are the base, moved once.

* `average_members`: the mean of the weights of chosen members.
* `weigh_members`: the mean of all members' noise, weighted by their scores. It is one
  step of evolution strategies, of a length that is given.

Which candidate is kept, if any, is for prompts to say that scored no member.

Reference for the weighted step and its gate: CoRP, arXiv:2605.31494, without its
  weights for compatibility.
"""

import collections
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thickets.errors import UserError
from thickets.members import Member
from thickets.training.evolution import standardise_scores


def average_members(members: Sequence[Member]) -> Member:
  """Returns the member whose weights are the mean of those of some members.

  Averages are of the noise, in float32, and not of rounded weights.

  Args:
    members: at least one; those of one seed share a term.
  """
  return _join_terms(
    [
      (seed, coefficient / len(members))
      for member in members
      for seed, coefficient in member.terms
    ]
  )


def weigh_members(
  members: Sequence[Member], scores: Float[np.ndarray, " P"], scale: float
) -> Member:
  """Returns the member that lies along the noise of all, weighted by their scores.

  Scores are standardised among the members of one sigma, since a larger sigma
  lowers all scores alike; a failed member counts as the lowest of its sigma.

  Args:
    members: [P] the members, of one term each.
    scores: [P] their scores, higher is better; not finite where one failed.
    scale: how far from the base, where 1 is as far as the root mean square of the
      members; above 0.

  Returns:
    The terms; none where the scores of each sigma are alike.

  Raises:
    UserError: if a member has other than one term.
  """
  if any(len(member.terms) != 1 for member in members):
    raise UserError(
      "Members must be of one term each to be weighed by their scores, got one of"
      " several. Name a run of experiments.randopt."
    )
  seeds, sigmas = zip(*(member.terms[0] for member in members), strict=True)
  sizes = np.abs(np.array(sigmas))
  weights = np.zeros(len(members))
  for sigma in np.unique(sizes):
    rows = sizes == sigma
    weights[rows] = standardise_scores(np.asarray(scores)[rows])
  weights *= np.sign(sigmas)
  norm = float(np.sqrt((weights**2).sum()))
  if not norm:
    return Member((), ())
  # Independent noise of norm 1 over all members has a standard deviation of 1.
  length = scale * math.sqrt(float((sizes**2).mean())) / norm
  return _join_terms(list(zip(seeds, (length * weights).tolist(), strict=True)))


def _join_terms(terms: Sequence[tuple[int, float]]) -> Member:
  """The member of these terms, with one for each seed."""
  joined: dict[int, float] = collections.defaultdict(float)
  for seed, coefficient in terms:
    joined[seed] += coefficient
  return Member(tuple(joined), tuple(joined.values()))
