"""Rows of tokens for pretraining, written by procedure and addressed by step."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from thickets import errors
from thickets.errors import UserError
from thickets.tasks.drills import held_out
from thickets.tasks.drills.families import DRILL_FAMILIES
from thickets.tasks.drills.stable_random import StableRandom

TokenBatch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Mixture:
  """What a corpus of drills is made of.

  Attributes:
    families: relative frequency of each family.
    manners: relative frequency of each manner, by family; manners that are not
      named do not occur, and a family that is not named has all, alike often.

  Raises:
    UserError: if a family or manner is unknown, or a frequency is negative.
  """

  families: Mapping[str, float | int]
  manners: Mapping[str, Mapping[str, float | int]] = dataclasses.field(
    default_factory=dict
  )

  def __post_init__(self):
    known = DRILL_FAMILIES
    _check("mixture.families", self.families, known)
    for name, manners in self.manners.items():
      _check("mixture.manners", {name: 1}, known)
      _check(f"mixture.manners.{name}", manners, known[name].manners)

  def write(self, draw: StableRandom) -> tuple[str, str]:
    """A question and one of its answers."""
    name = _pick(draw, self.families)
    exercise = held_out.sample_training(name, draw)
    manners = DRILL_FAMILIES[name].manners
    manner = _pick(draw, self.manners.get(name, dict.fromkeys(manners, 1)))
    return exercise.question, manners[manner](draw, exercise)


class Corpus:
  """Batches of rows packed with exercises, one behind the other.

  A row begins with a whole exercise, as a prompt does; its last one is cut off.
  The batch of a step depends on the seed and the step only.

  Args:
    tokenizer: of `transformers`, with a beginning and an end.
    mixture: of the exercises.
    seed: of all draws.
    rows: of a batch, B.
    length: tokens that are predicted in each row, T.
    question_weight: weight of a question's tokens in the loss; an answer's have
      weight 1.
  """

  def __init__(
    self,
    tokenizer: Any,
    mixture: Mixture,
    *,
    seed: int,
    rows: int,
    length: int,
    question_weight: float | int = 1.0,
  ):
    self._tokenizer = tokenizer
    self._mixture, self._seed = mixture, seed
    self._rows, self._length = rows, length
    self._question_weight = question_weight

  def batch(self, step: int) -> TokenBatch:
    """`tokens` [B, T + 1], and `weights` [B, T] of those that are predicted."""
    draw = StableRandom(f"corpus/{self._seed}/{step}")
    width = self._length + 1
    tokens = np.zeros((self._rows, width), np.int32)
    weights = np.zeros((self._rows, width), np.float32)
    for row in range(self._rows):
      end = 0
      while end < width:
        question, answer = self._mixture.write(draw)
        question = self._encode_question(question)
        text = [*question, *self._encode_answer(answer)]
        part = text[: width - end]
        tokens[row, end : end + len(part)] = part
        weights[row, end : end + len(part)] = 1.0
        weights[row, end : end + len(question)] = self._question_weight
        end += len(text)
    return {"tokens": tokens, "weights": weights[:, 1:]}

  def _encode_question(self, question: str) -> list[int]:
    return [self._tokenizer.bos_token_id, *self._ids(question)]

  def _encode_answer(self, answer: str) -> list[int]:
    return [*self._ids(answer), self._tokenizer.eos_token_id]

  def _ids(self, text):
    # The inner tokenizer takes a tenth of the outer one's time.
    inner = self._tokenizer.backend_tokenizer
    return inner.encode(text, add_special_tokens=False).ids


def _pick(draw: StableRandom, frequencies: Mapping[str, float | int]) -> str:
  """A name, as often as its frequency says."""
  at = draw.uniform() * sum(frequencies.values())
  for name, frequency in frequencies.items():
    at -= frequency
    if at < 0:
      return name
  return name  # Where rounding ate the rest.


def _check(
  field: str, frequencies: Mapping[str, float | int], known: Iterable[str]
) -> None:
  for name, frequency in frequencies.items():
    if name not in known:
      raise UserError(
        f"{field} must name what there is, got {name!r}. Nearest:"
        f" {errors.nearest(name, list(known), count=3)}."
      )
    if not 0 <= frequency < math.inf:
      raise UserError(
        f"{field}.{name} must be a frequency of at least 0, got {frequency}."
      )
  if not sum(frequencies.values()):
    raise UserError(f"{field} must have a frequency above 0, got none.")
