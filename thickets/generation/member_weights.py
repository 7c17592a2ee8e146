"""Members' weights on a mesh, rebuilt in the buffers of those before them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from thickets.members import Member, MemberArrays
from thickets.models import layout as layout_lib
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.models.layout import Layout
from thickets.models.vision import joined
from thickets.models.vision import tower as tower_lib
from thickets.models.vision.config import VisionConfig
from thickets.models.vision.joined import VISUAL
from thickets.naming import Params
from thickets.perturbation import Kind, find_targets, shift
from thickets.search.compiled import Programs


class Rebuilder:
  """Rebuilds members' weights, and holds no copy but those of the last call.

  The weights that a call returns are overwritten by the next call.

  Args:
    config: the architecture of the base.
    kind: how noise is drawn.
    mesh: the devices, with axes `population` and `model`.
    programs: compiles the rebuilding.
    layout: how the layers that are rebuilt lie; those of the base are stacked.
    tower: the tower of a vision-language model, among whose tensors are those that
      `kind` names; None for a text model.

  Attributes:
    moves_tower: whether members have towers of their own.
  """

  def __init__(
    self,
    config: TransformerConfig,
    kind: Kind,
    mesh: Mesh,
    programs: Programs,
    layout: Layout,
    tower: VisionConfig | None = None,
  ):
    mesh = transformer.fit_mesh(config, mesh)
    self._kind, self._mesh, self._programs = kind, mesh, programs
    self._layout = layout
    shardings = transformer.shardings(config, mesh)
    self._tower: Params = {}
    if tower is not None:
      self._tower = {VISUAL: tower_lib.abstract_params(tower, jnp.float32)}
    self._names = transformer.tensor_names({**shardings, **self._tower})
    self._shardings = layout.arrange_shardings(shardings, config.num_layers)
    everywhere = NamedSharding(mesh, PartitionSpec())
    self._indices = [
      programs.put(np.int32(layer), everywhere)
      for layer in range(config.num_layers)
    ]
    self._width: int | None = None
    self._copies: Params | None = None
    self._text = transformer.abstract_params(config, jnp.float32)
    moved = self._find_targets(self._text).get(VISUAL, {})
    self.moves_tower = bool(jax.tree.leaves(moved))

  def rebuild_one(self, base: Params, member: Member | MemberArrays) -> Params:
    """The weights of one member.

    Args:
      base: the base's weights, laid out by `transformer.shardings`.
      member: the member, or its terms [R].
    """
    place = NamedSharding(self._mesh, PartitionSpec())
    return self._rebuild(
      base, self._programs.put(member, place), 0, self._shardings
    )

  def rebuild_many(self, base: Params, members: MemberArrays) -> Params:
    """The weights of members, spread over the mesh axis `population`.

    Args:
      base: the base's weights, laid out by `transformer.shardings`.
      members: [P, R] the terms of the members; P is a multiple of the size of
        the axis.

    Returns:
      The weights of all P members, as `layout.stack_weights` stacks them.
    """
    place = NamedSharding(self._mesh, PartitionSpec("population"))
    return self._rebuild(
      base,
      self._programs.put(members, place),
      len(np.asarray(members.seeds)),
      layout_lib.member_shardings(self._shardings),
    )

  def rebuild_tower(self, visual: Params, member: MemberArrays) -> Params:
    """The tower of one member, from that of the base.

    Args:
      visual: the weights of the base's tower.
      member: the terms [R] of the member.
    """

    def rebuild(visual, member):
      targets = self._find_targets(self._text)[VISUAL]
      return shift(visual, targets, member, self._kind)

    place = NamedSharding(self._mesh, PartitionSpec())
    arguments = self._programs.put((visual, member), place)
    name = ("rebuild", "tower", self._kind)
    return self._programs.get(name, rebuild, arguments)(*arguments)

  def _find_targets(self, base: Params) -> Any:
    """Where the leaves of a text model, and of its tower, get their noise from."""
    return find_targets({**base, **self._tower}, self._kind, self._names)

  def _rebuild(
    self, base: Params, members: MemberArrays, width: int, shardings: Params
  ) -> Params:
    """Weights of `width` members, or of one without an axis where it is 0."""
    copies, self._copies = self._copies, None
    if copies is None or self._width != width:
      # This makes room first, even if the caller still holds the old copies.
      jax.tree.map(lambda leaf: leaf.delete(), copies)
      copies = self._make_room(base, width, shardings)
    if self._layout is Layout.STACKED:
      rebuilt = self._rebuild_stacked(base, members, width, copies, shardings)
    else:
      rebuilt = self._rebuild_apart(base, members, width, copies, shardings)
    self._copies, self._width = rebuilt, width
    return rebuilt

  def _make_room(self, base: Params, width: int, shardings: Params) -> Params:
    """Zeros in the shape of the weights that will be rebuilt."""

    def arrange(base):
      params = self._layout.arrange(base)
      return layout_lib.stack_weights([params] * width) if width else params

    shapes = jax.eval_shape(arrange, base)
    return self._programs.fill(
      lambda: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes),
      shardings,
    )

  def _rebuild_stacked(
    self,
    base: Params,
    members: MemberArrays,
    width: int,
    copies: Params,
    shardings: Params,
  ) -> Params:
    """All in one program, each layer written over its old one in the stack."""

    def rebuild(base, members, old):
      def rebuild_layer(layer, layers):
        part = self._over_members(self._rebuild_layer, width)(
          base, members, layer
        )
        return jax.tree.map(
          lambda stack, new: lax.dynamic_update_index_in_dim(
            stack, new, layer, 0
          ),
          layers,
          part,
        )

      ends = self._over_members(self._rebuild_ends, width)(base, members)
      layers = lax.fori_loop(
        0, len(self._indices), rebuild_layer, old["layers"]
      )
      return {**ends, "layers": layers}

    arguments = (base, members)
    program = self._compile("all", rebuild, arguments, width, copies, shardings)
    return program(*arguments, copies)

  def _rebuild_apart(
    self,
    base: Params,
    members: MemberArrays,
    width: int,
    copies: Params,
    shardings: Params,
  ) -> Params:
    """One layer after the other, all by one program: none is held twice."""

    def compile_part(part, rebuild_part, arguments, old, shardings):
      def rebuild(
        *arguments_and_old,
      ):  # The old ones come last: only their buffers count.
        return self._over_members(rebuild_part, width)(*arguments_and_old[:-1])

      return self._compile(part, rebuild, arguments, width, old, shardings)

    arguments, old = (base, members), _ends(copies)
    program = compile_part(
      "ends", self._rebuild_ends, arguments, old, _ends(shardings)
    )
    ends = program(*arguments, old)
    program = compile_part(
      "layer",
      self._rebuild_layer,
      (*arguments, self._indices[0]),
      copies["layers"][0],
      shardings["layers"][0],
    )
    layers = (
      program(*arguments, index, old)
      for index, old in zip(self._indices, copies["layers"], strict=True)
    )
    return {**ends, "layers": tuple(layers)}

  def _over_members(
    self, rebuild_part: Callable[..., Params], width: int
  ) -> Callable[..., Params]:
    """Maps what rebuilds a part for one member, whose terms come second."""
    if not width:
      return rebuild_part

    def rebuild_parts(base, members, *layer):
      return jax.vmap(lambda member: rebuild_part(base, member, *layer))(
        members
      )

    return rebuild_parts

  def _compile(
    self,
    part: str,
    rebuild: Callable[..., Params],
    arguments: tuple[Any, ...],
    width: int,
    old: Params,
    shardings: Params,
  ) -> Callable[..., Params]:
    """The program that rebuilds a part of the weights in the buffers of `old`.

    Args:
      part: names the part.
      rebuild: takes `arguments` and `old`.
      arguments: its first arguments.
      width: how many members there are, 0 for one without an axis.
      old: what is overwritten.
      shardings: how the result lies.
    """
    return self._programs.get(
      ("rebuild", part, self._kind, width),
      rebuild,
      (*arguments, old),
      donate=(len(arguments),),
      keep_unused=True,
      out_shardings=shardings,
    )

  def _rebuild_ends(self, base: Params, member: MemberArrays) -> Params:
    """All but the layers."""
    targets = joined.take_text(self._find_targets(base))
    return shift(_ends(base), _ends(targets), member, self._kind)

  def _rebuild_layer(
    self, base: Params, member: MemberArrays, layer: Int[Array, ""]
  ) -> Params:
    """A layer, which is shifted as a stack of one."""
    targets = self._find_targets(base)
    stack, targets = jax.tree.map(
      lambda leaf: lax.dynamic_slice_in_dim(leaf, layer, 1),
      (base["layers"], targets["layers"]),
    )
    rebuilt = shift(stack, targets, member, self._kind)
    return jax.tree.map(lambda leaf: leaf[0], rebuilt)


def _ends(params: Params) -> Params:
  """A tree without its layers."""
  return {name: part for name, part in params.items() if name != "layers"}
