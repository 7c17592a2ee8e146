"""What an exercise and a family of exercises are, and which are held out.

A family draws exercises, writes the question, and answers it in several
*manners*: with the answer alone, as an equation, or in steps that end in the
answer. Nothing in the question says which manner is wanted, as in text that
many people wrote. In every manner the answer is the last word, either the whole
word or one side of an equation.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from thickets.tasks.drills.stable_random import StableRandom

_ONE_IN = 4  # One exercise in this many is held out.


@dataclasses.dataclass(frozen=True)
class Exercise:
  """One question and what its answers are written from.

  Attributes:
    identity: equal for all exercises that ask the same thing; decides whether
      the exercise is held out.
    question: text of the prompt.
    reference: what a grader compares a response with, as JSON values.
    work: what the manners of the family write an answer from, such as one
      solution.
  """

  identity: str
  question: str
  reference: Any
  work: Any  # Each family has a type of its own.


Manner = Callable[[StableRandom, Exercise], str]


@dataclasses.dataclass(frozen=True)
class DrillFamily:
  """A kind of exercise.

  Attributes:
    sample: draws an exercise.
    manners: ways to answer by name; each maps (draws, exercise) to the text of
      an answer.
  """

  sample: Callable[[StableRandom], Exercise]
  manners: Mapping[str, Manner]


def is_held_out(family: str, identity: str) -> bool:
  """Whether an exercise is kept out of the text for pretraining.

  Args:
    family: name of its family.
    identity: what the exercise asks; see `Exercise`.
  """
  digest = hashlib.sha256(f"{family}:{identity}".encode()).digest()
  return digest[0] % _ONE_IN == 0


def join_words(words: Iterable[object]) -> str:
  """Returns the words of a text, separated by single spaces."""
  return " ".join(map(str, words))
