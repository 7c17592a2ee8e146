"""Colours in CIELAB, and how much of a target hue the object of a picture has.

The object of a picture is its pixels of highest chroma, and the background the
half of its pixels of lowest chroma. Pictures are valid if both are as in real ones:
a coloured object on an even, nearly grey background of another lightness. Only
valid pictures can score, so that neither a tint of the whole picture nor a coloured
object on a tinted background wins.

Reference: CIE 15 (2004); the white point is that of sRGB, D65.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

# Degrees on the wheel of `from_wheel` between two hues; the first is at 0.
WHEEL_STEP = 90.0
# Hue angles of these hues in CIELAB, in degrees.
HUE_ANGLES = (353.0, 104.0, 155.0, 299.0)
NUM_HUES = len(HUE_ANGLES)
_HUE_REACH = 22.0  # Degrees to either side within which a colour is of a hue.
# Of nearly every shape, more pixels than these are wholly inside.
_NUM_OBJECT = 10
# Degrees at which a score ends; neighbouring hues are farther away.
_SCORE_REACH = 45.0
# Limits of valid pictures. Of real ones, objects have a chroma of 53 to 93, and
# backgrounds at most 4; their lightness differs by at least 18.
_LEAST_CHROMA = 40.0
_MOST_BACKGROUND = 9.0
_LEAST_CONTRAST = 10.0
_MOST_ROUGHNESS = 5.0

_TO_XYZ = np.array(
  [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
  ]
)
_WHITE = _TO_XYZ.sum(axis=1)
_DELTA = 6 / 29

# Orthonormal directions across the greys of RGB: from green to pink, from blue to
# yellow.
_PINK = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
_YELLOW = np.array([1.0, 1.0, -2.0]) / np.sqrt(6)


def from_wheel(
  brightness: Float[np.ndarray, " B"],
  strength: Float[np.ndarray, " B"],
  angle: Float[np.ndarray, " B"],
) -> Float[np.ndarray, "B 3"]:
  """RGB at places on a wheel of hues around a grey.

  Hues that are as far apart on the wheel are as far apart in RGB, so that noise in
  pictures prefers none of them.

  Args:
    brightness: [B] the mean of red, green and blue.
    strength: [B] distance from the grey of this brightness.
    angle: [B] degrees from pink, at 0, to yellow, at 90, green and blue.
  """
  turn = np.radians(angle)[:, None]
  direction = np.cos(turn) * _PINK + np.sin(turn) * _YELLOW
  return brightness[:, None] + strength[:, None] * direction


def from_polar(
  lightness: Float[np.ndarray, " B"],
  chroma: Float[np.ndarray, " B"],
  hue: Float[np.ndarray, " B"],
) -> Float[np.ndarray, "B 3"]:
  """CIELAB from lightness, chroma and hue angle in degrees."""
  angle = np.radians(hue)
  return np.stack(
    [lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1
  )


def lab_to_rgb(lab: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
  """RGB of sRGB within 0 and 1; colours that it does not have are clipped."""
  middle = (lab[..., 0] + 16) / 116
  f = np.stack(
    [middle + lab[..., 1] / 500, middle, middle - lab[..., 2] / 200], axis=-1
  )
  xyz = _WHITE * np.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29))
  linear = np.clip(xyz @ np.linalg.inv(_TO_XYZ).T, 0, 1)
  return np.where(
    linear <= 0.0031308,
    12.92 * linear,
    1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055,
  )


def rgb_to_lab(rgb: Float[Any, "... 3"]) -> Float[Array, "... 3"]:
  """CIELAB of sRGB within 0 and 1, in float32, on the device."""
  rgb = jnp.clip(jnp.asarray(rgb, jnp.float32), 0.0, 1.0)
  linear = jnp.where(
    rgb <= 0.04045,
    rgb / 12.92,
    jnp.power((jnp.maximum(rgb, 0.04045) + 0.055) / 1.055, 2.4),
  )
  to_relative = (_TO_XYZ / _WHITE[:, None]).astype(np.float32)
  relative = jnp.einsum(
    "...c,xc->...x", linear, to_relative, precision=jax.lax.Precision.HIGHEST
  )
  f = jnp.where(
    relative > _DELTA**3,
    jnp.cbrt(jnp.maximum(relative, _DELTA**3)),
    relative / (3 * _DELTA**2) + 4 / 29,
  )
  x, y, z = f[..., 0], f[..., 1], f[..., 2]
  return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def measure(pictures: Float[Any, "Q H W 3"]) -> dict[str, Array]:
  """Measures object and background of pictures, in CIELAB.

  Args:
    pictures: [Q, H, W, 3] RGB within 0 and 1.

  Returns:
    `object` [Q, 3] mean CIELAB of the ten pixels of highest chroma;
    `background` [Q] mean chroma of the half of lowest chroma; `contrast` [Q] how
    much lighter or darker than this half the object is; `roughness` [Q] standard
    deviation of the lightness within the half; `tint` [Q, 3] mean CIELAB of the
    whole picture.
  """
  lab = rgb_to_lab(pictures).reshape(len(pictures), -1, 3)
  chroma = jnp.hypot(lab[..., 1], lab[..., 2])
  order = jnp.argsort(-chroma, axis=1)
  chosen = jnp.take_along_axis(lab, order[:, :_NUM_OBJECT, None], axis=1)
  half = chroma.shape[1] // 2
  rest = jnp.take_along_axis(lab, order[:, half:, None], axis=1)
  inside, outside = jnp.mean(chosen, axis=1), rest[..., 0]
  return {
    "object": inside,
    "background": jnp.mean(jnp.hypot(rest[..., 1], rest[..., 2]), axis=1),
    "contrast": jnp.abs(inside[:, 0] - jnp.mean(outside, axis=1)),
    "roughness": jnp.std(outside, axis=1),
    "tint": jnp.mean(lab, axis=1),
  }


def score_hues(measured: dict[str, Array]) -> Float[Array, "Q 4"]:
  """How near the hue of the object is to each of the hues.

  Pictures that are not valid score nothing, whatever their colours.

  Args:
    measured: what `measure` returns.

  Returns:
    [Q, 4] within 0 and 1: for valid pictures, 1 where the object has the very hue,
    falling to 0 at 45 degrees; for others 0.
  """
  near = jnp.maximum(1.0 - _find_angles(measured) / _SCORE_REACH, 0.0)
  return jnp.where(is_valid(measured)[:, None], near, 0.0)


def describe_rule() -> dict[str, Any]:
  """The numbers by which pictures are valid, score and hit, for records."""
  return {
    "hue_angles": list(HUE_ANGLES),
    "score_ends_at_degrees": _SCORE_REACH,
    "hit_ends_at_degrees": _HUE_REACH,
    "num_object_pixels": _NUM_OBJECT,
    "least_chroma": _LEAST_CHROMA,
    "most_background_chroma": _MOST_BACKGROUND,
    "least_contrast": _LEAST_CONTRAST,
    "most_roughness": _MOST_ROUGHNESS,
  }


def is_valid(measured: dict[str, Array]) -> Bool[Array, " Q"]:
  """Whether pictures have a coloured object on an even grey of another lightness.

  Args:
    measured: what `measure` returns.
  """
  chroma = jnp.hypot(measured["object"][:, 1], measured["object"][:, 2])
  is_grey = measured["background"] <= _MOST_BACKGROUND
  is_even = measured["roughness"] <= _MOST_ROUGHNESS
  stands_out = measured["contrast"] >= _LEAST_CONTRAST
  return (chroma >= _LEAST_CHROMA) & is_grey & is_even & stands_out


def find_hits(measured: dict[str, Array]) -> Bool[Array, "Q 4"]:
  """Of which hue, if any, the object of each picture is.

  A hit is a valid picture whose object is within 22 degrees of this hue.

  Args:
    measured: what `measure` returns.
  """
  is_hue = _find_angles(measured) <= _HUE_REACH
  return is_hue & is_valid(measured)[:, None]


def _find_angles(measured: dict[str, Array]) -> Float[Array, "Q 4"]:
  """Degrees between the object's hue angle and that of each hue, up to 180."""
  lab = measured["object"]
  angle = jnp.degrees(jnp.arctan2(lab[:, 2], lab[:, 1]))
  away = angle[:, None] - np.array(HUE_ANGLES, np.float32)[None]
  return jnp.abs((away + 180) % 360 - 180)
