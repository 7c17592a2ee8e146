"""How the weights of layers and members lie in arrays.

Weights of members [P, ...] have their axis first, save those of stacked layers,
[L, P, ...]: a scan over layers of many members would otherwise transpose all
their weights first.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from thickets.naming import Params

# Up to so many layers are compiled one by one while decoding: each reads its
# weights and KV cache in place, where a scan may copy them out of their stacks.
_MAX_APART = 8
# On CPU so are any number of layers that have so many weights, about what a
# core's cache holds: every step would copy them through memory.
_LARGE_LAYER = 2**20
# Where any number of layers are, whatever their size: products there read whole
# arrays, so that a scan copies every layer's weights, keys and values before them
# (three times the bytes of a step). TPUs read slices of stacks in place.
COPYING_PLATFORMS = ("gpu", "cuda", "rocm")
# Responses below which compiling many layers one by one takes longer than it saves:
# 27 s against some 9 ms for each of SmolLM2 on two cores (docs/benchmarks.md).
_FEW_RESPONSES = 3000


class Layout(enum.Enum):
  """How the layers of a model lie in its weights and in its KV cache.

  Attributes:
    STACKED: leaves [L, ...], which are scanned over: compilation takes the same
      time for any number of layers. Weights are stored like this.
    APART: a tuple of L trees, each of which is compiled.
  """

  STACKED = "stacked"
  APART = "apart"

  @classmethod
  def for_layers(
    cls,
    num_layers: int,
    layer_weights: int,
    platform: str,
    num_responses: int | None = None,
  ) -> "Layout":
    """The layout that decodes fastest for what its compilation takes.

    Args:
      num_layers: layers of the model.
      layer_weights: weights of each.
      platform: that of the devices, such as `cpu`.
      num_responses: how many responses are asked for in all; None for many.
    """
    if num_layers <= _MAX_APART:
      return cls.APART
    if num_responses is not None and num_responses < _FEW_RESPONSES:
      return cls.STACKED
    is_large = platform == "cpu" and layer_weights >= _LARGE_LAYER
    is_copied = is_large or platform in COPYING_PLATFORMS
    return cls.APART if is_copied else cls.STACKED

  def arrange(self, params: Params) -> Params:
    """Lays out weights whose layers are stacked, or lie like this already."""
    return take_apart(params) if self is Layout.APART else params

  def arrange_shardings(self, shardings: Params, num_layers: int) -> Params:
    """The shardings of arranged weights, from those of stacked ones."""
    if self is Layout.STACKED:
      return shardings
    layer = jax.tree.map(
      lambda s: NamedSharding(s.mesh, PartitionSpec(*s.spec[1:])),
      shardings["layers"],
    )
    return {**shardings, "layers": (layer,) * num_layers}


# Layouts by the names that configs have for them; None is `Layout.for_layers`.
LAYOUTS: Mapping[str, Layout | None] = {
  "auto": None,
  **{layout.value: layout for layout in Layout},
}


def is_apart(params: Params) -> bool:
  """Whether the layers of weights, or of a tree like them, are apart."""
  return isinstance(params["layers"], tuple)


def take_apart(params: Params) -> Params:
  """Slices stacked layers into a tuple of layers; those apart stay so."""
  if is_apart(params):
    return params
  num_layers = len(jax.tree.leaves(params["layers"])[0])
  layers = (take_layer(params["layers"], layer) for layer in range(num_layers))
  return {**params, "layers": tuple(layers)}


def take_layer(layers: Params, layer: int | Array) -> Params:
  """One layer of stacked ones."""
  return jax.tree.map(lambda leaf: leaf[layer], layers)


def member_axes(params: Params) -> dict[str, int]:
  """The axis of members in each part of the weights, as a tree prefix."""
  return {
    name: int(name == "layers" and not is_apart(params)) for name in params
  }


def member_shardings(shardings: Params) -> Params:
  """Shardings of members' weights, spread over the mesh axis `population`.

  Args:
    shardings: the sharding of each leaf of one member's weights.
  """

  def spread(sharding: NamedSharding, axis: int) -> NamedSharding:
    spec: list[Any] = list(sharding.spec)
    spec.insert(axis, "population")
    return NamedSharding(sharding.mesh, PartitionSpec(*spec))

  return {
    name: jax.tree.map(lambda s, axis=axis: spread(s, axis), shardings[name])
    for name, axis in member_axes(shardings).items()
  }


def stack_weights(members: Sequence[Params]) -> Params:
  """Stacks the weights of members, as `Generator.generate_members` takes them.

  Args:
    members: [P] the weights of each member.
  """
  return {
    name: jax.tree.map(
      lambda *leaves, axis=axis: jnp.stack(leaves, axis),
      *(params[name] for params in members),
    )
    for name, axis in member_axes(members[0]).items()
  }
