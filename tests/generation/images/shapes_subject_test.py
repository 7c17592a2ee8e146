"""Tests of the small model of shapes as a subject, and of what ships."""

import dataclasses
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets import naming
from thickets.errors import UserError
from thickets.generation.images import shapes_subject, subjects
from thickets.models.diffusion import shapes_judge, shapes_model, words
from thickets.tasks.shapes import captions, colours, drawing, spoiling


def load(name=shapes_subject.SHIPPED, target="blue"):
  return shapes_subject.load_subject(
    name, target=target, num_steps=4, guidance=2.0
  )


class ShippedTest(parameterized.TestCase):
  def test_the_denoiser_has_as_many_weights_as_it_says(self):
    unet = jax.tree.leaves(shapes_subject.load_model("shipped/shapes")["unet"])
    self.assertLen(unet, 208)
    self.assertEqual(sum(leaf.size for leaf in unet), 559_131)

  def test_latents_of_pictures_are_drawn_as_these_pictures(self):
    pictures = jnp.float32([0, 0.25, 1]).reshape(1, 1, 1, 3)
    latents = shapes_model.encode_pictures(pictures)
    np.testing.assert_array_equal(latents.reshape(-1), [-1, -0.5, 1])
    np.testing.assert_array_equal(shapes_model.decode(latents), pictures)

  def test_the_judge_tells_fresh_pictures_and_spoiled_ones(self):
    rng = np.random.default_rng(2_000_000)
    scenes = drawing.sample_scenes(rng, 600)
    pictures = jnp.asarray(drawing.draw(scenes))
    judge = jax.jit(shapes_judge.judge)
    params = shapes_subject.load_judge()
    real = jax.device_get(judge(params, pictures))
    self.assertGreater(np.mean(real["judged_hue"] == scenes.hue), 0.99)
    self.assertGreater(np.mean(real["judged_shape"] == scenes.shape), 0.97)
    self.assertGreater(np.mean(real["realism"]), 0.99)
    spoiled, _ = spoiling.spoil(rng, np.asarray(pictures))
    seen = jax.device_get(judge(params, jnp.asarray(spoiled)))
    is_none = seen["judged_hue"] == len(captions.HUES)
    self.assertGreater(np.mean(is_none), 0.95)
    self.assertLess(np.mean(seen["realism"]), 0.05)


class SubjectTest(parameterized.TestCase):
  def test_a_saved_model_is_read_with_the_same_bits(self):
    params = shapes_subject.load_model(shapes_subject.SHIPPED)
    params = jax.tree.map(lambda leaf: -leaf, params)
    with tempfile.TemporaryDirectory() as folder:
      shapes_subject.save_model(pathlib.Path(folder), params)
      self.assertTrue(
        (pathlib.Path(folder) / "scheduler/scheduler_config.json").exists()
      )
      read = shapes_subject.load_model(folder)
    self.assertEqual(naming.identify(read), naming.identify(params))

  def test_a_batch_has_the_captions_words_and_shapes_of_its_prompts(self):
    subject = load()
    batch = subjects.make_batch(subject, "judge", 3, seed=5)
    prompts = subject.prompts["judge"]
    self.assertLen(batch["noise"], 3 * len(prompts))
    expected = words.encode(
      subject.params["words"], jnp.asarray(captions.encode([prompts[1]]))
    )
    np.testing.assert_allclose(
      batch["conditioning"]["context"][3], expected[0], atol=1e-6
    )
    self.assertEqual(
      batch["labels"]["shape"][3], captions.find_shape(prompts[1])
    )

  def test_the_target_is_a_column_of_the_scores_and_its_pictures_are_hits(self):
    scenes = drawing.sample_scenes(np.random.default_rng(3), 64)
    pictures = jnp.asarray(drawing.draw(scenes))
    subject = load(target="green")
    green = captions.HUES.index("green")
    batch = {"labels": {"shape": jnp.asarray(scenes.shape, jnp.int8)}}
    for score in (subject.select, subject.judge):
      found = jax.device_get(score(subject.params, pictures, batch))
      np.testing.assert_array_equal(found["score"], found["targets"][:, green])
      self.assertGreater(np.mean(found["hit"] == scenes.hue), 0.98)
      self.assertGreater(np.mean(found["fidelity"]), 0.95)

  def test_pictures_between_two_hues_are_no_hits(self):
    scenes = drawing.sample_scenes(np.random.default_rng(3), 16)
    colour = colours.from_wheel(
      np.full(16, 0.55), np.full(16, 0.45), np.full(16, 45.0)
    )
    pictures = jnp.asarray(
      drawing.draw(dataclasses.replace(scenes, colour=colour))
    )
    found = shapes_subject.score_pictures(0, {}, pictures, {})
    np.testing.assert_array_equal(found["fidelity"], 1)
    np.testing.assert_array_equal(found["hit"], -1)

  def test_pictures_that_are_not_finite_have_no_score_and_are_no_hits(self):
    scenes = drawing.sample_scenes(np.random.default_rng(3), 4)
    pictures = jnp.asarray(drawing.draw(scenes)).at[1, 5, 5, 0].set(jnp.nan)
    subject = load()
    batch = {"labels": {"shape": jnp.asarray(scenes.shape, jnp.int8)}}
    for score in (subject.select, subject.judge):
      found = jax.device_get(score(subject.params, pictures, batch))
      for name in ("score", "targets", "fidelity"):
        is_finite = np.isfinite(found[name]).reshape(4, -1).all(axis=1)
        np.testing.assert_array_equal(is_finite, [1, 0, 1, 1], name)
      self.assertEqual(found["hit"][1], -1)
      self.assertEqual(found["hit"][0], scenes.hue[0])

  def test_pictures_of_another_shape_have_no_fidelity(self):
    scenes = drawing.sample_scenes(np.random.default_rng(3), 64)
    subject = load()
    others = jnp.asarray((scenes.shape + 1) % len(captions.SHAPES), jnp.int8)
    found = subject.judge(
      subject.params,
      jnp.asarray(drawing.draw(scenes)),
      {"labels": {"shape": others}},
    )
    self.assertLess(np.mean(found["fidelity"]), 0.05)

  def test_pictures_in_which_the_judge_sees_no_hue_are_no_hits(self):
    rng = np.random.default_rng(3)
    scenes = drawing.sample_scenes(rng, 64)
    pictures, _ = spoiling.spoil(rng, drawing.draw(scenes))
    subject = load()
    batch = {"labels": {"shape": jnp.asarray(scenes.shape, jnp.int8)}}
    found = subject.judge(subject.params, jnp.asarray(pictures), batch)
    self.assertEqual(found["hit"].max(), -1)

  def test_unknown_models_and_hues_are_refused(self):
    with self.assertRaisesRegex(UserError, r"model\.name must be shipped"):
      load("runs/none/model")
    with self.assertRaisesRegex(UserError, r"model\.name must be shipped"):
      load(tempfile.gettempdir())  # A folder without a model.
    with self.assertRaisesRegex(UserError, "--model must be shipped"):
      shapes_subject.load_model("runs/none/model", "--model")
    with self.assertRaisesRegex(UserError, r"task\.target .*Nearest: blue"):
      load(target="bleu")
