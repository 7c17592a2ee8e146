"""A whole tiny pipeline of SDXL against that of diffusers, from and to its files."""

import functools
import importlib.util
import pathlib
import tempfile
import unittest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized

from thickets.models.diffusion import pipeline, sampling

pytestmark = pytest.mark.slow

_HAS_TORCH = all(map(importlib.util.find_spec, ("torch", "diffusers")))
_SIZE, _STEPS = (64, 96), 4
_PROMPTS = ("a red cat!", "the cat")


@unittest.skipUnless(_HAS_TORCH, "needs torch and diffusers")
class PipelineTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    from golden import diffusers_pipeline

    root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    cls.theirs = diffusers_pipeline.make(root / "tokenizers")
    cls.theirs.set_progress_bar_config(disable=True)
    cls.theirs.save_pretrained(root / "pipeline")
    cls.root = root
    cls.ours = pipeline.load(str(root / "pipeline"))
    cls.noise = np.random.default_rng(0).standard_normal((2, 16, 24, 4))

  def _draw_theirs(self, theirs, negative, guidance, **options):
    import torch

    latents = torch.from_numpy(
      self.noise.transpose(0, 3, 1, 2).astype(np.float32).copy()
    )
    # One by one: of several prompts, it gives the sizes of the negative branch to
    # some rows of the other, and the other way round.
    return np.concatenate(
      [
        theirs(
          prompt=prompt,
          negative_prompt=negative,
          height=_SIZE[0],
          width=_SIZE[1],
          num_inference_steps=_STEPS,
          guidance_scale=guidance,
          latents=latents[i : i + 1],
          output_type="np",
          **options,
        ).images
        for i, prompt in enumerate(_PROMPTS)
      ]
    )

  @functools.cached_property
  def _sample(self):
    def predict(x, t, conditioning):
      return self.ours.predict(self.ours.params, x, t, conditioning)

    def sample(noise, conditioning, negative, guidance):
      def denoise(x, t):
        return sampling.predict_guided(
          predict, x, t, conditioning, negative, guidance
        )

      made = self.ours.schedule(_STEPS)
      latents = sampling.integrate(made, denoise, noise)
      return self.ours.decode(self.ours.params, latents)

    return jax.jit(
      sample, static_argnums=3, compiler_options=unoptimised.OPTIONS
    )

  def test_pictures_are_those_of_diffusers(self):
    from golden import torch_parts

    noise = jnp.asarray(self.noise, jnp.float32)
    frame = pipeline.Frame(_SIZE, original=(128, 80), corner=(3, 5))
    other = pipeline.Frame(_SIZE, original=(40, 50), corner=(7, 1))
    sizes = {
      "original_size": frame.original,
      "crops_coords_top_left": frame.corner,
      "negative_original_size": other.original,
      "negative_crops_coords_top_left": other.corner,
      "negative_target_size": _SIZE,
    }
    plain = pipeline.Frame(_SIZE)
    for negative, guidance, positive, negatives, options in (
      ("bad", 5.0, plain, plain, {}),
      (None, 5.0, frame, other, sizes),
      ("", 5.0, plain, plain, {}),
      (None, 0.0, plain, plain, {}),
    ):
      with self.subTest(negative=negative, guidance=guidance):
        expected = self._draw_theirs(self.theirs, negative, guidance, **options)
        drawn = self._sample(
          noise,
          self.ours.encode(_PROMPTS, positive),
          self.ours.encode_negative(negative, 2, negatives),
          guidance,
        )
        error = torch_parts.measure_error(drawn, expected)
        self.assertLess(error, 1e-4)

  def test_an_expert_is_drawn_by_diffusers(self):
    import diffusers

    target = self.root / "expert"
    unet = dict(self.ours.params["unet"])
    unet["conv_out_bias"] = unet["conv_out_bias"] + 0.1
    pipeline.save(target, self.ours, unet)
    expert = diffusers.StableDiffusionXLPipeline.from_pretrained(target)
    expert.set_progress_bar_config(disable=True)
    moved = expert.unet.conv_out.bias.detach().numpy()
    np.testing.assert_allclose(moved, unet["conv_out_bias"])
    before = self._draw_theirs(self.theirs, None, 0.0)
    after = self._draw_theirs(expert, None, 0.0)
    self.assertGreater(np.abs(after - before).max(), 1e-3)
    self.theirs.unet.conv_out.bias.data += 0.1
    try:
      same = self._draw_theirs(self.theirs, None, 0.0)
    finally:
      self.theirs.unet.conv_out.bias.data -= 0.1
    np.testing.assert_allclose(after, same, atol=1e-6)

  def test_encoded_prompts_are_those_of_diffusers(self):
    from golden import torch_parts

    frame = pipeline.Frame(_SIZE)
    prompts = ["! !! !!!", "the red cat and the hat"]
    expected = self.theirs.encode_prompt(
      prompts, do_classifier_free_guidance=False
    )
    encoded = self.ours.encode(prompts, frame)
    for name, theirs in (("context", expected[0]), ("pooled", expected[2])):
      error = torch_parts.measure_error(encoded[name], theirs)
      self.assertLess(error, 1e-5)
