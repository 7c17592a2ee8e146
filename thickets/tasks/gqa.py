"""GQA: questions about photographs (Hudson and Manning 2019, arXiv:1902.09506).

Data. Select and dev come from the balanced training questions, judge from the balanced
testdev, of the set `lmms-lab/GQA` at one commit. The questions there name pictures
that lie in other files, which `gqa_files` joins. Rows of training are drawn by the
seed, one question for each picture; the authors take the first 200. The 12,578
questions of testdev are about 398 pictures, so that intervals are over pictures: the
picture is the group of a question. A local file must have the fields of a question and
`image`, a path, bytes or a mapping of both.

`gqa` asks as the authors do, step by step and for a box. `gqa/short` asks for a word
or a phrase, as lmms-eval does; how much a prompt alone changes is seen by comparing
the base on both.

Rule sets:

* `standard`: the answer is in the last box or, without one, the whole reply if that is
  short. It is right if it equals the answer but for case, punctuation around it, a
  leading article and spaces. `lenient`, by which tables count and votes are taken,
  also takes plurals and a few synonyms for the same answer (`words.canonicalise`). An
  answer is never right for containing the reference, and no reasoning is searched.
* `paper`: the authors' rules, see `gqa_paper`.

The score is 1 for `correct` and 0 otherwise.
"""

import collections
import functools
import re
from collections.abc import Callable, Sequence

from thickets.tasks import base, gqa_files, gqa_paper, pictures, words
from thickets.tasks.base import Example, Grade, Row, Source, Task
from thickets.tasks.drills.stable_random import StableRandom
from thickets.tasks.parsing import boxed

_MAX_WORDS = 4  # In a reply that is read as an answer without a box.
_MAX_CHARS = 64
_AUTHORS_PROMPT = (
  "Look at the image and answer the question.\n\nQuestion: {question}\n\nPlease"
  " reason step by step, and put your final answer within \\boxed{{}}."
)
_SHORT_PROMPT = "{question}\nAnswer the question using a single word or phrase."
_SPACES = re.compile(r"\s")


def _make_example(prompt: str, row: Row, number: int) -> Example:
  for field in ("question", "answer"):
    if not isinstance(row[field], str) or not row[field].strip():
      raise ValueError(f"{field} must be a text, got {row[field]!r}.")
  image = row.get("imageId")
  if not (isinstance(image, str | int) and str(image)):
    raise ValueError(
      f"imageId must name the picture of the question, got {image!r}."
    )
  picture = pictures.from_cell(row["image"], f"image {image}")
  return Example(
    id=str(row.get("id", number)),
    messages=base.ask(
      prompt.format(question=row["question"].strip()), pictures=[picture]
    ),
    reference={"answer": row["answer"].strip(), "type": _read_type(row)},
    group=str(image),
  )


def _read_type(row: Row) -> str:
  """The detailed type of a question, "" where the row does not say it."""
  types = row.get("types")
  found = types.get("detailed") if isinstance(types, dict) else None
  return found if isinstance(found, str) else ""


def grade_standard(is_boxed: bool, example: Example, response: str) -> Grade:
  """Grades by our rules.

  Args:
    is_boxed: whether the prompt asked for a box.
    example: the question.
    response: the reply.
  """
  box = boxed.find_box(response)
  answer = _read_short(response) if box is None else box
  key = words.canonicalise(answer) if answer else ""
  if not key or len(answer or "") > _MAX_CHARS:
    return Grade(0.0, False, False, None, False)
  assert answer is not None
  has_form = (box is not None) == is_boxed
  reference = example.reference["answer"]
  is_exact = words.normalise(answer) == words.normalise(reference)
  correct = is_exact and has_form
  return Grade(
    score=float(correct),
    correct=correct,
    lenient=key == words.canonicalise(reference),
    vote=base.shorten_vote(key),
    format=has_form,
  )


def _read_short(response: str) -> str | None:
  """A whole reply, if it is one line of a few words."""
  text = response.strip()
  if len(text) > _MAX_CHARS or "\n" in text:
    return None
  return text if 1 <= len(_SPACES.split(text)) <= _MAX_WORDS else None


def arrange_rows(rows: Sequence[Row], seed: int) -> list[int]:
  """Numbers of rows in an order drawn by the seed, one for each picture."""
  drawn: dict[str, int] = {}
  for number in StableRandom(f"gqa/{seed}").shuffle(range(len(rows))):
    drawn.setdefault(str(rows[number].get("imageId")), number)
  return [*drawn.values()]


def find_baseline(
  select: Sequence[Example], judge: Sequence[Example]
) -> tuple[str, float]:
  """Answers with the commonest answer of select to questions of a type.

  Questions of a type that select lacks get its commonest answer of all.

  Returns:
    What is answered, and the share of judge on which that is right.
  """
  counts: dict[str, collections.Counter[str]] = collections.defaultdict(
    collections.Counter
  )
  for example in select:
    answer = words.canonicalise(example.reference["answer"])
    counts[""][answer] += 1
    counts[example.reference["type"]][answer] += 1
  commonest = {kind: _find_commonest(found) for kind, found in counts.items()}
  hits = sum(
    commonest.get(example.reference["type"], commonest[""])
    == words.canonicalise(example.reference["answer"])
    for example in judge
  )
  types = len(commonest) - 1
  said = f"{commonest[''] or '?'!r}" if types < 1 else f"by {types} types"
  return f"always the answer {said}", hits / len(judge)


def _find_commonest(counts: collections.Counter[str]) -> str:
  """The commonest answer, the first by alphabet of several."""
  return min(counts, key=lambda answer: (-counts[answer], answer))


_Graders = dict[str, Callable[[Example, str], Grade]]


def _make_task(name: str, prompt: str, max_new_tokens: int) -> Task:
  is_boxed = "boxed" in prompt
  graders: _Graders = {
    "standard": functools.partial(grade_standard, is_boxed),
    "paper": gqa_paper.grade,
  }
  return Task(
    name=name,
    fields=("question", "answer", "imageId", "image"),
    make_example=functools.partial(_make_example, prompt),
    graders=graders,
    max_new_tokens=max_new_tokens,
    train=Source(
      gqa_files.REPOSITORY,
      "train_balanced_instructions",
      "train",
      revision=gqa_files.REVISION,
    ),
    test=Source(
      gqa_files.REPOSITORY,
      "testdev_balanced_instructions",
      "testdev",
      revision=gqa_files.REVISION,
    ),
    question="question",
    picture="image",
    blank={"answer": "?", "imageId": "asked"},
    arrange=arrange_rows,
    join=gqa_files.join_pictures,
    baseline=find_baseline,
  )


TASK = _make_task("gqa", _AUTHORS_PROMPT, 256)
SHORT_TASK = _make_task("gqa/short", _SHORT_PROMPT, 16)
