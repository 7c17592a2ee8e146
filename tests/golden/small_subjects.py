"""A subject of a tiny model and three prompts, one for each split."""

from thickets.generation import subject as subject_lib
from thickets.generation.prompts import Chat
from thickets.generation.specs import AnsweringSpec, TaskSpec
from thickets.tasks import base, splits

EXAMPLES = tuple(
  base.Example(str(n), base.ask(f"w{n + 3}"), "") for n in range(3)
)


def make_subject(model, *, chat=None, today=None):
  """Makes the subject of a model, with a prompt in each split and no grader."""
  task = base.Task(
    name="T",
    fields=(),
    make_example=lambda row, number: EXAMPLES[number],
    graders={},
    max_new_tokens=4,
  )
  return subject_lib.make_subject(
    model,
    TaskSpec("T", splits.Sizes(1, 1, 1), chat=chat or Chat()),
    AnsweringSpec(),
    task,
    splits.Splits(
      *((example,) for example in EXAMPLES),
      {name: {} for name in subject_lib.PROMPT_SPLITS},
    ),
    today=today,
  )
