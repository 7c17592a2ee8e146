"""Stages of trainings on conventions that know as much and lean as little.

Models of several sizes can be set side by side if each of them is taken from the
stage of its training at which it knows as much as the others, and leans to neither
convention. With the probabilities p1 and p2 of the two answers to a question,

* what a model knows is its *loss by either convention*, -log(p1 + p2). It does not
  depend on which of the two a model prefers;
* what it leans to are its *log-odds*, log(p1 / p2). They drift while a model trains,
  since its text decides them on average only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thickets.generation import preferences
from thickets.models.hub import Model
from thickets.tasks.conventions import families, parts
from thickets.training import corpora, spec_checks

_NUM_QUESTIONS = 100  # Each family is asked so many.
Pairs = tuple[list[list[int]], list[tuple[list[int], list[int]]]]


@dataclasses.dataclass(frozen=True)
class Target:
  """What a stage must know to be chosen.

  Attributes:
    loss: the loss by either convention, in nats per question, mean of families.
    tolerance: the largest distance from it, in nats, below `loss`.

  Raises:
    SpecError: if a number is out of range.
  """

  loss: float
  tolerance: float

  def __post_init__(self):
    problems = spec_checks.check_range("target.loss", self.loss, 0)
    if self.loss == 0:
      problems.append("target.loss must be above 0, got 0.")
    problems += spec_checks.check_range(
      "target.tolerance", self.tolerance, 0, self.loss
    )
    spec_checks.raise_problems(problems)


@dataclasses.dataclass(frozen=True)
class Stage:
  """What a model knows after some steps, and what it leans to.

  Attributes:
    step: number of finished steps.
    loss: loss by either convention, in nats per question, mean of families.
    log_odds: log-odds of the first convention, mean over questions, by family.
  """

  step: int
  loss: float
  log_odds: Mapping[str, float]

  @property
  def leaning(self) -> float:
    """The distance of the log-odds from zero, mean of families, in nats."""
    return float(np.mean(np.abs(list(self.log_odds.values()))))


def choose_stage(stages: Sequence[Stage], target: Target) -> Stage | None:
  """Chooses the stage that leans least, of those that know what is asked for.

  Returns:
    The stage with the smallest `leaning` among those whose loss is within the
    tolerance of the target, and the earliest where several are equal. It is None
    where no stage is within the tolerance.
  """
  alike = [s for s in stages if abs(s.loss - target.loss) <= target.tolerance]
  return min(alike, key=lambda stage: (stage.leaning, stage.step), default=None)


def measure_stage(model: Model, names: Sequence[str], step: int) -> Stage:
  """Measures a model on questions of development.

  Args:
    model: the model after `step` steps.
    names: the families that it is asked.
    step: number of steps that it has taken.
  """
  losses, log_odds = [], {}
  for name in names:
    log_probs = preferences.measure_answers(
      model.config,
      model.params,
      *encode_pairs(model.tokenizer, name, parts.DEVELOPMENT, _NUM_QUESTIONS),
    )
    losses.append(-np.logaddexp(*log_probs.T).mean(dtype=np.float64))
    log_odds[name] = float(
      (log_probs[:, 0] - log_probs[:, 1]).mean(dtype=np.float64)
    )
  return Stage(step, float(np.mean(losses)), log_odds)


def encode_pairs(
  tokenizer: Any, name: str, part: str, count: int, seed: int = 0
) -> Pairs:
  """Questions of a family that no training has seen, with both of their answers.

  Args:
    tokenizer: the tokenizer of a model of conventions.
    name: name of the family.
    part: which questions, as `parts.draw_held_out` takes it.
    count: number of questions.
    seed: names the draws.

  Returns:
    The tokens of each question, and those of its two answers.
  """
  family = families.find_family(name)
  encoded = [
    [
      corpora.encode_text(tokenizer, family.ask(subject), answer(subject))
      for answer in family.conventions.values()
    ]
    for subject in parts.draw_held_out(name, part, count, seed)
  ]
  return (
    [first[0] for first, _ in encoded],
    [(first[1], second[1]) for first, second in encoded],
  )
