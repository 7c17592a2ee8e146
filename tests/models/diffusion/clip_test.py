"""The towers of CLIP: sizes, ends of texts, pictures as they take them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import unoptimised
from absl.testing import parameterized
from golden import diffusion_cases as cases
from golden import pipeline_files

from thickets.errors import UserError
from thickets.models.diffusion import clip, clip_config, clip_pixels, weights


@functools.cache
def _text_tower():
  """(config, weights) of a text tower of width 12."""
  config = clip_config.parse_text_config(
    pipeline_files.make_text_config(85), "text", is_projected=True
  )
  return config, pipeline_files.make_params(clip.describe_text(config))


class DescriptionTest(parameterized.TestCase):
  @parameterized.parameters(
    (cases.CLIP_L_TEXT, False, 123_060_480, 196),
    (cases.BIG_G_TEXT, True, 694_659_840, 517),
  )
  def test_text_towers_have_the_published_sizes(
    self, fields, is_projected, num_params, num_tensors
  ):
    described = clip.describe_text(
      clip_config.parse_text_config(fields, "text", is_projected=is_projected)
    )
    self.assertEqual(weights.count_params(described), num_params)
    self.assertLen(weights.list_names(described), num_tensors)

  def test_the_scorer_has_the_published_size(self):
    config = clip_config.parse_scorer_config(cases.CLIP_L)
    described = clip.describe_scorer(config)
    # All but the temperature of training, one number in a tensor of its own.
    self.assertEqual(weights.count_params(described), 427_616_513 - 1)
    self.assertLen(weights.list_names(described), 590 - 1)

  def test_both_spellings_of_a_key(self):
    self.assertEqual(
      clip.spell("text_model.final_layer_norm_bias"),
      ("text_model.final_layer_norm.bias", "final_layer_norm.bias"),
    )
    self.assertEqual(clip.spell("text_projection"), ("text_projection.weight",))
    name = "vision_model.embeddings.class_embedding"
    self.assertEqual(clip.spell(name), (name,))


class TextTest(parameterized.TestCase):
  def test_ends_by_both_rules(self):
    tokens = jnp.array([[83, 5, 84, 84], [83, 90, 84, 0], [83, 5, 6, 84]])
    config, _ = _text_tower()
    # The old rule takes a token that was added for the end.
    self.assertIsNone(config.end_token)
    np.testing.assert_array_equal(clip.find_ends(config, tokens), [2, 1, 3])
    config = clip_config.parse_text_config(
      pipeline_files.make_text_config(91, eos_token_id=84),
      "text",
      is_projected=True,
    )
    np.testing.assert_array_equal(clip.find_ends(config, tokens), [2, 2, 3])

  def test_a_token_sees_none_behind_it(self):
    config, params = _text_tower()
    tokens = jnp.array([[83, 5, 6, 84, 84], [83, 5, 6, 84, 0]])
    read = jax.jit(
      functools.partial(clip.read_texts, config),
      compiler_options=unoptimised.OPTIONS,
    )(params, tokens)
    for features in (read.before_last, read.last):
      np.testing.assert_allclose(features[0, :4], features[1, :4], atol=1e-6)
      self.assertGreater(jnp.abs(features[0, 4] - features[1, 4]).max(), 0.1)
    np.testing.assert_allclose(read.pooled[0], read.pooled[1], atol=1e-6)
    self.assertEqual(read.pooled.shape, (2, 20))

  @parameterized.parameters(
    ("hidden_act", "relu"),
    ("hidden_size", 13),
    ("num_hidden_layers", 0),
    ("attention_dropout", 0.1),
  )
  def test_other_options_are_refused_by_name(self, name, value):
    with self.assertRaisesRegex(UserError, f"text.{name} must"):
      clip_config.parse_text_config(
        {**cases.CLIP_L_TEXT, name: value}, "text", is_projected=False
      )

  def test_vectors_are_float32_whatever_the_weights_are(self):
    config = clip_config.parse_scorer_config(pipeline_files.SCORER)
    half = weights.abstract_params(clip.describe_scorer(config), jnp.bfloat16)
    pixels = jax.ShapeDtypeStruct((2, 28, 28, 3), jnp.float32)
    tokens = jax.ShapeDtypeStruct((2, 20), jnp.int32)
    for embed, inputs in (
      (clip.embed_pictures, pixels),
      (clip.embed_texts, tokens),
    ):
      vectors = jax.eval_shape(functools.partial(embed, config), half, inputs)
      self.assertEqual(vectors.dtype, jnp.float32)
      self.assertEqual(vectors.shape, (2, 10))


class ScorerConfigTest(parameterized.TestCase):
  def test_the_old_spelling_of_a_tower_wins(self):
    fields = {
      **cases.CLIP_L,
      "text_config_dict": {"num_hidden_layers": 5},
      "vision_config_dict": {"patch_size": 28},
    }
    config = clip_config.parse_scorer_config(fields)
    self.assertEqual(config.text.tower.num_layers, 5)
    self.assertEqual(config.vision.patch, 28)
    # What it leaves out is that of the new one.
    self.assertEqual(config.text.tower.width, 768)
    self.assertEqual(config.vision.tower.num_layers, 24)

  @parameterized.parameters((96, 96), (None, 512))
  def test_both_towers_project_as_the_whole_says(self, given, expected):
    fields = {
      **cases.CLIP_L,
      "text_config": {**cases.CLIP_L_TEXT, "projection_dim": 7},
      "vision_config": {"projection_dim": 9},
    }
    del fields["projection_dim"]
    if given is not None:
      fields["projection_dim"] = given
    config = clip_config.parse_scorer_config(fields)
    self.assertEqual(config.text.projection_width, expected)
    self.assertEqual(config.vision.projection_width, expected)

  def test_patches_must_fill_the_picture(self):
    fields = {**cases.CLIP_L, "vision_config": {"patch_size": 60}}
    with self.assertRaisesRegex(
      UserError, "image_size must be a multiple of patch_size, got 224 and 60"
    ):
      clip_config.parse_scorer_config(fields)

  def test_only_clip_scores(self):
    with self.assertRaisesRegex(
      UserError, "must be of type clip, got 'siglip'"
    ):
      clip_config.parse_scorer_config({**cases.CLIP_L, "model_type": "siglip"})

  @parameterized.parameters("text_config", "vision_config_dict")
  def test_towers_are_objects(self, name):
    with self.assertRaisesRegex(
      UserError, f"clip.{name} must be a JSON object"
    ):
      clip_config.parse_scorer_config({**cases.CLIP_L, name: 5})


class PixelsTest(parameterized.TestCase):
  @parameterized.parameters(
    ((512, 512),), ((96, 160),), ((160, 96),), ((16, 16),)
  )
  def test_pictures_are_those_of_pillow(self, size):
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (size[0] // 8, size[1] // 8, 3))
    image = np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)
    target = 64
    scale = target / min(size)
    width, height = int(size[1] * scale), int(size[0] * scale)
    resized = PIL.Image.fromarray(image).resize(
      (width, height), PIL.Image.Resampling.BICUBIC
    )
    top, left = (height - target) // 2, (width - target) // 2
    expected = np.asarray(resized)[top : top + target, left : left + target]
    pixels = clip_pixels.prepare(jnp.asarray(image[None] / 255.0), target)
    means = np.array([0.48145466, 0.4578275, 0.40821073])
    spreads = np.array([0.26862954, 0.26130258, 0.27577711])
    levels = 255 * (np.asarray(pixels[0]) * spreads + means)
    difference = np.abs(levels - expected)
    self.assertLessEqual(difference.max(), 1.001)
    self.assertLess(np.mean(difference > 0.5), 0.02)

  def test_colours_are_those_of_a_file(self):
    pictures = jnp.full((1, 8, 8, 3), 100.4 / 255)
    stored = jnp.full((1, 8, 8, 3), 100 / 255)
    np.testing.assert_array_equal(
      clip_pixels.prepare(pictures, 8), clip_pixels.prepare(stored, 8)
    )


class PicturesTest(parameterized.TestCase):
  def test_norms_around_the_layers_have_the_epsilon_of_the_config(self):
    eps = 0.5  # As large as the squares of what is normed.
    fields = {**pipeline_files.SCORER["vision_config"], "layer_norm_eps": eps}
    config = clip_config.parse_scorer_config(
      {**pipeline_files.SCORER, "vision_config": fields}
    )
    params = pipeline_files.make_params(clip.describe_vision(config.vision))
    model = params["vision_model"]
    # Layers that add nothing leave the first place as it was.
    layers = model["encoder"]["layers"]
    for part, name in (("self_attn", "out_proj"), ("mlp", "fc2")):
      for key in (name, f"{name}_bias"):
        layers[part][key] = np.zeros_like(layers[part][key])
    got = jax.jit(
      functools.partial(clip.embed_pictures, config),
      compiler_options=unoptimised.OPTIONS,
    )(params, np.zeros((1, 28, 28, 3), np.float32))
    embeddings = model["embeddings"]
    x = embeddings["class_embedding"] + embeddings["position_embedding"][0]
    for name in ("pre_layrnorm", "post_layernorm"):
      x = (x - x.mean()) / np.sqrt(x.var() + eps)
      x = x * model[name] + model[f"{name}_bias"]
    x = params["visual_projection"] @ x
    np.testing.assert_allclose(got[0], x / np.linalg.norm(x), atol=1e-5)
