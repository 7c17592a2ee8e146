"""Tests of pictures of shapes, their captions and their splits."""

import dataclasses
import itertools

import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.tasks.shapes import captions, drawing, prompts, spoiling


def sample(count=4000, seed=0):
  rng = np.random.default_rng(seed)
  return drawing.sample_scenes(rng, count), rng


def draw_white(shape, count=20):
  """[B, 16, 16] white shapes of radius 4 on black, near the middle."""
  centres = np.random.default_rng(1).uniform(-0.5, 0.5, (count, 2)) + 7.5
  scenes = dataclasses.replace(
    sample(count)[0],
    shape=np.full(count, captions.SHAPES.index(shape)),
    centre=centres,
    radius=np.full(count, 4.0),
    colour=np.ones((count, 3)),
    background=np.zeros((count, 3)),
  )
  return drawing.draw(scenes)[..., 0]


class DrawingTest(parameterized.TestCase):
  def test_hues_shapes_and_places_are_equally_frequent(self):
    scenes, _ = sample()
    for values, kinds in (
      (scenes.hue, captions.HUES),
      (scenes.shape, captions.SHAPES),
      (scenes.place, captions.PLACES),
    ):
      shares = np.bincount(values, minlength=len(kinds)) / len(values)
      np.testing.assert_allclose(shares, 1 / len(kinds), atol=0.03)

  def test_pictures_are_within_bounds_and_hold_an_object(self):
    scenes, _ = sample(300)
    pictures = drawing.draw(scenes)
    self.assertEqual(pictures.shape, (300, 16, 16, 3))
    self.assertGreaterEqual(pictures.min(), 0)
    self.assertLessEqual(pictures.max(), 1)
    background = np.median(pictures.reshape(300, -1, 3), axis=1)
    differs = np.abs(pictures - background[:, None, None]).max(axis=-1) > 0.05
    area = differs.sum(axis=(1, 2))
    self.assertGreaterEqual(area.min(), 10)
    self.assertLessEqual(area.max(), 110)

  def test_objects_are_where_captions_say(self):
    scenes, _ = sample(2000)
    middle = scenes.centre - 7.5
    for place, axis, sign in (
      ("left", 1, -1),
      ("right", 1, 1),
      ("top", 0, -1),
      ("bottom", 0, 1),
    ):
      here = scenes.place == captions.PLACES.index(place)
      self.assertGreater((sign * middle[here, axis]).min(), 2)
    nowhere = middle[scenes.place == captions.PLACES.index("")]
    np.testing.assert_allclose(nowhere.mean(axis=0), 0, atol=0.1)

  @parameterized.parameters(
    # In squares of the radius.
    ("disc", np.pi),
    ("square", 1.72**2),
    ("triangle", 2.0),
    ("cross", 4 * 0.72 - 0.72**2),
    ("ring", np.pi * (1.08**2 - 0.52**2)),
    ("bar", 2.2 * 0.9),
  )
  def test_areas_are_those_of_geometry(self, shape, area):
    whites = draw_white(shape)
    np.testing.assert_allclose(whites.sum(axis=(1, 2)) / 16, area, rtol=0.06)

  def test_bars_lie_and_triangles_point_upwards(self):
    away = np.arange(16) - 7.5
    bars, triangles = draw_white("bar"), draw_white("triangle")
    down, across = (
      (bars.sum(axis=axis) * away**2).sum(axis=1) for axis in (2, 1)
    )
    self.assertTrue(np.all(across > 3 * down))
    # The centre of their mass is beneath the middle of their height.
    rows = triangles.sum(axis=2)
    lowest = (rows * away).sum(axis=1) / rows.sum(axis=1)
    np.testing.assert_allclose(lowest, 4 * (2 * 2 / 3 - 1.1), atol=0.5)

  def test_captions_leave_the_hue_open_as_often_as_asked(self):
    scenes, rng = sample()
    texts = drawing.write_captions(rng, scenes, open_hue=0.3, empty=0.1)
    is_empty = np.array([not text for text in texts])
    names = np.array(
      [any(hue in text.split() for hue in captions.HUES) for text in texts]
    )
    self.assertAlmostEqual(is_empty.mean(), 0.1, delta=0.02)
    self.assertAlmostEqual(names[~is_empty].mean(), 0.7, delta=0.03)

  def test_spoiled_pictures_are_pictures(self):
    scenes, rng = sample(200)
    spoiled, way = spoiling.spoil(rng, drawing.draw(scenes))
    self.assertTrue(np.isfinite(spoiled).all())
    self.assertLessEqual(spoiled.max(), 1)
    self.assertLen(set(way.tolist()), len(spoiling.WAYS))

  def test_blots_are_as_smooth_across_as_down(self):
    blots = spoiling._draw_blots(np.random.default_rng(0), 300)
    down, across = (np.abs(np.diff(blots, axis=axis)) for axis in (1, 2))
    self.assertAlmostEqual(down.mean() / across.mean(), 1, delta=0.05)
    self.assertAlmostEqual(down.max() / across.max(), 1, delta=0.3)


class CaptionsTest(parameterized.TestCase):
  def test_words_have_numbers_and_the_rest_is_padding(self):
    np.testing.assert_array_equal(
      captions.encode(["a blue ring on the left", ""]),
      [
        [
          1,
          2,
          *map(captions.WORDS.index, ["blue", "ring", "on", "the", "left"]),
          0,
        ],
        [1, 0, 0, 0, 0, 0, 0, 0],
      ],
    )

  def test_every_caption_fits(self):
    for hue, shape, place in itertools.product(
      ("", *captions.HUES), captions.SHAPES, captions.PLACES
    ):
      text = captions.write_caption(shape, hue=hue, place=place)
      captions.encode([text])
      self.assertEqual(captions.SHAPES[captions.find_shape(text)], shape)

  @parameterized.parameters(
    ("a blu ring", r"known words only, got 'blu' in .* Nearest: blue"),
    ("a ring on the left on the left", "at most 7 words"),
  )
  def test_other_captions_are_refused(self, text, message):
    with self.assertRaisesRegex(UserError, message):
      captions.encode([text])

  def test_unknown_hues_name_the_nearest(self):
    with self.assertRaisesRegex(UserError, r"task\.target .*'bleu'.*blue"):
      captions.find_hue("bleu", "task.target")


class PromptsTest(parameterized.TestCase):
  def test_splits_share_neither_shapes_nor_places_and_name_no_hue(self):
    words = {
      split: {word for text in texts for word in text.split()}
      - {"a", "on", "the"}
      for split, texts in prompts.PROMPTS.items()
    }
    for one, two in itertools.combinations(words.values(), 2):
      self.assertFalse(one & two)
    self.assertFalse(set.union(*words.values()) & set(captions.HUES))
