"""Questions about one's own pictures: an example. Copy it and change it."""

from thickets.tasks import base, pictures


def make_example(row, number):
  """From a row of the data to a question about a picture."""
  picture = pictures.from_cell(row["picture"], "the field picture")
  return base.Example(
    id=str(number),
    messages=base.ask(row["question"], pictures=[picture]),
    reference=row["answer"],
    group=row["group"],  # Questions about one picture are answered alike.
  )


def grade(example, response):
  """The answer is the last word.

  Must not raise, whatever the response, nor with the reference of `blank`.
  """
  words = response[-64:].lower().split()
  answer = words[-1].strip(".") if words else ""
  is_right = bool(answer) and answer == example.reference
  return base.Grade(
    score=float(is_right),
    correct=is_right,
    lenient=is_right,
    vote=base.shorten_vote(answer) if answer else None,
    format=response == answer,
  )


TASK = base.Task(
  name="shapes",
  fields=("picture", "question", "answer", "group"),
  make_example=make_example,
  graders={"standard": grade},
  max_new_tokens=4,
  question="question",  # What a line of experiments.predict fills, ...
  picture="picture",  # ... and its --picture; paths begin at the data file.
  blank={"answer": "", "group": ""},
)
