"""How often a model solves held-out exercises of development, by greedy decoding."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

from thickets.analysis import intervals
from thickets.generation import grading, prompts
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.models import tokenizer_files
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.tasks.base import Example, GradeFn, Task
from thickets.tasks.conventions import convention_tasks, families, parts
from thickets.tasks.conventions.convention_tasks import TASK_PREFIX
from thickets.tasks.drills import held_out
from thickets.tasks.drills.family_tasks import DRILL_TASKS

# Of a family's rows for development, the first 200 chose members and the next
# 1000 everything else.
NUM_SELECT, NUM_DEV = 200, 1000


class TaskAccuracy(TypedDict):
  """How many exercises of one kind a model solves.

  Attributes:
    accuracy: share of right answers, in [0, 1].
    n: number of exercises.
    interval: Wilson's 95 % interval of the accuracy over exercises, low and high.
  """

  accuracy: float
  n: int
  interval: tuple[float, float]


MeasureAccuracy = Callable[[Params], dict[str, TaskAccuracy]]


@dataclasses.dataclass(frozen=True)
class DevExercises:
  """Questions that are answered once, and graded by one or several rules.

  Attributes:
    max_new_tokens: number of tokens after which a response is cut off.
    graded: by the name of what is counted, a grader and its examples; all of
      them ask the same questions.
  """

  max_new_tokens: int
  graded: Mapping[str, tuple[GradeFn, Sequence[Example]]]

  @property
  def examples(self) -> Sequence[Example]:
    """The questions."""
    return next(iter(self.graded.values()))[1]


def load_drills(
  families: Iterable[str], num_prompts: int
) -> list[DevExercises]:
  """Returns the first drills that chose everything but members.

  Args:
    families: names of the families.
    num_prompts: exercises of each family, from 1 to `NUM_DEV`.
  """
  assert 1 <= num_prompts <= NUM_DEV
  found = []
  for name in families:
    task = DRILL_TASKS[f"drills/{name}"]
    rows = held_out.development_rows(name)[: NUM_SELECT + num_prompts]
    examples = _make_examples(task, rows)[NUM_SELECT:]
    graded = {name: (task.grader("standard"), examples)}
    found.append(DevExercises(task.max_new_tokens, graded))
  return found


def load_conventions(
  names: Iterable[str], num_prompts: int, *, stated: bool
) -> list[DevExercises]:
  """Returns questions for development, each to be graded by either convention.

  What is counted is named as in `sorting/ascending`, and `sorting/either` for what is
  right under one of the two.

  Args:
    names: names of the families.
    num_prompts: questions of each family.
    stated: whether the questions state their convention.
  """
  found = []
  for name in names:
    conventions = list(families.find_family(name).conventions)
    if stated:
      found += [_ask_stated(name, one, num_prompts) for one in conventions]
    else:
      found.append(_ask_hidden(name, conventions, num_prompts))
  return found


def _ask_stated(family: str, convention: str, num_prompts: int) -> DevExercises:
  name = f"{family}/{convention}/{convention_tasks.STATED}"
  task = convention_tasks.load_task(f"{TASK_PREFIX}{name}")
  examples = _draw_examples(task, family, convention, num_prompts)
  return DevExercises(
    task.max_new_tokens, {name: (task.grader("standard"), examples)}
  )


def _ask_hidden(
  family: str, conventions: Sequence[str], num_prompts: int
) -> DevExercises:
  tasks = {
    convention: convention_tasks.load_task(
      f"{TASK_PREFIX}{family}/{convention}"
    )
    for convention in conventions
  }
  asked = {
    convention: _draw_examples(task, family, "", num_prompts)
    for convention, task in tasks.items()
  }
  graded = {
    f"{family}/{convention}": (task.grader("standard"), asked[convention])
    for convention, task in tasks.items()
  }
  first, task = next(iter(tasks.items()))  # `either` is the same of both.
  graded[f"{family}/either"] = task.grader("either"), asked[first]
  return DevExercises(task.max_new_tokens, graded)


def _draw_examples(
  task: Task, family: str, stated: str, num_prompts: int
) -> list[Example]:
  rows = convention_tasks.generate_rows(
    family, stated, parts.DEVELOPMENT, num_prompts, seed=0
  )
  return _make_examples(task, rows)


def make_accuracy(
  config: TransformerConfig, tokenizer: Any, asked: Sequence[DevExercises]
) -> MeasureAccuracy:
  """Makes a function that measures models on exercises for development.

  Args:
    config: shape of the models that are to be measured.
    tokenizer: their tokenizer, of `transformers`.
    asked: the exercises, at least one.

  Returns:
    A function that maps the weights of a model to its accuracy by name.
  """
  rendered = [
    prompts.render_prompt(tokenizer, example.messages)
    for exercises in asked
    for example in exercises.examples
  ]
  longest = max(exercises.max_new_tokens for exercises in asked)
  generator = Generator(
    config,
    Decoding.for_tokenizer(
      tokenizer,
      config,
      min(longest, config.context - max(map(len, rendered))),
      stop_tokens=(tokenizer.eos_token_id,),
    ),
  )
  detokenize = tokenizer_files.make_detokenizer(tokenizer)

  def measure_accuracy(params: Params) -> dict[str, TaskAccuracy]:
    responses = generator.generate(params, rendered)
    texts = iter(
      grading.read_texts(detokenize, responses.tokens, responses.lengths)
    )
    found = {}
    for exercises in asked:
      answers = [next(texts) for _ in exercises.examples]
      for name, (grade, examples) in exercises.graded.items():
        found[name] = _count_right(grade, examples, answers)
    return found

  return measure_accuracy


def _make_examples(task: Task, rows: Iterable[Any]) -> list[Example]:
  return [task.make_example(row, number) for number, row in enumerate(rows)]


def _count_right(
  grade: GradeFn, examples: Sequence[Example], responses: Sequence[str]
) -> TaskAccuracy:
  num_right = sum(
    grade(example, response).correct
    for example, response in zip(examples, responses, strict=True)
  )
  return {
    "accuracy": num_right / len(examples),
    "n": len(examples),
    "interval": intervals.wilson_interval(num_right, len(examples)),
  }
