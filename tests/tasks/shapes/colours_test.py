"""Tests of colours: known values, and what a tint of the whole picture is worth."""

import dataclasses

import jax
import numpy as np
from absl.testing import parameterized

from thickets.tasks.shapes import captions, colours, drawing

# CIELAB of sRGB under D65, as tables have it.
KNOWN = {
  (1.0, 1.0, 1.0): (100.0, 0.0, 0.0),
  (0.0, 0.0, 0.0): (0.0, 0.0, 0.0),
  (1.0, 0.0, 0.0): (53.24, 80.09, 67.20),
  (0.0, 1.0, 0.0): (87.74, -86.18, 83.18),
  (0.0, 0.0, 1.0): (32.30, 79.19, -107.86),
  (0.5, 0.5, 0.5): (53.39, 0.0, 0.0),
}


COUNT = 600


@jax.jit
def measure(pictures):
  """Everything that is measured, compiled once for all tests."""
  measured = colours.measure(pictures)
  return {
    "scores": colours.score_hues(measured),
    "hits": colours.find_hits(measured),
    "valid": colours.is_valid(measured),
  }


def draw_real():
  scenes = drawing.sample_scenes(np.random.default_rng(3), COUNT)
  return scenes, drawing.draw(scenes)


def tint(pictures, hue, share):
  colour = colours.from_wheel(
    np.array([0.55]), np.array([0.45]), np.array([colours.WHEEL_STEP * hue])
  ).reshape(1, 1, 1, 3)
  return ((1 - share) * pictures + share * colour).astype(np.float32)


def with_hue(lightness, chroma, angle):
  """CIELAB of these lightnesses, all of one chroma and hue angle."""
  count = len(lightness)
  return colours.from_polar(
    lightness, np.full(count, chroma), np.full(count, angle)
  )


class ColoursTest(parameterized.TestCase):
  @parameterized.parameters(*KNOWN.items())
  def test_known_colours(self, rgb, lab):
    found = jax.jit(colours.rgb_to_lab)(np.array(rgb, np.float32))
    np.testing.assert_allclose(found, lab, atol=0.03)

  def test_there_and_back(self):
    lab = draw_real()[0].background
    rgb = colours.lab_to_rgb(lab).astype(np.float32)
    found = jax.jit(colours.rgb_to_lab)(rgb)
    np.testing.assert_allclose(found, lab, atol=2e-3)

  def test_hues_are_as_far_apart_in_rgb_as_on_the_wheel(self):
    angles = np.array([0.0, 90.0, 180.0, 270.0])
    rgb = colours.from_wheel(np.full(4, 0.5), np.full(4, 0.4), angles)
    pink, yellow, green, blue = rgb
    self.assertEqual(pink.argmax(), 0)
    self.assertEqual(yellow.argmin(), 2)
    self.assertEqual(green.argmax(), 1)
    self.assertEqual(blue.argmax(), 2)
    np.testing.assert_allclose(rgb.mean(axis=1), 0.5)
    for here, there in ((pink, green), (yellow, blue)):
      self.assertAlmostEqual(float(np.linalg.norm(here - there)), 0.8)
    for here in (pink, green):
      for there in (yellow, blue):
        self.assertAlmostEqual(
          float(np.linalg.norm(here - there)), 0.4 * 2**0.5
        )

  def test_angles_in_cielab_are_those_of_the_hues_on_the_wheel(self):
    angles = colours.WHEEL_STEP * np.arange(colours.NUM_HUES)
    rgb = colours.from_wheel(np.full(4, 0.55), np.full(4, 0.44), angles)
    lab = np.asarray(jax.jit(colours.rgb_to_lab)(rgb.astype(np.float32)))
    found = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    np.testing.assert_allclose(found, colours.HUE_ANGLES, atol=1.5)

  @parameterized.parameters(60.0, 8.0)
  def test_a_picture_of_known_colours_is_measured(self, lightness):
    # The greyest half, of two lightnesses; what is between; ten of the object.
    lab = np.array(
      [(20.0, 2.0, 0.0), (30.0, 0.0, -2.0)] * 64
      + [(50.0, -15.0, 15.0)] * 118
      + [(lightness, 24.0, 0.0), (lightness, 26.0, 0.0)] * 5
    )
    order = np.random.default_rng(0).permutation(256)
    rgb = colours.lab_to_rgb(lab[order]).reshape(1, 16, 16, 3)
    found = jax.jit(colours.measure)(rgb.astype(np.float32))
    expected = {
      "object": [lightness, 25, 0],
      "background": 2,
      "contrast": abs(lightness - 25),
      "roughness": 5,
      "tint": lab.mean(axis=0),
    }
    self.assertEqual(found.keys(), expected.keys())
    for name, value in expected.items():
      np.testing.assert_allclose(found[name][0], value, atol=0.02, err_msg=name)

  @parameterized.parameters(
    ("object", 40.5, 39.5),
    ("background", 8.9, 9.1),
    ("contrast", 10.1, 9.9),
    ("roughness", 4.9, 5.1),
  )
  def test_each_limit_makes_pictures_invalid(self, name, inside, outside):
    measured = {
      "object": np.float32([[50, 0, -60]] * 2),
      "background": np.float32([2, 2]),
      "contrast": np.float32([30, 30]),
      "roughness": np.float32([2, 2]),
    }
    is_valid = jax.jit(colours.is_valid)
    np.testing.assert_array_equal(is_valid(measured), True)
    measured[name] = np.float32([inside, outside])
    if name == "object":
      measured[name] = np.float32([[50, 0, -inside], [50, -outside, 0]])
    np.testing.assert_array_equal(is_valid(measured), [True, False])

  def test_real_pictures_are_valid_and_of_the_hue_that_was_drawn(self):
    scenes, pictures = draw_real()
    found = jax.device_get(measure(pictures))
    self.assertGreaterEqual(found["valid"].mean(), 0.99)
    hits = found["hits"]
    self.assertGreaterEqual(hits[np.arange(COUNT), scenes.hue].mean(), 0.99)
    self.assertLessEqual(hits.sum(axis=1).max(), 1)

  def test_real_pictures_score_most_for_their_own_hue(self):
    scenes, pictures = draw_real()
    scores = jax.device_get(measure(pictures))["scores"]
    np.testing.assert_array_equal(scores.argmax(axis=1), scenes.hue)
    self.assertGreater(scores.max(axis=1).min(), 0.5)

  def test_scores_fall_with_the_distance_to_the_hue(self):
    scenes, _ = draw_real()
    for degrees, expected in ((0, 1.0), (15, 2 / 3), (40, 1 / 9), (50, 0.0)):
      angle = colours.HUE_ANGLES[1] - degrees
      painted = colours.lab_to_rgb(with_hue(np.full(COUNT, 70.0), 60.0, angle))
      pictures = drawing.draw(dataclasses.replace(scenes, colour=painted))
      found = jax.device_get(measure(pictures))
      self.assertTrue(found["valid"].all())
      np.testing.assert_allclose(found["scores"][:, 1], expected, atol=0.05)

  @parameterized.parameters(0.2, 0.5, 0.9)
  def test_a_tint_of_the_whole_picture_does_not_win(self, share):
    """Else members would paint everything blue, pretrained or not."""
    scenes, pictures = draw_real()
    blue = captions.HUES.index("blue")
    others = scenes.hue != blue
    before = jax.device_get(measure(pictures))
    after = jax.device_get(measure(tint(pictures, blue, share)))
    real = before["scores"][~others, blue]
    self.assertLess(after["scores"][others, blue].max(), real.min())
    self.assertEqual(after["hits"][others, blue].sum(), 0)

  def test_coloured_objects_on_tinted_backgrounds_lose(self):
    """Tint pays nothing, even behind objects of the target itself."""
    scenes, _ = draw_real()
    blue = captions.HUES.index("blue")
    strong = dataclasses.replace(
      scenes,
      colour=np.tile([0.35, 0.35, 0.92], (COUNT, 1)),
      background=with_hue(
        scenes.background[:, 0], 14.0, colours.HUE_ANGLES[blue]
      ),
    )
    found = jax.device_get(measure(drawing.draw(strong)))
    self.assertFalse(found["valid"].any())
    self.assertFalse(found["hits"].any())
    np.testing.assert_array_equal(found["scores"], 0.0)
    plain = dataclasses.replace(strong, background=scenes.background)
    found = jax.device_get(measure(drawing.draw(plain)))
    self.assertGreater(found["scores"][:, blue].min(), 0.5)

  @parameterized.parameters((19, True), (25, False))
  def test_a_hit_is_within_22_degrees_of_its_hue(self, degrees, is_hit):
    scenes, _ = draw_real()
    for side in (-1, 1):
      angle = colours.HUE_ANGLES[1] + side * degrees
      moved = colours.lab_to_rgb(with_hue(np.full(COUNT, 70.0), 60.0, angle))
      pictures = drawing.draw(dataclasses.replace(scenes, colour=moved))
      found = jax.device_get(measure(pictures))
      self.assertGreater(found["valid"].mean(), 0.95)
      hits = found["hits"][found["valid"]]
      self.assertEqual(hits[:, 1].mean() > 0.95, is_hit)
      self.assertEqual(hits.any(), is_hit)

  @parameterized.parameters("one colour", "grey", "speckled", "no contrast")
  def test_pictures_without_an_object_on_grey_lose(self, what):
    scenes, pictures = draw_real()
    if what == "one colour":
      pictures = tint(np.zeros((COUNT, 16, 16, 3), np.float32), 2, 1.0)
    elif what == "grey":
      pictures = np.repeat(pictures.mean(axis=-1, keepdims=True), 3, axis=-1)
    elif what == "speckled":
      noise = np.random.default_rng(0).normal(0, 0.15, pictures.shape)
      pictures = np.clip(pictures + noise, 0, 1).astype(np.float32)
    else:
      alike = scenes.background.copy()
      alike[:, 0] = np.asarray(colours.rgb_to_lab(scenes.colour))[:, 0]
      pictures = drawing.draw(dataclasses.replace(scenes, background=alike))
    found = jax.device_get(measure(pictures))
    self.assertLess(found["valid"].mean(), 0.01)
    self.assertLess(found["scores"].mean(), 0.01)
