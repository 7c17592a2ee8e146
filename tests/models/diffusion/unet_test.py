"""The UNet: sizes of the published ones, laws of tiny ones, and refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized
from golden import diffusion_cases as cases

from thickets import naming
from thickets.errors import UserError
from thickets.models.diffusion import part_files, unet, unet_config, weights


@functools.cache
def _shapes_model():
  """(config, weights, compiled apply) of the UNet of the demonstration."""
  config = unet_config.parse_config(cases.SHAPES)
  params = part_files.fill(
    unet.describe(config), _randomise(unet.describe(config)), np.float32
  )
  apply = jax.jit(
    functools.partial(unet.apply, config), compiler_options=unoptimised.OPTIONS
  )
  return config, params, apply


def _randomise(description):
  """Maps a logical name to random values."""
  shapes = weights.list_names(description)
  return lambda name: cases.randomise(weights.publish_name(name), shapes[name])


def _inputs(rows, size=(6, 6)):
  random = np.random.default_rng(0)
  x = random.standard_normal((rows, *size, 3)).astype(np.float32)
  context = random.standard_normal((rows, 5, 32)).astype(np.float32)
  t = np.linspace(5, 981, rows).astype(np.float32)
  return x, t, {"context": context}


class DescriptionTest(parameterized.TestCase):
  @parameterized.parameters(
    (cases.SDXL, 2_567_463_684, 1680),
    (cases.SD15, 859_520_964, 686),
    (cases.SD21, 865_910_724, 686),
    (cases.TINY_XL, 668_708, 840),
    (cases.TINY_SD15, 551_580, 686),
    (cases.SHAPES, 559_131, 208),
  )
  def test_sizes_are_the_published_ones(self, fields, num_params, num_tensors):
    described = unet.describe(unet_config.parse_config(fields))
    self.assertEqual(weights.count_params(described), num_params)
    self.assertLen(weights.list_names(described), num_tensors)

  def test_names_are_published_and_their_hashes_distinct(self):
    described = {"unet": unet.describe(unet_config.parse_config(cases.SDXL))}
    template = weights.abstract_params(described, jnp.float32)
    # `named_leaves` refuses names that share a hash.
    naming.named_leaves(template, weights.tensor_names(template))
    names = weights.list_names(described)
    to_out = "mid_block.attentions.0.transformer_blocks.9.attn1.to_out.0"
    self.assertEqual(names[f"unet.{to_out}"], (1280, 1280))
    self.assertEqual(weights.publish_name(f"{to_out}_bias"), f"{to_out}.bias")
    self.assertEqual(weights.publish_name(to_out), f"{to_out}.weight")
    self.assertIn("unet.up_blocks.0.upsamplers.0.conv_bias", names)
    self.assertEqual(
      [
        names[f"unet.up_blocks.{i}.resnets.{j}.conv1"][1]
        for i in range(3)
        for j in range(3)
      ],
      [2560, 2560, 1920, 1920, 1280, 960, 960, 640, 640],
    )

  def test_random_weights_depend_on_their_names_alone(self):
    described = {
      **weights.conv("conv_in", 4, 8),
      **weights.norm("norm", 8),
      "blocks": weights.linear("proj", 8, 8),
    }
    params = weights.init(described, jax.random.key(0))
    del described["conv_in"]
    other = weights.init(described, jax.random.key(0), jnp.bfloat16)
    np.testing.assert_array_equal(
      params["blocks"]["proj"].astype(jnp.bfloat16), other["blocks"]["proj"]
    )
    largest = float(jnp.abs(params["conv_in"]).max())
    self.assertBetween(largest, 0.8 / 6, 1 / 6)  # 1 / sqrt(4 * 3 * 3).
    self.assertBetween(float(params["conv_in"].min()), -1 / 6, -0.8 / 6)
    np.testing.assert_array_equal(params["norm"], np.ones(8))
    np.testing.assert_array_equal(params["conv_in_bias"], np.zeros(8))

  def test_parts_of_a_stack_are_as_wide_and_begin_as_one_alone(self):
    part = {**weights.linear("proj", 16, 4), **weights.norm("norm", 4)}
    stacked = weights.stack(part, 3)
    for name, weight in part.items():
      self.assertEqual(stacked[name].shape, (3, *weight.shape))
      self.assertEqual(stacked[name].spread, weight.spread)
      self.assertEqual(stacked[name].mean, weight.mean)


class ApplyTest(parameterized.TestCase):
  @parameterized.parameters(((5, 7),))
  def test_a_row_does_not_depend_on_the_others(self, size):
    _, params, apply = _shapes_model()
    x, t, conditioning = _inputs(2, size)
    together = apply(params, x, t, conditioning)
    self.assertEqual(together.shape, (2, *size, 3))
    # The first row alone would be compiled anew: the second is put beside itself.
    x[0], t[0], conditioning["context"][0] = (
      x[1],
      t[1],
      conditioning["context"][1],
    )
    alone = apply(params, x, t, conditioning)
    np.testing.assert_allclose(together[1], alone[1], atol=1e-5)
    np.testing.assert_allclose(alone[0], alone[1], atol=1e-5)
    self.assertGreater(float(jnp.std(together)), 0.01)

  def test_predictions_are_float32_whatever_the_weights_are(self):
    config, params, _ = _shapes_model()
    half = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), params
    )
    predicted = jax.eval_shape(
      functools.partial(unet.apply, config), half, *_inputs(2)
    )
    self.assertEqual(predicted.dtype, jnp.float32)


class RefusalsTest(parameterized.TestCase):
  @parameterized.parameters(
    ("act_fn", "gelu"),
    ("attention_type", "gated"),
    ("class_embed_type", "projection"),
    ("dual_cross_attention", True),
    ("encoder_hid_dim", 64),
    ("flip_sin_to_cos", False),
    ("freq_shift", 1),
    ("mid_block_type", "UNetMidBlock2D"),
    ("num_class_embeds", 10),
    ("only_cross_attention", True),
    ("resnet_time_scale_shift", "scale_shift"),
    ("time_cond_proj_dim", 256),
    ("addition_embed_type", "text"),
    ("down_block_types", ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"]),
    ("attention_head_dim", [5, 10]),
    ("transformer_layers_per_block", [[1], [2], [3]]),
    ("block_out_channels", [320, 641, 1280]),
    ("norm_num_groups", "32"),
    ("projection_class_embeddings_input_dim", 1536),
    ("cross_attention_dim", [1, 2, 3]),
  )
  def test_other_options_are_refused_by_name(self, name, value):
    with self.assertRaisesRegex(UserError, f"unet.{name} must"):
      unet_config.parse_config({**cases.SDXL, name: value})

  @parameterized.parameters(
    ("freq_shift", False, "must be 0, got false"),
    ("only_cross_attention", 0, "must be false, got 0"),
    ("in_channels", None, "must be .*, got null"),
    ("norm_eps", None, "must be .*, got null"),
  )
  def test_values_are_of_the_kind_of_their_option(self, name, value, message):
    with self.assertRaisesRegex(UserError, f"unet.{name} {message}"):
      unet_config.parse_config({**cases.SDXL, name: value})

  def test_an_unknown_option_names_the_nearest(self):
    with self.assertRaisesRegex(UserError, "got norm_groups.*norm_num_groups"):
      unet_config.parse_config({**cases.SDXL, "norm_groups": 8})

  def test_heads_that_do_not_divide_their_channels(self):
    with self.assertRaisesRegex(UserError, "is the number of heads, must div"):
      unet_config.parse_config(
        {**cases.SDXL, "attention_head_dim": [5, 11, 20]}
      )

  def test_only_levels_that_attend_need_heads_that_divide(self):
    # The finest level of SDXL has no attention; with one on either way, it has.
    fields = {**cases.SDXL, "attention_head_dim": [7, 10, 20]}
    self.assertEqual(unet_config.parse_config(fields).num_heads, (7, 10, 20))
    attending = {
      "down_block_types": ["CrossAttnDownBlock2D"] * 3,
      "up_block_types": ["CrossAttnUpBlock2D"] * 3,
    }
    for name, kinds in attending.items():
      with self.assertRaisesRegex(UserError, "got 7 for 320"):
        unet_config.parse_config({**fields, name: kinds})

  def test_the_middle_attends_where_its_level_does_not(self):
    with self.assertRaisesRegex(UserError, "got 7 for 1280"):
      unet_config.parse_config(
        {**cases.SD15, "attention_head_dim": [8, 8, 8, 7]}
      )

  def test_the_first_width_has_cosines_and_sines(self):
    with self.assertRaisesRegex(UserError, "begin with an even number, got 3"):
      unet_config.parse_config(
        {
          **cases.SD15,
          "block_out_channels": [3, 6, 6, 6],
          "norm_num_groups": 3,
          "attention_head_dim": 1,
        }
      )

  def test_options_that_a_file_leaves_out_are_those_of_its_class(self):
    config = unet_config.parse_config({})
    self.assertEqual(config.widths, (320, 640, 1280, 1280))
    self.assertEqual(config.down_attends, (True, True, True, False))
    self.assertEqual(config.up_attends, (False, True, True, True))
    self.assertEqual(config.num_heads, (8,) * 4)
    self.assertEqual(config.depths, (1,) * 4)
    self.assertEqual(config.context_width, 1280)
    self.assertEqual((config.num_groups, config.norm_eps), (32, 1e-5))
    self.assertFalse(config.has_linear_projection)
    self.assertFalse(config.is_attention_wide)
    self.assertIsNone(config.added)

  def test_queries_are_wide_where_the_file_says_so(self):
    config = unet_config.parse_config({**cases.SD21, "upcast_attention": True})
    self.assertTrue(config.is_attention_wide)

  def test_private_fields_and_sizes_change_nothing(self):
    fields = {**cases.SDXL, "_diffusers_version": "0.19", "sample_size": 64}
    self.assertEqual(
      unet_config.parse_config(fields), unet_config.parse_config(cases.SDXL)
    )
