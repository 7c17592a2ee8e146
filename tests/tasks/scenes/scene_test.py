"""Tests of scenes: text and picture follow from each other, things lie in their cells."""

import hashlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
from absl.testing import parameterized

from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.scenes import scene
from thickets.tasks.scenes.scene import CELL, COLORS, Scene, Thing


class SceneTest(parameterized.TestCase):
  @hypothesis.given(st.integers(0, 10**6), st.integers(1, 5))
  def test_text_is_read_back(self, seed, count):
    drawn = scene.draw_scene(StableRandom(str(seed)), count)
    self.assertLen(drawn.things, count)
    self.assertEqual(scene.parse_scene(str(drawn)), drawn)

  @parameterized.parameters(
    "red circle 0 3",
    "red circle 0 4 #1",
    "pink circle 0 3 #1",
    "red circle 0 3, red circle 0 3 #1",
    "red circle 0 3 #-1",
    "",
  )
  def test_other_text_is_refused(self, text):
    with self.assertRaisesRegex(ValueError, "scene must"):
      scene.parse_scene(text)

  @parameterized.product(color=[*COLORS], shape=scene.SHAPES)
  def test_a_thing_is_in_its_cell_and_in_no_other_cell(self, color, shape):
    pixels = scene.draw_picture(Scene((Thing(color, shape, 1, 2),), 5))
    far = abs(pixels.astype(int) - COLORS[color]).max(-1)
    cell = far[CELL : 2 * CELL, 2 * CELL : 3 * CELL]
    self.assertGreater((cell < 30).sum(), 30)  # Of 256; the smallest has 40.
    # Gray and a pale ground are the nearest to each other.
    others = np.ones((4, 4), bool)
    others[1, 2] = False
    cells = far.reshape(4, CELL, 4, CELL).min((1, 3))
    self.assertGreater(cells[others].min(), 60)

  def test_pictures_are_the_same_everywhere(self):
    text = "red circle 0 3, gray triangle 2 1 #7"
    data = scene.encode_picture(text)
    self.assertEqual(data[:2], b"BM")
    self.assertEqual(
      hashlib.sha256(data).hexdigest(),
      "a04e941a21e7f7056ee74753c2f5f4ee1f7c72899c28fc7cd3d4ff057d2b435d",
    )
    self.assertNotEqual(data, scene.encode_picture(text.replace("7", "8")))

  def test_things_take_over_colors_and_shapes(self):
    draw = StableRandom("like")
    counts = [
      scene.draw_scene(draw, 5, [("teal", "")]).count("teal")
      for _ in range(200)
    ]
    self.assertGreater(np.mean(counts), 2 * 5 / 8)
