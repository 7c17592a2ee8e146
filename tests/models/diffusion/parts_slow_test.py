"""Decoders, towers and schedules against those of diffusers and transformers."""

import functools
import importlib.util
import unittest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized
from golden import diffusion_cases as cases
from golden import pipeline_files

from thickets.models.diffusion import (
  clip,
  clip_config,
  sampling,
  schedule,
  vae,
)
from thickets.models.diffusion.schedule import Sampler

pytestmark = pytest.mark.slow

_HAS_TORCH = all(map(importlib.util.find_spec, ("torch", "diffusers")))


def _compile(function, *static):
  return jax.jit(
    functools.partial(function, *static), compiler_options=unoptimised.OPTIONS
  )


def _channels_first(x):
  import torch

  return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


@unittest.skipUnless(_HAS_TORCH, "needs torch and diffusers")
class DecoderTest(parameterized.TestCase):
  @parameterized.parameters(1.0, 1e-3)
  def test_pictures_are_those_of_diffusers(self, scale):
    import torch
    from golden import torch_parts

    config, theirs, params = _decoder()
    latents = np.random.default_rng(0).standard_normal((2, 6, 5, 4))
    latents = (scale * latents).astype(np.float32)
    with torch.no_grad():
      expected = theirs.decode(
        _channels_first(latents) / theirs.config.scaling_factor
      ).sample
    drawn = _compile(vae.decode_raw, config)(params, latents)
    error = torch_parts.measure_error(
      drawn, torch_parts.channels_last(expected)
    )
    self.assertLess(error, 3e-5)

  def test_small_activations_show_the_epsilon(self):
    import torch
    from golden import torch_parts

    config, theirs, params = _decoder()
    x = 1e-3 * np.random.default_rng(1).standard_normal((2, 6, 5, 16))
    x = x.astype(np.float32)
    middle, ours = theirs.decoder.mid_block, params["decoder"]["mid_block"]
    with torch.no_grad():
      expected = [
        middle.attentions[0](_channels_first(x)),
        middle.resnets[0](_channels_first(x), None),
      ]
    drawn = [
      _compile(vae.attend, config)(ours["attentions"]["0"], x),
      _compile(vae._run_resnet, config)(ours["resnets"]["0"], x),
    ]
    for one, other in zip(drawn, expected, strict=True):
      error = torch_parts.measure_error(one, torch_parts.channels_last(other))
      self.assertLess(error, 3e-5)


@functools.cache
def _decoder():
  """(config, their module, our weights) of a tiny decoder."""
  import diffusers
  from golden import torch_parts

  theirs = diffusers.AutoencoderKL.from_config(cases.TINY_VAE)
  torch_parts.randomise(theirs)
  config = vae.parse_config(cases.TINY_VAE)
  return config, theirs, torch_parts.take(theirs, vae.describe(config))


@unittest.skipUnless(_HAS_TORCH, "needs torch and diffusers")
class TowersTest(parameterized.TestCase):
  @parameterized.product(
    activation=["quick_gelu", "gelu"], is_projected=[False, True]
  )
  def test_texts_are_those_of_transformers(self, activation, is_projected):
    import torch
    import transformers
    from golden import torch_parts

    fields = pipeline_files.make_text_config(85, hidden_act=activation)
    # The old rule for the end of a text, or its token.
    fields["eos_token_id"] = 84 if is_projected else 2
    published = transformers.CLIPTextModel
    if is_projected:
      published = transformers.CLIPTextModelWithProjection
    theirs = published(transformers.CLIPTextConfig(**fields))
    torch_parts.randomise(theirs)
    config = clip_config.parse_text_config(
      fields, "text", is_projected=is_projected
    )
    params = torch_parts.take(theirs, clip.describe_text(config), clip.spell)
    tokens = np.array([[83, 4, 7, 9, 84, 84, 84], [83, 1, 84, 0, 0, 0, 0]])
    with torch.no_grad():
      expected = theirs(torch.from_numpy(tokens), output_hidden_states=True)
    read = _compile(clip.read_texts, config)(params, tokens.astype(np.int32))
    pairs = [
      (read.before_last, expected.hidden_states[-2]),
      (read.last, expected.last_hidden_state),
      (
        read.pooled,
        expected.text_embeds if is_projected else expected.pooler_output,
      ),
    ]
    for ours, other in pairs:
      self.assertLess(torch_parts.measure_error(ours, other), 1e-5)

  def test_scores_are_those_of_transformers(self):
    import torch
    import transformers
    from golden import torch_parts

    fields = pipeline_files.SCORER
    theirs = transformers.CLIPModel(transformers.CLIPConfig(**fields))
    torch_parts.randomise(theirs)
    config = clip_config.parse_scorer_config(fields)
    params = torch_parts.take(theirs, clip.describe_scorer(config), clip.spell)
    random = np.random.default_rng(0)
    pixels = random.standard_normal((2, 28, 28, 3)).astype(np.float32)
    tokens = np.array([[83, 4, 84, 84], [83, 1, 7, 84]])
    with torch.no_grad():
      expected = theirs(
        input_ids=torch.from_numpy(tokens),
        pixel_values=_channels_first(pixels),
      )
    ours = (
      _compile(clip.embed_pictures, config)(params, pixels),
      _compile(clip.embed_texts, config)(params, tokens.astype(np.int32)),
    )
    for one, other in zip(
      ours, (expected.image_embeds, expected.text_embeds), strict=True
    ):
      self.assertLess(torch_parts.measure_error(one, other), 1e-5)
      np.testing.assert_allclose(np.sum(one * one, -1), 1, rtol=1e-5)


@unittest.skipUnless(_HAS_TORCH, "needs torch and diffusers")
class SchedulesTest(parameterized.TestCase):
  """Ten steps; DDIM of diffusers ends above zero with SDXL's own file."""

  @parameterized.product(
    spacing=["leading", "trailing", "linspace"],
    prediction=["epsilon", "v_prediction"],
  )
  def test_euler(self, spacing, prediction):
    import diffusers

    fields = {
      **cases.SCHEDULER,
      "timestep_spacing": spacing,
      "prediction_type": prediction,
    }
    self._compare(
      diffusers.EulerDiscreteScheduler.from_config(fields),
      schedule.parse_config(fields),
    )

  # The published linspace of DDIM steps past its own timesteps.
  @parameterized.product(
    spacing=["leading", "trailing"], prediction=["epsilon", "v_prediction"]
  )
  def test_ddim(self, spacing, prediction):
    import diffusers

    fields = {
      **cases.SCHEDULER,
      "timestep_spacing": spacing,
      "prediction_type": prediction,
      "set_alpha_to_one": True,
    }
    self._compare(
      diffusers.DDIMScheduler.from_config(fields),
      schedule.parse_config(fields, sampler=Sampler.DDIM),
    )

  def _compare(self, theirs, config):
    import torch

    made = schedule.make_schedule(config, 10)
    theirs.set_timesteps(10)
    np.testing.assert_allclose(made.timesteps, theirs.timesteps, atol=1e-4)
    np.testing.assert_allclose(
      made.init_scale if config.sampler is Sampler.EULER else 1.0,
      float(theirs.init_noise_sigma),
      rtol=1e-5,
    )
    noise = np.random.default_rng(0).standard_normal((2, 5, 4))
    noise = noise.astype(np.float32)
    x = torch.from_numpy(noise) * float(theirs.init_noise_sigma)
    for t in theirs.timesteps:
      given = theirs.scale_model_input(x, t)
      predicted = torch.tanh(given) + 0.3 * torch.cos(t / 300)
      x = theirs.step(predicted, t, x).prev_sample
    ours = sampling.integrate(
      made,
      lambda x, t: jnp.tanh(x) + 0.3 * jnp.cos(t / 300),
      jnp.asarray(noise),
    )
    error = np.abs(np.asarray(ours) - x.numpy()).max() / x.numpy().std()
    self.assertLess(error, 5e-5)
