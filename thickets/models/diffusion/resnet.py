"""The residual block of UNets and of decoders, which have no time."""

from typing import Any

import jax
from jaxtyping import Array, Float

from thickets.models.diffusion import operations as ops
from thickets.models.diffusion import weights
from thickets.naming import Params


def describe(
  inputs: int, width: int, *, time_width: int | None = None
) -> dict[str, Any]:
  """The weights of a block.

  Args:
    inputs: channels that come in.
    width: channels that go out.
    time_width: width of the time embedding, None where there is no time.
  """
  described = {
    **weights.norm("norm1", inputs),
    **weights.conv("conv1", inputs, width),
    **weights.norm("norm2", width),
    **weights.conv("conv2", width, width),
  }
  if time_width is not None:
    described |= weights.linear("time_emb_proj", time_width, width)
  if inputs != width:
    described |= weights.conv("conv_shortcut", inputs, width, 1)
  return described


def run(
  params: Params,
  x: Float[Array, "B H W C"],
  emb: Float[Array, "B E"] | None = None,
  *,
  num_groups: int,
  eps: float,
) -> Float[Array, "B H W _"]:
  """Adds two convolutions to their input.

  Args:
    params: the weights of the block.
    x: [B, H, W, C] activations.
    emb: [B, E] the time embedding after its SiLU; None where there is no time.
    num_groups: groups of GroupNorm.
    eps: epsilon of GroupNorm.
  """

  def normed(name: str, y: Array) -> Array:
    y = ops.group_norm(params, name, y, num_groups=num_groups, eps=eps)
    return jax.nn.silu(y)

  y = ops.conv(params, "conv1", normed("norm1", x))
  if emb is not None:
    y = y + ops.linear(params, "time_emb_proj", emb)[:, None, None]
  y = ops.conv(params, "conv2", normed("norm2", y))
  if "conv_shortcut" in params:
    x = ops.conv(params, "conv_shortcut", x)
  return x + y
