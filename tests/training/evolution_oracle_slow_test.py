"""A step of evolution strategies beside that of evosax, on the same draws."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import absltest, parameterized

from thickets.perturbation import Gaussian
from thickets.training import evolution
from thickets.training.evolution import EvolutionSpec

# The slow tier runs where the extra is installed, and must not pass without it.
pytestmark = pytest.mark.slow

_SIZE = 12
_SPEC = EvolutionSpec(size=_SIZE, sigma=0.1, alpha=0.2, seed=3)
_WEIGHTS = {"a": np.linspace(-1, 1, 5, dtype=np.float32)}
_GOAL = np.full(5, 0.5)


class OracleTest(parameterized.TestCase):
  @parameterized.parameters(False, True)
  def test_steps_are_those_of_open_es(self, is_antithetic):
    import optax

    # It adds arrays of different ranks, and of different dtypes.
    self.enter_context(jax.numpy_rank_promotion("allow"))
    self.enter_context(jax.numpy_dtype_promotion("standard"))
    from evosax.algorithms import Open_ES

    spec = dataclasses.replace(_SPEC, is_antithetic=is_antithetic)
    oracle = Open_ES(
      _SIZE,
      jnp.zeros(5),
      # Its gradient is divided by sigma, which the paper's code does not do.
      optimizer=optax.sgd(spec.alpha * spec.sigma),
      std_schedule=optax.constant_schedule(spec.sigma),
      # It goes down where rewards are to rise.
      fitness_shaping_fn=lambda population, fitness, *_: (
        -(fitness - fitness.mean()) / (fitness.std() + 1e-8)
      ),
    )
    key, params = jax.random.key(0), oracle.default_params
    state = oracle.init(key, jnp.asarray(_WEIGHTS["a"]), params)
    weights, updates = _WEIGHTS, []
    for step in range(4):
      members = spec.draw_members(step)
      noise = np.stack([_direction(member) for member in members])
      population = np.asarray(state.mean) + spec.sigma * noise
      rewards = -np.sum((population - _GOAL) ** 2, axis=1)
      state, _ = oracle.tell(
        key, jnp.asarray(population), jnp.asarray(rewards), state, params
      )
      updates.append(spec.make_update(members, rewards))
      weights = evolution.replay(_WEIGHTS, updates, Gaussian())
      # Coefficients have 12 significant bits.
      np.testing.assert_allclose(weights["a"], state.mean, atol=3e-4)
    self.assertGreater(np.abs(weights["a"] - _WEIGHTS["a"]).max(), 0.1)


def _direction(member):
  """The noise of a member, in units of sigma."""
  moved = evolution.replay({"a": np.zeros(5, np.float32)}, [member], Gaussian())
  return np.asarray(moved["a"], np.float64) / _SPEC.sigma


if __name__ == "__main__":
  absltest.main()
