"""What a kind of question is: how questions are drawn, and how answers are read."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from thickets.tasks.drills.stable_random import StableRandom


class Question(NamedTuple):
  """One question.

  Attributes:
    text: the question.
    answer: its right answer.
    group: what it shares with other questions, such as the word that decides the
      answer; "" if it shares nothing.
  """

  text: str
  answer: str
  group: str = ""


@dataclasses.dataclass(frozen=True)
class QuestionKind:
  """Questions of one form.

  Attributes:
    draw: draws a question.
    read: maps a question and a response to the answer that the response gives,
      None where it gives none. It sees the question alone, never the right answer.
    version: raised whenever a question or the reading of an answer changes.
  """

  draw: Callable[[StableRandom], Question]
  read: Callable[[str, str], str | None]
  version: int = 1
