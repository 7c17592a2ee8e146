"""Low-rank adapters: a few weights that move large matrices.

The weights of a matrix w [out, in] that is adapted are

    w' = cast(w + alpha / rank * b a),

summed in float32 and rounded once to the dtype of w, where a [rank, in] and
b [out, rank] are trained and w is not. b begins at zero, so that training begins at
the base. `peft_export` writes adapters as `peft` reads them.

Merging makes a matrix of the size of w at every step: training with adapters saves
the moments of the optimiser, and not the gradient.

Reference: Hu et al. (2021), arXiv:2106.09685.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from thickets import naming, noise
from thickets.errors import UserError
from thickets.naming import Names, Params
from thickets.training import spec_checks
from thickets.training.train import LossFn

# A nested dict like the weights, of the leaves that are adapted alone. In place of
# such a leaf, of which S slices are adapted, stands {"a": [S, rank, in],
# "b": [S, out, rank]} in float32.
Adapters = Params


@dataclasses.dataclass(frozen=True)
class LoraSpec:
  """Which matrices are adapted, and how.

  Attributes:
    rank: r, rank of what is added to a matrix, at least 1.
    alpha: what is added is alpha / rank times the product; above 0.
    targets: `fnmatch` patterns over the logical names of matrices, such as
      "layers.3.*" or "*_proj".
    exclude: patterns of matrices that are left.
    seed: decides how the first factors begin.

  Raises:
    SpecError: if a number is out of range, or there is no pattern.
  """

  rank: int
  alpha: float
  targets: tuple[str, ...] = ("*_proj",)
  exclude: tuple[str, ...] = ()
  seed: int = 0

  def __post_init__(self):
    for name in ("targets", "exclude"):
      object.__setattr__(self, name, tuple(getattr(self, name)))
    problems = [
      *spec_checks.check_range("lora.rank", self.rank, 1),
      *spec_checks.check_range("lora.alpha", self.alpha, 0),
      *spec_checks.check_range("lora.seed", self.seed, 0, 2**32 - 1),
    ]
    if self.alpha == 0:
      problems.append("lora.alpha must be above 0, got 0.")
    if not self.targets:
      problems.append("lora.targets must hold at least one pattern, got ().")
    spec_checks.raise_problems(problems)

  @property
  def scale(self) -> float:
    """What the product of the factors is multiplied by."""
    return self.alpha / self.rank


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
  """The slices of a leaf that are adapted.

  Attributes:
    path: keys from the root of the tree to the leaf.
    places: [S] their places in the leaf, whose stacking axes are joined to one.
    names: [S] their logical names.
    num_slices: how many slices the leaf has.
  """

  path: tuple[str, ...]
  places: Int[np.ndarray, " S"]
  names: tuple[str, ...]
  num_slices: int


def find_targets(
  spec: LoraSpec, params: Params, names: Names | None = None
) -> list[Target]:
  """Finds the matrices that are adapted, in the order of the tree.

  Only matrices that inputs are multiplied with can be: those of layers, and a head
  of its own. An embedding is read by rows.

  Args:
    spec: the patterns.
    params: nested dict of arrays; only their shapes count.
    names: the tree of logical names, `naming.tensor_names(params)` by default.

  Raises:
    UserError: if a pattern matches no matrix, or none is left; it names the nearest.
  """
  pairs = naming.named_leaves(params, names)
  paths = [
    tuple(key.key for key in path)
    for path, _ in jax.tree_util.tree_leaves_with_path(params)
  ]
  slices = [naming.slice_names(template, leaf) for template, leaf in pairs]
  is_matrix = [
    np.ndim(leaf) - of_leaf.ndim == 2 and path[0] in ("layers", "lm_head")
    for path, of_leaf, (_, leaf) in zip(paths, slices, pairs, strict=True)
  ]
  matrices = tuple(
    str(name)
    for of_leaf, matrix in zip(slices, is_matrix, strict=True)
    if matrix
    for name in of_leaf.reshape(-1)
  )
  try:
    chosen = naming.select_names(matrices, spec.targets, spec.exclude)
  except UserError as error:
    raise UserError(f"lora.targets and lora.exclude: {error}") from error
  targets = []
  for path, of_leaf, matrix in zip(paths, slices, is_matrix, strict=True):
    flat = [str(name) for name in of_leaf.reshape(-1)]
    places = [place for place, name in enumerate(flat) if name in chosen]
    if matrix and places:
      names_there = tuple(flat[place] for place in places)
      targets.append(Target(path, np.array(places), names_there, len(flat)))
  return targets


def init(
  spec: LoraSpec, params: Params, names: Names | None = None
) -> Adapters:
  """Makes adapters that add nothing yet.

  The first factor of a matrix depends on the seed, the rank and its logical name
  alone, and is uniform within 1 / sqrt(in) as in `peft`; the second is zero.

  Args:
    spec: which matrices are adapted, and the seed.
    params: nested dict of arrays; only their shapes count.
    names: the tree of logical names, `naming.tensor_names(params)` by default.

  Raises:
    UserError: as `find_targets`.
  """
  adapters: dict[str, Any] = {}
  key = jax.random.key(spec.seed)
  for target in find_targets(spec, params, names):
    width_out, width_in = np.shape(_take(params, target.path))[-2:]
    bound = 1 / math.sqrt(width_in)
    first = [
      jax.random.uniform(
        jax.random.fold_in(key, noise.hash_name(name)),
        (spec.rank, width_in),
        jnp.float32,
        -bound,
        bound,
      )
      for name in target.names
    ]
    second = jnp.zeros((len(first), width_out, spec.rank), jnp.float32)
    _put(adapters, target.path, {"a": jnp.stack(first), "b": second})
  return adapters


def merge(
  spec: LoraSpec,
  params: Params,
  adapters: Adapters,
  names: Names | None = None,
) -> Params:
  """Returns the weights that adapters make of a base.

  Pure, and traceable in `params` and `adapters`.

  Args:
    spec: the spec that `init` was given.
    params: the base, a nested dict of arrays.
    adapters: what `init` has made, trained or not.
    names: the tree of logical names, `naming.tensor_names(params)` by default.

  Returns:
    A tree like `params`, in its dtypes; leaves without an adapter are the very ones.
  """
  targets = {t.path: t for t in find_targets(spec, params, names)}

  def move(path, leaf):
    target = targets.get(tuple(key.key for key in path))
    if target is None:
      return leaf
    return _merge_leaf(leaf, target, _take(adapters, target.path), spec.scale)

  return jax.tree_util.tree_map_with_path(move, params)


def make_loss(
  loss_fn: LossFn, spec: LoraSpec, params: Params, names: Names | None = None
) -> LossFn:
  """Makes the loss of adapters out of that of whole weights, for `train.train`.

  Args:
    loss_fn: maps (weights, batch) to a loss.
    spec: which matrices are adapted.
    params: the base, whose weights are arguments of the function that is made.
    names: the tree of logical names, `naming.tensor_names(params)` by default.

  Returns:
    A function of (adapters, batch).
  """

  def adapted_loss(params, adapters, batch):
    return loss_fn(merge(spec, params, adapters, names), batch)

  return jax.tree_util.Partial(adapted_loss, params)


def _merge_leaf(
  leaf: Array,
  target: Target,
  factors: Mapping[str, Float[Array, "S _ _"]],
  scale: float,
) -> Array:
  """Adds the products to the slices of a leaf that are adapted."""
  leaf = jnp.asarray(leaf)
  added = scale * jnp.einsum(
    "sor,sri->soi", factors["b"], factors["a"], precision="highest"
  )
  flat = leaf.reshape(-1, *leaf.shape[-2:])
  is_whole = len(target.places) == target.num_slices
  old = flat if is_whole else flat[target.places]
  new = (old.astype(jnp.float32) + added).astype(leaf.dtype)
  moved = new if is_whole else flat.at[target.places].set(new)
  return moved.reshape(leaf.shape)


def _take(tree: Params, path: tuple[str, ...]) -> Any:
  for key in path:
    tree = tree[key]
  return tree


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
  for key in path[:-1]:
    tree = tree.setdefault(key, {})
  tree[path[-1]] = value
