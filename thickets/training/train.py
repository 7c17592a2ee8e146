"""Training that a kill does not change: optax steps, Orbax checkpoints.

The batch of a step depends on its number only, so a run that is continued from
a checkpoint ends with the same bits as one that was never stopped (on the same
backend and number of devices).
"""

import concurrent.futures
import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from thickets.errors import UserError
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.training import checkpoints, spec_checks

HostBatch = Mapping[str, np.ndarray]
LossFn = Callable[[Params, Any], Float[Array, ""]]
Report = Callable[[int, dict[str, float], Params], None]


@dataclasses.dataclass(frozen=True)
class Schedule:
  """When a training saves and reports, in steps.

  Attributes:
    num_steps: length of the training.
    save_every: steps between two checkpoints; the last step is always saved.
    report_every: steps between two reports; the last step is always reported.
    stages: further steps that are reported, from 0 to `num_steps`.

  Raises:
    SpecError: if a number is below 1, or a stage lies outside of the training.
  """

  num_steps: int
  save_every: int
  report_every: int
  stages: tuple[int, ...] = ()

  def __post_init__(self):
    problems = []
    for name in ("num_steps", "save_every", "report_every"):
      problems += spec_checks.check_range(
        f"schedule.{name}", getattr(self, name), 1
      )
    problems += [
      f"schedule.stages must be within 0 and num_steps={self.num_steps}, got"
      f" {stage}."
      for stage in self.stages
      if not 0 <= stage <= self.num_steps
    ]
    spec_checks.raise_problems(problems)

  def is_reported(self, step: int) -> bool:
    """Whether this number of finished steps is reported."""
    return (
      step % self.report_every == 0
      or step in self.stages
      or step == self.num_steps
    )

  def is_saved(self, step: int) -> bool:
    """Whether a checkpoint is saved after this number of steps."""
    return step % self.save_every == 0 or step == self.num_steps


def make_optimizer(
  *,
  peak: float,
  num_steps: int,
  warmup: int,
  weight_decay: float,
  clip: float = 1.0,
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """Makes AdamW with a linear warm-up and a cosine decay to a tenth.

  Args:
    peak: the largest learning rate.
    num_steps: length of the training, in steps.
    warmup: steps until the learning rate reaches its peak; 0 to begin there.
    weight_decay: decay of matrices; norms and biases do not decay.
    clip: the largest norm of the gradients of all weights together.

  Returns:
    The optimizer, and a function from a step to its learning rate.
  """
  if warmup:
    rate = optax.warmup_cosine_decay_schedule(
      0.0, peak, warmup, num_steps, end_value=peak / 10
    )
  else:
    rate = optax.cosine_decay_schedule(peak, num_steps, alpha=0.1)
  adam = optax.adamw(
    rate, b1=0.9, b2=0.98, weight_decay=weight_decay, mask=_is_matrix
  )
  return optax.chain(optax.clip_by_global_norm(clip), adam), rate


def make_loss(config: TransformerConfig) -> LossFn:
  """Makes the loss of a language model: the weighted mean cross-entropy.

  Args:
    config: shape of the model.

  Returns:
    A function of (params, batch), where the batch holds `tokens` [B, T + 1] and
    `weights` [B, T] of the tokens that are predicted. The loss is in nats per
    token of weight 1.
  """

  def loss_fn(params, batch):
    tokens, weights = batch["tokens"], batch["weights"]
    logits = transformer.apply(config, params, tokens[:, :-1])
    losses = optax.softmax_cross_entropy_with_integer_labels(
      logits, tokens[:, 1:]
    )
    return jnp.sum(losses * weights) / jnp.sum(weights)

  return loss_fn


def train(
  params: Params,
  loss_fn: LossFn,
  make_batch: Callable[[int], HostBatch],
  optimizer: optax.GradientTransformation,
  schedule: Schedule,
  *,
  directory: str | os.PathLike[str],
  report: Report,
) -> Params:
  """Trains from `params`, or from the last checkpoint in a directory.

  The rows of a batch are spread over as many local devices as divide them.

  Args:
    params: weights that a fresh training starts from.
    loss_fn: maps (params, batch) to the loss that is minimised. Arrays that it needs
      besides, such as frozen weights, are those of a `jax.tree_util.Partial`; other
      functions would make them constants of the program.
    make_batch: maps a step, from 0, to its batch; it runs in a thread, one step
      ahead.
    optimizer: changes `params` by their gradients.
    schedule: when to save and to report.
    directory: where the checkpoints are; it is made if it is missing.
    report: called with the number of finished steps; the mean `loss` and the
      `steps_per_s` since the last report, compilation included; and the
      weights, which it must copy to keep, since the next step takes their
      buffers.

  Returns:
    The weights after the last step.

  Raises:
    UserError: if the loss is not finite, or checkpoints are of another model.
  """
  whole, spread = _shardings(make_batch(0))
  take_step = _make_step(optimizer)
  if not isinstance(loss_fn, jax.tree_util.Partial):
    loss_fn = jax.tree_util.Partial(loss_fn)
  loss_fn = jax.device_put(loss_fn, whole)
  with (
    checkpoints.open_checkpoints(directory) as manager,
    _Ahead(make_batch) as batches,
  ):
    # A copy, since a step takes the buffers of the one before.
    state = jax.tree.map(jnp.array, (params, optimizer.init(params)))
    done, state = checkpoints.restore_checkpoint(manager, state)
    state = jax.device_put(state, whole)
    losses, start = [], time.perf_counter()
    for step in range(done, schedule.num_steps):
      batch = jax.device_put(batches.take(step), spread)
      state, loss = take_step(state, batch, loss_fn)
      losses.append(loss)
      done = step + 1
      if schedule.is_reported(done):
        metrics = _measure(losses, start, done)
        logging.info(
          "step %d/%d | loss %.4f | %.2f steps/s",
          *(done, schedule.num_steps, *metrics.values()),
        )
        report(done, metrics, state[0])
        losses, start = [], time.perf_counter()
      if schedule.is_saved(done):
        _check_loss(float(loss), done)  # A diverged state is not kept.
        checkpoints.save_checkpoint(manager, done, state)
  return state[0]


def _make_step(
  optimizer: optax.GradientTransformation,
) -> Callable[[Any, Any, LossFn], tuple[Any, Float[Array, ""]]]:
  """Compiles one step from (weights, moments) and a batch to the next state."""

  @functools.partial(jax.jit, donate_argnums=0)
  def take_step(state, batch, loss_fn):
    params, moments = state
    loss, gradients = jax.value_and_grad(loss_fn)(params, batch)
    updates, moments = optimizer.update(gradients, moments, params)
    return (optax.apply_updates(params, updates), moments), loss

  return take_step


class _Ahead:
  """Makes the next batch in a thread while the device works on this one."""

  def __init__(self, make_batch: Callable[[int], HostBatch]):
    self._make_batch = make_batch
    self._executor = concurrent.futures.ThreadPoolExecutor(1)
    self._futures: dict[int, concurrent.futures.Future[HostBatch]] = {}

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._executor.shutdown(cancel_futures=True)

  def take(self, step: int) -> HostBatch:
    for number in (step, step + 1):
      if number not in self._futures:
        future = self._executor.submit(self._make_batch, number)
        self._futures[number] = future
    return self._futures.pop(step).result()


def _shardings(batch: HostBatch) -> tuple[NamedSharding, NamedSharding]:
  """Whole on every device, and spread over the devices by rows."""
  num_rows = len(next(iter(batch.values())))
  devices = jax.local_devices()
  used = devices[: math.gcd(num_rows, len(devices))]
  mesh = Mesh(np.array(used), ("rows",))
  return (
    NamedSharding(mesh, PartitionSpec()),
    NamedSharding(mesh, PartitionSpec("rows")),
  )


def _measure(losses, start: float, done: int) -> dict[str, float]:
  loss = float(jnp.mean(jnp.stack(losses)))  # Waits for the steps.
  _check_loss(loss, done)
  seconds = time.perf_counter() - start
  return {"loss": loss, "steps_per_s": len(losses) / seconds}


def _check_loss(loss: float, done: int) -> None:
  if not math.isfinite(loss):
    raise UserError(
      f"The loss must stay finite, got {loss} before step {done}. Lower the"
      " learning rate."
    )


def _is_matrix(params: Params) -> Params:
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaf.ndim - (path[0].key == "layers") > 1, params
  )
