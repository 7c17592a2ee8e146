"""Pictures that are none of a coloured shape, so that a judge learns to say so."""

import numpy as np
from jaxtyping import Float, Int

from thickets.tasks.shapes import drawing

# How a picture is spoiled; each is equally frequent.
WAYS = ("tint", "grey", "one colour", "two pictures", "noise", "blots")


def spoil(
  rng: np.random.Generator, pictures: Float[np.ndarray, "B 16 16 3"]
) -> tuple[Float[np.ndarray, "B 16 16 3"], Int[np.ndarray, " B"]]:
  """Makes of each picture one that has no coloured shape on grey.

  Args:
    rng: drives everything.
    pictures: [B, 16, 16, 3] RGB within 0 and 1.

  Returns:
    The pictures, and for each the position in `WAYS`.
  """
  count = len(pictures)
  way = rng.integers(len(WAYS), size=count)
  colour = rng.random((count, 1, 1, 3))
  colour = (colour - colour.min(-1, keepdims=True)) / np.ptp(
    colour, axis=-1, keepdims=True
  )
  share = rng.uniform(0.3, 0.8, (count, 1, 1, 1))
  grey = pictures.mean(-1, keepdims=True)
  other = rng.permutation(count)
  spoiled = np.stack(
    [
      (1 - share) * pictures + share * colour,
      np.broadcast_to(grey, pictures.shape),
      colour + rng.normal(0, 0.03, pictures.shape),
      0.5 * (pictures + pictures[other][:, ::-1, ::-1]),
      rng.normal(0.5, rng.uniform(0.1, 0.5, (count, 1, 1, 1)), pictures.shape),
      _draw_blots(rng, count),
    ]
  )
  chosen = spoiled[way, np.arange(count)]
  return np.clip(chosen, 0, 1).astype(np.float32), way


def _draw_blots(
  rng: np.random.Generator, count: int
) -> Float[np.ndarray, "B 16 16 3"]:
  """Smooth fields of several colours."""
  size = drawing.SIZE
  coarse = rng.normal(0.5, 0.5, (count, 4, 4, 3))
  rows = np.clip((np.arange(size) + 0.5) * 4 / size - 0.5, 0, 3)
  low = np.minimum(rows.astype(int), 2)
  part = (rows - low)[:, None]
  tall = (
    coarse[:, low] * (1 - part[..., None])
    + coarse[:, low + 1] * part[..., None]
  )
  return tall[:, :, low] * (1 - part) + tall[:, :, low + 1] * part
