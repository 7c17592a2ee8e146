"""Questions between two words, scored by what a model leans to before it answers.

The score of a prompt are the log-odds of the right word against the wrong one, by
the first token of each, behind the beginning of a response that is given. No token
is generated, so that a member costs one reading of its prompts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from thickets.errors import UserError
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.search.evaluator import Batch


@dataclasses.dataclass(frozen=True)
class ChoiceSpec:
  """Between which words, and behind which beginning of a response.

  Attributes:
    answers: the two words; every question's right answer is one of them.
    begin: what each response begins with, such as "The review is"; "" for nothing.

  Raises:
    UserError: if there are not two different words.
  """

  answers: tuple[str, ...]
  begin: str

  def __post_init__(self):
    if len(self.answers) != 2 or len(set(self.answers)) < 2:
      raise UserError(
        f"task.answers must be two different words, got {self.answers}."
      )


@dataclasses.dataclass(frozen=True)
class Choices:
  """The texts that a model reads, and the tokens between which it then chooses.

  Attributes:
    texts: [Q] the tokens of each prompt with the beginning of its response.
    answers: [Q] the first token of the right answer, and of the wrong one.
  """

  texts: Sequence[Sequence[int]]
  answers: Sequence[tuple[int, int]]

  @property
  def width(self) -> int:
    """Tokens of the longest text."""
    return max(map(len, self.texts))

  def make_batch(self) -> dict[str, np.ndarray]:
    """`tokens` [Q, T], `last` [Q], where a text ends, and `answers` [Q, 2]."""
    tokens = np.zeros((len(self.texts), self.width), np.int32)
    for row, text in enumerate(self.texts):
      tokens[row, : len(text)] = text
    return {
      "tokens": tokens,
      "last": np.array([len(text) - 1 for text in self.texts], np.int32),
      "answers": np.array(self.answers, np.int32),
    }


def make_choices(
  tokenizer: Any,
  prompts: Sequence[Sequence[int]],
  references: Sequence[str],
  spec: ChoiceSpec,
) -> Choices:
  """Writes the beginning of a response behind each prompt.

  Args:
    tokenizer: the model's tokenizer.
    prompts: [Q] tokens of each prompt.
    references: [Q] its right answer.
    spec: the words, and the beginning.

  Raises:
    UserError: if a right answer is none of the words, or both begin alike.
  """
  space = " " if spec.begin else ""
  first = {
    word: tokenizer.encode(space + word, add_special_tokens=False)[0]
    for word in spec.answers
  }
  if len(set(first.values())) < 2:
    raise UserError(
      f"task.answers must begin with different tokens, got {spec.answers}, both"
      f" with {tokenizer.decode([*first.values()][:1])!r}. Choose other words."
    )
  for reference in references:
    if reference not in first:
      raise UserError(
        f"task.answers must hold every right answer, got {spec.answers} and the"
        f" answer {reference!r}. Name the two words that the task asks for."
      )
  begin = tokenizer.encode(spec.begin, add_special_tokens=False)
  wrong = dict(zip(spec.answers, spec.answers[::-1], strict=True))
  return Choices(
    [[*prompt, *begin] for prompt in prompts],
    [(first[right], first[wrong[right]]) for right in references],
  )


def make_log_odds(
  config: TransformerConfig,
) -> Callable[[Params, Batch], Float[Array, " Q"]]:
  """Makes the score of the batch of `Choices`, for `search.traced`.

  Args:
    config: shape of the model.

  Returns:
    A function of (params, batch) to [Q] log-odds of the right answers, in nats.
  """

  def measure_log_odds(params, batch):
    rows = jnp.arange(len(batch["last"]))
    x = transformer.read(config, params, batch["tokens"])
    logits = transformer.unembed(config, params, x[rows, batch["last"]])
    right, wrong = batch["answers"].T
    # What normalises the two is the same.
    return logits[rows, right] - logits[rows, wrong]

  return measure_log_odds
