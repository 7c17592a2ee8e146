"""What a kind of question is: how questions are drawn, and how answers are read."""

import dataclasses
from collections.abc import Callable

from thickets.tasks.drills.stable_random import StableRandom


@dataclasses.dataclass(frozen=True)
class QuestionKind:
  """Questions of one form.

  Attributes:
    draw: draws a question and its right answer.
    read: maps a question and a response to the answer that the response gives,
      None where it gives none. It sees the question alone, never the right answer.
    version: raised whenever a question or the reading of an answer changes.
  """

  draw: Callable[[StableRandom], tuple[str, str]]
  read: Callable[[str, str], str | None]
  version: int = 1
