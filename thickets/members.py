"""Members: the models of the neighbourhood, as short tuples of numbers.

A member is a few (seed, coefficient) terms, from which `perturbation.perturb`
rebuilds its weights. `Member` is the record on the host, checked when it is
made; `MemberArrays` are the same terms as arrays, of one member or of many, as
compiled programs take them.

Reference: Gan and Isola (2026), arXiv:2603.12228, eq. 3.
"""

import dataclasses
import numbers
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, UInt32

_FLOAT32_MAX = float(np.finfo(np.float32).max)


class MemberArrays(NamedTuple):
  """The terms of one member, or of several, as arrays; a pytree.

  Attributes:
    seeds: [R] seeds of the R terms, or [P, R] for P members.
    coefficients: [R] or [P, R] coefficients in the weights' own units. A term
      whose coefficient is zero adds nothing.
  """

  # Arrays of NumPy or JAX, and anything else while JAX transforms a tree.
  seeds: UInt32[Any, "*P R"]
  coefficients: Float32[Any, "*P R"]


@dataclasses.dataclass(frozen=True, init=False)
class Member:
  """One model of the neighbourhood: (seed, coefficient) terms.

  `Member(seed=3, sigma=0.01)` is the plain one, one term whose coefficient is
  the standard deviation of its noise. `Member(seed=(3, 4), sigma=(0.2, -0.1))`
  has two terms, as a point of a landscape has; `Member((), ())` is the base.

  A member may be passed to functions that JAX transforms, which then see its
  `arrays`.

  Attributes:
    seed: an integer within [0, 2**32), or a tuple of one for each term.
    sigma: the coefficient of each term in the weights' own units, a number or a
      tuple of one for each term. A plain member's sigma is the standard deviation of its
      noise; its antithetic twin has the negative.

  Raises:
    ValueError: if a seed or coefficient is out of range or their numbers differ.
  """

  seed: int | tuple[int, ...]
  sigma: float | tuple[float, ...]

  def __init__(self, seed: object, sigma: object):
    # Numbers of NumPy, lists and arrays are spellings of the same.
    seeds, sigmas = _as_tuple(seed), _as_tuple(sigma)
    if len(seeds) != len(sigmas):
      raise ValueError(
        "A member must have one sigma for each seed, got"
        f" {len(seeds)} seeds and {len(sigmas)} sigmas."
      )
    for one in seeds:
      if not (_is_number(one, numbers.Integral) and 0 <= one < 2**32):
        raise ValueError(
          f"A member's seed must be an integer within [0, 2**32), got {one!r}."
        )
    for one in sigmas:
      # NaN fails the comparison; what float32 cannot hold would be infinite.
      if not (_is_number(one, numbers.Real) and abs(one) <= _FLOAT32_MAX):
        raise ValueError(
          f"A member's sigma must be finite in float32, got {one!r}."
        )
    seeds, sigmas = tuple(map(int, seeds)), tuple(map(float, sigmas))
    single = len(seeds) == 1
    object.__setattr__(self, "seed", seeds[0] if single else seeds)
    object.__setattr__(self, "sigma", sigmas[0] if single else sigmas)

  @property
  def terms(self) -> tuple[tuple[int, float], ...]:
    """The (seed, coefficient) pairs; none for the base."""
    return tuple(zip(_as_tuple(self.seed), _as_tuple(self.sigma), strict=True))

  @property
  def antithetic(self) -> "Member":
    """The mirror image of this member on the other side of the base."""
    seeds, sigmas = _as_tuple(self.seed), _as_tuple(self.sigma)
    return Member(seeds, tuple(-sigma for sigma in sigmas))

  @property
  def arrays(self) -> MemberArrays:
    """The terms as NumPy arrays [R]."""
    return MemberArrays(
      np.asarray(_as_tuple(self.seed), np.uint32),
      np.asarray(_as_tuple(self.sigma), np.float32),
    )


def _unflatten(_: None, fields: Iterable[Any]) -> Any:
  """Inside a transformed function a member is its arrays, and stays that."""
  return MemberArrays(*fields)


jax.tree_util.register_pytree_node(
  Member, lambda member: (member.arrays, None), _unflatten
)


def stack_members(members: Sequence[Member]) -> MemberArrays:
  """Stacks members into NumPy arrays [P, R].

  R is the largest number of terms; missing ones have coefficient zero, which
  adds nothing. The base alone has R = 0, and costs no noise.
  """
  num_terms = max(len(member.terms) for member in members)
  seeds_PR = np.zeros((len(members), num_terms), np.uint32)
  coefficients_PR = np.zeros((len(members), num_terms), np.float32)
  for row, member in enumerate(members):
    for column, (seed, coefficient) in enumerate(member.terms):
      seeds_PR[row, column] = seed
      coefficients_PR[row, column] = coefficient
  return MemberArrays(seeds_PR, coefficients_PR)


def _as_tuple(value: object) -> tuple[Any, ...]:
  if isinstance(value, np.ndarray):
    value = value.tolist()
  return tuple(value) if isinstance(value, tuple | list) else (value,)


def _is_number(value: object, kind: type) -> bool:
  return isinstance(value, kind) and not isinstance(value, bool)


BASE = Member((), ())
