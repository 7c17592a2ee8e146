"""Draws pictures of one coloured shape on a background that is nearly grey.

Pictures are 16 × 16 RGB, within 0 and 1. The hues lie around one grey, equally far
from it and from their neighbours, so that none stands out from the noise in which
pictures begin.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from thickets.tasks.shapes import captions, colours

SIZE = 16  # Height and width, in pixels.
_OFFSET = 3.5  # How far "left" is from the centre, in pixels.
_RADII = (3.2, 4.4)
# How bright and how strong colours are, as `colours.from_wheel` takes them.
_BRIGHTNESS = (0.53, 0.57)
_STRENGTH = (0.40, 0.48)
_JITTER = 8.0  # Degrees to either side on the wheel, where hues are 90 apart.
# In CIELAB.
_BACKGROUND_LIGHTNESS = (8.0, 26.0)
_BACKGROUND_CHROMA = 4.0  # At most.


@dataclasses.dataclass(frozen=True)
class Scenes:
  """What is on each of B pictures.

  Attributes:
    shape: [B] position in `captions.SHAPES`.
    hue: [B] position in `captions.HUES`.
    place: [B] position in `captions.PLACES`.
    centre: [B, 2] row and column of the centre, in pixels.
    radius: [B] size, in pixels.
    colour: [B, 3] RGB of the object.
    background: [B, 3] CIELAB of what is behind it.
  """

  shape: Int[np.ndarray, " B"]
  hue: Int[np.ndarray, " B"]
  place: Int[np.ndarray, " B"]
  centre: Float[np.ndarray, "B 2"]
  radius: Float[np.ndarray, " B"]
  colour: Float[np.ndarray, "B 3"]
  background: Float[np.ndarray, "B 3"]


def sample_scenes(rng: np.random.Generator, count: int) -> Scenes:
  """Samples scenes in which shapes, hues and places are equally frequent.

  Args:
    rng: drives everything.
    count: B, how many.
  """
  place = rng.integers(len(captions.PLACES), size=count)
  offsets = np.array([(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)]) * _OFFSET
  jitter = rng.uniform(-0.8, 0.8, (count, 2))
  hue = rng.integers(len(captions.HUES), size=count)
  angle = hue * colours.WHEEL_STEP + rng.uniform(-_JITTER, _JITTER, count)
  return Scenes(
    shape=rng.integers(len(captions.SHAPES), size=count),
    hue=hue,
    place=place,
    centre=(SIZE - 1) / 2 + offsets[place] + jitter,
    radius=rng.uniform(*_RADII, count),
    colour=colours.from_wheel(
      rng.uniform(*_BRIGHTNESS, count), rng.uniform(*_STRENGTH, count), angle
    ),
    background=colours.from_polar(
      rng.uniform(*_BACKGROUND_LIGHTNESS, count),
      rng.uniform(0, _BACKGROUND_CHROMA, count),
      rng.uniform(0, 360, count),
    ),
  )


def draw(scenes: Scenes) -> Float[np.ndarray, "B 16 16 3"]:
  """Draws scenes; edges are smooth over one pixel."""
  grid = np.stack(
    np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), -1
  )
  places = grid[None] - scenes.centre[:, None, None]
  distance = _find_distances(places, scenes.radius[:, None, None])
  chosen = np.take_along_axis(
    distance, scenes.shape[:, None, None, None], axis=-1
  )
  share = np.clip(0.5 - chosen, 0, 1)
  inside = scenes.colour[:, None, None]
  outside = colours.lab_to_rgb(scenes.background)[:, None, None]
  return (share * inside + (1 - share) * outside).astype(np.float32)


def _find_distances(
  places: Float[np.ndarray, "B H W 2"], radius: Float[np.ndarray, "B 1 1"]
) -> Float[np.ndarray, "B H W S"]:
  """About how far each pixel is outside of each shape; negative inside."""
  row, column = places[..., 0], places[..., 1]
  across, along = np.abs(column), np.abs(row)
  from_centre = np.hypot(row, column)
  arm = 0.36 * radius
  upright = np.maximum(across - arm, along - radius)
  lying = np.maximum(across - radius, along - arm)
  # Its corners are upwards and to both sides of the base.
  slope = 0.894 * across - 0.447 * (row + 1.1 * radius)
  return np.stack(
    [
      from_centre - radius,
      np.maximum(across, along) - 0.86 * radius,
      np.maximum(slope, row - 0.9 * radius),
      np.minimum(upright, lying),
      np.abs(from_centre - 0.8 * radius) - 0.28 * radius,
      np.maximum(across - 1.1 * radius, along - 0.45 * radius),
    ],
    axis=-1,
  )


def write_captions(
  rng: np.random.Generator,
  scenes: Scenes,
  *,
  open_hue: float,
  empty: float,
) -> list[str]:
  """Writes a caption for each scene.

  Args:
    rng: drives what captions leave out.
    scenes: what is on the pictures.
    open_hue: share of captions that do not name the hue.
    empty: share of captions that say nothing at all.
  """
  names_hue = rng.random(len(scenes.hue)) >= open_hue
  is_empty = rng.random(len(scenes.hue)) < empty
  return [
    ""
    if nothing
    else captions.write_caption(
      captions.SHAPES[shape],
      hue=captions.HUES[hue] if named else "",
      place=captions.PLACES[place],
    )
    for shape, hue, place, named, nothing in zip(
      scenes.shape, scenes.hue, scenes.place, names_hue, is_empty, strict=True
    )
  ]
