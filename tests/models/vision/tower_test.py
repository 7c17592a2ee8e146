"""Tests of the towers, by golden values and by a tower in plain NumPy."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized
from golden import vision_cases as cases
from golden import vision_oracle
from jax.sharding import Mesh

from thickets.errors import UserError
from thickets.models import families
from thickets.models.vision import joined, places, tower
from thickets.models.vision.pixels import Prepared

QWEN2_5_VL = families.parse_vision(cases.QWEN2_5_VL)
QWEN3_VL = families.parse_vision(cases.QWEN3_VL)
TOLERANCE = 2e-5  # Of features of about 1.4.


@pytest.fixture(autouse=True, scope="module")
def _compile_fast():
  with unoptimised.compiling_towers():
    yield


def _params(name):
  return cases.make_params(cases.FIELDS[name])["visual"]


def _make_image(rows, columns):
  """Patches of an image of any size."""
  values = np.cos(0.37 * (np.arange(rows * columns * 96) + 1.0) ** 2)
  patches = values.astype(np.float32).reshape(-1, 96)
  return Prepared(patches, (rows, columns), 2)


class GoldenTest(parameterized.TestCase):
  def test_qwen2_5_vl(self):
    first, second = tower.encode(
      QWEN2_5_VL, _params("qwen2_5_vl"), cases.make_images()
    )
    self.assertEqual(first.tokens.shape, (15, 64))
    self.assertEqual(second.tokens.shape, (12, 64))
    self.assertEqual(first.deepstack.shape, (0, 15, 64))
    expected = [-2.21157, -4.56074, -1.40076, 2.53331, -2.86538, 1.20105]
    np.testing.assert_allclose(first.tokens[0, :6], expected, atol=1e-5)
    expected = [-2.91364, -2.29232, -1.90393]
    np.testing.assert_allclose(first.tokens[-1, :3], expected, atol=1e-5)
    expected = [-3.16967, -2.59386, -3.20921, 2.26343]
    np.testing.assert_allclose(second.tokens[0, :4], expected, atol=1e-5)
    expected = [-0.09014, -2.58355, -3.99729]
    np.testing.assert_allclose(second.tokens[-1, :3], expected, atol=1e-5)
    for image, size, total in (
      (first, 1.33899, -78.9413),
      (second, 1.41831, -47.4884),
    ):
      np.testing.assert_allclose(np.abs(image.tokens).mean(), size, atol=1e-5)
      np.testing.assert_allclose(image.tokens.sum(), total, atol=1e-3)

  def test_qwen3_vl(self):
    first, second = tower.encode(
      QWEN3_VL, _params("qwen3_vl"), cases.make_images()
    )
    expected = [0.11241, -0.38509, -4.35802, 2.33280, -1.15407, 0.71341]
    np.testing.assert_allclose(first.tokens[0, :6], expected, atol=1e-5)
    expected = [-0.48824, 1.89464, 0.39559]
    np.testing.assert_allclose(second.tokens[0, :3], expected, atol=1e-5)
    expected = [0.10044, -1.45428, -2.16692, 6.11918]
    np.testing.assert_allclose(first.deepstack[0, 0, :4], expected, atol=1e-5)
    both = np.concatenate([first.deepstack[1], second.deepstack[1]])
    np.testing.assert_allclose(np.abs(both).mean(), 1.47517, atol=1e-5)
    for image, size, total in (
      (first, 1.40944, -97.9053),
      (second, 1.33127, 5.0110),
    ):
      np.testing.assert_allclose(np.abs(image.tokens).mean(), size, atol=1e-5)
      np.testing.assert_allclose(image.tokens.sum(), total, atol=1e-3)


class OracleTest(parameterized.TestCase):
  @parameterized.parameters(
    # In patches; windows are 4 x 4. To permute windows twice, in place of there
    # and back, shows at all of these, and at few other sizes.
    ("qwen2_5_vl", (24, 24)),
    ("qwen2_5_vl", (26, 36)),
    ("qwen2_5_vl", (12, 18)),
    ("qwen2_5_vl", (2, 22)),
    ("qwen3_vl", (30, 40)),
    ("qwen3_vl", (2, 22)),
  )
  def test_features_are_those_of_masks_in_float64(self, name, grid):
    config, params = families.parse_vision(cases.FIELDS[name]), _params(name)
    image = _make_image(*grid)
    (found,) = tower.encode(config, params, [image])
    tokens, deepstack = vision_oracle.encode(config, params, image)
    np.testing.assert_allclose(found.tokens, tokens, atol=TOLERANCE)
    np.testing.assert_allclose(found.deepstack, deepstack, atol=TOLERANCE)

  @parameterized.parameters(*range(3))
  def test_each_block_attends_as_its_kind_says(self, block):
    image, params = _make_image(10, 6), _params("qwen2_5_vl")
    (base,) = tower.encode(QWEN2_5_VL, params, [image])
    flipped = dataclasses.replace(
      QWEN2_5_VL, full_blocks=tuple(sorted({1} ^ {block}))
    )
    (found,) = tower.encode(flipped, params, [image])
    difference = np.abs(found.tokens - base.tokens).mean()
    self.assertGreater(difference, 0.05 * np.abs(base.tokens).mean())
    tokens, _ = vision_oracle.encode(flipped, params, image)
    np.testing.assert_allclose(found.tokens, tokens, atol=TOLERANCE)

  def test_parts_of_the_queries_are_the_whole(self):
    image, params = _make_image(12, 18), _params("qwen3_vl")
    (whole,) = tower.encode(QWEN3_VL, params, [image])
    limit = tower._MAX_SCORES
    self.addCleanup(setattr, tower, "_MAX_SCORES", limit)
    tower._MAX_SCORES = 50 * 256  # 48 of 256 queries at once, thus 32.
    inputs = places.make_inputs(QWEN3_VL, image)
    run = jax.jit(
      functools.partial(tower.apply, QWEN3_VL),
      compiler_options=unoptimised.OPTIONS,
    )
    tokens, _ = run(params, inputs)
    np.testing.assert_allclose(
      tokens[: image.num_tokens], whole.tokens, atol=TOLERANCE
    )


class BatchTest(parameterized.TestCase):
  @parameterized.parameters("qwen2_5_vl", "qwen3_vl")
  def test_neither_company_nor_order_changes_an_image(self, name):
    config, params = families.parse_vision(cases.FIELDS[name]), _params(name)
    grids = [(4, 4), (10, 6), (4, 12), (6, 4), (2, 2), (12, 12)]
    images = [_make_image(*grid) for grid in grids]
    together = tower.encode(config, params, images)
    backwards = tower.encode(config, params, images[::-1])[::-1]
    for image, one, other in zip(images, together, backwards, strict=True):
      (alone,) = tower.encode(config, params, [image])
      self.assertEqual(one.tokens.shape, (image.num_tokens, 64))
      for found in (one, other):
        np.testing.assert_allclose(found.tokens, alone.tokens, atol=TOLERANCE)
        np.testing.assert_allclose(
          found.deepstack, alone.deepstack, atol=TOLERANCE
        )

  def test_full_batches_give_what_single_images_do(self):
    params = _params("qwen2_5_vl")
    limit = tower._MAX_BATCH
    self.addCleanup(setattr, tower, "_MAX_BATCH", limit)
    images = [_make_image(4, 4), _make_image(6, 4), _make_image(4, 6)]
    single = [tower.encode(QWEN2_5_VL, params, [i])[0] for i in images]
    tower._MAX_BATCH = 2
    found = tower.encode(QWEN2_5_VL, params, images)
    for one, other in zip(found, single, strict=True):
      np.testing.assert_allclose(one.tokens, other.tokens, atol=TOLERANCE)

  def test_no_image_is_no_feature(self):
    self.assertEqual(tower.encode(QWEN3_VL, _params("qwen3_vl"), []), [])

  def test_images_of_many_shapes_share_programs(self):
    before = tower._run._cache_size()
    images = [_make_image(2 * h, 2 * w) for h in (3, 4) for w in (3, 4, 5, 6)]
    tower.encode(QWEN2_5_VL, _params("qwen2_5_vl"), images)
    self.assertLessEqual(tower._run._cache_size() - before, 4)

  def test_features_can_be_differentiated_by_the_weights(self):
    inputs = places.make_inputs(QWEN2_5_VL, _make_image(10, 6))

    def loss(params):
      tokens, _ = tower.apply(QWEN2_5_VL, params, inputs)
      return jnp.square(tokens[:15]).mean()

    params = _params("qwen2_5_vl")
    measure = jax.jit(
      jax.value_and_grad(loss), compiler_options=unoptimised.OPTIONS
    )
    _, gradient = measure(params)
    for leaf in jax.tree.leaves(gradient):
      self.assertTrue(np.isfinite(leaf).all())
      self.assertGreater(np.abs(leaf).max(), 0)
    kernel = params["patch_embed"]["proj"]
    change = jnp.zeros_like(kernel).at[3, 1, 0, 2, 1].set(1e-2)

    def shifted(sign):
      moved = {"proj": kernel + sign * change}
      return measure({**params, "patch_embed": moved})[0]

    slope = (shifted(1) - shifted(-1)) / 2e-2
    found = gradient["patch_embed"]["proj"][3, 1, 0, 2, 1]
    np.testing.assert_allclose(found, slope, rtol=2e-2)


class PrecisionTest(parameterized.TestCase):
  def test_float16_is_refused(self):
    params = jax.tree.map(lambda p: p.astype(jnp.float16), _params("qwen3_vl"))
    with self.assertRaisesRegex(UserError, "got float16: activations"):
      tower.encode(QWEN3_VL, params, cases.make_images())

  @parameterized.parameters("qwen2_5_vl", "qwen3_vl")
  def test_features_have_the_dtype_of_the_weights(self, name):
    config, params = families.parse_vision(cases.FIELDS[name]), _params(name)
    (exact, _) = tower.encode(config, params, cases.make_images())
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    (found, _) = tower.encode(config, half, cases.make_images())
    for part, expected in (
      (found.tokens, exact.tokens),
      (found.deepstack, exact.deepstack),
    ):
      self.assertEqual(part.dtype, jnp.bfloat16)
      errors = np.abs(part.astype(np.float32) - expected)
      if errors.size:
        self.assertLess(errors.mean(), 0.05)
        self.assertGreater(errors.mean(), 1e-4)

  @parameterized.parameters("qwen2_5_vl", "qwen3_vl")
  def test_norms_are_computed_in_float32(self, name):
    weights = {"norm1": jnp.ones(512, jnp.bfloat16)}
    if name == "qwen3_vl":
      weights["norm1_bias"] = jnp.zeros(512, jnp.bfloat16)
    # Their squares are beyond float16.
    x = np.float32(3000) + np.arange(512, dtype=np.float32)[None] % 7 * 100
    x = jnp.asarray(x, jnp.bfloat16)
    wide = np.asarray(x, np.float64)
    if name == "qwen3_vl":
      wide = wide - wide.mean()
    expected = wide / np.sqrt((wide**2).mean())
    found = np.asarray(tower._norm(weights, "norm1", x), np.float64)
    np.testing.assert_allclose(found, expected, rtol=2**-8)

  def test_two_devices_compute_what_one_does(self):
    config = families.parse_config(cases.QWEN2_5_VL)
    params = cases.make_params(cases.QWEN2_5_VL)
    mesh = Mesh(
      np.array(jax.devices()[:2]).reshape(1, 2), ("population", "model")
    )
    shardings = joined.shardings(config, QWEN2_5_VL, mesh)
    divided = jax.tree.map(jax.device_put, params, shardings)
    on_one = tower.encode(QWEN2_5_VL, params["visual"], cases.make_images())
    on_two = tower.encode(QWEN2_5_VL, divided["visual"], cases.make_images())
    for one, two in zip(on_one, on_two, strict=True):
      np.testing.assert_allclose(one.tokens, two.tokens, atol=TOLERANCE)
    spread = divided["layers"]["self_attn"]["q_proj"].sharding
    self.assertFalse(spread.is_fully_replicated)
