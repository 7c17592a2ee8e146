"""The decoder: sizes, half precision, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized
from golden import diffusion_cases as cases
from golden import pipeline_files

from thickets.errors import UserError
from thickets.models.diffusion import vae, weights


class DecodeTest(parameterized.TestCase):
  def test_sizes_are_the_published_ones(self):
    described = vae.describe(vae.parse_config(cases.VAE))
    self.assertEqual(weights.count_params(described), 49_490_199)
    self.assertLen(weights.list_names(described), 140)

  def test_weights_that_overflow_half_precision_draw_the_same(self):
    config = vae.parse_config(cases.TINY_VAE)
    params = pipeline_files.make_params(vae.describe(config))
    decoder = params["decoder"]
    # What comes in grows beyond 65504; what goes out is normed.
    decoder["conv_in"] = decoder["conv_in"] * 65536
    decoder["conv_out"] = jnp.round(decoder["conv_out"] * 64) / 64
    half = jax.tree.map(
      lambda leaf: leaf.astype(jnp.float16), {**params, "decoder": decoder}
    )
    self.assertTrue(
      all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(half))
    )
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), half)
    latents = jnp.asarray(
      np.random.default_rng(0).standard_normal((1, 3, 2, 4)), jnp.float32
    )
    decode = jax.jit(
      lambda params, x: vae.decode(config, params, x),
      compiler_options=unoptimised.OPTIONS,
    )
    drawn = decode(half, latents)
    self.assertEqual(drawn.shape, (1, 12, 8, 3))
    self.assertEqual(drawn.dtype, jnp.float32)
    np.testing.assert_array_equal(drawn, decode(wide, latents))
    self.assertGreater(float(jnp.std(drawn)), 0.1)
    self.assertBetween(float(jnp.min(drawn)), 0, 1)
    np.testing.assert_array_equal(drawn, decode(half, latents))

  def test_keys_of_old_files(self):
    name = "decoder.mid_block.attentions.0.to_out.0_bias"
    self.assertEqual(
      vae.spell(name),
      [
        "decoder.mid_block.attentions.0.to_out.0.bias",
        "decoder.mid_block.attentions.0.proj_attn.bias",
      ],
    )
    self.assertLen(vae.spell("decoder.conv_in"), 1)


class RefusalsTest(parameterized.TestCase):
  def test_a_missing_scaling_factor(self):
    fields = {k: v for k, v in cases.VAE.items() if k != "scaling_factor"}
    with self.assertRaisesRegex(
      UserError, "vae.scaling_factor must be .* none"
    ):
      vae.parse_config(fields)

  @parameterized.parameters(
    ("act_fn", "relu"),
    ("shift_factor", 0.1),
    ("latents_mean", [0.0]),
    ("mid_block_add_attention", False),
    ("use_post_quant_conv", False),
    ("up_block_types", ["AttnUpDecoderBlock2D"] * 4),
    ("up_block_types", ["UpDecoderBlock2D"] * 3),
    ("block_out_channels", [128, 256, 500, 512]),
    ("block_out_channels", [0, 256, 512, 512]),
    ("scaling_factor", 0),
    ("out_channels", 4),
  )
  def test_other_options_are_refused_by_name(self, name, value):
    with self.assertRaisesRegex(UserError, f"vae.{name} must"):
      vae.parse_config({**cases.VAE, name: value})
