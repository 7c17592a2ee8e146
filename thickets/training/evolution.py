"""Evolution strategies: many small populations, each of which moves the base.

A step draws members around the current weights, scores them, and moves the weights
along the members' noise, by how far each score lies above the mean:

    w' = w + alpha / P * sum_p z_p * direction_p,  z_p = (score_p - mean) / std.

There is no division by sigma, as in the paper's baseline. What a step adds is a
`Member`: (seed, coefficient) terms, summed in float32 and added once. So the list
of these updates is a run's provenance, from which `replay` makes its weights again.

References: Salimans et al. (2017), arXiv:1703.03864; Gan and Isola (2026),
  arXiv:2603.12228, whose settings are those of VsonicV/es-fine-tuning-paper.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thickets.members import Member
from thickets.naming import Names, Params
from thickets.perturbation import Gaussian, Kind, find_targets, shift
from thickets.search import population
from thickets.training import spec_checks

_SMALL = (
  1e-8  # Added to the standard deviation of scores, as in the paper's code.
)


@dataclasses.dataclass(frozen=True)
class EvolutionSpec:
  """How members of a step are drawn, and how far the weights move.

  Attributes:
    size: P, members of a step.
    sigma: standard deviation of their noise, in the weights' own units.
    alpha: how far a step goes, in the same units.
    seed: root seed of all steps, within [0, 2**32).
    is_antithetic: whether every second member is the mirror image of the one
      before it; P is even then.
    kind: how noise is drawn, and for which tensors.

  Raises:
    SpecError: if a value is out of range.
  """

  size: int
  sigma: float
  alpha: float
  seed: int
  is_antithetic: bool = False
  kind: Kind = dataclasses.field(default_factory=Gaussian)

  def __post_init__(self):
    tiny = float(np.finfo(np.float32).tiny)
    problems = [
      # The score of a single member has nothing to be compared with.
      *spec_checks.check_range("population.size", self.size, 2, 2**31),
      *spec_checks.check_range("population.sigma", self.sigma, tiny, 1e30),
      *spec_checks.check_range("evolution.alpha", self.alpha, tiny, 1e30),
      *spec_checks.check_range("seed", self.seed, 0, 2**32 - 1),
    ]
    if self.is_antithetic and self.size % 2:
      problems.append(
        "population.size must be even where population.antithetic is true, since"
        f" members come in pairs, got {self.size}."
      )
    spec_checks.raise_problems(problems)

  def describe(self) -> dict[str, Any]:
    """What the scores of a step depend on beside its members, as JSON values."""
    return {
      "name": "evolution",
      "size": self.size,
      "alpha": self.alpha,
      "antithetic": self.is_antithetic,
    }

  def draw_members(self, step: int) -> list[Member]:
    """Draws the [P] members of a step, which depend on the seed and the step."""
    count = self.size // 2 if self.is_antithetic else self.size
    root = population.derive_seed(self.seed, step)
    drawn = population.sample_members(root, count, (self.sigma,))
    if not self.is_antithetic:
      return drawn
    return [one for member in drawn for one in (member, member.antithetic)]

  def make_update(
    self, members: Sequence[Member], scores: Float[np.ndarray, " P"]
  ) -> Member:
    """Returns what a step adds to the weights, in terms of their noise.

    Members of one seed, as mirror images are, share a term.

    Args:
      members: [P] the members of the step.
      scores: [P] their scores, higher is better; not finite where one failed.

    Returns:
      The terms; none where all scores are alike, so that nothing moves.
    """
    standardised = standardise_scores(scores)
    if not standardised.any():
      return Member((), ())
    terms: dict[int, float] = {}
    for member, z in zip(members, standardised, strict=True):
      for seed, sigma in member.terms:
        step = self.alpha / self.size * float(z) * sigma / self.sigma
        terms[seed] = terms.get(seed, 0.0) + step
    if not any(terms.values()):  # Mirror images that score alike cancel out.
      return Member((), ())
    return Member(tuple(terms), tuple(terms.values()))


def standardise_scores(
  scores: Float[np.ndarray, " P"],
) -> Float[np.ndarray, " P"]:
  """Returns how many standard deviations each score lies above the mean.

  A failed member counts as one that reached the lowest score of those that did
  not fail. Where all scores are alike, all are 0, and never NaN.

  Args:
    scores: [P] higher is better; not finite where a member failed.
  """
  is_finite = np.isfinite(scores)
  if not is_finite.any():
    return np.zeros(len(scores))
  filled = np.where(is_finite, scores, scores[is_finite].min())
  if np.ptp(filled) == 0:  # Exactly: their mean may differ by its rounding.
    return np.zeros(len(scores))
  filled = filled.astype(np.float64)
  return (filled - filled.mean()) / (filled.std() + _SMALL)


def widen(base: Params) -> Params:
  """Returns weights in float32, as steps add to them; float64 stays as it is."""

  def widen_leaf(leaf):
    leaf = jnp.asarray(leaf)
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      return leaf
    return leaf if leaf.dtype == jnp.float64 else leaf.astype(jnp.float32)

  return jax.tree.map(widen_leaf, base)


def narrow(weights: Params, base: Params) -> Params:
  """Rounds weights to the dtypes of the base, in which they answer."""
  return jax.tree.map(
    lambda leaf, like: leaf.astype(jnp.result_type(like)), weights, base
  )


def replay(
  base: Params,
  updates: Iterable[Member],
  kind: Kind,
  names: Names | None = None,
) -> Params:
  """Makes the weights of a finished run again, bit for bit.

  Args:
    base: the weights that the run started from.
    updates: the update of each step; one without terms moves nothing.
    kind: how noise is drawn.
    names: the logical names of the base's tensors, those of its paths by default.

  Returns:
    The weights in float32; `narrow` rounds them to the base's dtypes.
  """
  targets = find_targets(base, kind, names)
  weights = widen(base)
  for update in updates:
    weights = shift(weights, targets, update, kind)
  return weights
