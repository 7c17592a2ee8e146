"""ROCStories: put the five shuffled sentences of a story in order.

Rows are stories as written, `storytitle` (may be empty) and `sentence1` to
`sentence5`, as in `shawon/rocstories-combined` on the hub; they are shuffled
here. The key of the shuffle is the story: its sentences are shown in the order
of the SHA-256 of "i" and the story, for i from 1 to 5. So a story is shown
alike wherever it stands in whatever file, one that is there twice can be
recognised, and each of the 120 orders is as likely as another, the right one
included. Rows of the authors' prepared files, `title`, `shuffled_sentences` and
`gold_order` (whose i-th entry is where, in the shuffled list, the i-th sentence
is; their preparation is not published), are read as they are.

The corpus is handed out by the University of Rochester on request.

Rules `standard`: the form is five letters with commas, a space after a comma
allowed, and nothing else. The score is, for a response of that form, 0.6 times
the share of the positions that are right plus 0.4 times the share of the four
pairs of neighbouring sentences that are in the right relative order, and 0
otherwise; it is 1 if and only if the response is `correct`. The lenient order
is the last five letters in the last 2000 characters that are an order, in
capitals or not: with commas, else arrows or hyphens, else white space, else run
together. Each letter may be quoted and numbered ("1. C 2. A"), and a longer list
of letters, whatever they are, is no order.

Rules `paper` are the authors', `utils/reward_score/rocstories.py` and
`data_handlers/rocstories.py`: they take the first five letters from A to E with
commas, else with white space, else run together, else anywhere, words included,
and score them alike in whatever form. They report the mean of this score as the
accuracy of single models, so compare `score`; for a vote they take it as a
truth value, and every order scores at least 0.1 (the reversed one 0.12), so
that `correct` and `lenient` are true of any order at all. Other than there,
only the first 20000 characters are looked at.
"""

import hashlib
import re
from collections.abc import Sequence

from thickets.tasks import base

_LETTERS = "ABCDE"
_SENTENCES = tuple(f"sentence{i}" for i in range(1, 6))
_PREPARED = ("shuffled_sentences", "gold_order")  # And often `title`.
_SYSTEM = (
  "You are a helpful assistant who understands stories well. Given the"
  " sentences of a story in shuffled order, you work out from events and time in"
  " which order they were written."
)
_QUESTION = """\
These are the five sentences of a story, in shuffled order.

Title: {title}

{sentences}

Put them in the right order. Answer with the letters alone, separated by \
commas, for example B,A,D,E,C."""

_FORM = re.compile(r"([A-E]), ?([A-E]), ?([A-E]), ?([A-E]), ?([A-E])")
_TAIL_CHARS = 2000
# Around each letter of an order: its number, and quotation marks or fonts.
_NUMBERED = re.compile(
  r"(?<![\w.])\(?[0-9]{1,2}(?:[.):]|st|nd|rd|th)\)?[:.]? *(?=\W{0,3}[A-Z]\b)",
  re.I,
)
_QUOTES = re.compile(r"[\"'`“”‘’„«»]|(?<=[A-Za-z])\*+|\*+(?=[A-Za-z])")
_NAMED = re.compile(r"\bsentence (?=[A-Z]\b)", re.IGNORECASE)
_RUNS = tuple(
  re.compile(
    # Another letter beside it makes it a longer list; "I" is a word.
    rf"(?<![a-z])(?<!\b[f-hj-z]\s){letter}(?:{separator}{letter})+(?![a-z])"
    r"(?!\s+[f-hj-z]\b)",
    re.IGNORECASE | re.ASCII,
  )
  for separator, letter in (
    (r"\s*,\s*(?:(?:and|then)\s+)?", "[a-z]"),
    (r"\s*(?:->|=>|>|→|-|–|—)\s*", "[a-z]"),
    (r"\s+", "[a-e]"),
    ("", "[a-e]"),
  )
)

_PAPER_CHARS = 20_000
_PAPER_FORMS = tuple(
  re.compile(separator.join(["([A-E])"] * 5))
  for separator in (r"\s*,\s*", r"\s+", "")
)
_POSITION_WEIGHT, _PAIR_WEIGHT = 0.6, 0.4


def _make_example(row: base.Row, number: int) -> base.Example:
  if all(name in row for name in _SENTENCES):
    sentences = [row[name] for name in _SENTENCES]
    _check_sentences(sentences)
    places = _shuffle(sentences)
    shown = [sentences[place] for place in places]
    order = [places.index(i) for i in range(5)]
    title = row.get("storytitle")
  elif all(name in row for name in _PREPARED):
    shown, title = list(row["shuffled_sentences"]), row.get("title")
    _check_sentences(shown)
    order = [int(place) for place in row["gold_order"]]
  else:
    raise ValueError(
      f"a story must have the fields {', '.join(_SENTENCES)} or"
      f" {', '.join(_PREPARED)}, got {', '.join(map(str, row))}."
    )
  if sorted(order) != list(range(5)):
    raise ValueError(f"gold_order must order 0 to 4, got {order}.")
  lines = [
    f"Sentence {letter}: {sentence}"
    for letter, sentence in zip(_LETTERS, shown, strict=True)
  ]
  return base.Example(
    id=str(number),
    messages=base.ask(
      _QUESTION.format(title=title or "(none)", sentences="\n".join(lines)),
      system=_SYSTEM,
    ),
    reference="".join(_LETTERS[place] for place in order),
  )


def _check_sentences(sentences):
  if len(sentences) != 5 or not all(
    isinstance(sentence, str) and sentence for sentence in sentences
  ):
    raise ValueError(f"sentences must be five texts, got {sentences!r:.200}.")


def _shuffle(sentences):
  """Returns which sentence (from 0) is shown at each place."""
  story = "\n".join(sentences)

  def rank(i):
    text = f"{i + 1} {story}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest()

  return sorted(range(5), key=rank)


def score_order(order: Sequence[str], right: Sequence[str]) -> float:
  """Scores an order of the letters A to E, with partial credit, in [0.1, 1].

  Args:
    order: the order to score.
    right: the right order.
  """
  positions = sum(a == b for a, b in zip(order, right, strict=True)) / 5
  pairs = sum(
    order.index(right[i]) < order.index(right[i + 1]) for i in range(4)
  )
  return _POSITION_WEIGHT * positions + _PAIR_WEIGHT * pairs / 4


def _is_order(letters):
  return sorted(letters) == list(_LETTERS)


def _grade(example: base.Example, response: str) -> base.Grade:
  order, in_form = _lenient_order(response), _order_in_form(response)
  is_in_form = in_form is not None
  return base.Grade(
    score=score_order(in_form, example.reference) if is_in_form else 0.0,
    correct=in_form == example.reference,
    lenient=order == example.reference,
    vote=order,
    format=is_in_form,
  )


def _order_in_form(response):
  match = _FORM.fullmatch(response.strip())
  if match is None or not _is_order(match.groups()):
    return None
  return "".join(match.groups())


def _lenient_order(response):
  # What was given in form is found here too: its run is the last with commas.
  tail = _QUOTES.sub("", response.rstrip()[-_TAIL_CHARS:])
  tail = _NUMBERED.sub(" ", _NAMED.sub("", tail))
  for pattern in _RUNS:
    for run in reversed(pattern.findall(tail)):
      letters = "".join(re.findall(r"\b[A-Z]\b", run.upper())) or run.upper()
      if _is_order(letters):
        return letters
  return None


def _grade_as_paper(example: base.Example, response: str) -> base.Grade:
  order = _paper_order(response)
  is_order = order is not None
  return base.Grade(
    score=score_order(order, example.reference) if is_order else 0.0,
    correct=is_order,
    lenient=is_order,
    vote=order,
    format=_order_in_form(response) is not None,
  )


def _paper_order(response):
  text = response[:_PAPER_CHARS].upper()
  for pattern in _PAPER_FORMS:
    if match := pattern.search(text):
      letters = "".join(match.groups())
      break
  else:
    letters = "".join(re.findall("[A-E]", text)[:5])
  return letters if _is_order(letters) else None


TASK = base.Task(
  name="rocstories",
  fields=(),  # One of two sets of them: `_make_example` looks.
  make_example=_make_example,
  graders={"standard": _grade, "paper": _grade_as_paper},
  max_new_tokens=64,
  train=base.Source("shawon/rocstories-combined", split="train"),
  blank={"gold_order": (0, 1, 2, 3, 4)},
  version=2,
)
