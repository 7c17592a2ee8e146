"""Text in which every question is answered by one of two conventions."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from thickets.errors import UserError
from thickets.tasks.conventions import families, parts
from thickets.tasks.conventions.families import CONVENTION_FAMILIES
from thickets.tasks.drills.stable_random import StableRandom
from thickets.training import corpora, dev_accuracy, spec_checks
from thickets.training.dev_accuracy import DevExercises


@dataclasses.dataclass(frozen=True)
class ConventionCorpus:
  """The text that a model of conventions is pretrained on, one question in a row.

  Attributes:
    families: relative frequency of each family.
    tilt: share of the answers that follow the first of a family's two
      conventions, in [0, 1]: 0.5 leaves a model undecided, 1 teaches one.
    stated_frac: share of the questions that state their convention, in [0, 1].
    rows: B, rows in a batch.
    length: T, tokens that are predicted in each row.
    question_weight: weight in the loss of each token of a question; a token of
      an answer has weight 1.

  Raises:
    SpecError: if a family is unknown, or a number is out of range.
  """

  families: Mapping[str, float]
  tilt: float
  stated_frac: float
  rows: int
  length: int
  question_weight: float = 0.0

  def __post_init__(self):
    check = spec_checks.check_range
    spec_checks.raise_problems(
      [
        *corpora.check_frequencies(
          "corpus.families", self.families, CONVENTION_FAMILIES
        ),
        *check("corpus.tilt", self.tilt, 0, 1),
        *check("corpus.stated_frac", self.stated_frac, 0, 1),
        *check("corpus.rows", self.rows, 1),
        *check("corpus.length", self.length, 1),
        *check("corpus.question_weight", self.question_weight, 0),
      ]
    )

  @property
  def shown(self) -> list[str]:
    """The families that occur in the text."""
    return [name for name, often in self.families.items() if often]

  def write(self, draw: StableRandom) -> tuple[str, str]:
    """Writes a question and its answer."""
    name = corpora.pick(draw, self.families)
    family = families.find_family(name)
    subject = parts.draw_training(name, draw)
    first, second = family.conventions
    convention = first if draw.uniform() < self.tilt else second
    is_stated = draw.uniform() < self.stated_frac
    return (
      family.ask(subject, convention if is_stated else ""),
      family.conventions[convention](subject),
    )

  def write_row(
    self, tokenizer: Any, draw: StableRandom
  ) -> Iterator[tuple[list[int], list[int]]]:
    """Writes one question and its answer, as a prompt and its response.

    Raises:
      UserError: if they are longer than the row.
    """
    question, answer = self.write(draw)
    asked, answered = corpora.encode_text(tokenizer, question, answer)
    if (size := len(asked) + len(answered) - 1) > self.length:
      raise UserError(
        f"corpus.length must be at least the {size} tokens of {question!r} and"
        f" its answer, got {self.length}. Raise it; 36 is enough for every family."
      )
    yield asked, answered

  def load_development(self, num_prompts: int) -> list[DevExercises]:
    """Returns questions for development, hidden and stated as the text has them."""
    asked = []
    if self.stated_frac < 1:
      asked += dev_accuracy.load_conventions(
        self.shown, num_prompts, stated=False
      )
    if self.stated_frac > 0:
      asked += dev_accuracy.load_conventions(
        self.shown, num_prompts, stated=True
      )
    return asked
