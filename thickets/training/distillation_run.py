"""Fits a base to what an ensemble teaches, and lets `dev` choose when to stop.

    <workdir>/checkpoints  best

Checkpoints are the state of the training; `best` holds what was trained at the best
stage so far. Both are complete or absent, and a run that is started again ends with
the same bytes.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from absl import logging

from thickets.errors import UserError
from thickets.generation.subject import Subject
from thickets.naming import Params
from thickets.runs.directory import Run
from thickets.search.randopt import Evaluation
from thickets.training import (
  checkpoints,
  distillation,
  evolution,
  lora,
  train,
  trained_weights,
)
from thickets.training.distillation import FittingSpec
from thickets.training.lora import Adapters, LoraSpec
from thickets.training.train import HostBatch, LossFn, Schedule


@dataclasses.dataclass(frozen=True)
class Distilled:
  """What a distillation has come to.

  Attributes:
    chosen: the number of steps that scored best on `dev`; None where none of those
      that were watched scored above the base.
    weights: the weights after them, in the dtypes of the base; None for the base.
    adapters: the adapters that made these; None where whole weights were trained.
  """

  chosen: int | None
  weights: Params | None
  adapters: Adapters | None


class Trainable:
  """What is trained, and the weights that it makes: whole ones, or adapters.

  Args:
    subject: the base.
    spec: the adapters; None for whole weights.
  """

  def __init__(self, subject: Subject, spec: LoraSpec | None):
    base = subject.base
    self._spec, self._base, self._names = spec, base.params, base.names

  @property
  def is_adapted(self) -> bool:
    """Whether adapters are trained."""
    return self._spec is not None

  def start(self) -> Params:
    """Where training begins: at the base."""
    if self._spec is None:
      return evolution.widen(self._base)
    return lora.init(self._spec, self._base, self._names)

  def make_weights(self, trained: Params) -> Params:
    """The weights, in the dtypes of the base and on its devices."""
    # From the host, since training has devices of its own.
    trained = jax.tree.map(jnp.asarray, jax.device_get(trained))
    if self._spec is None:
      weights = evolution.narrow(trained, self._base)
    else:
      weights = lora.merge(self._spec, self._base, trained, self._names)
    return jax.tree.map(
      lambda leaf, like: jax.device_put(leaf, like.sharding),
      weights,
      self._base,
    )

  def make_loss(self, loss_fn: LossFn) -> LossFn:
    """The loss of what is trained, out of that of weights in the base's dtypes."""
    if self._spec is not None:
      return lora.make_loss(loss_fn, self._spec, self._base, self._names)
    shapes = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), self._base
    )
    return lambda trained, batch: loss_fn(
      evolution.narrow(trained, shapes), batch
    )


def fit(
  run: Run,
  trainable: Trainable,
  dev: Evaluation,
  rows: HostBatch,
  loss_fn: LossFn,
  spec: FittingSpec,
  schedule: Schedule,
) -> Distilled:
  """Fits weights to rows, or goes on, and takes those that are best on `dev`.

  Args:
    run: the open run directory, with the base's record on `dev`.
    trainable: what is trained.
    dev: the prompts that choose.
    rows: [N, ...] the texts, as the loss takes them.
    loss_fn: maps (weights, batch) to the loss.
    spec: how weights are fitted.
    schedule: the steps; those that are reported are watched on `dev`.

  Raises:
    UserError: if the loss is not finite, or checkpoints are of another run.
  """
  folder = pathlib.Path(str(run.workdir))
  optimizer, _ = train.make_optimizer(
    peak=spec.learning_rate,
    num_steps=schedule.num_steps,
    warmup=min(spec.warmup, schedule.num_steps - 1),
    weight_decay=spec.weight_decay,
  )
  start = trainable.start()
  with checkpoints.open_checkpoints(folder / "best") as best:

    def report(step, metrics, trained):
      del metrics  # Which the training logs.
      weights = trainable.make_weights(trained)
      trained_weights.evaluate_weights(run, dev, weights, step)
      scores = _read_scores(run, dev.split, schedule, step)
      logging.info("step %d | score %.4g on dev", step, scores[step])
      if choose_step(scores) == step:
        checkpoints.save_checkpoint(best, step, trained)

    train.train(
      start,
      trainable.make_loss(loss_fn),
      lambda step: distillation.make_batch(spec, rows, step),
      optimizer,
      schedule,
      directory=folder / "checkpoints",
      report=report,
    )
    scores = _read_scores(run, dev.split, schedule, schedule.num_steps)
    return _take_best(best, choose_step(scores), start, trainable)


def _take_best(
  best: ocp.CheckpointManager,
  chosen: int | None,
  start: Params,
  trainable: Trainable,
) -> Distilled:
  """Restores what was trained at the chosen step."""
  if chosen is None:
    return Distilled(None, None, None)
  found, trained = checkpoints.restore_checkpoint(best, start, most=chosen)
  if found != chosen:
    raise UserError(
      f"{best.directory} must hold what step {chosen} came to, got step {found}."
      " Choose another workdir."
    )
  adapters = trained if trainable.is_adapted else None
  return Distilled(chosen, trainable.make_weights(trained), adapters)


def choose_step(scores: Mapping[int, float]) -> int | None:
  """Returns the number of steps that scored best, the lowest of those that tie.

  Args:
    scores: mean score on `dev` by number of steps, 0 for the base; not finite where
      the weights failed.

  Returns:
    None where nothing scored above the base.
  """
  ranked = {s: v if math.isfinite(v) else -math.inf for s, v in scores.items()}
  best = max(sorted(ranked), key=ranked.__getitem__)
  return best or None


def list_watched(schedule: Schedule) -> Sequence[int]:
  """The numbers of steps after which `dev` is asked; 0 is the base."""
  return trained_weights.list_watched(schedule.num_steps, schedule.report_every)


def _read_scores(
  run: Run, split: str, schedule: Schedule, last: int
) -> dict[int, float]:
  """Scores by number of steps, up to the last that counts."""
  return {
    step: run.record(split, trained_weights.find_position(step)).score
    for step in list_watched(schedule)
    if step <= last
  }
