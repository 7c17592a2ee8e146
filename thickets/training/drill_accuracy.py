"""How often a model solves held-out drills, by greedy decoding."""

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

from thickets.analysis import intervals
from thickets.generation import grading, prompts
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.models import tokenizer_files
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.tasks.base import Example
from thickets.tasks.drills import held_out
from thickets.tasks.drills.families import TASK_PREFIX
from thickets.tasks.drills.family_tasks import DRILL_TASKS

# Of a family's rows for development, the first 200 chose members and the next
# 1000 everything else.
NUM_SELECT, NUM_DEV = 200, 1000


class DrillAccuracy(TypedDict):
  """How many exercises of one family a model solves.

  Attributes:
    accuracy: share of right answers, in [0, 1].
    n: number of exercises.
    interval: Wilson's 95 % interval of the accuracy over exercises, low and high.
  """

  accuracy: float
  n: int
  interval: tuple[float, float]


MeasureAccuracy = Callable[[Params], dict[str, DrillAccuracy]]


def make_accuracy(
  config: TransformerConfig,
  tokenizer: Any,
  families: Iterable[str],
  num_prompts: int,
) -> MeasureAccuracy:
  """Makes a function that measures models on exercises for development.

  Args:
    config: shape of the models that are to be measured.
    tokenizer: their tokenizer, of `transformers`.
    families: names of the families to ask.
    num_prompts: exercises of each family, from 1 to `NUM_DEV`.

  Returns:
    A function that maps the weights of a model to its accuracy by family.
  """
  assert 1 <= num_prompts <= NUM_DEV
  examples = {name: _load_examples(name, num_prompts) for name in families}
  rendered = [
    prompts.render_prompt(tokenizer, example.messages)
    for asked in examples.values()
    for example in asked
  ]
  longest = max(task.max_new_tokens for task in DRILL_TASKS.values())
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

  def measure_accuracy(params: Params) -> dict[str, DrillAccuracy]:
    responses = generator.generate(params, rendered)
    texts = iter(
      grading.read_texts(detokenize, responses.tokens, responses.lengths)
    )
    return {
      name: _count_right(name, asked, [next(texts) for _ in range(len(asked))])
      for name, asked in examples.items()
    }

  return measure_accuracy


def _load_examples(family: str, num_prompts: int) -> list[Example]:
  """Returns the first exercises that chose everything but members."""
  task = DRILL_TASKS[f"{TASK_PREFIX}{family}"]
  rows = held_out.development_rows(family)[: NUM_SELECT + num_prompts]
  examples = [task.make_example(row, number) for number, row in enumerate(rows)]
  return examples[NUM_SELECT:]


def _count_right(
  family: str, examples: list[Example], responses: list[str]
) -> DrillAccuracy:
  grade = DRILL_TASKS[f"{TASK_PREFIX}{family}"].grader("standard")
  num_right = sum(
    grade(example, response).correct
    for example, response in zip(examples, responses, strict=True)
  )
  return {
    "accuracy": num_right / len(examples),
    "n": len(examples),
    "interval": intervals.wilson_interval(num_right, len(examples)),
  }
