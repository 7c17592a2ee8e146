"""Losses of the stages of a pretraining, on text that it has not drawn."""

import pathlib
from typing import Any

import jax
import numpy as np

from thickets.models import byte_tokenizer, hub
from thickets.training import corpora, train
from thickets.training.pretraining import stage_path
from thickets.training.pretraining_spec import PretrainingSpec
from thickets.training.scene_corpora import SceneCorpus

_NUM_BATCHES = 32


def measure_losses(
  spec: PretrainingSpec, folder: pathlib.Path
) -> dict[str, Any]:
  """Measures every stage on the same batches.

  Args:
    spec: the pretraining; its schedule names at least one stage.
    folder: where it left its stages.

  Returns:
    JSON values: the `units`, `num_tokens` of the text, `num_weights` of the
    model, and in `stages` by step the `loss` and its `standard_error`.
  """
  assert not isinstance(spec.corpus, SceneCorpus)  # Only of conventions.
  tokenizer = byte_tokenizer.make_tokenizer()
  batches = [
    corpora.write_batch(tokenizer, spec.corpus, seed=spec.seed + 1, step=step)
    for step in range(_NUM_BATCHES)
  ]
  stages, loss_fn, num_weights = {}, None, 0
  for step in spec.schedule.stages:
    model = hub.load(str(stage_path(folder, step)))
    loss_fn = loss_fn or jax.jit(train.make_loss(model.config))
    losses = [float(loss_fn(model.params, batch)) for batch in batches]
    num_weights = sum(leaf.size for leaf in jax.tree.leaves(model.params))
    stages[str(step)] = {
      "loss": float(np.mean(losses)),
      "standard_error": float(np.std(losses, ddof=1) / len(losses) ** 0.5),
    }
  return {
    "units": "nats per token of an answer; of a question as the corpus weighs",
    "num_tokens": _NUM_BATCHES * spec.corpus.rows * spec.corpus.length,
    "num_weights": num_weights,
    "stages": stages,
  }
