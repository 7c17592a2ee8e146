"""UNets against those of diffusers, on tiny models with random weights."""

import functools
import importlib.util
import unittest

import jax
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized
from golden import diffusion_cases as cases

from thickets.models.diffusion import unet, unet_config

pytestmark = pytest.mark.slow

_HAS_TORCH = all(map(importlib.util.find_spec, ("torch", "diffusers")))
_IDS = [[96.0, 64.0, 3.0, 5.0, 128.0, 80.0], [48.0, 56.0, 0.0, 2.0, 48.0, 56.0]]


# With an epsilon that shows in each of its norms.
_WIDE_NORMS = {**cases.SMALL_SD, "cross_attention_dim": 24, "norm_eps": 0.1}


@functools.cache
def _model(name):
  """(config, their module, our weights, our compiled apply)."""
  import diffusers
  from golden import torch_parts

  fields = {**cases.TINY_UNETS, "wide norms": _WIDE_NORMS}[name]
  theirs = diffusers.UNet2DConditionModel.from_config(fields)
  torch_parts.randomise(theirs)
  config = unet_config.parse_config(fields)
  params = torch_parts.take(theirs, unet.describe(config))
  apply = jax.jit(
    functools.partial(unet.apply, config), compiler_options=unoptimised.OPTIONS
  )
  return config, theirs, params, apply


def _inputs(size, scale=1.0):
  """Latents [B, H, W, C] and conditioning of two rows that differ in all."""
  random = np.random.default_rng(0)

  def draw(*shape):
    return random.standard_normal(shape).astype(np.float32)

  x = scale * draw(2, *size, 4)
  conditioning = {
    "context": draw(2, 7, 24),
    "pooled": draw(2, 20),
    "time_ids": np.array(_IDS, np.float32),
  }
  return x, np.array([981.0, 21.0], np.float32), conditioning


@unittest.skipUnless(_HAS_TORCH, "needs torch and diffusers")
class UNetTest(parameterized.TestCase):
  # The pipeline's own test has an even size for the UNet of SDXL.
  @parameterized.parameters(
    ("xl", (9, 13)),
    ("sd15", (16, 24)),
    ("sd21", (9, 13)),
    ("wide norms", (6, 5)),
  )
  def test_predictions_are_those_of_diffusers(self, name, size):
    import torch
    from golden import torch_parts

    _, theirs, params, apply = _model(name)
    x, t, conditioning = _inputs(size)
    if name != "xl":
      conditioning = {"context": conditioning["context"]}
    tensors = {key: torch.from_numpy(c) for key, c in conditioning.items()}
    with torch.no_grad():
      expected = theirs(
        torch.from_numpy(x.transpose(0, 3, 1, 2).copy()),
        torch.from_numpy(t),
        tensors["context"],
        added_cond_kwargs={
          "text_embeds": tensors.get("pooled"),
          "time_ids": tensors.get("time_ids"),
        },
      ).sample
    error = torch_parts.measure_error(
      apply(params, x, t, conditioning), torch_parts.channels_last(expected)
    )
    self.assertLess(error, 1e-4)

  @parameterized.parameters(*cases.TINY_UNETS)
  def test_small_activations_show_the_epsilon_of_a_transformer(self, name):
    import torch
    from golden import torch_parts

    config, theirs, params, _ = _model(name)
    level = 1 if name == "xl" else 0
    module = theirs.down_blocks[level].attentions[0]
    ours = params["down_blocks"][str(level)]["attentions"]["0"]
    random = np.random.default_rng(1)
    width = config.widths[level]
    x = 1e-3 * random.standard_normal((2, 6, 5, width)).astype(np.float32)
    context = random.standard_normal((2, 7, 24)).astype(np.float32)
    with torch.no_grad():
      expected = module(
        torch.from_numpy(x.transpose(0, 3, 1, 2).copy()),
        torch.from_numpy(context),
      ).sample
    run = jax.jit(
      unet.run_transformer,
      static_argnums=(0, 2),
      compiler_options=unoptimised.OPTIONS,
    )
    got = run(config, ours, level, x, context)
    error = torch_parts.measure_error(got, torch_parts.channels_last(expected))
    self.assertLess(error, 3e-5)

  def test_small_activations_show_the_epsilon_of_a_residual_block(self):
    import torch
    from golden import torch_parts

    config, theirs, params, _ = _model("sd15")
    random = np.random.default_rng(1)
    x = 1e-3 * random.standard_normal((2, 6, 5, 8)).astype(np.float32)
    emb = random.standard_normal((2, 32)).astype(np.float32)
    with torch.no_grad():
      # It puts the embedding through its SiLU by itself, before it is added.
      expected = theirs.down_blocks[0].resnets[0](
        torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(emb)
      )
    run = jax.jit(
      unet._run_resnet,
      static_argnums=0,
      compiler_options=unoptimised.OPTIONS,
    )
    ours = params["down_blocks"]["0"]["resnets"]["0"]
    got = run(config, ours, x, jax.nn.silu(emb))
    error = torch_parts.measure_error(got, torch_parts.channels_last(expected))
    self.assertLess(error, 3e-5)
