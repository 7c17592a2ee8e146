"""Pretraining of the 1-D networks: one compiled loop over fresh signals."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from absl import logging
from jaxtyping import Array, Float, PRNGKeyArray

from thickets.errors import UserError
from thickets.models.mlp import MLP
from thickets.naming import Params
from thickets.runs import base_checkpoint
from thickets.runs.locations import Location
from thickets.tasks import signals


@dataclasses.dataclass(frozen=True)
class SignalsPretraining:
  """How a 1-D network is pretrained, to predict the next value.

  Attributes:
    family: the signals that it sees, a key of `signals.SIGNAL_FAMILIES`.
    num_steps: steps of Adam; 0 leaves the network untrained.
    batch_size: fresh signals for each step.
    learning_rate: the step size of Adam.
  """

  family: str
  num_steps: int
  batch_size: int
  learning_rate: float


def load_or_pretrain(
  key: PRNGKeyArray,
  workdir: Location,
  model: MLP,
  spec: SignalsPretraining,
  context: int,
) -> Params:
  """Returns the base of a run: its own, or a freshly pretrained one.

  Args:
    key: drives the first weights and the batches.
    workdir: the run directory, which keeps the base.
    model: the network.
    spec: how it is pretrained.
    context: values that the network is given.

  Raises:
    UserError: if the weights are not finite after pretraining.
  """
  init_key, batch_key = jax.random.split(key)
  initial = model.init(init_key, jnp.zeros((1, context)))["params"]
  if (base := base_checkpoint.load_base(workdir, initial)) is not None:
    return base

  def sample_batch(step_key):
    values = signals.sample_signals(
      step_key, spec.family, spec.batch_size, context + 1
    )
    return {"context": values[:, :-1], "target": values[:, -1:]}

  base, losses = pretrain(
    batch_key,
    initial,
    functools.partial(signals.next_value_loss, make_apply(model)),
    sample_batch,
    optax.adam(spec.learning_rate),
    spec.num_steps,
  )
  if spec.num_steps:
    logging.info(
      "pretrained on %s: loss %.4g after %d steps",
      spec.family,
      jnp.mean(losses[-100:]),
      spec.num_steps,
    )
  if not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(base)):
    raise UserError(
      "pretraining diverged: its weights are not finite. Lower"
      f" pretraining.learning_rate, got {spec.learning_rate}."
    )
  base_checkpoint.save_base(workdir, base)
  # From the disk in any case, so that all processes have the same bits.
  return base_checkpoint.load_base(workdir, initial)


def make_apply(model: MLP) -> signals.ApplyFn:
  """The network as a pure function of (params, windows [Q, C])."""
  return functools.partial(_apply, model)


def abstract_weights(model: MLP, context: int) -> Params:
  """Shapes and dtypes of the weights, without computing any."""
  init = functools.partial(model.init, jax.random.key(0))
  windows = jax.ShapeDtypeStruct((1, context), jnp.float32)
  return jax.eval_shape(init, windows)["params"]


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
    key: drives the batches; step i draws its batch from fold_in(key, i).
    params: the weights to start from.
    loss_fn: maps (params, batch) to the loss that is minimised.
    sample_batch: maps a key to a batch, on the device.
    optimizer: an optimizer of optax.
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


def _apply(model: MLP, params: Params, windows: jax.Array) -> jax.Array:
  predicted = model.apply({"params": params}, windows)
  assert isinstance(predicted, jax.Array)  # Nothing but "params" is mutable.
  return predicted
