"""Golden logits of texts with images, computed without torch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized
from golden import vision_cases as cases

from thickets.models import families, transformer
from thickets.models.vision import joined, positions, tower
from thickets.models.vision.images import Images


@pytest.fixture(autouse=True, scope="module")
def _compile_fast():
  with unoptimised.compiling_towers():
    yield


@functools.cache
def _run(name):
  """The compiled `apply` of a model."""
  config = families.parse_config(cases.FIELDS[name])
  return jax.jit(
    functools.partial(transformer.apply, config),
    compiler_options=unoptimised.OPTIONS,
  )


@functools.cache
def _features(name):
  params = cases.make_params(cases.FIELDS[name])
  vision = families.parse_vision(cases.FIELDS[name])
  return params, tower.encode(vision, params["visual"], cases.make_images())


def _compute(name, *, is_flat=False, changes=lambda images: images):
  """[S, V] logits after each token; flat positions are those of text."""
  params, features = _features(name)
  tokens = np.array(cases.TOKENS, np.int32)
  is_image = tokens == cases.IDS["image_token_id"]
  places = np.where(is_image, np.cumsum(is_image) - 1, -1)[None]
  grids = [image.token_grid for image in cases.make_images()]
  found, _ = positions.find_positions(
    tokens, grids, image_token=cases.IDS["image_token_id"]
  )
  if is_flat:
    found = np.broadcast_to(np.arange(len(tokens)), found.shape)
  deepstack = np.concatenate([f.deepstack for f in features], 1)
  images = Images(
    places=jnp.asarray(places, jnp.int32),
    positions=jnp.asarray(found[:, None], jnp.int32),
    features=jnp.concatenate([f.tokens for f in features]),
    deepstack=jnp.asarray(deepstack) if len(deepstack) else None,
  )
  text = joined.take_text(params)
  return np.asarray(_run(name)(text, tokens[None], changes(images))[0])


class GoldenTest(parameterized.TestCase):
  def test_qwen2_5_vl(self):
    logits = _compute("qwen2_5_vl")
    expected = [1.26959, 1.67011, -2.35398, -0.63876, 0.98789, -0.60631]
    np.testing.assert_allclose(logits[-1, :6], expected, atol=5e-5)
    np.testing.assert_allclose(np.abs(logits).mean(), 0.93289, atol=1e-5)
    expected = [125, 125, 105, 74, 116, 5, 11, 128, 242, 109]
    self.assertEqual(logits[:10].argmax(-1).tolist(), expected)
    self.assertEqual(logits[-1].argmax(), 8)

  def test_qwen3_vl(self):
    logits = _compute("qwen3_vl")
    expected = [-0.01650, -2.15507, -1.06039, -0.52909, 1.18228, 0.07380]
    np.testing.assert_allclose(logits[-1, :6], expected, atol=5e-5)
    np.testing.assert_allclose(np.abs(logits).mean(), 0.96318, atol=1e-5)
    self.assertEqual(logits[-1].argmax(), 267)

  @parameterized.parameters(
    ("qwen2_5_vl", [1.20613, -1.04428, -2.08624]),
    ("qwen3_vl", [0.08181, -1.91413, -0.48674]),
  )
  def test_positions_of_text_give_other_logits(self, name, expected):
    logits = _compute(name, is_flat=True)
    np.testing.assert_allclose(logits[-1, :3], expected, atol=5e-5)

  def test_deepstack_matters(self):
    base = _compute("qwen3_vl")

    def drop(images):
      return Images(images.places, images.positions, images.features)

    dropped = _compute("qwen3_vl", changes=drop)
    self.assertGreater(np.abs(base - dropped).max(), 1)
