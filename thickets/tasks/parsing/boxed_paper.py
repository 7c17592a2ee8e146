r"""The authors' grading of MATH-500 and OlympiadBench, faults included.

`utils/reward_score/math.py` and `data_handlers/{math500,olympiadbench}.py`. Of the
last 500 characters, the answer is the last outermost `\boxed{}`; where an
unclosed one hides it, what a pattern with at most one level of braces finds;
where there is none, what follows "is", "=", "answer is", "therefore" and the
like: they ask for "####" and never look for it. A prompt that asks for a box, as
ours, meets their scorer better than their own.

An answer is right if any rung of a ladder accepts it: equal texts; without
spaces; simplified LaTeX; without cases where there is no LaTeX; equal as floats
or single fractions; and last, *all numbers of both texts equal in order*, so
that `1/2` is `(1,2)`, and `2x` is `2y`. The vote is the text found, not
normalised, so that `0.5` and `\frac12` split it; it is judged in a new box. An
empty text does not vote.

Other than there, only ASCII digits are digits.
"""

import re

from thickets.tasks.base import Grade, shorten_vote

_MAX_CHARS = 500
_OPENING = "\\boxed{"

_SHALLOW_BOX = re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_FLAT_BOX = re.compile(r"\\boxed\{([^}]+)\}")
_PHRASES = tuple(
  re.compile(pattern, re.IGNORECASE | flags)
  for pattern, flags in (
    (r"is\s+\\\(([^)]+)\\\)\.?\s*$", re.MULTILINE),
    (r"is\s+\$([^$]+)\$\.?\s*$", re.MULTILINE),
    (r"=\s*\\\(([^)]+)\\\)\.?\s*$", re.MULTILINE),
    (r"=\s*\$([^$]+)\$\.?\s*$", re.MULTILINE),
    (r"answer\s+is[:\s]*\**\\\(([^)]+)\\\)", 0),
    (r"answer\s+is[:\s]*\**\$([^$]+)\$", 0),
    (r"answer\s+is[:\s]*\**([^\n.*]+)", 0),
    # Theirs has three stretches of white space in a row, and takes cubic time.
    (
      r"(?:therefore|thus|hence|so)\s*(?:,\s*)?(?:the\s+)?(?:answer\s+is)?[:\s]*"
      r"\**([^\n.*]+)",
      0,
    ),
    (r"answer[:\s]+\**([^\n.*]+)", 0),
    (r"=\s*([^\n=]+)$", 0),
  )
)
_REMOVED = ("\\left", "\\right", "\\,", "\\!", "\\;", "\\:")
_REPLACED = (
  ("\\ ", " "),
  ("\\quad", " "),
  ("\\qquad", " "),
  ("\\text{", "{"),
  ("\\mathrm{", "{"),
  ("\\mathbf{", "{"),
  ("\\textbf{", "{"),
  ("\\dfrac", "\\frac"),
  ("\\tfrac", "\\frac"),
  ("^{\\circ}", "^\\circ"),
  ("°", "^\\circ"),
)
_THOUSANDS = re.compile(r"([0-9]),([0-9]{3})")
_FRACTION = re.compile(r"\\frac\{([^{}]+)\}\{([^{}]+)\}")
_NUMBER = re.compile(r"-?[0-9]+\.?[0-9]*")


def grade(reference: str, response: str) -> Grade:
  """Grades a response.

  Args:
    reference: the right answer; dollars around it do not count.
    response: what the model wrote.
  """
  reference = _strip_dollars(reference)
  boxed = _find_boxed(response)
  answer = _find_phrase(response) if boxed is None else boxed
  correct = answer is not None and _is_equal(answer, reference)
  lenient = bool(answer) and _is_right_vote(answer, reference)
  vote = shorten_vote(answer) if answer else None
  return Grade(float(correct), correct, lenient, vote, boxed is not None)


def _is_right_vote(vote, reference):
  response = f"{_OPENING}{vote}}}"
  boxed = _find_boxed(response)
  answer = _find_phrase(response) if boxed is None else boxed
  return answer is not None and _is_equal(answer, reference)


def _strip_dollars(reference):
  reference = reference.strip()
  return reference.removeprefix("$").removesuffix("$").strip()


def _find_boxed(response):
  text = response[-_MAX_CHARS:]
  found, at = None, text.find(_OPENING)
  while at >= 0:
    start, depth = at + len(_OPENING), 1
    at = start
    while at < len(text) and depth:
      depth += {"{": 1, "}": -1}.get(text[at], 0)
      at += 1
    if not depth:
      found = text[start : at - 1]
    at = text.find(_OPENING, at)
  if found is not None:
    return found
  for pattern in (_SHALLOW_BOX, _FLAT_BOX):
    if boxes := pattern.findall(text):
      return boxes[-1]
  return None


def _find_phrase(response):
  text = response[-_MAX_CHARS:]
  for pattern in _PHRASES:
    if phrases := pattern.findall(text):
      return phrases[-1].strip()
  return None


def _is_equal(answer, reference):
  answer, reference = (" ".join(t.split()) for t in (answer, reference))
  if _squeeze(answer) == _squeeze(reference):
    return True
  answer, reference = _simplify(answer), _simplify(reference)
  return (
    _squeeze(answer) == _squeeze(reference)
    or _fold(answer) == _fold(reference)
    or _is_same_value(answer, reference)
    or _has_same_numbers(answer, reference)
  )


def _squeeze(text):
  return text.replace(" ", "")


def _simplify(text):
  for command in _REMOVED:
    text = text.replace(command, "")
  for command, plain in _REPLACED:
    text = text.replace(command, plain)
  for _ in range(3):
    text = _THOUSANDS.sub(r"\1\2", text)
  return " ".join(text.split())


def _fold(text):
  # It is simplified a second time there, which undoes more commas.
  text = _squeeze(_simplify(text))
  return text if re.search(r"[\\{}^_]", text) else text.lower()


def _is_same_value(answer, reference):
  try:
    return abs(_to_float(answer) - _to_float(reference)) < 1e-9
  except (ValueError, ZeroDivisionError):
    return False


def _to_float(text):
  if not text.isascii():
    raise ValueError("other digits")
  if match := _FRACTION.match(text):
    return float(match[1]) / float(match[2])
  return float(text)


def _has_same_numbers(answer, reference):
  first, second = (
    [float(number) for number in _NUMBER.findall(_squeeze(text))]
    for text in (answer, reference)
  )
  return (
    bool(first)
    and len(first) == len(second)
    and all(abs(a - b) < 1e-9 for a, b in zip(first, second, strict=True))
  )
