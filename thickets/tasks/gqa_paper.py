"""The authors' rules for GQA, faults included, to compare with published numbers.

An answer is looked for in this order: the last box, if it has at most four words,
else what it begins with; what follows "answer:" or "answer is", in at most three
words; the first line, if it begins with yes or no, has at most three words or says
"it is"; and the last two words of content. It is right if it equals the reference, or
its singular or synonym does, *if either contains the other*, if the words of one
answer are those of the other, or *if the reference occurs as a word in the first line
of the response*.

So "woman" is right where "man" is, "snow" where "no" is, and a first line that
restates "is it left or right" is right for both answers. The singular of "horses" is
"hors", and of "gloves" "glof". Whether a *response* is right is more than its answer
says; so `lenient`, which must be the same for equal votes, applies these rules to the
answer that votes in place of the response.

They were rebuilt from a description of the authors' code, which was not at hand; no
response was graded by both.
"""

import re

from thickets.tasks import base
from thickets.tasks.base import Example, Grade
from thickets.tasks.parsing import boxed

_MAX_CHARS = (
  4000  # Of a response that are looked at, and of its first line 400.
)
_ARTICLE = re.compile(r"^(a|an|the)\s+")
_PUNCTUATION = re.compile(r"[^\w\s]")
_ANSWER = re.compile(r"\banswer(?:\s+is)?\s*[:\-]?\s*([^\n.]{1,80})", re.I)
_IT_IS = re.compile(r"\bit(?:'s| is)\s+([^\n.,]{1,80})", re.I)
_STOP_WORDS = frozenset(
  [
    "a",
    "an",
    "the",
    "is",
    "are",
    "was",
    "were",
    "be",
    "in",
    "on",
    "at",
    "of",
    "to",
    "and",
    "or",
    "it",
    "its",
    "this",
    "that",
    "there",
    "with",
    "for",
    "by",
    "from",
    "as",
    "image",
    "picture",
    "answer",
    "question",
    "so",
    "therefore",
  ]
)
_SYNONYMS = {
  "large": "big",
  "road": "street",
  "laptop": "computer",
  "lady": "woman",
  "drape": "curtain",
  "kid": "child",
  "sofa": "couch",
  "tv": "television",
  "bike": "bicycle",
  "plane": "airplane",
}


def grade(example: Example, response: str) -> Grade:
  """Grades by the authors' rules; the score is 1 or 0."""
  response = response[:_MAX_CHARS]
  reference = example.reference["answer"]
  answer = extract(response)
  key = make_key(answer)
  correct = is_match(answer, reference) or _is_in_first_line(
    response, reference
  )
  return Grade(
    score=float(correct),
    correct=correct,
    lenient=bool(key) and is_match(key, reference),
    vote=base.shorten_vote(key) if key else None,
    format=boxed.find_box(response) is not None,
  )


def extract(response: str) -> str:
  """Returns the answer that a response is taken to give, normalised; "" for none."""
  box = boxed.find_box(response)
  if box is not None:
    words = normalise(box).split()
    if len(words) <= 4:
      return " ".join(words)
    return words[0] if words[0] in ("yes", "no") else " ".join(words[:3])
  if (found := _ANSWER.search(response)) is not None:
    return " ".join(normalise(found[1]).split()[:3])
  line = normalise(_first_line(response))
  words = line.split()
  if words and words[0] in ("yes", "no"):
    return words[0]
  if 1 <= len(words) <= 3:
    return line
  if (found := _IT_IS.search(response)) is not None:
    return " ".join(normalise(found[1]).split()[:3])
  content = [
    word for word in normalise(response).split() if word not in _STOP_WORDS
  ]
  return " ".join(content[-2:])


def normalise(text: str) -> str:
  """Lower case, without punctuation and without a leading article."""
  text = " ".join(_PUNCTUATION.sub(" ", text.lower()).split())
  return _ARTICLE.sub("", text)


def singular(word: str) -> str:
  """The authors' singular, which makes hors of horses and glof of gloves."""
  if len(word) > 3:
    if word.endswith("ies"):
      return f"{word[:-3]}y"
    if word.endswith("ves"):
      return f"{word[:-3]}f"
    if word.endswith("es"):
      return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
      return word[:-1]
  return word


def make_key(answer: str) -> str:
  """The key of an answer in a vote: singular words and synonyms."""
  return " ".join(_canonical(word) for word in answer.split())


def is_match(answer: str, reference: str) -> bool:
  """Whether an answer is right by equality or containment either way."""
  wanted = normalise(reference)
  if not answer or not wanted:
    return False
  if answer in wanted or wanted in answer:  # "man" in "woman".
    return True
  return make_key(answer) == make_key(wanted)


def _canonical(word: str) -> str:
  one = singular(word)
  return _SYNONYMS.get(one, one)


def _first_line(response: str) -> str:
  return response.strip().partition("\n")[0][:400]


def _is_in_first_line(response: str, reference: str) -> bool:
  wanted = normalise(reference)
  line = normalise(_first_line(response))
  found = {*line.split(), *(_canonical(word) for word in line.split())}
  return bool(wanted) and (
    f" {wanted} " in f" {line} " or make_key(wanted) in found
  )
