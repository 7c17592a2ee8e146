"""The prompts of shapes: three splits without a shape or a place in common.

No prompt names a hue. A member is chosen by shapes in places where it is not
judged; the model has seen all of them, in all hues.
"""

import itertools
from collections.abc import Mapping

from thickets.tasks.shapes import captions

_SHAPES = {
  "select": ("disc", "triangle"),
  "dev": ("square", "cross"),
  "judge": ("ring", "bar"),
}
_PLACES = {
  "select": ("left", "top"),
  "dev": ("",),
  "judge": ("right", "bottom"),
}

PROMPTS: Mapping[str, tuple[str, ...]] = {
  split: tuple(
    captions.write_caption(shape, place=place)
    for shape, place in itertools.product(_SHAPES[split], _PLACES[split])
  )
  for split in _SHAPES
}
