"""Tests of the pretraining loop against a loop in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import parameterized

from thickets.training.signals_pretraining import pretrain

START = {"w": jnp.array([3.0, -2.0]), "b": jnp.array(0.5)}
TARGET = jnp.array([1.0, 4.0])


def _loss(params, batch):
  """A quadratic with its minimum at `TARGET` and 0, whatever the batch."""
  error = params["w"] - TARGET
  return jnp.mean(batch) * (jnp.sum(error**2) + params["b"] ** 2)


def _batch(key):
  return jax.random.uniform(key, (4,), minval=0.5, maxval=1.5)


def _pretrain(num_steps, optimizer=None, key=0):
  optimizer = optax.adam(0.1) if optimizer is None else optimizer
  with jax.numpy_dtype_promotion("standard"):  # Adam counts in int32.
    return pretrain(
      jax.random.key(key), START, _loss, _batch, optimizer, num_steps
    )


class PretrainTest(parameterized.TestCase):
  def test_finds_the_minimum_of_a_quadratic(self):
    params, losses = _pretrain(300, optax.sgd(0.1))
    np.testing.assert_allclose(params["w"], TARGET, atol=1e-5)
    np.testing.assert_allclose(params["b"], 0, atol=1e-5)
    self.assertLess(losses[-1], 1e-9)

  def test_no_steps_are_the_start(self):
    params, losses = _pretrain(0)
    jax.tree.map(np.testing.assert_array_equal, params, START)
    self.assertEqual(losses.shape, (0,))

  @parameterized.parameters(optax.adam, optax.sgd)
  def test_is_a_loop_over_fresh_batches(self, make_optimizer):
    optimizer = make_optimizer(0.1)
    with jax.numpy_dtype_promotion("standard"):

      @jax.jit  # Compiled once, where a step would compile each operation.
      def take_step(params, state, step):
        batch = _batch(jax.random.fold_in(jax.random.key(0), step))
        loss, gradients = jax.value_and_grad(_loss)(params, batch)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

      params, state, expected = START, optimizer.init(START), []
      for step in range(7):
        params, state, loss = take_step(params, state, step)
        expected.append(loss)  # Before the step.
    got, losses = _pretrain(7, optimizer)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
      got,
      params,
    )

  def test_depends_on_the_key_and_nothing_else(self):
    first, again, other = _pretrain(5), _pretrain(5), _pretrain(5, key=1)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    self.assertFalse(np.array_equal(first[1], other[1]))
