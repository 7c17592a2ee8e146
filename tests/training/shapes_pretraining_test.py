"""Tests of the batches, the rate and the refusals of the small model of shapes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.tasks.shapes import captions, colours
from thickets.training import shapes_pretraining
from thickets.training.shapes_pretraining import ShapesPretraining
from thickets.training.spec_checks import SpecError

SPEC = ShapesPretraining(
  num_steps=20,
  batch_size=400,
  learning_rate=1e-2,
  warmup=4,
  open_hue=0.5,
  empty=0.1,
  has_colours=True,
)
BATCH = shapes_pretraining.make_batch(0, SPEC, 3)


def find_hues(batch):
  """The share of captions that name a hue, and of those that say nothing."""
  words = np.array([captions.WORDS.index(hue) for hue in captions.HUES])
  names_hue = np.isin(batch["tokens"], words).any(axis=1)
  nothing = (batch["tokens"] == captions.encode([""])[0]).all(axis=1)
  return names_hue.mean(), nothing.mean()


class BatchTest(parameterized.TestCase):
  def test_a_step_has_its_own_pictures_whoever_asks(self):
    again = shapes_pretraining.make_batch(0, SPEC, 3)
    for name, array in BATCH.items():
      np.testing.assert_array_equal(array, again[name], err_msg=name)
    for other in (
      shapes_pretraining.make_batch(0, SPEC, 4),
      shapes_pretraining.make_batch(1, SPEC, 3),
    ):
      for name, array in BATCH.items():
        self.assertFalse(np.array_equal(array, other[name]), name)

  def test_captions_leave_out_as_often_as_they_should(self):
    names_hue, nothing = find_hues(BATCH)
    self.assertBetween(names_hue, 0.45 - 0.09, 0.45 + 0.09)
    self.assertBetween(nothing, 0.1 - 0.06, 0.1 + 0.06)

  def test_times_and_noise_cover_their_ranges(self):
    self.assertBetween(BATCH["timesteps"].min(), 0, 20)
    self.assertBetween(BATCH["timesteps"].max(), 980, 999)
    self.assertAlmostEqual(float(BATCH["noise"].std()), 1.0, delta=0.01)

  def test_without_colours_neither_pictures_nor_captions_have_any(self):
    grey = shapes_pretraining.make_batch(
      0, dataclasses.replace(SPEC, has_colours=False), 3
    )
    self.assertEqual(find_hues(grey)[0], 0.0)
    measured = jax.device_get(colours.measure(grey["pictures"]))
    chroma = np.hypot(measured["object"][:, 1], measured["object"][:, 2])
    self.assertLess(chroma.max(), 5.0)  # That of nearly grey backgrounds.
    self.assertGreater(np.ptp(grey["pictures"], axis=(1, 2, 3)).min(), 0.2)


class SpecTest(parameterized.TestCase):
  def test_the_rate_rises_to_its_largest_and_falls_to_nothing(self):
    self.enter_context(jax.numpy_dtype_promotion("standard"))
    optimizer = shapes_pretraining.make_optimizer(SPEC)
    params = {"w": jnp.zeros(())}
    state, sizes = optimizer.init(params), []
    for _ in range(SPEC.num_steps + 1):
      moves, state = optimizer.update({"w": jnp.ones(())}, state, params)
      sizes.append(-float(moves["w"]))
    self.assertEqual(int(np.argmax(sizes)), SPEC.warmup)
    self.assertAlmostEqual(max(sizes), SPEC.learning_rate, delta=1e-5)
    self.assertAlmostEqual(sizes[0], 0.0, delta=1e-6)
    self.assertAlmostEqual(sizes[-1], 0.0, delta=1e-6)

  @parameterized.parameters(
    ("num_steps", -1),
    ("batch_size", 0),
    ("warmup", 20),
    ("learning_rate", 0.0),
    ("open_hue", 1.5),
    ("empty", -0.1),
  )
  def test_values_out_of_range_are_refused_by_name(self, field, value):
    with self.assertRaisesRegex(SpecError, rf"pretraining\.{field}"):
      dataclasses.replace(SPEC, **{field: value})
