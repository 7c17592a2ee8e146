"""Pretraining of the 1-D networks: optax steps over freshly drawn batches."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from thickets.naming import Params


def pretrain(
  key: PRNGKeyArray,
  params: Params,
  loss_fn: Callable[[Params, Any], Float[Array, ""]],
  sample_batch: Callable[[PRNGKeyArray], Any],
  optimizer: optax.GradientTransformation,
  num_steps: int,
) -> tuple[Params, Float[Array, " steps"]]:
  """Minimises a loss over fresh batches, in one compiled scan.

  Args:
    key: source of all batches; step i draws its batch from fold_in(key, i).
    params: weights that the training starts from.
    loss_fn: maps (params, batch) to the loss that is minimised.
    sample_batch: maps a key to a batch, on the device.
    optimizer: optimizer of optax.
    num_steps: number of steps, 0 or more.

  Returns:
    The parameters after the last step, and the loss before each step.
  """

  @jax.jit
  def run(key, params):
    def step(carry, index):
      params, state = carry
      batch = sample_batch(jax.random.fold_in(key, index))
      loss, gradients = jax.value_and_grad(loss_fn)(params, batch)
      updates, state = optimizer.update(gradients, state, params)
      return (optax.apply_updates(params, updates), state), loss

    (params, _), losses = jax.lax.scan(
      step, (params, optimizer.init(params)), jnp.arange(num_steps)
    )
    return params, losses

  return run(key, params)
