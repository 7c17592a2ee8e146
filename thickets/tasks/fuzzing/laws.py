"""The laws that every grader keeps, whatever the response.

Tests try them on a sample of hostile responses, `experiments.fuzz_graders` on as
many as one asks for.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any

from thickets import errors
from thickets.tasks import base
from thickets.tasks.fuzzing.attacks import Attack
from thickets.tasks.fuzzing.question import Question
from thickets.tasks.fuzzing.questions import QUESTIONS

MAX_SECONDS = 1.0  # To grade one response.
# For tasks that run a response until a time limit of their own.
MAX_SECONDS_OF = {"mbpp": 60.0}
SCORES = {("countdown", "paper"): (0.0, 1.1)}  # All others are in [0, 1].
# Rules of the authors that credit wrong answers by design.
UNSOUND = {("rocstories", "paper")}


@dataclasses.dataclass
class LawChecker:
  """Grades attacks on one question by one rule set, and checks the laws.

  Attributes:
    task: the task whose grader is checked.
    rules: name of the rule set.
    example: the question that is attacked.
    patience: factor on the time that one response may take; large in tests,
      whose machine may be busy.
    slowest: seconds that the slowest grading took, and the kind of its attack.
    num_graded: number of attacks so far.
    violations: one text for each law that was broken.
  """

  task: base.Task
  rules: str
  example: base.Example
  patience: float = 1
  slowest: tuple[float, str] = (0.0, "")
  num_graded: int = 0
  violations: list[str] = dataclasses.field(default_factory=list)

  def __post_init__(self):
    self._is_vote_right: dict[str, bool] = {}

  def grade(self, attack: Attack) -> None:
    """Grades one attack, and notes the laws that the grade breaks."""
    self.num_graded += 1
    start = time.perf_counter()
    try:
      grade = self.task.grader(self.rules)(self.example, attack.text)
    except BaseException as error:  # None is right: graders never raise.
      if errors.is_interrupt(error):
        raise
      self._note(attack, f"raised {error!r:.200}")
      return
    seconds = time.perf_counter() - start
    self.slowest = max(self.slowest, (seconds, attack.kind))
    limit = self.patience * MAX_SECONDS_OF.get(self.task.name, MAX_SECONDS)
    if seconds > limit:
      self._note(attack, f"took {seconds:.2f} s")
    for broken in self._broken_laws(attack, grade):
      self._note(attack, f"{broken}: {grade}")

  def _broken_laws(self, attack: Attack, grade: Any) -> Iterator[str]:
    if problem := _malformed(grade):
      yield problem
      return
    low, high = SCORES.get((self.task.name, self.rules), (0.0, 1.0))
    if not low <= grade.score <= high + 1e-9:
      yield f"score must be from {low} to {high}"
    if grade.vote is None:
      if grade.lenient:
        yield "lenient must be false without a vote"
    elif self._is_vote_right.setdefault(grade.vote, grade.lenient) != (
      grade.lenient
    ):
      yield "lenient must be the same for the same vote"
    if self.rules == "standard":
      if grade.correct and not (grade.lenient and grade.format):
        yield "correct must imply lenient and format"
      if (grade.score == 1.0) != grade.correct:
        yield "score must be 1 where correct, and there alone"
      if attack.is_junk and grade.correct:
        yield "junk must not be correct"
    is_credited = grade.correct or grade.lenient
    is_sound = (self.task.name, self.rules) not in UNSOUND
    is_wrong = attack.is_wrong and attack.rules in (None, self.rules)
    if is_wrong and is_credited and is_sound:
      yield "a wrong answer must not be credited"

  def _note(self, attack: Attack, problem: str) -> None:
    self.violations.append(
      f"{self.task.name} {self.rules} {attack.kind}: {problem} for"
      f" {attack.text[:200]!a} ({len(attack.text)} characters)"
    )


def _malformed(grade: Any) -> str | None:
  if not isinstance(grade, base.Grade):
    return "must be a Grade"
  if not isinstance(grade.score, (int, float)) or not math.isfinite(
    grade.score
  ):
    return "score must be finite"
  for name in ("correct", "lenient", "format"):
    if type(getattr(grade, name)) is not bool:
      return f"{name} must be a bool"
  vote = grade.vote
  if vote is not None and not (
    isinstance(vote, str)
    and 0 < len(vote) <= base.MAX_VOTE_CHARS
    and vote.isprintable()
  ):
    return "vote must be short and printable, or None"
  return None


def make_checkers(
  task: base.Task, *, patience: float = 1
) -> Iterator[tuple[Question, list[LawChecker]]]:
  """Makes a checker for each rule set, question by question.

  Each grader grades something first, since some start a process once.

  Args:
    task: the task whose graders are checked.
    patience: factor on the time that one response may take.

  Yields:
    A question of the task, and its checkers in the order of the rule sets.

  Raises:
    ValueError: if there are no questions for the task.
  """
  questions = QUESTIONS.get(task.name, ())
  if not questions:
    raise ValueError(
      f"fuzzing.questions must have questions for {task.name}, got none. Add a"
      " row that was made by hand."
    )
  for number, question in enumerate(questions):
    example = task.make_example(question.row, number)
    for grade in task.graders.values():
      with contextlib.suppress(Exception):  # Checkers note what is raised.
        grade(example, "\\boxed{0}")
    yield (
      question,
      [
        LawChecker(task, rules, example, patience)
        for rules in sorted(task.graders)
      ],
    )
