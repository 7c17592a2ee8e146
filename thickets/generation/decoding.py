"""How responses are decoded, and what was generated."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from thickets.errors import UserError
from thickets.generation.sampling import GREEDY, Sampling
from thickets.models import tokenizer_files
from thickets.models.config import TransformerConfig
from thickets.models.hub import Model


@dataclasses.dataclass(frozen=True)
class Decoding:
  """Everything that a response depends on, besides model, prompt and key.

  Attributes:
    max_new_tokens: how many tokens a response has at most, at least 1; one that
      did not stop is cut off there.
    sampling: how tokens are chosen.
    stop_tokens: ids that end a response, and belong to it.
    stop_strings: texts that end a response with the token that completes them;
      special tokens count by their names, such as <|im_end|>.
    num_tokens: one more than the highest id that a token has; rows of the
      embedding beyond it are never chosen. None where every row has a token.
    missing_tokens: ids below it that are never chosen: no token has them, or they
      stand for pictures.

  Raises:
    UserError: if a value is out of range.
  """

  max_new_tokens: int
  sampling: Sampling = GREEDY
  stop_tokens: tuple[int, ...] = ()
  stop_strings: tuple[str, ...] = ()
  num_tokens: int | None = None
  missing_tokens: tuple[int, ...] = ()

  @classmethod
  def for_model(
    cls,
    model: Model,
    max_new_tokens: int,
    *,
    sampling: Sampling = GREEDY,
    stop_strings: tuple[str, ...] = (),
  ) -> Decoding:
    """The decoding of a model as published, see `for_tokenizer`."""
    return cls.for_tokenizer(
      model.tokenizer,
      model.config,
      max_new_tokens,
      sampling=sampling,
      stop_tokens=model.stop_tokens,
      stop_strings=stop_strings,
      placeholders=() if model.vision is None else model.vision.tokens,
    )

  @classmethod
  def for_tokenizer(
    cls,
    tokenizer: Any,
    config: TransformerConfig,
    max_new_tokens: int,
    *,
    sampling: Sampling = GREEDY,
    stop_tokens: tuple[int, ...] = (),
    stop_strings: tuple[str, ...] = (),
    placeholders: tuple[int, ...] = (),
  ) -> Decoding:
    """The decoding in which only ids that have a token are chosen.

    Args:
      tokenizer: a tokenizer of `transformers`, None to allow every id.
      config: the architecture of the models.
      max_new_tokens: how many tokens a response has at most.
      sampling: how tokens are chosen.
      stop_tokens: ids that end a response. They can be chosen even if the
        tokenizer has no token for them.
      stop_strings: texts that end a response.
      placeholders: ids that stand for pictures, and are no part of a response.
    """
    ids = set(range(config.vocab_size))
    if tokenizer is not None:
      ids = tokenizer_files.find_ids(tokenizer, config) | set(stop_tokens)
    ids -= set(placeholders)
    num_tokens = max(ids, default=0) + 1
    return cls(
      max_new_tokens,
      sampling,
      stop_tokens,
      stop_strings,
      num_tokens,
      tuple(sorted(set(range(num_tokens)) - ids)),
    )

  def __post_init__(self):
    if self.max_new_tokens < 1:
      raise UserError(
        f"max_new_tokens must be at least 1, got {self.max_new_tokens}."
      )
    for name in ("stop_tokens", "stop_strings"):
      if isinstance(getattr(self, name), str | int):
        raise UserError(
          f"{name} must be a sequence, got {getattr(self, name)!r}. Write"
          f" {name}=({getattr(self, name)!r},)."
        )
    if self.num_tokens is not None and self.num_tokens < 1:
      raise UserError(
        f"num_tokens must be at least 1, or None for all, got"
        f" {self.num_tokens}."
      )
    self._check_missing()
    if not all(self.stop_strings):
      raise UserError(
        f"stop_strings must not be empty texts, got {self.stop_strings!r}."
      )

  def _check_missing(self) -> None:
    """Refuses a stop token that could never be chosen, and missing ids."""
    hidden = [
      token
      for token in self.stop_tokens
      if token >= (self.num_tokens or token + 1) or token in self.missing_tokens
    ]
    if hidden:
      raise UserError(
        f"stop_tokens must be ids that can be chosen, got {hidden} with"
        f" num_tokens={self.num_tokens}, which would never end a response. Make"
        " the decoding with Decoding.for_model."
      )
    last = (self.num_tokens or 0) - 1
    if not all(0 <= token < last for token in self.missing_tokens):
      raise UserError(
        "missing_tokens must be ids from 0 to below num_tokens - 1, the highest"
        f" id, got {self.missing_tokens} with num_tokens={self.num_tokens}. Make"
        " the decoding with Decoding.for_model."
      )

  def check_vocabulary(self, config: TransformerConfig) -> None:
    """Refuses token ids that a model does not have.

    Raises:
      UserError: if `num_tokens` or a stop token lies beyond the vocabulary.
    """
    for name, ids in {
      "num_tokens": [self.num_tokens or 1],
      "stop_tokens": [token + 1 for token in self.stop_tokens],
    }.items():
      if ids and not 1 <= min(ids) <= max(ids) <= config.vocab_size:
        raise UserError(
          f"{name} must be within the model's vocabulary of"
          f" {config.vocab_size}, got {getattr(self, name)}. Is this the"
          " model's own tokenizer?"
        )

  def check_prompts(
    self, prompts: Sequence[Sequence[int]], config: TransformerConfig
  ) -> None:
    """Refuses prompts that a model cannot continue.

    Args:
      prompts: [Q] token ids of each prompt.
      config: the architecture of the model.

    Raises:
      UserError: if there are none, or one is empty, too long, or holds an id
        that the model does not have.
    """
    if not len(prompts):
      raise UserError("There must be at least one prompt, got none.")
    for position, prompt in enumerate(prompts):
      if not len(prompt):
        raise UserError(
          f"A prompt must have at least one token, got none in prompt"
          f" {position}. Begin with the tokenizer's bos token."
        )
      if len(prompt) + self.max_new_tokens > config.context:
        raise UserError(
          f"A prompt and its response must fit the model's context of"
          f" {config.context} tokens, got {len(prompt)} +"
          f" {self.max_new_tokens} in prompt {position}. Shorten the prompt"
          " or lower max_new_tokens."
        )
      if not 0 <= min(prompt) <= max(prompt) < config.vocab_size:
        raise UserError(
          f"Token ids must be within [0, {config.vocab_size}), got"
          f" {min(prompt)} to {max(prompt)} in prompt {position}. Is this the"
          " model's own tokenizer? A token that was added to it without a row in"
          " the embedding cannot be read."
        )

  def describe(self) -> dict[str, Any]:
    """The fields as JSON values, for the header of a run."""
    fields = dataclasses.asdict(self)
    if not self.missing_tokens:  # As in headers from before there were any.
      del fields["missing_tokens"]
    return fields


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Responses:
  """What was generated; the axes begin with [P] where members were many.

  Attributes:
    tokens: [Q, T] token ids, `NO_TOKEN` behind the end of a response; a stop
      token is included.
    lengths: [Q] number of tokens of each response.
    log_probs: [Q, T] log-probability of each token under the model at
      temperature 1; 0 behind the end.
    stopped: [Q] whether the response ended by itself, instead of running out of
      tokens.
  """

  tokens: Int[np.ndarray, "*P Q T"]
  lengths: Int[np.ndarray, "*P Q"]
  log_probs: Float[np.ndarray, "*P Q T"]
  stopped: Bool[np.ndarray, "*P Q"]
