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
from typing import NamedTuple

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
  width: int = 0,
) -> Preference:
  """Measures the preference of the first answers, and its gradient.

  Args:
    config: shape of the model.
    params: its weights.
    questions: [Q] the tokens of each question, from the first of the text on.
    answers: [Q] the tokens of its two answers, each with the token that ends it, if
      one should.
    kind: how noise is drawn and for which tensors; `Gaussian()` by default.
    width: tokens of a row at least, so that several calls share a program.

  Raises:
    UserError: if there are no questions, or the model is a mixture of experts.
  """
  if config.mixture is not None:
    raise UserError(
      "The model must have no experts, got a mixture of"
      f" {config.mixture.num_experts}: as many blocks of tokens run as experts"
      " were chosen, and such a loop has no gradient. Name a model without"
      " experts."
    )
  rows = _write_rows(questions, answers, width)
  value, gradient = _differentiate(config, params, rows)
  return Preference(
    float(value) / len(questions),
    _measure_norm(gradient, Gaussian() if kind is None else kind)
    / len(questions),
  )


def measure_answers(
  config: TransformerConfig,
  params: Params,
  questions: Sequence[Sequence[int]],
  answers: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> Float[np.ndarray, "Q 2"]:
  """The log-probability of each of two answers to every question, in nats.

  Their difference says which a model prefers; the logarithm of the sum of their
  probabilities, how far it knows that the answer is one of the two.

  Args:
    config: shape of the model.
    params: its weights.
    questions: [Q] the tokens of each question, from the first of the text on.
    answers: [Q] the tokens of its two answers, as in `measure_preference`.

  Raises:
    UserError: if there are no questions.
  """
  return np.asarray(
    _score_answers(config, params, _write_rows(questions, answers, 0))
  )


class _Rows(NamedTuple):
  """Texts with their answers; texts that read the same tokens are read once.

  Attributes:
    inputs: [R, T] the tokens that are read.
    places: [2, Q] the row of each question with its first and its second answer.
    targets: [2, Q, T] the token that follows each token.
    weights: [2, Q, T] one for those of answers, and zero for all others.
  """

  inputs: np.ndarray
  places: np.ndarray
  targets: np.ndarray
  weights: np.ndarray


def _write_rows(
  questions: Sequence[Sequence[int]],
  answers: Sequence[tuple[Sequence[int], Sequence[int]]],
  width: int,
) -> _Rows:
  if not questions:
    raise UserError("questions must hold at least one, got none.")
  texts = [
    (asked, pair[place])
    for place in (0, 1)
    for asked, pair in zip(questions, answers, strict=True)
  ]
  width = max(width, *(len(asked) + len(told) for asked, told in texts))
  inputs, targets = np.zeros((2, len(texts), width - 1), np.int32)
  weights = np.zeros((len(texts), width - 1), np.float32)
  for row, (asked, told) in enumerate(texts):
    start, end = len(asked) - 1, len(asked) + len(told) - 1
    # The last token of an answer is not read: answers of one token share a row.
    inputs[row, :end] = [*asked, *told[:-1]]
    targets[row, start:end] = told
    weights[row, start:end] = 1.0
  inputs, places = np.unique(inputs, axis=0, return_inverse=True)
  shape = (2, len(questions))
  return _Rows(
    inputs,
    places.reshape(shape),
    targets.reshape(*shape, -1),
    weights.reshape(*shape, -1),
  )


@functools.partial(jax.jit, static_argnums=0)
def _differentiate(config: TransformerConfig, params: Params, rows: _Rows):
  """The preference of the first answers, summed, and its gradient."""

  def prefer(params):
    log_probs = _score_answers(config, params, rows)
    return jnp.sum(log_probs[:, 0] - log_probs[:, 1])

  return jax.value_and_grad(prefer)(params)


@functools.partial(jax.jit, static_argnums=0)
def _score_answers(
  config: TransformerConfig, params: Params, rows: _Rows
) -> Float[Array, "Q 2"]:
  """The log-probability of both answers to each question."""
  logits = transformer.apply(config, params, jnp.asarray(rows.inputs))
  log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
  steps = jnp.arange(rows.inputs.shape[1])
  taken = log_probs[jnp.asarray(rows.places)[..., None], steps, rows.targets]
  return jnp.sum(taken * rows.weights, axis=-1).T


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
