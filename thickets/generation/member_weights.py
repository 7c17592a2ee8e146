"""Members' weights on a mesh, rebuilt in the buffers of those before them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from thickets.members import MemberArrays
from thickets.models import layout, transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.perturbation import Kind, perturb
from thickets.search.compiled import Programs


class Rebuilder:
  """Holds the copies of one rebuilding: besides the base, never more.

  The weights that a call returns are gone with the next call.

  Args:
    config: of the model.
    kind: how noise is drawn.
    mesh: with axes `population` and `model`.
    programs: compiles.
    is_stacked: whether the layers that are rebuilt are stacked, or apart; those
      of the base are stacked.
  """

  def __init__(
    self,
    config: TransformerConfig,
    kind: Kind,
    mesh: Mesh,
    programs: Programs,
    *,
    is_stacked: bool,
  ):
    self._kind, self._mesh, self._programs = kind, mesh, programs
    shardings = transformer.shardings(config, mesh)
    self._is_stacked = is_stacked
    self._names = transformer.tensor_names(shardings)
    if not is_stacked:
      shardings = layout.apart_shardings(shardings, config.num_layers)
    self._shardings = shardings
    self._width: int | None = None
    self._copies: Params | None = None

  def rebuild_one(self, base: Params, member: MemberArrays) -> Params:
    """The weights of one member.

    Args:
      base: laid out by `transformer.shardings`.
      member: fields [R].
    """
    place = NamedSharding(self._mesh, PartitionSpec())
    return self._rebuild(
      base, jax.device_put(member, place), 0, self._shardings
    )

  def rebuild_many(self, base: Params, members: MemberArrays) -> Params:
    """The weights of members, spread over `population` (see `layout`).

    Args:
      base: laid out by `transformer.shardings`.
      members: fields [P, R]; P is a multiple of the axis.
    """
    place = NamedSharding(self._mesh, PartitionSpec("population"))
    return self._rebuild(
      base,
      jax.device_put(members, place),
      len(np.asarray(members.seeds)),
      layout.member_shardings(self._shardings),
    )

  def _rebuild(self, base, members, width, shardings):
    """Weights of `width` members, or of one without an axis where it is 0."""

    def rebuild_member(base, member):
      params = perturb(base, member, kind=self._kind, names=self._names)
      # Behind the noise: a program for each layer's would compile for long.
      return params if self._is_stacked else layout.take_apart(params)

    rebuild_all = rebuild_member
    if width:
      axes = layout.member_axes(self._shardings)
      rebuild_all = jax.vmap(rebuild_member, (None, 0), axes)

    def rebuild(base, members, old):
      del old  # Only its buffers count.
      return rebuild_all(base, members)

    if self._copies is None or self._width != width:
      # First of all makes room, even if the caller still holds the old ones.
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
  rebuild_all: Callable[..., Params], base, members, shardings
) -> Params:
  """Zeros in the shape of what will be rebuilt."""
  shapes = jax.eval_shape(rebuild_all, base, members)

  def make():
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

  return jax.jit(make, out_shardings=shardings)()
