"""The largest number: an example of a task of your own. Copy it and change it."""

from thickets.tasks import base


def make_example(row, number):
  """From a row of the data to a question and what its answer is compared with."""
  return base.Example(
    id=str(number),
    messages=base.ask(f"max {row['numbers']}?"),  # The prompt template.
    reference=row["answer"],
  )


def grade(example, response):
  """The answer is the last word, or what follows an equals sign in it.

  Must not raise, whatever the response, nor with the reference of `blank`.
  """
  words = response.rsplit(None, 1)
  answer = words[-1].split("=")[-1] if words else ""
  has_answer = answer.isascii() and answer.isdigit()
  is_right = has_answer and answer == example.reference
  return base.Grade(
    score=float(is_right),  # What chooses members; partial credit is possible.
    correct=is_right,  # Right, and in the form asked for.
    lenient=is_right,  # Whether the answer voted with is right.
    vote=base.shorten_vote(answer) if has_answer else None,
    format=has_answer,
  )


TASK = base.Task(
  name="largest",
  fields=("numbers", "answer"),
  make_example=make_example,
  graders={"standard": grade},
  max_new_tokens=48,
  question="numbers",  # So that experiments.predict takes plain lines, ...
  blank={"answer": ""},  # ... whose answers nobody knows.
)
