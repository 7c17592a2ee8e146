"""OlympiadBench: open-ended olympiad problems in English, without images.

The data set has one split, so `judge` comes from behind `select` and `dev`, in
the order of the file, as in the authors' code (200 of 674 for selection).
`final_answer` is a list of one text; where a problem has several answers, the
text lists them. `unit` needs no rule: references are without it, and units in
answers are dropped. `error`, which one row has, is the tolerance of its number.

Rules `standard` and `paper`: see `boxed`, and `math500` on the prompt. Under
`standard`, dollars within a reference and a full stop behind it do not count.
"""

from thickets.tasks.base import Example, Row, Source, Task
from thickets.tasks.parsing import boxed


def make_example(row: Row, number: int) -> Example:
  """Makes an example; its id is the row's `id`, or its number."""
  question, answers = row["question"], row["final_answer"]
  if not isinstance(question, str) or not question.strip():
    raise ValueError(f"question must be a text, got {question!r}.")
  if (
    not isinstance(answers, (list, tuple))
    or len(answers) != 1
    or not isinstance(answers[0], str)
  ):
    raise ValueError(
      f"final_answer must be a list of one text, got {answers!r}."
    )
  return Example(
    id=str(row.get("id", number)),
    messages=boxed.make_prompt(question),
    reference=boxed.make_reference(
      answers[0], question, _tolerance(row.get("error"))
    ),
  )


def _tolerance(error):
  try:
    return float(error or 0)
  except ValueError as cause:
    raise ValueError(f"error must be a number, got {error!r}.") from cause


TASK = Task(
  name="olympiadbench",
  fields=("question", "final_answer"),
  make_example=make_example,
  graders={"standard": boxed.grade_standard, "paper": boxed.grade_paper},
  libraries=boxed.LIBRARIES,
  max_new_tokens=2048,
  train=Source(
    "Hothan/OlympiadBench", name="OE_TO_maths_en_COMP", split="train"
  ),
  question="question",
  blank={"final_answer": [""]},
  version=2,
)
