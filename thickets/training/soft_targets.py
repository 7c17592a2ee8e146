"""Distillation token by token: the mean of members' probabilities as the target.

Every member reads the same texts and says how likely each next token is. The student
learns the mean of what they say, of which the likeliest tokens are kept.
"""

import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.training.train import HostBatch, LossFn


def average_probabilities(
  config: TransformerConfig,
  members: Iterable[Params],
  rows: HostBatch,
  *,
  kept: int,
  batch_size: int,
) -> dict[str, np.ndarray]:
  """Averages what members say of the tokens of texts.

  Of each member the `kept` likeliest tokens and a quarter more count, since others
  may raise these into the mean. What is kept is scaled to add up to one.

  Args:
    config: the architecture.
    members: the weights of each member, at least one; read one after the other.
    rows: the texts, as from `distillation.write_rows`.
    kept: tokens of the mean that are kept, at most the vocabulary.
    batch_size: how many texts a member reads at once.

  Returns:
    `likely` [N, T, kept] token ids and `shares` [N, T, kept], which add up to one;
    zeros where the weight of a token is 0.
  """
  counted = np.argwhere(rows["weights"] > 0)
  of_each = min(config.vocab_size, kept + -(-kept // 4))
  found = [
    _read_likely(config, params, rows, of_each, batch_size)
    for params in members
  ]
  shape = (*rows["weights"].shape, min(kept, config.vocab_size))
  likely, shares = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
  for row, place in counted.tolist():
    likely[row, place], shares[row, place] = _join(
      np.concatenate([tokens[row, place] for tokens, _ in found]),
      np.concatenate([says[row, place] for _, says in found]),
      shape[-1],
    )
  return {"likely": likely, "shares": shares}


def make_soft_loss(config: TransformerConfig) -> LossFn:
  """Makes the weighted mean cross-entropy with what `average_probabilities` found.

  Args:
    config: the architecture.

  Returns:
    A function of (params, batch), as of `train.make_loss`, in nats per token of
    weight 1; the batch holds `likely` and `shares` [B, T, kept] as well. Up to a
    constant it is the divergence of the student from the kept mean.
  """

  def loss_fn(params, batch):
    logits = transformer.apply(config, params, batch["tokens"][:, :-1])
    log_probs = jax.nn.log_softmax(logits)
    said = jnp.take_along_axis(log_probs, batch["likely"], axis=-1)
    losses = -jnp.sum(batch["shares"] * said, axis=-1)
    return jnp.sum(losses * batch["weights"]) / jnp.sum(batch["weights"])

  return loss_fn


def _read_likely(
  config: TransformerConfig,
  params: Params,
  rows: HostBatch,
  count: int,
  batch_size: int,
) -> tuple[Int[np.ndarray, "N T M"], Float[np.ndarray, "N T M"]]:
  """The likeliest tokens of a member, and their probabilities."""
  tokens = rows["tokens"]
  parts = []
  for start in range(0, len(tokens), batch_size):
    part = tokens[start : start + batch_size]
    missing = [(0, batch_size - len(part)), (0, 0)]  # One shape for all parts.
    says, likely = _rank_tokens(config, params, np.pad(part, missing), count)
    parts.append(
      (np.asarray(likely)[: len(part)], np.asarray(says)[: len(part)])
    )
  likely, says = zip(*parts, strict=True)
  return np.concatenate(likely), np.concatenate(says)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _rank_tokens(config, params, tokens, count):
  logits = transformer.apply(config, params, tokens[:, :-1])
  return jax.lax.top_k(jax.nn.softmax(logits), count)


def _join(
  tokens: Int[np.ndarray, " M"], says: Float[np.ndarray, " M"], kept: int
) -> tuple[Int[np.ndarray, " S"], Float[np.ndarray, " S"]]:
  """The likeliest tokens of all, with their parts of the whole.

  Where there are fewer than asked for, the first stands there again with no share.
  """
  distinct, places = np.unique(tokens, return_inverse=True)
  totals = np.bincount(places, weights=says)
  best = np.argsort(-totals, kind="stable")[:kept]
  shares = np.zeros(kept, np.float32)
  shares[: len(best)] = totals[best] / totals[best].sum()
  likely = np.full(kept, distinct[best[0]], np.int32)
  likely[: len(best)] = distinct[best]
  return likely, shares
