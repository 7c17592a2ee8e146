"""Rows of tokens for pretraining, written by a procedure, addressed by step."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from thickets import errors
from thickets.tasks.drills import held_out
from thickets.tasks.drills.families import DRILL_FAMILIES
from thickets.tasks.drills.stable_random import StableRandom
from thickets.training import dev_accuracy, spec_checks
from thickets.training.dev_accuracy import DevExercises

TokenBatch = dict[str, np.ndarray]
Frequencies = Mapping[str, float]  # Relative to each other, by name.

MANNERS = ("several", "one")


@runtime_checkable
class Corpus(Protocol):
  """Text that is written row by row."""

  @property
  def rows(self) -> int:
    """B, rows in a batch."""
    ...

  @property
  def length(self) -> int:
    """T, tokens that are predicted in each row."""
    ...

  @property
  def question_weight(self) -> float:
    """Weight in the loss of each token of a question; an answer's have 1."""
    ...

  def write_row(
    self, tokenizer: Any, draw: StableRandom
  ) -> Iterable[tuple[list[int], list[int]]]:
    """Writes the texts of one row: tokens of a question, and of its answer.

    Args:
      tokenizer: a tokenizer that has tokens for the beginning and the end.
      draw: source of all random choices.

    Returns:
      The texts in their order; what is longer than the row is cut off, and what
      is left of it is padding, which does not count.
    """
    ...

  def load_development(self, num_prompts: int) -> list[DevExercises]:
    """Returns held-out exercises of what the text shows.

    Args:
      num_prompts: exercises of each kind, from 1 to `dev_accuracy.NUM_DEV`.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Mixture:
  """How often each family of drills occurs, and each manner of answering it.

  Attributes:
    families: relative frequency of each family.
    manners: relative frequency of each manner, by family. Manners that are not
      named do not occur; in a family that is not named, all manners occur with
      equal frequency.

  Raises:
    SpecError: if a family or manner is unknown, or a frequency is negative.
  """

  families: Frequencies
  manners: Mapping[str, Frequencies] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    known = DRILL_FAMILIES
    problems = check_frequencies("corpus.families", self.families, known)
    for name, manners in self.manners.items():
      if name in known:
        problems += check_frequencies(
          f"corpus.manners.{name}", manners, known[name].manners
        )
      else:
        problems.append(_name_nearest("corpus.manners", name, known))
    spec_checks.raise_problems(problems)

  @property
  def shown(self) -> list[str]:
    """The families that occur in the text."""
    return [name for name, often in self.families.items() if often]

  def write(self, draw: StableRandom) -> tuple[str, str]:
    """Writes a question and one of its answers."""
    name = pick(draw, self.families)
    exercise = held_out.sample_training(name, draw)
    manners = DRILL_FAMILIES[name].manners
    manner = pick(draw, self.manners.get(name, dict.fromkeys(manners, 1)))
    return exercise.question, manners[manner](draw, exercise)


def make_mixture(
  families: Frequencies, manners: str, countdown: Frequencies
) -> Mixture:
  """Makes the mixture that the settings of a corpus describe.

  Args:
    families: relative frequency of each family.
    manners: "several" to answer each family in several manners, or "one" to
      give the answer and nothing else.
    countdown: relative frequency of each manner of answering a countdown, where
      there are several; other families use all of theirs equally often.

  Raises:
    SpecError: if a name is unknown, or a frequency is negative.
  """
  problems = [
    *check_frequencies("corpus.families", families, DRILL_FAMILIES),
    *spec_checks.check_choice("corpus.manners", manners, MANNERS),
  ]
  for name, often in countdown.items():
    problems += spec_checks.check_range(f"corpus.countdown.{name}", often, 0)
  spec_checks.raise_problems(problems)
  if manners == "one":  # The first manner is the answer and nothing else.
    chosen = {
      name: {next(iter(DRILL_FAMILIES[name].manners)): 1}
      for name in families
      if name in DRILL_FAMILIES
    }
  else:
    chosen = {
      name: dict(countdown) for name in families if name.startswith("countdown")
    }
  return Mixture(dict(families), chosen)


@dataclasses.dataclass(frozen=True)
class CorpusSpec:
  """The text that a model is pretrained on.

  Attributes:
    mixture: what the text consists of.
    rows: B, rows in a batch.
    length: T, tokens that are predicted in each row.
    question_weight: weight in the loss of each token of a question; a token of
      an answer has weight 1.

  Raises:
    SpecError: if a number is out of range.
  """

  mixture: Mixture
  rows: int
  length: int
  question_weight: float = 1.0

  def __post_init__(self):
    spec_checks.raise_problems(
      [
        *spec_checks.check_range("corpus.rows", self.rows, 1),
        *spec_checks.check_range("corpus.length", self.length, 1),
        *spec_checks.check_range(
          "corpus.question_weight", self.question_weight, 0
        ),
      ]
    )

  def write_row(
    self, tokenizer: Any, draw: StableRandom
  ) -> Iterator[tuple[list[int], list[int]]]:
    """Packs a row with exercises, one after the other.

    It begins with a whole exercise, as a prompt does; its last one is cut off.
    """
    end = 0
    while end < self.length + 1:
      asked, answered = encode_text(tokenizer, *self.mixture.write(draw))
      yield asked, answered
      end += len(asked) + len(answered)

  def load_development(self, num_prompts: int) -> list[DevExercises]:
    """Returns held-out drills of the families that occur in the text."""
    return dev_accuracy.load_drills(self.mixture.shown, num_prompts)


def write_batch(
  tokenizer: Any, corpus: Corpus, *, seed: int, step: int
) -> TokenBatch:
  """Writes the rows of one step.

  Args:
    tokenizer: a tokenizer of `transformers` that has tokens for the beginning and
      the end.
    corpus: what to write.
    seed: names the text; another seed draws other exercises.
    step: number of the batch, from 0.

  Returns:
    `tokens` [B, T + 1] of int32, and `weights` [B, T] of float32: how much the
    prediction of each token after the first counts.
  """
  draw = StableRandom(f"corpus/{seed}/{step}")
  width = corpus.length + 1
  tokens = np.zeros((corpus.rows, width), np.int32)
  weights = np.zeros((corpus.rows, width), np.float32)
  for row in range(corpus.rows):
    end = 0
    for asked, answered in corpus.write_row(tokenizer, draw):
      text = [*asked, *answered]
      part = text[: width - end]
      tokens[row, end : end + len(part)] = part
      weights[row, end : end + len(part)] = 1.0
      weights[row, end : end + len(asked)] = corpus.question_weight
      end += len(text)
  return {"tokens": tokens, "weights": weights[:, 1:]}


def encode_text(
  tokenizer: Any, question: str, answer: str
) -> tuple[list[int], list[int]]:
  """Returns the tokens of a question behind its beginning, and of an answer and its end."""
  return (
    [tokenizer.bos_token_id, *_encode(tokenizer, question)],
    [*_encode(tokenizer, answer), tokenizer.eos_token_id],
  )


def _encode(tokenizer, text: str) -> list[int]:
  # The inner tokenizer takes a tenth of the outer one's time.
  inner = tokenizer.backend_tokenizer
  return inner.encode(text, add_special_tokens=False).ids


def pick(draw: StableRandom, frequencies: Frequencies) -> str:
  """Draws a name with the probability that its frequency gives it."""
  at = draw.uniform() * sum(frequencies.values())
  for name, frequency in frequencies.items():
    at -= frequency
    if at < 0:
      return name
  return list(frequencies)[-1]  # Rounding ate the rest.


def check_frequencies(
  field: str, frequencies: Frequencies, known: Iterable[str]
) -> list[str]:
  problems = []
  for name, frequency in frequencies.items():
    if name not in known:
      problems.append(_name_nearest(field, name, known))
    elif not 0 <= frequency < math.inf:
      problems.append(
        f"{field}.{name} must be a frequency of at least 0, got {frequency}."
      )
  if not problems and not sum(frequencies.values()):
    problems.append(f"{field} must have a frequency above 0, got none.")
  return problems


def _name_nearest(field: str, name: str, known: Iterable[str]) -> str:
  return (
    f"{field} must name what there is, got {name!r}. Nearest:"
    f" {errors.nearest(name, list(known), count=3)}."
  )
