"""Pretrains a small language model on exercises or scenes, and keeps its stages.

<folder>/checkpoints  metrics (TensorBoard)  stages/000250  model
"""

import functools
import pathlib
import shutil

import jax
import numpy as np
import optax
import tensorboardX

from thickets.models import hub
from thickets.models.hub import Model
from thickets.naming import Params
from thickets.training import (
  corpora,
  dev_accuracy,
  scene_accuracy,
  scene_corpora,
  scene_losses,
  train,
)
from thickets.training.dev_accuracy import MeasureAccuracy
from thickets.training.pretraining_spec import PretrainingSpec
from thickets.training.scene_corpora import SceneCorpus


def make_initial_model(spec: PretrainingSpec) -> Model:
  """Makes the model that a pretraining starts from, with random weights."""
  tokenizer = spec.model.make_tokenizer()
  return hub.make_model(
    spec.model.to_fields(tokenizer),
    jax.random.key(spec.seed),
    tokenizer=tokenizer,
    preprocessor=spec.model.to_processor(),
  )


def make_measure(spec: PretrainingSpec, model: Model) -> MeasureAccuracy:
  """Makes the function that measures accuracy on what the text shows."""
  if isinstance(spec.corpus, SceneCorpus):
    return scene_accuracy.make_accuracy(
      model, spec.corpus.shown, spec.dev.num_prompts
    )
  return dev_accuracy.make_accuracy(
    model.config,
    model.tokenizer,
    spec.corpus.load_development(spec.dev.num_prompts),
  )


def pretrain_language_model(
  spec: PretrainingSpec,
  model: Model,
  folder: pathlib.Path,
  measure: MeasureAccuracy,
) -> Params:
  """Trains from the first step, or from the last checkpoint in a folder.

  Args:
    spec: what to train, and how.
    model: what `make_initial_model` gives for this spec.
    folder: holds checkpoints, metrics for TensorBoard, and the stages.
    measure: what `make_measure` gives; its results go into the metrics.

  Returns:
    The weights after the last step.

  Raises:
    UserError: if the loss is not finite, or checkpoints are of another model.
  """
  optimizer, rate = train.make_optimizer(
    peak=spec.optimizer.learning_rate,
    num_steps=spec.schedule.num_steps,
    warmup=spec.optimizer.warmup,
    weight_decay=spec.optimizer.weight_decay,
  )
  _save_stage(spec, folder, model, 0, model.params)
  with tensorboardX.SummaryWriter(str(folder / "metrics")) as writer:

    def report(step, metrics, params):
      _save_stage(spec, folder, model, step, params)
      _write_metrics(writer, spec, rate, step, metrics)
      is_last = step == spec.schedule.num_steps
      if is_last or step % spec.dev.every == 0:
        for name, measured in measure(params).items():
          writer.add_scalar(f"dev_accuracy/{name}", measured["accuracy"], step)
      writer.flush()

    return train.train(
      model.params,
      _make_loss(model),
      functools.partial(_make_batch, spec, model),
      optimizer,
      spec.schedule,
      directory=folder / "checkpoints",
      report=report,
    )


def save_model(directory: pathlib.Path, model: Model, params: Params) -> None:
  """Saves a model whole, in place of what an earlier run left there."""
  directory.parent.mkdir(exist_ok=True)
  partial = directory.with_name(f"{directory.name}.partial")
  for path in (partial, directory):
    shutil.rmtree(path, ignore_errors=True)
  hub.save(partial, model, params=params)
  partial.rename(directory)


def stage_path(folder: str | pathlib.Path, step: int) -> pathlib.Path:
  """Returns where the model after a step of `schedule.stages` is saved."""
  return pathlib.Path(folder) / "stages" / f"{step:06d}"


def _make_loss(model: Model) -> train.LossFn:
  if model.vision is None:
    return train.make_loss(model.config)
  return scene_losses.make_loss(model.config, model.vision)


def _make_batch(
  spec: PretrainingSpec, model: Model, step: int
) -> dict[str, np.ndarray]:
  if isinstance(spec.corpus, SceneCorpus):
    return scene_corpora.write_batch(
      model, spec.corpus, seed=spec.seed, step=step
    )
  return corpora.write_batch(
    model.tokenizer, spec.corpus, seed=spec.seed, step=step
  )


def _save_stage(
  spec: PretrainingSpec,
  folder: pathlib.Path,
  model: Model,
  step: int,
  params: Params,
) -> None:
  """Saves the model if the schedule names this step."""
  if step in spec.schedule.stages:
    save_model(stage_path(folder, step), model, params)


def _write_metrics(
  writer: tensorboardX.SummaryWriter,
  spec: PretrainingSpec,
  rate: optax.Schedule,
  step: int,
  metrics: dict[str, float],
) -> None:
  """Writes how training went since the last report, for TensorBoard."""
  tokens = spec.corpus.rows * spec.corpus.length
  writer.add_scalar("loss", metrics["loss"], step)
  writer.add_scalar("learning_rate", float(np.asarray(rate(step - 1))), step)
  writer.add_scalar("tokens_per_s", metrics["steps_per_s"] * tokens, step)
