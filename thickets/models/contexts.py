"""What layers know of the positions at hand: angles, and who sees whom."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from thickets.models import attention
from thickets.models.config import LayerKind, TransformerConfig


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Context:
  """What the layers of one kind share at one call.

  Attributes:
    cosines: [B, S, d / 2] cosines of the rotary angles, None where positions
      are learned.
    sines: [B, S, d / 2] sines of the same angles.
    visible: [B, S, T] for each piece of the text: which query sees which token.
  """

  cosines: Any
  sines: Any
  visible: tuple[Any, ...]


def make_contexts(
  config: TransformerConfig,
  positions: Int[Array, "B S"],
  key_positions: tuple[Int[Array, "B _"], ...],
  *,
  num_positions: int,
  rope_positions: Int[Array, "3 B S"] | Int[Array, "B S"] | None = None,
) -> tuple[Context, ...]:
  """What each kind of layer needs to know about the positions at hand.

  Args:
    config: the architecture.
    positions: [B, S] position of each token that is fed; negative for padding,
      whose results are never read.
    key_positions: [B, T] for each piece of the text: the position of each token
      that may be seen; negative for padding.
    num_positions: a static bound above all positions.
    rope_positions: [3, B, S] the time, the row and the column by which each token
      is turned, or [B, S] where all three are the same; `positions` by default.
      What a token sees goes by `positions` all the same: those of an image share a
      time, and see no later ones.
  """
  turned_by = positions if rope_positions is None else rope_positions
  is_any_turned = any(kind.rope is not None for kind in config.kinds)

  def make(kind: LayerKind) -> Context:
    angles = (None, None)
    if kind.rope is not None:
      angles = kind.rope.angles(turned_by, num_positions)
    elif is_any_turned:
      # Turned by nothing, exactly: contexts of all kinds are stacked.
      shape = (*positions.shape, config.head_dim // 2)
      angles = (jnp.ones(shape), jnp.zeros(shape))
    return Context(
      *angles,
      tuple(
        attention.see(positions, keys, kind.window) for keys in key_positions
      ),
    )

  return tuple(make(kind) for kind in config.kinds)
