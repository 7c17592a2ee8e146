"""Answers questions with the voting ensemble of an experts file.

    python -m experiments.predict --experts=DIR/experts.json [--questions=FILE]

Questions come one to a line, from a file or standard input; a .jsonl file has
rows with the fields of the task instead. Questions about pictures have a picture
in each row, or one for all with --picture=FILE. Writes a JSON object per question to
standard output, with the number of its line: the elected answer, the votes, how
often each response without a vote was given, and the response of the best-ranked
member that gave the elected answer, or of the best-ranked one where none votes.
"""

import collections
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from absl import flags

from experiments import launch
from experiments.launch import questions, saved_experts
from thickets.errors import UserError
from thickets.generation import grading as grading_lib
from thickets.generation import language_evaluator, task_grading
from thickets.generation.generator import Generator, choose_layout
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import LanguageEvaluator
from thickets.generation.pictures import PictureStore
from thickets.models import hub, tokenizer_files
from thickets.runs.experts import Experts
from thickets.search import ensemble, meshes
from thickets.tasks import registry, splits
from thickets.tasks.base import Example, Task
from thickets.tasks.data import DataTable
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
_PICTURE = flags.DEFINE_string(
  "picture",
  "",
  "The file of the picture that all questions are about, in place of those that"
  " rows of --questions name.",
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
  table = questions.read_questions(task, _QUESTIONS.value, _PICTURE.value)
  examples = list(splits.make_examples(task, table))
  asked = [_describe_row(task, table, row) for row in range(len(examples))]
  grader = TaskGrader(fields["name"], fields["rules"], examples)
  with task_grading.start_task_graders(
    [grader], num_threads=task.num_threads
  ) as grading:
    texts = _respond(model, experts, examples, k, asked)
    for question, answer in zip(
      asked, elect_answers(grading, texts), strict=True
    ):
      print(format_row(question | answer, sys.stdout.encoding), flush=True)


def _describe_row(task: Task, table: DataTable, row: int) -> dict[str, Any]:
  """The place of a question in its file, and the question as it stands there."""
  fields = table.rows[row]
  place = table.places[row] if table.places else f"row {row}"
  return {
    "place": place,
    "question": fields if task.question is None else fields[task.question],
  }


def _respond(
  model: hub.Model,
  experts: Experts,
  examples: Sequence[Example],
  k: int,
  asked: Sequence[Mapping[str, Any]],
) -> list[list[str]]:
  """[K][Q] what the K best experts answer, by rank; `asked` has their places."""
  fields = experts.fields["task"]
  pictures = model.vision and PictureStore(model.vision)
  rendered = saved_experts.render_examples(model, fields, examples, pictures)
  tokens = [prompt.tokens for prompt in rendered]
  decoding = saved_experts.read_decoding(fields["decoding"])
  for prompt, question in zip(tokens, asked, strict=True):
    try:
      decoding.check_prompts([prompt], model.config)
    except UserError as error:
      raise UserError(
        f"--questions, {question['place']}: {error} Shorten that question."
      ) from error
  detokenize = tokenizer_files.make_detokenizer(model.tokenizer)
  mesh = meshes.make_mesh()
  layout = choose_layout(model.config, mesh, k * len(tokens))
  evaluator = LanguageEvaluator(
    Generator(
      model.config, decoding, mesh=mesh, layout=layout, detokenize=detokenize
    ),
    Grading(lambda *_: {}),  # Graded later, where all the votes are together.
    kind=experts.kind,
    pictures=pictures,
  )
  batch = language_evaluator.make_batch(
    tokens, pictures=[prompt.digests for prompt in rendered]
  )
  base, batch = evaluator.place(model.params, batch, k)
  responses = evaluator.respond(base, experts.members[:k], batch)
  return [
    grading_lib.read_texts(
      detokenize, responses.tokens[m], responses.lengths[m]
    )
    for m in range(k)
  ]


def elect_answers(
  grading: Grading, texts: Sequence[Sequence[str]]
) -> Iterator[dict[str, Any]]:
  """Yields the elected answer to each question.

  Args:
    grading: gives votes, for examples numbered from 0.
    texts: [K][Q] the responses by rank.
  """
  votes = [
    grading.grade_texts(range(len(responses)), responses)["vote"].tolist()
    for responses in texts
  ]
  for index in range(len(texts[0])):
    cast = [member[index] for member in votes]
    said = [member[index] for member in texts]
    winner = ensemble.majority_vote(cast)
    silent = [text for text, vote in zip(said, cast, strict=True) if not vote]
    yield {
      "answer": winner,
      "votes": _count(filter(None, cast)),
      "no_vote": _count(silent),
      "response": said[0 if winner is None else cast.index(winner)],
    }


def format_row(row: Mapping[str, Any], encoding: str | None) -> str:
  """One line of JSON, with escapes where an output cannot show a character."""
  line = json.dumps(row, ensure_ascii=False)
  try:
    line.encode(encoding or "ascii")
  except UnicodeEncodeError:
    return json.dumps(row)
  return line


def _count(values: Iterable[str]) -> dict[str, int]:
  """How often each value occurs, the most frequent first."""
  return dict(collections.Counter(values).most_common())


if __name__ == "__main__":
  launch.run(main, FLAGS)
