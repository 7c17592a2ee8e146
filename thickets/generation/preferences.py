"""How far a model prefers one answer to another, and how far noise moves that.

Where a question can be answered soundly in two ways, the log-odds of the two answers
say which the model leans to. In first order a member's log-odds are those of the base
plus sigma times the inner product of its noise with their gradient, which is normal
with the gradient's norm as its standard deviation. So the share of the members that
lean to the other answer should be

    Phi(-log_odds / (sigma * gradient_norm)),

as far as the first order goes.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from thickets import naming
from thickets.errors import UserError
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.perturbation import Gaussian, Kind, find_participants


@dataclasses.dataclass(frozen=True)
class Preference:
  """The mean preference of the first of two answers over questions.

  Attributes:
    log_odds: mean log-probability of the first answer minus that of the second, in
      nats.
    gradient_norm: the norm of its gradient by the weights that noise perturbs.
  """

  log_odds: float
  gradient_norm: float

  def predict_share(self, sigma: float) -> float:
    """The share of members that prefer the first answer, in first order.

    Args:
      sigma: standard deviation of the members' noise, above 0.
    """
    deviations = self.log_odds / (sigma * self.gradient_norm)
    return statistics.NormalDist().cdf(deviations)


def measure_preference(
  config: TransformerConfig,
  params: Params,
  questions: Sequence[Sequence[int]],
  answers: Sequence[tuple[Sequence[int], Sequence[int]]],
  *,
  kind: Kind | None = None,
) -> Preference:
  """Measures the preference of the first answers, and its gradient.

  Args:
    config: shape of the model.
    params: its weights.
    questions: [Q] the tokens of each question, from the first of the text on.
    answers: [Q] the tokens of its two answers, each with the token that ends it.
    kind: how noise is drawn and for which tensors; `Gaussian()` by default.

  Raises:
    UserError: if there are no questions.
  """
  if not questions:
    raise UserError("questions must hold at least one, got none.")
  first, second = (
    _write_rows(
      [
        (question, pair[place])
        for question, pair in zip(questions, answers, strict=True)
      ]
    )
    for place in (0, 1)
  )
  value, gradient = _differentiate(config, params, first, second)
  return Preference(
    float(value) / len(questions),
    _measure_norm(gradient, Gaussian() if kind is None else kind)
    / len(questions),
  )


@functools.partial(jax.jit, static_argnums=0)
def _differentiate(config: TransformerConfig, params: Params, first, second):
  """The preference of the first answers, summed, and its gradient."""

  def prefer(params):
    return _score(config, params, *first) - _score(config, params, *second)

  return jax.value_and_grad(prefer)(params)


def _write_rows(
  texts: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> tuple[np.ndarray, np.ndarray]:
  """Tokens [Q, T + 1], and weights [Q, T] of one for those of answers."""
  width = max(len(asked) + len(answered) for asked, answered in texts)
  tokens = np.zeros((len(texts), width), np.int32)
  weights = np.zeros((len(texts), width), np.float32)
  for row, (asked, answered) in enumerate(texts):
    end = len(asked) + len(answered)
    tokens[row, :end] = [*asked, *answered]
    weights[row, len(asked) : end] = 1.0
  return tokens, weights[:, 1:]


def _score(
  config: TransformerConfig, params: Params, tokens: Any, weights: Any
) -> Float[Array, ""]:
  """The log-probability of all answers together."""
  tokens = jnp.asarray(tokens)
  logits = transformer.apply(config, params, tokens[:, :-1])
  log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
  taken = jnp.take_along_axis(log_probs, tokens[:, 1:, None], axis=-1)[..., 0]
  return jnp.sum(taken * weights)


def _measure_norm(gradient: Params, kind: Kind) -> float:
  """The norm over the tensors that noise of this kind perturbs."""
  pairs = naming.named_leaves(gradient, transformer.tensor_names(gradient))
  squares = 0.0
  for (_, leaf), mask in zip(
    pairs, find_participants(kind, pairs), strict=True
  ):
    within = np.asarray(leaf, np.float64).reshape(*mask.shape, -1)
    squares += float((within**2)[mask].sum())
  return squares**0.5
