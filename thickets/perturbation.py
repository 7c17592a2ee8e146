"""Perturbation: the weights of a member, rebuilt from the base.

A member is a few (seed, coefficient) terms; its weights are

    w' = cast(w + sum_r coefficient_r * direction(seed_r, name of w)),

summed in float32 and rounded once to the dtype of w. They are rebuilt from the
pristine base whenever they are needed and never stored.

Reference: Gan and Isola (2026), arXiv:2603.12228, eq. 3.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float32, UInt32

from thickets import errors, grouping, naming, noise
from thickets.errors import UserError
from thickets.members import Member, MemberArrays
from thickets.naming import Names, Params


@dataclasses.dataclass(frozen=True)
class Kind:
  """How noise is drawn, and for which parameters; subclass and register.

  Attributes:
    is_elementwise: whether what is drawn for a weight depends on its place in the
      flattened tensor alone, not on the tensor's shape or values.
    include: `fnmatch` patterns over logical names; a tensor takes part if one
      matches.
    exclude: patterns of tensors that do not.
  """

  name: ClassVar[str] = ""
  is_elementwise: ClassVar[bool] = False

  include: Sequence[str] = ("*",)
  exclude: Sequence[str] = ()

  def __init_subclass__(cls, **kwargs):
    super().__init_subclass__(**kwargs)
    # Another direction need not have what is said of the one it replaces.
    if "direction" in vars(cls) and "is_elementwise" not in vars(cls):
      cls.is_elementwise = False

  def __post_init__(self):
    for field in ("include", "exclude"):
      patterns = getattr(self, field)
      if isinstance(patterns, str) or not all(
        isinstance(pattern, str) for pattern in patterns
      ):
        raise ValueError(
          f"{field} must be a sequence of patterns, got {patterns!r}. Write"
          f" {field}=('layers.*',)."
        )
      object.__setattr__(self, field, tuple(patterns))

  def direction(
    self,
    seed: UInt32[Array, ""],
    name_hash: UInt32[Array, ""],
    weight: Float32[Array, "..."],
  ) -> Float32[Array, "..."]:
    """Draws what a coefficient of one adds to one logical tensor."""
    raise TypeError(
      f"Kind {self.name or type(self).__name__} has no direction."
    )

  def to_json(self) -> dict[str, Any]:
    """A JSON object from which `kind_from_json` makes this kind again."""
    fields = {
      key: list(value) if isinstance(value, tuple) else value
      for key, value in dataclasses.asdict(self).items()
    }
    return {"name": self.name, **fields}


_KINDS: dict[str, type[Kind]] = {}


def register_kind(name: str) -> Callable[[type[Kind]], type[Kind]]:
  """Class decorator that makes a kind known by `name` in configs and files."""

  def register(kind: type[Kind]) -> type[Kind]:
    if name in _KINDS:
      raise ValueError(f"A kind named {name!r} is registered already.")
    kind.name = name
    _KINDS[name] = kind
    return kind

  return register


def kind_names() -> tuple[str, ...]:
  """The names of all registered kinds."""
  return tuple(sorted(_KINDS))


def kind_from_json(fields: dict[str, Any]) -> Kind:
  """Makes a kind from its JSON object.

  Raises:
    ValueError: if the name or a field is unknown.
  """
  fields = dict(fields)
  name = fields.pop("name", None)
  if name not in _KINDS:
    raise ValueError(
      f"kind must be one of {list(kind_names())}, got {name!r}. Nearest:"
      f" {errors.nearest(str(name), kind_names())}."
    )
  known = {field.name for field in dataclasses.fields(_KINDS[name])}
  if unknown := sorted(set(fields) - known):
    raise ValueError(
      f"Kind {name!r} takes {sorted(known)}, got {unknown} as well."
    )
  as_tuples = {
    key: tuple(value) if isinstance(value, list) else value
    for key, value in fields.items()
  }
  return _KINDS[name](**as_tuples)


@register_kind("gaussian")
@dataclasses.dataclass(frozen=True)
class Gaussian(Kind):
  """Independent N(0, 1) noise for every weight of every tensor (eq. 3)."""

  is_elementwise: ClassVar[bool] = True

  def direction(self, seed, name_hash, weight):
    """Draws noise of the shape of `weight`, whatever its values."""
    return noise.gaussian(seed, name_hash, weight.shape)


def perturb(
  base: Params,
  member: Member | MemberArrays,
  *,
  kind: Kind | None = None,
  names: Names | None = None,
  together: bool = False,
) -> Params:
  """Returns the weights of one member of the neighbourhood of `base`.

  Pure, and traceable in `base` and `member`. The result's bits depend on the
  base, the member, the kind and the logical names alone: not on jit, vmap,
  sharding, stacking, or which other tensors the tree holds. Coefficients are
  rounded to 12 significant bits (a relative change of at most 1.3e-4), which is
  what makes this possible; see `noise.round12`.

  Args:
    base: nested dict of arrays; integer leaves are returned as they are.
    member: the terms to add, or their arrays [R]; without terms the result is
      the base.
    kind: how noise is drawn and for which tensors; `Gaussian()` by default.
    names: the tree of logical names, `naming.tensor_names(base)` by default.
    together: as `shift` takes it.

  Returns:
    A tree like `base`; weights whose noise is zero keep their very bits.

  Raises:
    ValueError: if a filter pattern of the kind matches nothing, or names do not
      fit the tree.
    TypeError: if a leaf is complex.
  """
  kind = Gaussian() if kind is None else kind
  targets = find_targets(base, kind, names)
  return shift(base, targets, member, kind, together=together)


class Target(NamedTuple):
  """Where a leaf gets its noise from; both arrays are shaped like its stack.

  Attributes:
    hashes: the hash of each slice's logical name.
    takes_part: whether the slice takes part.
  """

  hashes: UInt32[Any, "..."]
  takes_part: Bool[Any, "..."]


def find_targets(base: Params, kind: Kind, names: Names | None = None) -> Any:
  """What `shift` needs to know of each leaf of a base.

  Args:
    base: nested dict of arrays; only their shapes and dtypes count.
    kind: which tensors take part.
    names: the tree of logical names, `naming.tensor_names(base)` by default.

  Returns:
    A tree like `base` with a `Target` of NumPy arrays at every leaf, None where
    no slice takes part.

  Raises:
    ValueError: as `perturb`.
    TypeError: if a leaf is complex.
  """
  pairs = naming.named_leaves(base, names)
  hash_names = np.vectorize(noise.hash_name, otypes=[np.uint32])
  targets = [
    Target(hash_names(naming.slice_names(template, leaf)), mask)
    if mask.any()
    else None
    for (template, leaf), mask in zip(
      pairs, find_participants(kind, pairs), strict=True
    )
  ]
  return jax.tree.unflatten(jax.tree.structure(base), targets)


def shift(
  weights: Params,
  targets: Any,
  member: Member | MemberArrays,
  kind: Kind,
  *,
  together: bool = False,
) -> Params:
  """Adds a member's terms to weights, or to a part of them.

  Args:
    weights: nested dict of arrays.
    targets: the tree from `find_targets`, or the part of it that belongs to
      these weights; where leaves are sliced along their first stacking axis, so
      are the arrays of their targets.
    member: the terms to add, or their arrays [R].
    kind: how noise is drawn.
    together: whether small tensors that are alike are moved in one loop, which
      compiles sooner. Only for weights that are whole on each device: tensors that
      are divided in different ways would be gathered.

  Returns:
    A tree like `weights`, with the bits that `perturb` gives the whole.
  """
  arrays = member.arrays if isinstance(member, Member) else member
  if arrays[0].shape[0] == 0:
    return weights

  leaves, structure = jax.tree.flatten(weights)
  of_leaves = structure.flatten_up_to(targets)
  places = [i for i, target in enumerate(of_leaves) if target is not None]
  parts = [(jnp.asarray(leaves[i]), *of_leaves[i]) for i in places]

  def move(*part) -> jax.Array:
    return _shift_leaf(kind, *part, *arrays)

  if together:
    moved = grouping.map_alike(move, parts, is_elementwise=kind.is_elementwise)
  else:
    moved = [move(*part) for part in parts]
  for place, leaf in zip(places, moved, strict=True):
    leaves[place] = leaf
  return jax.tree.unflatten(structure, leaves)


def describe_kind(
  base: Params, kind: Kind, names: Names | None = None
) -> dict[str, int]:
  """Counts the tensors and weights of `base` and those that take part.

  Logs how many tensors each pattern of the kind matches.

  Returns:
    `num_tensors`, `num_weights`, `num_perturbed_tensors` and
    `num_perturbed_weights`.
  """
  pairs = naming.named_leaves(base, names)
  counts = {
    "num_tensors": 0,
    "num_weights": 0,
    "num_perturbed_tensors": 0,
    "num_perturbed_weights": 0,
  }
  taking_part = find_participants(kind, pairs)
  slices = _perturbable_slices(pairs)
  naming.log_matches(
    _join_names(slices), tuple(kind.include), tuple(kind.exclude)
  )
  for (template, leaf), mask in zip(pairs, taking_part, strict=True):
    counts["num_tensors"] += naming.slice_names(template, leaf).size
    counts["num_weights"] += int(np.size(leaf))
    counts["num_perturbed_tensors"] += int(mask.sum())
    counts["num_perturbed_weights"] += (
      int(np.size(leaf)) // max(mask.size, 1) * int(mask.sum())
    )
  return counts


def find_participants(kind: Kind, pairs) -> list[np.ndarray]:
  """For each leaf, which of its slices take part, shaped like its stack."""
  slices = _perturbable_slices(pairs)
  every_name = _join_names(slices)
  if not every_name:
    raise UserError(
      "The base must have a tensor of floating-point numbers to perturb, got"
      f" {[template for template, _ in pairs]}."
    )
  chosen = naming.select_names(every_name, kind.include, kind.exclude)
  is_chosen = np.vectorize(chosen.__contains__, otypes=[np.bool_])
  return [is_chosen(names) for names in slices]


def _perturbable_slices(pairs) -> list[np.ndarray]:
  """The names of each leaf's slices; none where its dtype cannot be perturbed."""
  return [
    naming.slice_names(template, leaf)
    if _is_perturbable(template, leaf)
    else np.array([], str)
    for template, leaf in pairs
  ]


def _join_names(slices: Sequence[np.ndarray]) -> tuple[str, ...]:
  return tuple(name for names in slices for name in names.reshape(-1))


def _is_perturbable(template: str, leaf: Any) -> bool:
  dtype = jnp.result_type(leaf)
  if jnp.issubdtype(dtype, jnp.complexfloating):
    raise TypeError(f"Tensor {template!r} must be real, got {dtype}.")
  return jnp.issubdtype(dtype, jnp.floating)


@functools.partial(jax.jit, static_argnums=0)
def _shift_leaf(kind, leaf, hashes, mask, seeds_R, coefficients_R):
  """Adds the terms to every slice of a leaf that takes part."""

  def shift(part: tuple[Any, Any, Any]) -> Array:
    return _shift_tensor(kind, *part, seeds_R, coefficients_R)

  # Slice by slice: a compiler may hold the noise of all that is mapped at once.
  # A layer's experts are, since a loop over them could not be divided over
  # devices; together they are as large as an embedding.
  shift_slice = shift
  for _ in range(hashes.ndim - 1):
    shift_slice = jax.vmap(shift_slice)
  parts = leaf, hashes, mask
  if hashes.shape[:1] <= (1,):  # A stack of one needs no loop.
    return jax.vmap(shift_slice)(parts) if hashes.ndim else shift(parts)
  if leaf.dtype.itemsize != 2:
    return lax.map(shift_slice, parts)
  return lax.platform_dependent(
    *parts,
    cpu=functools.partial(_map_as_bits, shift_slice),
    default=lambda *parts: lax.map(shift_slice, parts),
  )


def _map_as_bits(shift, leaf, hashes, mask):
  """Maps slices of 16-bit floats, which are bits outside of the function.

  CPUs emulate such floats, and XLA would hold a whole stack of them in float32
  around the loop. On TPUs bits would be a second copy of the stack.
  """

  def shift_bits(part):
    bits, *others = part
    weight = lax.bitcast_convert_type(bits, leaf.dtype)
    moved = shift((weight, *others))
    return lax.bitcast_convert_type(moved, jnp.uint16)

  bits = lax.bitcast_convert_type(leaf, jnp.uint16)
  moved = lax.map(shift_bits, (bits, hashes, mask))
  return lax.bitcast_convert_type(moved, leaf.dtype)


def _shift_tensor(kind, weight, name_hash, takes_part, seeds_R, coefficients_R):
  # What is narrower than float32 is added in float32, float64 in float64.
  is_double = weight.dtype == jnp.float64
  wide = weight.astype(jnp.float64 if is_double else jnp.float32)

  def term(seed, coefficient):
    direction = kind.direction(seed, name_hash, wide.astype(jnp.float32))
    return noise.round12(coefficient) * noise.round12(direction)

  if seeds_R.shape[0] == 1:
    shift = term(seeds_R[0], coefficients_R[0])
  else:
    # Products are exact, so this sum has the same bits however it is compiled.
    shift, _ = lax.scan(
      lambda total, pair: (total + term(*pair), None),
      jnp.zeros(weight.shape, jnp.float32),
      (seeds_R, coefficients_R),
    )
  moved = (wide + shift.astype(wide.dtype)).astype(weight.dtype)
  # Adding +0 to -0 would give +0; a weight without noise keeps its bits.
  return jnp.where(takes_part & (shift != 0), moved, weight)
