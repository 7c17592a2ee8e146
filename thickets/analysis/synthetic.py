"""Populations of members whose true gains are known, to test estimators on.

A prompt has a difficulty that all share. The base answers it rightly if its
difficulty plus the base's luck is above zero. A member answers it in the same way,
with a luck of its own, part of which is the base's, and with an ability that is chosen such that its
expected gain over all prompts is exactly the one drawn for it. Scores are 0 or 1.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy import special

from thickets.errors import UserError

Gains = Float[np.ndarray, " P"]


@runtime_checkable
class GainLaw(Protocol):
  """A distribution of true gains."""

  def draw(self, rng: np.random.Generator, size: int) -> Gains:
    """[P] independent gains."""
    ...

  def survival(self, margin: float) -> float:
    """Probability of a gain of at least the margin: the true density."""
    ...


@dataclasses.dataclass(frozen=True)
class NormalGains:
  """Normal ones; a standard deviation of zero is an atom."""

  mean: float
  sd: float

  def draw(self, rng: np.random.Generator, size: int) -> Gains:
    """[P] independent gains."""
    return self.mean + self.sd * rng.standard_normal(size)

  def survival(self, margin: float) -> float:
    """Probability of a gain of at least the margin."""
    if self.sd == 0:
      return float(self.mean >= margin)
    return float(special.ndtr((self.mean - margin) / self.sd))


@dataclasses.dataclass(frozen=True)
class SkewedGains:
  """Exponential ones above (scale > 0) or below (scale < 0) a limit."""

  limit: float
  scale: float

  def draw(self, rng: np.random.Generator, size: int) -> Gains:
    """[P] independent gains."""
    return self.limit + self.scale * rng.exponential(size=size)

  def survival(self, margin: float) -> float:
    """Probability of a gain of at least the margin."""
    beyond = float(np.exp(-max((margin - self.limit) / self.scale, 0.0)))
    return beyond if self.scale > 0 else 1 - beyond


@dataclasses.dataclass(frozen=True)
class MixedGains:
  """Each member's gain comes from one of several laws."""

  shares: Sequence[float]
  laws: Sequence[GainLaw]

  def draw(self, rng: np.random.Generator, size: int) -> Gains:
    """[P] independent gains."""
    which = rng.choice(len(self.laws), size=size, p=self.shares)
    drawn = np.stack([law.draw(rng, size) for law in self.laws])
    return drawn[which, np.arange(size)]

  def survival(self, margin: float) -> float:
    """Probability of a gain of at least the margin."""
    parts = zip(self.shares, self.laws, strict=True)
    return sum(share * law.survival(margin) for share, law in parts)


@dataclasses.dataclass(frozen=True)
class Sample:
  """One draw of members and prompts.

  Attributes:
    scores: [P, Q] 0 or 1.
    base_scores: [Q] 0 or 1.
    gains: [P] true ones.
  """

  scores: Float[np.ndarray, "P Q"]
  base_scores: Float[np.ndarray, " Q"]
  gains: Gains


@dataclasses.dataclass(frozen=True)
class SyntheticPopulation:
  """A task, a base and the law of its members.

  Attributes:
    gains: law of the true gains of members that are not copies of the base.
    base_accuracy: the base's accuracy over all prompts, within 0 and 1.
    luck: standard deviation of luck, where that of difficulty is one: small means
      that the same prompts are hard for all.
    coupling: correlation of a member's luck with the base's, within -1 and 1,
      both excluded: near one, members answer as the base does.
    copies: share of members that give the base's answers (no-ops).
    carrying: share of the prompts on which members differ in ability: at one, all;
      below, a gain comes from few prompts, and is larger there.
  """

  gains: GainLaw
  base_accuracy: float = 0.5
  luck: float = 1.0
  coupling: float = 0.5
  copies: float = 0.0
  carrying: float = 1.0

  def true_density(self, margin: float) -> float:
    """Probability that a member's true gain is at least the margin."""
    copy = self.copies * float(margin <= 0)
    return copy + (1 - self.copies) * self.gains.survival(margin)

  def sample(
    self, rng: np.random.Generator, num_members: int, num_prompts: int
  ) -> Sample:
    """Draws members and prompts.

    Raises:
      UserError: if a drawn gain would need an accuracy outside (0, 1).
    """
    gains = self.gains.draw(rng, num_members)
    accuracy = self.base_accuracy + gains / self.carrying
    if not np.all((accuracy > 0) & (accuracy < 1)):
      raise UserError(
        "gains must keep accuracies within 0 and 1, got"
        f" {accuracy.min():.3f} to {accuracy.max():.3f} (base_accuracy"
        f" {self.base_accuracy:g}). Choose a narrower law of gains."
      )
    width = np.sqrt(1 + self.luck**2)
    ease = width * special.ndtri(self.base_accuracy)
    ability = width * special.ndtri(accuracy) - ease
    prompts = ease + rng.standard_normal(num_prompts)
    luck = self.luck * rng.standard_normal(num_prompts)
    carries = rng.random(num_prompts) < self.carrying
    known = prompts + self.coupling * luck
    own = self.luck * np.sqrt(1 - self.coupling**2)
    chance = special.ndtr((known + ability[:, None] * carries) / own)
    scores = (rng.random(chance.shape) < chance).astype(np.float64)
    base_scores = (prompts + luck > 0).astype(np.float64)
    is_copy = rng.random(num_members) < self.copies
    scores[is_copy] = base_scores
    return Sample(scores, base_scores, np.where(is_copy, 0.0, gains))
