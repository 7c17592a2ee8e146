"""Logical names of tensors, by which noise, filters and identities go.

A *logical tensor* is one unstacked tensor, such as `layers.3.mlp.up_proj`. A
leaf of a parameter tree holds one of them, or a stack of them along its leading
axes. A tree of *names* says which: a template without braces names one tensor;
each `{}` in a template stands for the index along one leading axis, so
`layers.{}.mlp.up_proj` names every slice of a leaf stacked over layers.
"""

import fnmatch
import functools
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from thickets import noise, placement
from thickets.errors import UserError, nearest, shorten

# A nested dict of arrays. It is no type of its own, since JAX puts other things
# into the leaves while it transforms a tree.
Params = Any
# A tree of the same structure, with a name template at every leaf.
Names = Any

_NUM_SHOWN = 6  # Words of a list that a message shows.


def tensor_names(base: Params, *, stacked: Sequence[str] = ()) -> Names:
  """Returns the tree of name templates that the paths of `base` suggest.

  Args:
    base: a nested dict of arrays.
    stacked: dotted prefixes, such as "layers", below which every leaf is a
      stack along its first axis; the index goes behind the prefix. Below two
      prefixes it is a stack along its first two axes, the shorter prefix first.

  Returns:
    A tree like `base` with a template at every leaf.

  Raises:
    ValueError: if a prefix of `stacked` has nothing below it, or a key has
      braces.
  """
  unused = set(stacked)

  def name(path: Any, _: Any) -> str:
    dotted = _dotted(path)
    if "{}" in dotted:
      raise ValueError(
        f"Keys of a parameter tree must not contain braces, got {dotted!r}:"
        " braces in a name stand for a stacking axis."
      )
    template = dotted
    # From the longest, behind which nothing moves the shorter ones.
    for prefix in sorted(stacked, key=len, reverse=True):
      if dotted.startswith(prefix + "."):
        unused.discard(prefix)
        template = f"{prefix}.{{}}.{template[len(prefix) + 1 :]}"
    return template

  names = jax.tree_util.tree_map_with_path(name, base)
  if unused:
    raise ValueError(
      f"stacked must list prefixes of leaves, got {sorted(unused)} with nothing"
      f" below. The tree has {shorten(_paths(base), _NUM_SHOWN)}."
    )
  return names


def named_leaves(
  base: Params, names: Names | None = None
) -> list[tuple[str, Any]]:
  """Pairs every leaf of `base` with its template, in tree order.

  Args:
    base: a nested dict of arrays.
    names: the tree of templates, `tensor_names(base)` by default.

  Raises:
    ValueError: if the trees differ in structure, a leaf has fewer axes than its
      template has braces, or two tensors share a name or a name's hash.
  """
  names = tensor_names(base) if names is None else names
  templates, structure = jax.tree.flatten(names)
  leaves, base_structure = jax.tree.flatten(base)
  if structure != base_structure:
    raise ValueError(
      "names must be a tree like the parameters, with a template at every leaf;"
      f" got {shorten(_paths(names), _NUM_SHOWN)} for parameters"
      f" {shorten(_paths(base), _NUM_SHOWN)}."
    )
  pairs = list(zip(templates, leaves, strict=True))
  _check_distinct(
    tuple((template, _stack_shape(template, leaf)) for template, leaf in pairs)
  )
  return pairs


def slice_names(template: str, leaf: Any) -> np.ndarray:
  """The logical names inside a leaf, shaped like its stacking axes.

  Args:
    template: the template of the leaf, with S >= 0 pairs of braces.
    leaf: an array of at least S axes.

  Returns:
    Strings, shaped like the first S axes; a scalar array where S is 0.
  """
  shape = _stack_shape(template, leaf)
  parts = template.split("{}")
  flat = [
    "".join(
      part
      for pair in itertools.zip_longest(parts, map(str, index), fillvalue="")
      for part in pair
    )
    for index in itertools.product(*(range(size) for size in shape))
  ]
  return np.array(flat).reshape(shape)


def identify(base: Params, names: Names | None = None) -> str:
  """Returns the identity of a base: a hash over names, dtypes, shapes and bytes.

  Stacked and unstacked layouts of the same weights have the same identity.

  Args:
    base: a nested dict of arrays.
    names: the tree of templates, `tensor_names(base)` by default.

  Returns:
    SHA-256 in hexadecimal.
  """
  total = hashlib.sha256()
  places = sorted(_places(base, names), key=lambda place: place[0])
  for name, leaf, index in places:
    # One tensor at a time: the host may be too small for a whole base.
    array = np.asarray(placement.fetch(leaf[index] if index else leaf))
    head = f"{name}|{array.dtype.name}|{array.shape}|"
    total.update(head.encode())
    total.update(array.tobytes())
  return total.hexdigest()


def hash_names(base: Params, names: Names | None = None) -> str:
  """A short hash over the logical names, by which noise is addressed."""
  text = "|".join(sorted(name for name, _, _ in _places(base, names)))
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def list_dtypes(base: Params) -> list[str]:
  """The dtypes that a base is held in; its files may have others."""
  return sorted({jnp.result_type(leaf).name for leaf in jax.tree.leaves(base)})


@functools.lru_cache(maxsize=64)
def select_names(
  names: tuple[str, ...], include: tuple[str, ...], exclude: tuple[str, ...]
) -> frozenset[str]:
  """Returns the names that match a pattern of `include` and none of `exclude`.

  Patterns are those of `fnmatch`: `*` matches anything, dots included, so
  `layers.3.*` is one layer and `layers.[0-7].mlp.*` the first eight MLPs.

  Raises:
    UserError: if a pattern matches nothing, or nothing is left.
  """
  included = frozenset().union(*(_match(p, names) for p in include))
  chosen = included.difference(*(_match(p, names) for p in exclude))
  if not chosen:
    raise UserError(
      f"include={list(include)} without exclude={list(exclude)} must leave at"
      f" least one tensor, got none of {len(names)}. Narrow exclude."
    )
  return chosen


def log_matches(
  names: tuple[str, ...], include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
  """Logs how many of the names each pattern matches.

  Raises:
    UserError: if a pattern matches nothing.
  """
  for role, patterns in (("include", include), ("exclude", exclude)):
    for pattern in patterns:
      logging.info(
        "pattern %r (%s) matches %d of %d tensors",
        pattern,
        role,
        len(_match(pattern, names)),
        len(names),
      )


def _match(pattern: str, names: Sequence[str]) -> frozenset[str]:
  matched = frozenset(fnmatch.filter(names, pattern))
  if not matched:
    raise UserError(
      f"A pattern must match at least one tensor, got {pattern!r}. Nearest:"
      f" {nearest(pattern, names)}."
    )
  return matched


def _places(
  base: Params, names: Names | None
) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
  """(Logical name, leaf, index of the slice) of every tensor."""
  for template, leaf in named_leaves(base, names):
    slices = slice_names(template, leaf)
    for index in np.ndindex(slices.shape):
      yield str(slices[index]), leaf, index


@functools.lru_cache(maxsize=64)
def _check_distinct(leaves: tuple[tuple[str, tuple[int, ...]], ...]) -> None:
  """Refuses (template, shape of the stack) pairs that share a name or a hash."""
  owners: dict[int, str] = {}
  for template, shape in leaves:
    placeholder = np.empty((*shape, 0), np.bool_)
    for name in slice_names(template, placeholder).reshape(-1):
      key = int(noise.hash_name(name))
      if key in owners:
        raise ValueError(
          f"Tensors {owners[key]!r} and {str(name)!r} must have distinct names"
          " and name hashes, or they would share their noise. Rename one."
        )
      owners[key] = str(name)


def _stack_shape(template: str, leaf: Any) -> tuple[int, ...]:
  num_axes = template.count("{}")
  if np.ndim(leaf) < num_axes:
    raise ValueError(
      f"Template {template!r} names {num_axes} stacking axes, but its leaf has"
      f" shape {np.shape(leaf)}. Correct names."
    )
  return tuple(np.shape(leaf)[:num_axes])


def _dotted(path: Any) -> str:
  return jax.tree_util.keystr(path, simple=True, separator=".")


def _paths(tree: Any) -> list[str]:
  return [_dotted(p) for p, _ in jax.tree_util.tree_leaves_with_path(tree)]
