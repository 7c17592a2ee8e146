"""How the weights of layers and members lie in arrays.

Layers are *stacked*, leaves [L, ...], to be scanned over; or *apart*, a tuple of L
trees, to be compiled one by one. Weights of members [P, ...] have their axis first,
save those of stacked layers, [L, P, ...]: a scan over layers of many members would
otherwise transpose all their weights first.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from thickets.naming import Params


def is_apart(params: Params) -> bool:
  """Whether the layers of a tree like the weights are apart."""
  return isinstance(params["layers"], tuple)


def take_apart(params: Params) -> Params:
  """Slices stacked layers into a tuple of layers; those apart stay so."""
  if is_apart(params):
    return params
  num_layers = len(jax.tree.leaves(params["layers"])[0])
  layers = tuple(
    jax.tree.map(lambda leaf, layer=layer: leaf[layer], params["layers"])
    for layer in range(num_layers)
  )
  return {**params, "layers": layers}


def apart_shardings(shardings: Any, num_layers: int) -> Any:
  """Shardings of weights whose layers are apart."""
  layer = jax.tree.map(
    lambda s: NamedSharding(s.mesh, PartitionSpec(*s.spec[1:])),
    shardings["layers"],
  )
  return {**shardings, "layers": (layer,) * num_layers}


def member_axes(params: Params) -> dict[str, int]:
  """The axis of members in each part of the weights, as a tree prefix."""
  return {
    name: int(name == "layers" and not is_apart(params)) for name in params
  }


def member_shardings(shardings: Any) -> Any:
  """Shardings of members' weights, spread over the axis `population`."""

  def spread(sharding, axis):
    spec = list(sharding.spec)
    spec.insert(axis, "population")
    return NamedSharding(sharding.mesh, PartitionSpec(*spec))

  return {
    name: jax.tree.map(lambda s, axis=axis: spread(s, axis), shardings[name])
    for name, axis in member_axes(shardings).items()
  }


def stack_members(members: Sequence[Params]) -> Params:
  """Stacks the weights of members, as `generator.Generator` takes them."""
  return {
    name: jax.tree.map(
      lambda *leaves, axis=axis: jnp.stack(leaves, axis),
      *(params[name] for params in members),
    )
    for name, axis in member_axes(members[0]).items()
  }
