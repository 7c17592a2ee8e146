"""Answers questions with the voting ensemble of an experts file.

    python -m experiments.predict --experts=DIR/experts.json [--questions=FILE]

Questions come one to a line, from a file or standard input; a .jsonl file has
rows with the fields of the task instead. Writes a JSON object per question to
standard output: the elected answer, the votes, and the response of the
best-ranked member that gave it.
"""

import collections
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import flags

from experiments import launch
from experiments.launch import questions, saved_experts
from thickets.errors import UserError
from thickets.generation import grading, language_evaluator, prompts
from thickets.generation.generator import Generator
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.models import hub
from thickets.runs.experts import Experts
from thickets.search import ensemble
from thickets.tasks import registry, splits
from thickets.tasks.base import Example
from thickets.tasks.grader import TaskGrader

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.predict --experts=runs/countdown_tiny/experts.json"
  " --questions=questions.txt",
)
saved_experts.define_experts_flags(FLAGS)
_QUESTIONS = flags.DEFINE_string(
  "questions",
  "-",
  "The file of questions, or - for standard input.",
  flag_values=FLAGS.values,
)
_K = flags.DEFINE_integer(
  "k",
  None,
  "How many experts vote; the K that the run reports by default.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags and the questions, and writes the answers."""
  model, experts = saved_experts.load_named(FLAGS)
  fields = experts.fields["task"]
  task = registry.load_task(fields["name"])
  if task.check is not None:
    task.check()
  k = experts.primary_k if _K.value is None else _K.value
  if not 1 <= k <= len(experts.members):
    raise UserError(
      f"--k must be within 1 and {len(experts.members)}, the experts of the"
      f" file, got {k}."
    )
  table = questions.read_questions(task, _QUESTIONS.value)
  examples = list(splits.make_examples(task, table))
  texts = _respond(model, experts, examples, k)
  grade = TaskGrader(fields["name"], fields["rules"], examples)
  for answer in elect_answers(grade, examples, texts, task.num_threads):
    print(json.dumps(answer, ensure_ascii=False), flush=True)


def _respond(
  model: hub.Model, experts: Experts, examples: Sequence[Example], k: int
) -> list[list[str]]:
  """[K][Q] what the K best experts answer, by rank."""
  fields = experts.fields["task"]
  tokens = [
    prompts.render_prompt(
      model.tokenizer, e.messages, use_chat=fields["chat_template"]
    )
    for e in examples
  ]
  detokenize = hub.make_detokenizer(model.tokenizer)
  evaluator = LanguageEvaluator(
    Generator(
      model.config,
      saved_experts.read_decoding(fields["decoding"]),
      detokenize=detokenize,
    ),
    Grading(lambda *_: {}),  # Graded later, where all the votes are together.
    kind=experts.kind,
  )
  batch = language_evaluator.make_batch(tokens)
  base, batch = evaluator.place(model.params, batch, k)
  responses = evaluator.respond(base, experts.members[:k], batch)
  return [
    grading.read_texts(detokenize, responses.tokens[m], responses.lengths[m])
    for m in range(k)
  ]


def elect_answers(
  grade: TaskGrader,
  examples: Sequence[Example],
  texts: Sequence[Sequence[str]],
  num_threads: int,
) -> Iterator[Mapping[str, Any]]:
  """Yields the elected answer to each question.

  Args:
    grade: gives votes.
    examples: [Q] the questions.
    texts: [K][Q] the responses by rank.
    num_threads: responses graded at once.
  """
  votes = [
    grading.grade_texts(
      grade, range(len(examples)), responses, num_threads=num_threads
    )["vote"].tolist()
    for responses in texts
  ]
  for index, example in enumerate(examples):
    cast = [member[index] for member in votes]
    winner = ensemble.majority_vote(cast)
    voter = None if winner is None else cast.index(winner)
    yield {
      "question": example.messages[-1].content,
      "answer": winner,
      "votes": dict(collections.Counter(filter(None, cast)).most_common()),
      "response": None if voter is None else texts[voter][index],
    }


if __name__ == "__main__":
  launch.run(main, FLAGS)
