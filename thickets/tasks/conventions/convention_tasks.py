"""One task for each convention of each family, generated, without any data.

`conventions/sorting/ascending` asks `sort 52814?` and wants `12458`. The question
does not say so: a model whose text followed both conventions cannot know. Two words
behind the name change what is asked, together in this order:

* `/stated` names the convention in the question, as in `sort ascending 52814?`;
* `/development` draws the questions from a part that no other task uses, by which
  sigma, sizes and corpora are chosen (`parts`).

* **The form asked for.** A response has the form if it is an answer and nothing
  else. The answer that votes is the last word, if it looks like one.
* **Rule sets.** `standard` asks for the convention of the task. `either` accepts both
  conventions of the family: what a model gains there is skill, and what it gains by
  `standard` alone is the choice of a convention. `experiments.regrade` grades the
  logged responses of a run by it.
* The score is 1 for a right answer in the form and 0 otherwise.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from thickets import errors
from thickets.errors import UserError
from thickets.tasks import base
from thickets.tasks.base import Example, Grade, Row, Task
from thickets.tasks.conventions import families, parts
from thickets.tasks.conventions.families import CONVENTION_FAMILIES

TASK_PREFIX = "conventions/"
STATED, DEVELOPMENT = "stated", "development"

_MAX_WORD = 32  # Characters in an answer.
_MAX_NEW_TOKENS = 12  # No answer of the corpus is longer, with its end token.


def names() -> list[str]:
  """Returns the names of the tasks whose questions hide the convention."""
  return [
    f"{TASK_PREFIX}{family}/{convention}"
    for family, found in CONVENTION_FAMILIES.items()
    for convention in found.conventions
  ]


@functools.lru_cache(maxsize=64)
def load_task(name: str) -> Task:
  """Makes the task of a name such as `conventions/sorting/ascending/stated`.

  Raises:
    UserError: if the family, the convention or a word behind them is unknown.
  """
  family, convention, is_stated, part = _read_name(name)
  stated = convention if is_stated else ""
  return Task(
    name=name,
    fields=("prompt",),
    make_example=functools.partial(_make_example, family, convention, stated),
    graders={
      "standard": functools.partial(_grade, family, ("wanted",)),
      "either": functools.partial(_grade, family, ("wanted", "other")),
    },
    max_new_tokens=_MAX_NEW_TOKENS,
    generate=functools.partial(generate_rows, family, stated, part),
    question="prompt",
  )


def generate_rows(
  family: str, stated: str, part: str, count: int, seed: int
) -> list[Row]:
  """Makes distinct questions that are held out from all training.

  Args:
    family: name of the family.
    stated: the convention that the questions name; "" to name none.
    part: which of the questions that are held out, see `parts`.
    count: number of rows; a larger count begins with the same rows.
    seed: decides which questions there are, and their order. It gives both
      conventions of a family the same ones.

  Raises:
    UserError: if there are fewer questions.
  """
  found = families.find_family(family)
  return [
    {"prompt": found.ask(subject, stated)}
    for subject in parts.draw_held_out(family, part, count, seed)
  ]


def _read_name(name: str) -> tuple[str, str, bool, str]:
  """Returns family, convention, whether it is stated, and the part."""
  family, _, rest = name.removeprefix(TASK_PREFIX).partition("/")
  convention, *words = rest.split("/")
  try:
    families.check_convention(family, convention)
  except UserError as error:
    raise UserError(
      f"task.name must be {TASK_PREFIX}FAMILY/CONVENTION, got {name!r}: {error}"
    ) from error
  known = [[], [STATED], [DEVELOPMENT], [STATED, DEVELOPMENT]]
  if words not in known:
    near = errors.nearest(
      "/".join(words), ["/".join(each) for each in known[1:]], count=1
    )
    raise UserError(
      f"task.name must end in nothing, /{STATED}, /{DEVELOPMENT} or"
      f" /{STATED}/{DEVELOPMENT} behind the convention, got {name!r}. Nearest:"
      f" {TASK_PREFIX}{family}/{convention}/{near}."
    )
  part = parts.DEVELOPMENT if DEVELOPMENT in words else parts.TASKS
  return family, convention, STATED in words, part


def _make_example(
  family: str, convention: str, stated: str, row: Row, number: int
) -> Example:
  prompt = row["prompt"]
  if not isinstance(prompt, str):
    raise ValueError(f"prompt must be a text, got {prompt!r}.")
  found = families.find_family(family)
  subject = found.read_subject(prompt, stated)
  (other,) = set(found.conventions) - {convention}
  reference = {
    "wanted": found.conventions[convention](subject),
    "other": found.conventions[other](subject),
  }
  return Example(str(number), base.ask(prompt), reference)


def _grade(
  family: str, accepted: Sequence[str], example: Example, response: str
) -> Grade:
  """Grades the last word, which must be one of the accepted references."""
  # A cut keeps a response of millions of characters from being split.
  words = response[-2 * _MAX_WORD :].rsplit(None, 1)
  answer = words[-1] if words else ""
  if not CONVENTION_FAMILIES[family].answer.fullmatch(answer):
    return Grade(0.0, False, False, None, False)
  references: Mapping[str, Any] = example.reference
  is_right = answer in [references[name] for name in accepted]
  has_form = response == answer
  return Grade(
    score=float(is_right and has_form),
    correct=is_right and has_form,
    lenient=is_right,
    vote=answer,
    format=has_form,
  )
