"""Members' weights on a mesh, rebuilt in the buffers of those before them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from thickets.naming import Names, Params
from thickets.perturb import Kind, Member, perturb
from thickets.programs import Programs


class Rebuilder:
  """Holds the copies of one rebuilding: besides the base, never more.

  The weights that a call returns are gone with the next call.

  Args:
    kind: how noise is drawn.
    shardings: of the base, `NamedSharding`s of one mesh with an axis
      `population`.
    programs: compiles.
    names: logical names of the tensors, those of their paths by default.
  """

  def __init__(
    self,
    kind: Kind,
    shardings: Any,
    programs: Programs,
    *,
    names: Names | None = None,
  ):
    self._kind, self._shardings = kind, shardings
    self._programs, self._names = programs, names
    self._mesh = jax.tree.leaves(shardings)[0].mesh
    self._width: int | None = None
    self._copies: Params | None = None

  def rebuild_one(self, base: Params, member: Member) -> Params:
    """The weights of one member, laid out like the base.

    Args:
      base: laid out by the shardings.
      member: fields [R].
    """
    return self._rebuild(base, member, 0)

  def rebuild_many(self, base: Params, members: Member) -> Params:
    """Weights [P, ...] of members, spread over `population`.

    Args:
      base: laid out by the shardings.
      members: fields [P, R]; P is a multiple of the axis.
    """
    return self._rebuild(base, members, len(members.seed))

  def _rebuild(self, base, members, width):
    """Weights [width, ...], or without that axis where width is 0."""
    axes = ("population",) if width else ()
    shardings = jax.tree.map(
      lambda sharding: self._place(*axes, *sharding.spec), self._shardings
    )
    members = jax.device_put(members, self._place(*axes))
    if self._copies is None or self._width != width:
      # First of all makes room, even if the caller still holds the old ones.
      jax.tree.map(lambda leaf: leaf.delete(), self._copies)
      self._copies = _make_room(base, width, shardings)
      self._width = width

    def rebuild(base, members, old):
      del old  # Only its buffers count.

      def rebuild_member(member):
        return perturb(base, member, kind=self._kind, names=self._names)

      return (jax.vmap(rebuild_member) if width else rebuild_member)(members)

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

  def _place(self, *axes):
    return NamedSharding(self._mesh, PartitionSpec(*axes))


def _make_room(base, width, shardings):
  axes = (width,) if width else ()

  def make():
    return jax.tree.map(
      lambda leaf: jnp.zeros((*axes, *leaf.shape), leaf.dtype), base
    )

  return jax.jit(make, out_shardings=shardings)()
