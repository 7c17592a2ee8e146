"""Tests of the functions that layers are made of."""

import math

import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from thickets.models import config, layers


def _sigmoid(x):
  return 1 / (1 + math.exp(-x))


class ActivationsTest(parameterized.TestCase):
  def test_each_that_a_config_may_name_is_there(self):
    self.assertEqual({*layers._ACTIVATIONS}, {*config.ACTIVATIONS})

  @parameterized.parameters(
    ("silu", lambda x: x * _sigmoid(x)),
    ("gelu", lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    (
      "gelu_new",
      lambda x: (
        x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
      ),
    ),
    ("quick_gelu", lambda x: x * _sigmoid(1.702 * x)),
    ("relu", lambda x: max(x, 0.0)),
  )
  def test_values_are_those_of_the_formula(self, name, formula):
    points = [-3.0, -0.5, 0.0, 0.7, 2.0]
    found = layers._ACTIVATIONS[name](jnp.array(points, jnp.float32))
    np.testing.assert_allclose(found, list(map(formula, points)), atol=2e-6)
