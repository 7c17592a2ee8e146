r"""The answer of a response that has no box: the phrase that ends it.

It stands behind the last "answer is" or "####", else behind the last verb of the
last sentence, or is the whole of it. It ends with the sentence. Whoever reads it
must read all of it: "between 3 and 7" is not 7.
"""

import re

_MAX_TAIL_CHARS = 300
_DISPLAY = re.compile(
  r"\\\[\s*([^\n]*?)\s*\\\]|\$\$\s*([^\n]*?)\s*\$\$|\\\(\s*([^\n]*?)\s*\\\)"
)
_ANNOUNCED = re.compile(
  r"(?:\banswer\b(?:\*\*)?(?:\s*(?:is|are|equals|would be|must be)\b|\s*[:=])"
  r"(?:\s*(?:therefore|thus|then|simply))?\s*[:=]?|####)",
  re.IGNORECASE,
)
_VERB = re.compile(
  r"(?:\b(?:is|are|was|be|equals|equal\s+to|get|gets|obtain|have|has|that|thus"
  r"|hence|so|therefore|namely)\b,?|:|=>|\\implies|\\Rightarrow)\s",
  re.IGNORECASE,
)
# Not the dot of a number, nor of "x = 5. "'s kind where a small letter follows.
_SENTENCE_END = re.compile(
  r"(?<!\.)[.!?](?:\*\*|\$|\\\))*(?=\s+[A-Z\\$*]|\s*$)"
)

_PUNCTUATION = re.compile(r"(?<!\.)[.!,;]\Z")
_ENDING = re.compile(r"(?<!\.)[.!]?[*\s]*(\$*)\Z")


def find_last(response: str) -> str | None:
  """Returns the phrase that may be the answer, None if there is none."""
  tail = response[-_MAX_TAIL_CHARS:]
  if len(response) > len(tail):
    tail = tail[tail.find(" ") + 1 :]
  tail = _DISPLAY.sub(
    lambda match: f" ${' '.join(filter(None, match.groups()))}$ ", tail
  )
  announced = list(_ANNOUNCED.finditer(tail))
  if announced:
    phrase = tail[announced[-1].end() :].strip()
    phrase = _bare(_first_sentence(phrase.partition("\n")[0]))
    return phrase or None
  sentence = _bare(_last_sentence(tail.strip()))
  verbs = list(_VERB.finditer(sentence))
  phrase = _bare(sentence[verbs[-1].end() :]) if verbs else sentence
  return phrase or None


def _first_sentence(line):
  end = _SENTENCE_END.search(line)
  return line[: end.start()] if end else line


def _last_sentence(text):
  line = _ENDING.sub(r"\1", text.rpartition("\n")[2])
  ends = list(_SENTENCE_END.finditer(line))
  return line[ends[-1].end() :] if ends else line


def _bare(phrase):
  phrase = phrase.strip().strip("*").strip().lstrip("=")
  phrase = _PUNCTUATION.sub("", phrase)
  return phrase.strip().strip("*").strip()
