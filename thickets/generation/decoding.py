"""How responses are decoded, and what was generated."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from thickets.errors import UserError
from thickets.generation.sampling import GREEDY, Sampling
from thickets.models.config import TransformerConfig


@dataclasses.dataclass(frozen=True)
class Decoding:
  """Everything that a response depends on, besides model, prompt and key.

  Attributes:
    max_new_tokens: how many tokens a response has at most, at least 1; one that
      did not stop is cut off there.
    sampling: how tokens are chosen.
    stop_tokens: ids that end a response, and belong to it.
    stop_strings: texts that end a response with the token that completes them.
    num_tokens: how many tokens the tokenizer knows; rows of the embedding
      beyond them are never chosen. None where it knows every row.

  Raises:
    UserError: if a value is out of range.
  """

  max_new_tokens: int
  sampling: Sampling = GREEDY
  stop_tokens: tuple[int, ...] = ()
  stop_strings: tuple[str, ...] = ()
  num_tokens: int | None = None

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
    if not all(self.stop_strings):
      raise UserError(
        f"stop_strings must not be empty texts, got {self.stop_strings!r}."
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
          " model's own tokenizer?"
        )

  def describe(self) -> dict[str, Any]:
    """The fields as JSON values, for the header of a run."""
    return dataclasses.asdict(self)


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
