"""Pictures as CLIP takes them, made on the device that drew them.

Values are rounded to the 256 levels of a file before the picture is resized, as
those of a picture that was saved, and after each pass, across and then down, as
Pillow does, which the published preprocessing uses. One or two of a
hundred values differ from Pillow's, by one level, since it rounds its weights.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_SPREAD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def prepare(
  pictures: Float[Array, "B H W 3"], size: int
) -> Float[Array, "B {size} {size} 3"]:
  """Resizes, crops and normalises pictures.

  The shorter side becomes `size` by bicubic interpolation that averages over what
  it shrinks; the middle is cut out of the longer one.

  Args:
    pictures: [B, H, W, 3] RGB from 0 to 1.
    size: pixels of a side that the image tower takes.
  """
  rows, height, width = pictures.shape[:3]
  levels = jnp.round(255 * pictures.astype(jnp.float32))
  shorter = min(height, width)
  target = (size * height // shorter, size * width // shorter)
  for shape in ((rows, height, target[1], 3), (rows, *target, 3)):
    if shape != levels.shape:
      levels = jax.image.resize(levels, shape, "cubic", antialias=True)
      levels = jnp.clip(jnp.round(levels), 0, 255)
  top, left = ((side - size) // 2 for side in target)
  levels = levels[:, top : top + size, left : left + size]
  return (levels / 255 - _MEAN.reshape(1, 1, 1, 3)) / _SPREAD.reshape(
    1, 1, 1, 3
  )
