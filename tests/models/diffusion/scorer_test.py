"""The judge of pictures, from its files."""

import functools
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import absltest
from golden import pipeline_files

from thickets.errors import UserError
from thickets.models.diffusion import clip, clip_pixels, scorer


class ScorerTest(absltest.TestCase):
  def test_it_is_loaded_and_embeds(self):
    with tempfile.TemporaryDirectory() as folder:
      pipeline_files.write_scorer(pathlib.Path(folder))
      judge = scorer.load(folder)
    texts = judge.embed_texts(["red", "cat"])
    pictures = np.random.default_rng(0).uniform(size=(2, 32, 40, 3))
    embed = jax.jit(judge.embed_pictures, compiler_options=unoptimised.OPTIONS)
    drawn = embed(judge.picture_params(), pictures.astype(np.float32))
    for vectors in (texts, drawn):
      self.assertEqual(vectors.shape, (2, 10))
      self.assertEqual(vectors.dtype, np.float32)
      np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, rtol=1e-5)
    self.assertGreater(np.abs(texts[0] - texts[1]).max(), 0.01)
    # Red, green and blue stay in this order on the way to the tower.
    read = jax.jit(
      functools.partial(clip.embed_pictures, judge.config),
      compiler_options=unoptimised.OPTIONS,
    )
    pixels = clip_pixels.prepare(jnp.asarray(pictures, jnp.float32), 28)
    np.testing.assert_allclose(
      drawn, read(judge.picture_params(), pixels), atol=1e-4
    )
    with self.assertRaisesRegex(UserError, "would be ignored"):
      judge.embed_texts(["cat " * 30])

  def test_other_models_are_refused(self):
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder)
      pipeline_files.write_json(path / "config.json", {"model_type": "llama"})
      with self.assertRaisesRegex(UserError, "must be of type clip"):
        scorer.load(folder)
      (path / "config.json").rename(path / "other.json")
      with self.assertRaisesRegex(UserError, "must have config.json, got none"):
        scorer.load(folder)
