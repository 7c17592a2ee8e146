"""Members' weights on a mesh, rebuilt in the buffers of those before them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from thickets.members import Member, MemberArrays
from thickets.models import layout as layout_lib
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.models.layout import Layout
from thickets.naming import Params
from thickets.perturbation import Kind, perturb
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
  """

  def __init__(
    self,
    config: TransformerConfig,
    kind: Kind,
    mesh: Mesh,
    programs: Programs,
    layout: Layout,
  ):
    self._kind, self._mesh, self._programs = kind, mesh, programs
    self._layout = layout
    shardings = transformer.shardings(config, mesh)
    self._names = transformer.tensor_names(shardings)
    self._shardings = layout.arrange_shardings(shardings, config.num_layers)
    self._width: int | None = None
    self._copies: Params | None = None

  def rebuild_one(self, base: Params, member: Member | MemberArrays) -> Params:
    """The weights of one member.

    Args:
      base: the base's weights, laid out by `transformer.shardings`.
      member: the member, or its terms [R].
    """
    place = NamedSharding(self._mesh, PartitionSpec())
    return self._rebuild(
      base, jax.device_put(member, place), 0, self._shardings
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
      jax.device_put(members, place),
      len(np.asarray(members.seeds)),
      layout_lib.member_shardings(self._shardings),
    )

  def _rebuild(
    self, base: Params, members: MemberArrays, width: int, shardings: Params
  ) -> Params:
    """Weights of `width` members, or of one without an axis where it is 0."""

    def rebuild_member(base, member):
      params = perturb(base, member, kind=self._kind, names=self._names)
      # Behind the noise: a program for each layer's would compile for long.
      return self._layout.arrange(params)

    rebuild_all = rebuild_member
    if width:
      axes = layout_lib.member_axes(self._shardings)
      rebuild_all = jax.vmap(rebuild_member, (None, 0), axes)

    def rebuild(base, members, old):
      del old  # Only its buffers count.
      return rebuild_all(base, members)

    if self._copies is None or self._width != width:
      # This makes room first, even if the caller still holds the old copies.
      jax.tree.map(lambda leaf: leaf.delete(), self._copies)
      self._copies = _make_room(rebuild_all, base, members, shardings)
      self._width = width
    arguments = (base, members, self._copies)
    program = self._programs.get(
      ("rebuild", width),
      rebuild,
      arguments,
      donate=(2,),
      keep_unused=True,
      out_shardings=shardings,
    )
    self._copies = program(*arguments)
    return self._copies


def _make_room(
  rebuild_all: Callable[[Params, MemberArrays], Params],
  base: Params,
  members: MemberArrays,
  shardings: Params,
) -> Params:
  """Zeros in the shape of the weights that will be rebuilt."""
  shapes = jax.eval_shape(rebuild_all, base, members)

  def make():
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

  return jax.jit(make, out_shardings=shardings)()
