"""MATH-500: competition problems with an answer in LaTeX.

The data set has one split, so `judge` comes from behind `select` and `dev`, in
the order of the file, as in the authors' code (200 of 500 for selection).

Rules `standard` and `paper`: see `boxed`. The authors' prompt asks for the
answer after "####", which their scorer does not look for; ours asks for the box
that both rule sets look for.
"""

from thickets.tasks.base import Example, Row, Source, Task
from thickets.tasks.parsing import boxed


def make_example(row: Row, number: int) -> Example:
  """Makes an example; its id is the row's `unique_id`, or its number."""
  for field in ("problem", "answer"):
    if not isinstance(row[field], str):
      raise ValueError(f"{field} must be a text, got {row[field]!r}.")
  if not row["problem"].strip():
    raise ValueError("problem must not be empty.")
  return Example(
    id=str(row.get("unique_id", number)),
    messages=boxed.make_prompt(row["problem"]),
    reference=boxed.make_reference(row["answer"], row["problem"]),
  )


TASK = Task(
  name="math500",
  fields=("problem", "answer"),
  make_example=make_example,
  graders={"standard": boxed.grade_standard, "paper": boxed.grade_paper},
  libraries=boxed.LIBRARIES,
  max_new_tokens=2048,
  train=Source("HuggingFaceH4/MATH-500", split="test"),
  question="problem",
  blank={"answer": ""},
  version=2,
)
