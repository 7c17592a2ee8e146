"""Where members lie: their projections on a random plane, and their distances.

A member's noise is a vector of as many numbers as there are perturbed weights.
It is drawn tensor by tensor, multiplied with two directions that are drawn
beside it, and forgotten: only sums are kept, so a population around any base
needs the memory of one tensor. Seeds, names and shapes say all; the weights are
not needed, unless the kind reads them.

Reference: Gan and Isola (2026), arXiv:2603.12228, Fig. 2.
"""

import dataclasses
import functools
import math
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from thickets import naming, noise, placement
from thickets.errors import UserError
from thickets.members import Member, stack_members
from thickets.naming import Names, Params
from thickets.perturbation import Gaussian, Kind, find_participants

# The plane's directions have streams of their own, so that none of them is the
# noise of a member, whatever its seed.
_STREAMS = (0x78, 0x79)
# Terms of one sum in float32; sums of sums are taken in float64 on the host.
_BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class Projection:
  """Members as seen on a random plane through the base.

  Attributes:
    coordinates: [P, 2] on two orthonormal directions, in the weights' units. A
      plain member's are N(0, sigma²) each, however many weights there are.
    norms: [P] distance from the base in the space of all perturbed weights,
      about sigma times the root of `num_weights`.
    num_weights: d, the number of perturbed weights.
    seed: which plane.
  """

  coordinates: Float[np.ndarray, "P 2"]
  norms: Float[np.ndarray, " P"]
  num_weights: int
  seed: int


def project_members(
  base: Params,
  members: Sequence[Member],
  *,
  seed: int,
  kind: Kind | None = None,
  names: Names | None = None,
  chunk: int = 64,
) -> Projection:
  """Projects the noise of members on a random plane.

  The plane is spanned by two Gaussian vectors over the weights that the kind
  perturbs, made orthonormal. What is projected is the noise as `perturbation.perturb`
  adds it, before the sum is rounded to the dtype of a weight. Products are
  float32, sums over more than 1024 of them float64.

  Args:
    base: nested dict of arrays or of `jax.ShapeDtypeStruct`.
    members: [P] of any number of terms each; the base lies at the origin.
    seed: the seed of the plane, within [0, 2**32).
    kind: how noise is drawn and for which tensors; `Gaussian()` by default.
    names: the tree of logical names, `naming.tensor_names(base)` by default.
    chunk: members to a call; the result depends on it in the last digits of
      float32 at most.

  Returns:
    Coordinates and distances of every member.

  Raises:
    UserError: if there are no members or fewer than two perturbed weights, the
      seed is out of range, or the kind reads weights that `base` does not hold.
  """
  kind = Gaussian() if kind is None else kind
  _check(members, seed, chunk)
  plane_sums, member_sums, num_weights = _sum_tensors(
    base, members, seed, kind, names, chunk
  )
  if num_weights < 2:
    raise UserError(
      "base must have at least two perturbed weights to have a plane, got"
      f" {num_weights}. Widen include, or narrow exclude."
    )
  return Projection(
    coordinates=_orthonormalise(plane_sums, member_sums[:, :2]),
    norms=np.sqrt(member_sums[:, 2]),
    num_weights=num_weights,
    seed=int(seed),
  )


def _sum_tensors(
  base: Params,
  members: Sequence[Member],
  seed: int,
  kind: Kind,
  names: Names | None,
  chunk: int,
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, "P 3"], int]:
  """Sums products over all weights, for the plane and for each member.

  Returns:
    The sums of the plane, those of members, and the number of weights.
  """
  stacked = stack_members(members)
  plane_sums, member_sums = np.zeros(3), np.zeros((len(members), 3))
  plane: Any = ()  # Every chunk gives the same; the last one is kept.
  num_weights = 0
  # Filters do not change what is drawn: one program for all of them.
  unfiltered = dataclasses.replace(kind, include=("*",), exclude=())
  for name, shape, read in _list_tensors(base, kind, names):
    num_weights += math.prod(shape)
    address = np.uint32(seed), noise.hash_name(name)
    weight = read() if _reads_weights(unfiltered, shape) else None
    for start in range(0, len(members), chunk):
      rows = slice(start, start + chunk)
      plane, sums_P = _sum_products(
        unfiltered,
        shape,
        *address,
        weight,
        _fill(stacked.seeds[rows], chunk),
        _fill(stacked.coefficients[rows], chunk),
      )
      member_sums[rows] += _add(sums_P)[: len(member_sums[rows])]
    plane_sums += _add(plane)
  return plane_sums, member_sums, num_weights


def relative_norm(
  base: Params,
  sigma: float | int,
  *,
  kind: Kind | None = None,
  names: Names | None = None,
) -> float:
  """The distance of a member at `sigma`, relative to the length of the weights.

  It is sigma √d / ‖θ‖ over the d weights that the kind perturbs: the root of the
  mean of ‖σε‖² for Gaussian noise. Proportional to sigma, so that one call with
  sigma 1 converts all of a model's sigmas.

  Args:
    base: nested dict of arrays.
    sigma: at least 0, in the weights' units.
    kind: says which tensors are perturbed; `Gaussian()` by default.
    names: the tree of logical names, `naming.tensor_names(base)` by default.

  Raises:
    UserError: if sigma is negative or the perturbed weights are all zero.
  """
  if not 0 <= sigma < math.inf:
    raise UserError(f"sigma must be at least 0 and finite, got {sigma}.")
  kind = Gaussian() if kind is None else kind
  num_weights, squares = 0, 0.0
  for _, shape, read in _list_tensors(base, kind, names):
    num_weights += math.prod(shape)
    # One tensor at a time: the host may be too small for a whole base.
    squares += float(np.sum(np.square(read(), dtype=np.float64)))
  if not squares > 0:
    raise UserError(
      "base must have perturbed weights that are not all zero, or no noise is"
      f" small beside them; got ‖θ‖² = {squares} over {num_weights} weights."
    )
  return sigma * math.sqrt(num_weights / squares)


def _check(members, seed, chunk) -> None:
  if not len(members):
    raise UserError("members must be at least one, got none.")
  is_integer = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
  if not is_integer or not 0 <= int(seed) < 2**32:
    raise UserError(
      f"seed of a plane must be an integer within [0, 2**32), got {seed!r}."
    )
  if chunk < 1:
    raise UserError(f"chunk must be at least 1, got {chunk}.")


def _list_tensors(base, kind, names) -> Iterator[tuple[str, tuple, Any]]:
  """(Name, shape, how to read it) of every tensor that takes part."""
  pairs = naming.named_leaves(base, names)
  masks = find_participants(kind, pairs)
  for (template, leaf), mask in zip(pairs, masks, strict=True):
    if not mask.any():
      continue
    slices = naming.slice_names(template, leaf)
    for index in np.ndindex(slices.shape):
      if mask[index]:
        yield (
          str(slices[index]),
          tuple(np.shape(leaf)[slices.ndim :]),
          functools.partial(_read, leaf, index, template),
        )


def _read(leaf, index, template) -> np.ndarray:
  if isinstance(leaf, jax.ShapeDtypeStruct):
    raise UserError(
      f"base must hold weights, got only the shape of {template!r}. Load the"
      " model, or choose a kind whose noise does not depend on the weights."
    )
  array = placement.fetch(leaf[index] if index else leaf)
  return np.asarray(array).astype(np.float32)


@functools.lru_cache(maxsize=256)
def _reads_weights(kind: Kind, shape: tuple[int, ...]) -> bool:
  """Whether the noise depends on the weights, beyond their shape."""
  word = jax.ShapeDtypeStruct((), jnp.uint32)
  weight = jax.ShapeDtypeStruct(shape, jnp.float32)
  jaxpr = jax.make_jaxpr(kind.direction)(word, word, weight).jaxpr
  used = [variable for line in jaxpr.eqns for variable in line.invars]
  return any(jaxpr.invars[2] is variable for variable in used + jaxpr.outvars)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _sum_products(kind, shape, seed, name_hash, weight, seeds_PR, sigmas_PR):
  """Inner products of one tensor's directions g, h and its members' noise e.

  Returns:
    [3, B] partial sums of gg, gh, hh, and [P, 3, B] of ge, he, ee.
  """
  g, h = (
    noise.gaussian(seed, name_hash, shape, stream=stream) for stream in _STREAMS
  )
  weight = jnp.zeros(shape, jnp.float32) if weight is None else weight

  def sum_member(member):
    e = _draw_noise(kind, name_hash, weight, *member)
    return _block_sums(g * e, h * e, e * e)

  plane = _block_sums(g * g, g * h, h * h)
  # One member after the other, so that one tensor of noise is held at a time.
  return plane, lax.map(sum_member, (seeds_PR, sigmas_PR))


def _draw_noise(kind, name_hash, weight, seeds_R, sigmas_R):
  """What a member adds to one tensor, with the bits of `perturbation.perturb`."""

  def term(seed, sigma):
    direction = kind.direction(seed, name_hash, weight)
    return noise.round12(sigma) * noise.round12(direction)

  if seeds_R.shape[0] == 1:
    return term(seeds_R[0], sigmas_R[0])
  total, _ = lax.scan(
    lambda total, pair: (total + term(*pair), None),
    jnp.zeros(weight.shape, jnp.float32),
    (seeds_R, sigmas_R),
  )
  return total


def _block_sums(*products):
  """[3, B] sums of each array's elements, at most `_BLOCK` to a sum."""
  size = products[0].size
  num_blocks = max(1, -(-size // _BLOCK))
  length = -(-size // num_blocks)
  padding = (0, length * num_blocks - size)
  # Along the first axis, where a CPU adds many sums at once.
  return jnp.stack(
    [
      jnp.pad(x.reshape(-1), padding).reshape(length, num_blocks).sum(axis=0)
      for x in products
    ]
  )


def _add(blocks) -> np.ndarray:
  return np.asarray(blocks).sum(axis=-1, dtype=np.float64)


def _fill(rows, chunk: int) -> np.ndarray:
  """Fills a chunk up with members that add nothing: one program for all."""
  missing = chunk - len(rows)
  return np.pad(rows, ((0, missing), (0, 0))) if missing else rows


def _orthonormalise(plane_sums, products_P2) -> np.ndarray:
  """Coordinates on g/‖g‖ and on the part of h across g, by Gram and Schmidt."""
  gg, gh, hh = plane_sums
  along_g, along_h = products_P2.T
  across = math.sqrt(hh - gh * gh / gg)
  return np.stack(
    [along_g / math.sqrt(gg), (along_h - gh / gg * along_g) / across], axis=1
  )
