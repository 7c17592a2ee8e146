"""Descriptions of weights, from which shapes, names and random weights follow.

A *description* is a nested dict with a `Weight` at every leaf, laid out as the
published state dict: the weight of a layer has the layer's own name, its bias that
name and `_bias`. Convolutions are [out, in, height, width] and matrices
[out, in], as they are stored, so that a weight's noise is addressed as others
store it.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray

from thickets import naming, noise
from thickets.naming import Names, Params

_BIAS = "_bias"
# Below these every leaf is a stack, over transformer blocks or layers.
STACKS = ("transformer_blocks", "layers")


@dataclasses.dataclass(frozen=True)
class Weight:
  """One leaf: its shape, and how it begins.

  Attributes:
    shape: its shape, axes of a stack first.
    spread: random values are uniform within ± this; where it is 0, all values
      are `mean`.
    mean: the value where there is no spread.
  """

  shape: tuple[int, ...]
  spread: float = 0.0
  mean: float = 0.0


def linear(
  name: str, inputs: int, outputs: int, *, has_bias: bool = True
) -> dict[str, Weight]:
  """A matrix [outputs, inputs], and its bias."""
  return _with_bias(name, (outputs, inputs), inputs, has_bias)


def conv(
  name: str, inputs: int, outputs: int, size: int = 3, *, has_bias: bool = True
) -> dict[str, Weight]:
  """A convolution [outputs, inputs, size, size], and its bias."""
  return _with_bias(
    name, (outputs, inputs, size, size), inputs * size * size, has_bias
  )


def norm(name: str, width: int) -> dict[str, Weight]:
  """The scale and the shift of a norm."""
  return {
    name: Weight((width,), mean=1.0),
    f"{name}{_BIAS}": Weight((width,)),
  }


def _with_bias(
  name: str, shape: tuple[int, ...], fan_in: int, has_bias: bool
) -> dict[str, Weight]:
  # Within 1 / sqrt(fan in), as torch begins both kinds of layers.
  weights = {name: Weight(shape, spread=fan_in**-0.5)}
  if has_bias:
    weights[f"{name}{_BIAS}"] = Weight(shape[:1])
  return weights


def stack(description: Params, count: int) -> Params:
  """The description of `count` equal parts, stacked along a new first axis."""
  return jax.tree.map(
    lambda weight: dataclasses.replace(weight, shape=(count, *weight.shape)),
    description,
  )


def abstract_params(description: Params, dtype: DTypeLike) -> Params:
  """The tree of weights as shapes and a dtype, without weights."""
  return jax.tree.map(
    lambda weight: jax.ShapeDtypeStruct(weight.shape, dtype), description
  )


def init(
  description: Params, key: PRNGKeyArray, dtype: DTypeLike = jnp.float32
) -> Params:
  """Random weights: uniform within 1/√(fan in), norms of one, biases of zero.

  A weight's values depend on the key and its name alone.

  Args:
    description: what weights there are.
    key: the random key.
    dtype: the dtype in which they are held.
  """

  def draw(path: Any, weight: Weight) -> jax.Array:
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    if not weight.spread:
      return jnp.full(weight.shape, weight.mean, dtype)
    return _draw(
      jax.random.fold_in(key, noise.hash_name(name)),
      weight.spread,
      weight.shape,
      np.dtype(dtype),
    )

  return jax.tree_util.tree_map_with_path(draw, description)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _draw(
  key: PRNGKeyArray, spread: Any, shape: tuple[int, ...], dtype: np.dtype
) -> jax.Array:
  """Uniform values; compiled once for each shape."""
  values = jax.random.uniform(key, shape, minval=-1.0)
  return (spread * values).astype(dtype)


def count_params(description: Params) -> int:
  """Number of weights."""
  return sum(math.prod(weight.shape) for weight in jax.tree.leaves(description))


def tensor_names(params: Params) -> Names:
  """Logical names, such as `unet.conv_in` and `unet.conv_in_bias`.

  Transformer blocks and layers are stacks: each of them has its own name, such
  as `unet.mid_block.attentions.0.transformer_blocks.3.attn1.to_q`.

  Args:
    params: a tree of weights or of descriptions, of one part or of several under
      the name of each.
  """
  return naming.tensor_names(params, stacked=_find_stacks(params))


def list_names(description: Params) -> dict[str, tuple[int, ...]]:
  """The shapes of all logical tensors of a description, by name."""
  shapes = {}
  template = abstract_params(description, jnp.float32)
  for pattern, leaf in naming.named_leaves(template, tensor_names(template)):
    for name in naming.slice_names(pattern, leaf).reshape(-1):
      shapes[str(name)] = leaf.shape[pattern.count("{}") :]
  return shapes


def publish_name(name: str) -> str:
  """The key of a logical tensor in the published state dict of its part."""
  if name.endswith(_BIAS):
    return f"{name.removesuffix(_BIAS)}.bias"
  return f"{name}.weight"


def split_stacks(params: Params) -> Iterator[tuple[str, Any]]:
  """(Logical name, tensor) of every tensor, those of stacks one by one."""
  names = tensor_names(params)
  for pattern, leaf in naming.named_leaves(params, names):
    slices = naming.slice_names(pattern, leaf)
    for index in np.ndindex(slices.shape):
      yield str(slices[index]), leaf[index] if index else leaf


def _find_stacks(params: Params) -> list[str]:
  """Dotted prefixes below which every leaf is a stack."""
  prefixes = set()
  for path, _ in jax.tree_util.tree_leaves_with_path(
    params, is_leaf=lambda leaf: isinstance(leaf, Weight)
  ):
    keys = [str(entry.key) for entry in path]
    for stack_key in STACKS:
      if stack_key in keys:
        prefixes.add(".".join(keys[: keys.index(stack_key) + 1]))
  return sorted(prefixes)
