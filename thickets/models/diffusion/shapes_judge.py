"""A small classifier of pictures: which hue and which shape, or neither.

It judges what members draw, and takes no part in their selection. It sees RGB, not
the measures in CIELAB that select.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from thickets.models.diffusion import operations as ops
from thickets.models.diffusion import weights
from thickets.naming import Params

_WIDTHS = (16, 32, 32)
_SIZE = 16  # Height and width of the pictures.


def describe(num_hues: int, num_shapes: int) -> Params:
  """The description of the weights.

  Args:
    num_hues: hues that it tells apart, beside none.
    num_shapes: shapes that it tells apart, beside none.
  """
  described = {}
  inputs = 3
  for i, width in enumerate(_WIDTHS):
    described |= weights.conv(f"conv_{i}", inputs, width)
    inputs = width
  # The last two convolutions halve the size.
  features = inputs * (_SIZE // 4) ** 2
  return {
    **described,
    **weights.linear("hue", features, num_hues + 1),
    **weights.linear("shape", features, num_shapes + 1),
  }


def apply(
  params: Params, pictures: Float[Array, "Q 16 16 3"]
) -> tuple[Float[Array, "Q _"], Float[Array, "Q _"]]:
  """Logits of hues and of shapes; the last of each stands for none.

  Args:
    params: the weights, laid out as `describe` says.
    pictures: [Q, 16, 16, 3] RGB within 0 and 1.
  """
  x = 2 * pictures - 1
  for i in range(len(_WIDTHS)):
    x = jax.nn.relu(ops.conv(params, f"conv_{i}", x, stride=1 if i == 0 else 2))
  x = x.reshape(x.shape[0], -1)
  return ops.linear(params, "hue", x), ops.linear(params, "shape", x)


def judge(
  params: Params, pictures: Float[Array, "Q 16 16 3"]
) -> dict[str, Array]:
  """Which hue and shape pictures have, and how probable it is that they have any.

  Args:
    params: the weights, laid out as `describe` says.
    pictures: [Q, 16, 16, 3] RGB within 0 and 1.

  Returns:
    `judged_hue` and `judged_shape` [Q], the most probable ones, where the number
    behind the last is none; `realism` [Q], the probability that a picture has a
    hue.
  """
  hues, shapes = apply(params, pictures)
  return {
    "judged_hue": jnp.argmax(hues, axis=1).astype(jnp.int8),
    "judged_shape": jnp.argmax(shapes, axis=1).astype(jnp.int8),
    "realism": 1 - jax.nn.softmax(hues, axis=1)[:, -1],
  }
