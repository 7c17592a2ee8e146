"""Populations: which members are drawn around a base.

Sampling is prefix-stable: member i depends on the root seed and i alone, so a
population can be enlarged later and its first members stay the same. Seeds
within a population are unique by construction.

Reference: Gan and Isola (2026), arXiv:2603.12228, Algorithm 1.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from thickets import noise
from thickets.errors import UserError
from thickets.members import Member
from thickets.perturbation import Gaussian, Kind

# What float32 holds with all of its digits; smaller numbers are read as zero.
_SMALLEST = float(np.finfo(np.float32).tiny)
_LARGEST = float(np.finfo(np.float32).max)
# Purposes of the random words; changing one changes every population.
_INDEPENDENT, _BALANCED = 1, 2
_SEED_ROUNDS = (3, 4, 5, 6)
_DERIVED = 7


def sample_members(
  seed: int,
  num_members: int,
  sigmas: Sequence[float],
  *,
  design: Callable[..., Int[np.ndarray, " P"]] | None = None,
) -> list[Member]:
  """Samples the first members of the population that `seed` stands for.

  Args:
    seed: root seed within [0, 2**32).
    num_members: N, at least one.
    sigmas: the set of standard deviations, each 0 or positive in float32.
    design: which sigma each member gets, `independent` by default (as in the
      authors' code), or `balanced`.

  Returns:
    N members with unique seeds; a larger N appends to a smaller one's list.

  Raises:
    ValueError: if an argument is out of range.
  """
  _check_population(seed, num_members, sigmas)
  design = independent if design is None else design
  seeds = _permute(np.arange(num_members, dtype=np.uint32), seed)
  levels = design(seed, num_members, len(sigmas))
  return [
    Member(seed=int(member_seed), sigma=float(sigmas[level]))
    for member_seed, level in zip(seeds, levels, strict=True)
  ]


def independent(
  seed: int, num_members: int, num_levels: int
) -> Int[np.ndarray, " P"]:
  """[P] levels drawn independently and uniformly for each member."""
  words = _random_words(seed, np.arange(num_members), purpose=_INDEPENDENT)
  # The high half of a 32 x 32 bit product: uniform to one part in 2**32.
  products = words.astype(np.uint64) * np.uint64(num_levels)
  return (products >> np.uint64(32)).astype(np.int64)


def balanced(
  seed: int, num_members: int, num_levels: int
) -> Int[np.ndarray, " P"]:
  """[P] levels such that each run of `num_levels` members has every level once.

  Counts of two levels differ by at most one in any prefix.
  """
  num_blocks = math.ceil(num_members / num_levels)
  words = _random_words(
    seed, np.arange(num_blocks * num_levels), purpose=_BALANCED
  )
  order = np.argsort(
    words.reshape(num_blocks, num_levels), axis=1, kind="stable"
  )
  return order.reshape(-1)[:num_members]


def derive_seed(seed: int, index: int) -> int:
  """Returns the root seed of one of several populations of a run.

  Args:
    seed: root seed of the run, within [0, 2**32).
    index: which of its populations, within [0, 2**32).
  """
  return int(_random_words(seed, np.array([index]), purpose=_DERIVED)[0])


DESIGNS = {"independent": independent, "balanced": balanced}


@dataclasses.dataclass(frozen=True)
class PopulationSpec:
  """Which members a population has.

  Attributes:
    size: N, the number of members.
    sigmas: the set of standard deviations, in the weights' own units.
    seed: root seed of the members' seeds and sigmas, within [0, 2**32).
    design: how sigmas are spread over members, a key of `DESIGNS`.
    kind: how noise is drawn, and for which tensors.
    chunk: members to a chunk; None finds it from memory.

  Raises:
    UserError: if a value is out of range.
  """

  size: int
  sigmas: tuple[float, ...]
  seed: int
  design: str = "independent"
  kind: Kind = dataclasses.field(default_factory=Gaussian)
  chunk: int | None = None

  def __post_init__(self):
    try:
      _check_population(self.seed, self.size, self.sigmas)
    except ValueError as error:
      raise UserError(f"population: {error}") from error
    if self.design not in DESIGNS:
      raise UserError(
        f"population.design must be one of {sorted(DESIGNS)}, got"
        f" {self.design!r}."
      )
    if self.chunk is not None and self.chunk < 1:
      raise UserError(f"population.chunk must be at least 1, got {self.chunk}.")

  def sample(self) -> list[Member]:
    """The members, in the order of drawing."""
    return sample_members(
      self.seed,
      self.size,
      self.sigmas,
      design=DESIGNS[self.design],
    )

  def describe(self) -> dict[str, Any]:
    """What all sizes of this population have in common, as JSON values."""
    return {
      "seed": self.seed,
      "sigmas": list(self.sigmas),
      "design": self.design,
    }


def _check_population(seed, num_members, sigmas):
  if not 0 <= seed < 2**32:
    raise ValueError(f"seed must be within [0, 2**32), got {seed}.")
  if not 1 <= num_members <= 2**32:
    raise ValueError(
      f"num_members must be at least 1 and at most 2**32, got {num_members}."
    )
  if not sigmas:
    raise ValueError("sigmas must hold at least one value, got none.")
  for sigma in sigmas:
    if not (sigma == 0 or _SMALLEST <= sigma <= _LARGEST):
      raise ValueError(
        f"sigmas must be 0 or within float32's {_SMALLEST:.2g} to"
        f" {_LARGEST:.2g}, got {sigma}. A member's mirror image is"
        " Member.antithetic."
      )


def _permute(index: np.ndarray, seed: int) -> np.ndarray:
  """A keyed permutation of the 32-bit integers: distinct in, distinct out."""
  left, right = index >> np.uint32(16), index & np.uint32(0xFFFF)
  for purpose in _SEED_ROUNDS:  # Feistel rounds over the 16-bit halves.
    mixed = _random_words(seed, right, purpose=purpose) >> np.uint32(16)
    left, right = right, left ^ mixed
  return (left << np.uint32(16)) | right


def _random_words(seed: int, index: np.ndarray, *, purpose: int) -> np.ndarray:
  """Uniform 32-bit words addressed by (seed, purpose, index)."""
  index = np.asarray(index, np.uint32)
  key = (np.uint32(seed), np.uint32(purpose))
  return noise.threefry2x32(key, (np.zeros_like(index), index))[0]
