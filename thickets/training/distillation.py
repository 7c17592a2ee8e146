"""Distillation: the texts that a voting ensemble teaches one model.

Members answer prompts. Right answers to the prompts that are hard are kept, and
the base is trained to give them: cross-entropy over the tokens of the response, the
prompt masked. Strictly right ones alone count: a score above zero may be for form.

Reference: Gan and Isola (2026), arXiv:2603.12228, eq. 6.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from thickets.generation.decode_step import NO_TOKEN
from thickets.search import ensemble
from thickets.search.answers import Answers
from thickets.training import spec_checks
from thickets.training.train import HostBatch

TEACHERS = ("members", "samples")
MINING = ("teachers", "base", "none")
TARGETS = ("responses", "probabilities")


@dataclasses.dataclass(frozen=True)
class TeachingSpec:
  """Which responses are taught, and what of them.

  Attributes:
    teachers: who responds: the best "members", or, as a control without
      perturbations, as many "samples" of the base.
    mining: whose majority makes a prompt hard where it is wrong or unsettled: that of
      the "teachers", of samples of the "base", or "none" to keep every prompt.
    candidates: how many responses to a prompt that majority is among, from the first
      on.
    temperature: at which the base is sampled.
    most: different right responses that are kept of each prompt, at most.
    targets: "responses" to learn the tokens of the responses, or "probabilities" to
      learn the mean of the members' probabilities at each of these tokens.
    kept: how many of the likeliest tokens have a probability there.

  Raises:
    SpecError: if a word is not known, or a number out of range.
  """

  teachers: str = "members"
  mining: str = "teachers"
  candidates: int = 8
  temperature: float = 1.0
  most: int = 8
  targets: str = "responses"
  kept: int = 16

  def __post_init__(self):
    problems = [
      *spec_checks.check_choice("teaching.teachers", self.teachers, TEACHERS),
      *spec_checks.check_choice("teaching.mining", self.mining, MINING),
      *spec_checks.check_choice("teaching.targets", self.targets, TARGETS),
    ]
    for name in ("candidates", "most", "kept"):
      problems += spec_checks.check_range(
        f"teaching.{name}", getattr(self, name), 1
      )
    problems += spec_checks.check_range(
      "teaching.temperature", self.temperature, 1e-3
    )
    if (self.teachers, self.targets) == ("samples", "probabilities"):
      problems.append(
        "teaching.targets must be 'responses' where samples of the base teach, got"
        " 'probabilities', which the base has already."
      )
    spec_checks.raise_problems(problems)

  def count_samples(self, num_teachers: int) -> int:
    """How many samples of the base are needed for each prompt."""
    taught = num_teachers if self.teachers == "samples" else 0
    return max(taught, self.candidates if self.mining == "base" else 0)


@dataclasses.dataclass(frozen=True)
class FittingSpec:
  """How weights are fitted to texts.

  Attributes:
    batch_size: texts of a step.
    epochs: how often each text is seen.
    learning_rate: the largest of AdamW.
    warmup: steps until it is reached; it then falls to a tenth as a cosine.
    weight_decay: decay of matrices.
    seed: decides the order of the texts.

  Raises:
    SpecError: if a number is out of range.
  """

  batch_size: int
  epochs: float
  learning_rate: float
  warmup: int = 0
  weight_decay: float = 0.0
  seed: int = 0

  def __post_init__(self):
    spec_checks.raise_problems(
      [
        *spec_checks.check_range("fitting.batch_size", self.batch_size, 1),
        *spec_checks.check_range("fitting.epochs", self.epochs, 1e-6),
        *spec_checks.check_range(
          "fitting.learning_rate", self.learning_rate, 1e-12
        ),
        *spec_checks.check_range("fitting.warmup", self.warmup, 0),
        *spec_checks.check_range("fitting.weight_decay", self.weight_decay, 0),
      ]
    )

  def count_steps(self, num_texts: int) -> int:
    """The number of steps in which each text is seen as often as asked."""
    return max(1, math.ceil(self.epochs * num_texts / self.batch_size))


@dataclasses.dataclass(frozen=True)
class Text:
  """A prompt and a response to it, as tokens.

  Attributes:
    tokens: those of the prompt, then those of the response with its end.
    num_prompt: how many of them are the prompt's.
    prompt: number of the prompt among those that were asked.
  """

  tokens: tuple[int, ...]
  num_prompt: int
  prompt: int


def find_hard(candidates: Answers) -> Bool[np.ndarray, " Q"]:
  """[Q] whether the majority of the candidates is wrong or unsettled.

  It is settled where more than half of the candidates gave one answer.

  Args:
    candidates: [K, Q] the candidates, by rank.
  """
  codes_QK, _ = ensemble.encode_votes(candidates.vote.T.tolist())
  is_right_Q = candidates.elect()[:, -1]
  most_Q = np.array(
    [np.bincount(row[row >= 0], minlength=1).max() for row in codes_QK]
  )
  return ~(is_right_Q & (2 * most_Q > codes_QK.shape[1]))


def choose_texts(
  prompts: Sequence[Sequence[int]],
  correct: Bool[np.ndarray, "K Q"],
  tokens: Int[np.ndarray, "K Q T"],
  is_kept: Bool[np.ndarray, " Q"],
  most: int,
) -> list[Text]:
  """Chooses the texts that are taught, prompt by prompt, each once.

  Args:
    prompts: [Q] token ids of each prompt.
    correct: [K, Q] whether each member's response is right, in the form asked for,
      and came to its own end; by rank.
    tokens: [K, Q, T] token ids of the responses, `NO_TOKEN` behind their ends.
    is_kept: [Q] whether responses to a prompt are taught.
    most: different responses to a prompt, at most; those of the best-ranked.
  """
  texts = []
  for number in np.flatnonzero(is_kept).tolist():
    rows = tokens[correct[:, number], number]
    responses = dict.fromkeys(tuple(r[r != NO_TOKEN].tolist()) for r in rows)
    prompt = tuple(prompts[number])
    texts += [
      Text(prompt + response, len(prompt), number)
      for response in list(responses)[:most]
    ]
  return texts


def write_rows(texts: Sequence[Text]) -> dict[str, np.ndarray]:
  """Writes texts as rows for `train.make_loss`, with their prompts masked.

  Returns:
    `tokens` [N, T + 1], zeros behind the end of a text, and `weights` [N, T], 1 for
    each token of a response and 0 elsewhere.
  """
  width = max(len(text.tokens) for text in texts)
  tokens = np.zeros((len(texts), width), np.int32)
  weights = np.zeros((len(texts), width - 1), np.float32)
  for row, text in enumerate(texts):
    tokens[row, : len(text.tokens)] = text.tokens
    weights[row, text.num_prompt - 1 : len(text.tokens) - 1] = 1
  return {"tokens": tokens, "weights": weights}


def choose_rows(
  spec: FittingSpec, num_texts: int, step: int
) -> Int[np.ndarray, " B"]:
  """[B] which texts a step, from 0, is of.

  They are the next of an endless row, in which all texts stand in one order after
  another; each order depends on the seed and its own number alone.
  """
  size = min(spec.batch_size, num_texts)
  places = range(step * size, (step + 1) * size)
  return np.array(
    [
      _shuffle(spec.seed, num_texts, p // num_texts)[p % num_texts]
      for p in places
    ]
  )


def make_batch(
  spec: FittingSpec, rows: HostBatch, step: int
) -> dict[str, np.ndarray]:
  """The rows of a step, of what `write_rows` returned."""
  chosen = choose_rows(spec, len(rows["tokens"]), step)
  return {name: array[chosen] for name, array in rows.items()}


@functools.lru_cache(maxsize=4)
def _shuffle(seed: int, num_texts: int, number: int) -> Int[np.ndarray, " N"]:
  return np.random.default_rng((seed, number)).permutation(num_texts)
