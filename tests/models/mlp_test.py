"""Tests of the MLP: its sizes, its starts, and its formula."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.models import mlp


def _init(model, context):
  return model.init(jax.random.key(0), jnp.zeros((1, context)))["params"]


class MLPTest(parameterized.TestCase):
  @parameterized.parameters((10, 51_073), (50, 56_193))
  def test_has_as_many_parameters_as_the_authors(self, context, expected):
    model = mlp.make_mlp(width=128, depth=5, init="xavier")
    leaves = jax.tree.leaves(_init(model, context))
    self.assertEqual(sum(leaf.size for leaf in leaves), expected)
    self.assertEqual({leaf.dtype for leaf in leaves}, {jnp.dtype("float32")})

  @parameterized.parameters(
    ("xavier", lambda fan_in, fan_out: math.sqrt(6 / (fan_in + fan_out))),
    ("kaiming", lambda fan_in, fan_out: math.sqrt(6 / fan_in)),
  )
  def test_starts_uniform_within_its_bound(self, init, bound):
    params = _init(mlp.make_mlp(width=128, depth=3, init=init), 10)
    for name, layer in params.items():
      limit = bound(*layer["kernel"].shape)
      kernel = np.abs(np.asarray(layer["kernel"]))
      self.assertLessEqual(kernel.max(), limit * (1 + 1e-6), msg=name)
      # The largest of n uniform values is this near to the bound.
      self.assertGreater(kernel.max(), limit * (1 - 12 / kernel.size))
      if kernel.size > 1000:
        np.testing.assert_allclose(kernel.mean(), limit / 2, rtol=0.05)
      np.testing.assert_array_equal(layer["bias"], 0)

  def test_starts_orthogonal(self):
    params = _init(mlp.make_mlp(width=32, depth=3, init="orthogonal"), 8)
    for name, (rows, columns) in {
      "layer_0": (8, 32),
      "layer_1": (32, 32),
      "head": (32, 1),
    }.items():
      kernel = np.asarray(params[name]["kernel"])
      self.assertEqual(kernel.shape, (rows, columns))
      gram = kernel @ kernel.T if rows < columns else kernel.T @ kernel
      np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
      np.testing.assert_array_equal(params[name]["bias"], 0)

  @parameterized.parameters(2, 4)
  def test_is_linear_layers_with_relu_between(self, depth):
    rng = np.random.default_rng(0)
    model = mlp.make_mlp(width=6, depth=depth, init="kaiming")
    params = jax.tree.map(
      lambda leaf: rng.normal(size=leaf.shape).astype(np.float32),
      _init(model, 3),
    )
    windows = rng.normal(size=(7, 3)).astype(np.float32)
    hidden = windows
    for layer in range(depth - 1):
      part = params[f"layer_{layer}"]
      hidden = np.maximum(hidden @ part["kernel"] + part["bias"], 0)
    expected = hidden @ params["head"]["kernel"] + params["head"]["bias"]
    got = model.apply({"params": params}, jnp.asarray(windows))
    np.testing.assert_allclose(got, expected[:, 0], rtol=1e-4, atol=1e-5)

  def test_an_unknown_start_names_the_nearest(self):
    with self.assertRaisesRegex(UserError, r"got 'xaver'. Nearest: xavier"):
      mlp.make_mlp(width=4, depth=2, init="xaver")
