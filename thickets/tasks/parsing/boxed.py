r"""Mathematical answers in \boxed{}: what MATH-500 and OlympiadBench share.

Rules `standard`: the answer is the content of the last complete, non-empty
`\boxed{}`, and having one is the form. Where there is none, the lenient answer
is the phrase that ends the response (`phrases`); it is read as a whole, or there
is no vote. `latex` reads answers, compares them with the reference and makes the
key of the vote, which does not depend on the reference; what the question says
about its unknowns counts (`unknowns`). `latex` runs in a killable process: an
answer that takes too much processor time or memory, or more than 400 characters
(the longest reference has 204), is an answer that is never right; its key is its
own text.

Only ASCII digits are digits; an answer with others is not read.

Rules `paper`: see `boxed_paper`.
"""

import functools
import importlib.util
import pathlib
from typing import Any

from thickets.errors import UserError
from thickets.tasks.base import Example, Grade, Message, ask, shorten_vote
from thickets.tasks.parsing import boxed_paper, killable, phrases, unknowns

MAX_ANSWER_CHARS = 400
# Boxes that are looked at, from the last on, for one that is complete.
_MAX_BOXES = 20
_OPENING = "\\boxed{"
# Sets the keys of answers that were not read, and are never right, apart.
_REFUSED = "! "
_REQUEST = (
  "Reason step by step, and put your final answer, without words around it,"
  " within \\boxed{}."
)

# One of each kind that real answers have: reading a kind for the first time
# takes up to a hundred times as long.
_KINDS = (
  r"-\frac{3\sqrt{13}}{4}+2\pi",
  r"\left(3,\frac{\pi}{2}\right)",
  r"\left[\frac{\pi^2}{8},\frac{5\pi^2}{4}\right]",
  r"(-\infty,2)\cup(3,\infty)",
  r"(22+8\sqrt{6},22-8\sqrt{6}),(1,2)",
  r"\{1\pm\sqrt{5},-2\}",
  r"\begin{pmatrix}1/5\\-18/5\end{pmatrix}",
  r"x^5-x^4+(n-1)(n+2)^2",
  r"5x-7y+11z+4=0",
  r"f(x)=\frac{1}{x+1}",
  r"-2\le x<7",
  r"x\in[-2,7]",
  r"\left\lfloor\log_2 n\right\rfloor+\binom{2n}{n}",
  r"\frac{d!}{2k(d-k)!}+2^{k-1}",
  r"\sin(x)+\cos^2 x+\tan\theta",
  r"\sum_{k=1}^{n}k+\int_0^1 x\,dx",
  r"\sqrt[3]{7}\cdot e^{i\pi}",
  r"145^\circ",
  r"17.5\%",
  r"\$32,\!348",
  r"52_{8}",
  r"15\text{ cm}^2",
  r"\text{east}",
  r"a=2,a=-6-4\sqrt{2}",
  "1,2",
)
_WITH_VARIABLES = (
  r"\frac{n^2-1}{n}",
  r"\sin^2 n+\cos^2 n",
  r"\lfloor\sqrt{n}\rfloor",
  "n!",
)
# The libraries that decide which answers are equal.
LIBRARIES = ("math-verify", "latex2sympy2_extended", "sympy")
# The process that reads LaTeX, started by the first call of each process.
_LATEX_READER = killable.Killable(
  pathlib.Path(__file__).with_name("latex.py"),
  cpu_s=0.35,
  warm_up=[
    *(("agree", kind, True, kind, 0.0) for kind in _KINDS),
    *(("agree", kind, True, "7", 0.0) for kind in _KINDS),
    *(("agree", kind, True, "n+7", 0.0) for kind in _WITH_VARIABLES),
  ],
)


def make_prompt(question: str) -> tuple[Message, ...]:
  """Makes a prompt from the question and the request for the form."""
  return ask(f"{question}\n\n{_REQUEST}")


def make_reference(
  answer: str, question: str, tolerance: float = 0.0
) -> dict[str, Any]:
  """Makes the reference that the graders below compare with.

  Args:
    answer: the right answer in LaTeX, empty if it is unknown.
    question: the question, which may name its unknowns; `unknowns` reads it.
    tolerance: largest difference of a number that is still right.
  """
  letters, asked, is_set = unknowns.read_unknowns(question)
  return {
    "answer": answer,
    "tolerance": float(tolerance),
    "letters": letters,
    "asked": list(asked),
    "is_set": is_set,
  }


def grade_standard(example: Example, response: str) -> Grade:
  """Grades by our rules; the score is 1 for `correct`, else 0."""
  reference = example.reference
  question = (
    reference["letters"],
    tuple(reference["asked"]),
    reference["is_set"],
  )
  answer = find_box(response)
  has_form = answer is not None
  text = answer if has_form else phrases.find_last(response)
  key = None if text is None else _read(text, has_form, question)
  right = _is_right(key, text, has_form, question, reference)
  vote = None if key is None else shorten_vote(key)
  correct = right and has_form
  return Grade(float(correct), correct, right, vote, has_form)


def grade_paper(example: Example, response: str) -> Grade:
  """Grades by the authors' rules; the score is 1 or 0."""
  return boxed_paper.grade(example.reference["answer"], response)


def find_box(response: str) -> str | None:
  """Returns the content of the last complete box that is not empty.

  Spaces around it are removed. A box with more than `MAX_ANSWER_CHARS`
  characters counts as complete if it closes within twice that, so that another
  box is not taken for the last.
  """
  end = len(response)
  for _ in range(_MAX_BOXES):
    start = response.rfind(_OPENING, 0, end)
    if start < 0:
      return None
    content = _match_braces(response, start + len(_OPENING))
    if content is not None and content.strip():
      return content.strip()
    end = start
  return None


def _match_braces(text, start):
  depth = 1
  for at in range(start, min(len(text), start + 2 * MAX_ANSWER_CHARS)):
    escaped = text[at - 1] == "\\" and text[at - 2] != "\\"
    if text[at] == "{" and not escaped:
      depth += 1
    elif text[at] == "}" and not escaped:
      depth -= 1
      if not depth:
        return text[start:at]
  return None


def _is_foreign_digit(character):
  return (
    not character.isascii()
    and character.isnumeric()
    and character not in "²³½¼¾"
  )


# A population gives the same answers thousands of times.
@functools.lru_cache(maxsize=1 << 16)
def _read(text, is_answer, question):
  """Returns the key of an answer, None if there is none."""
  key = None
  if len(text) <= MAX_ANSWER_CHARS and not any(map(_is_foreign_digit, text)):
    key = _call("read_answer", text, is_answer, question)
  if key is None and is_answer:
    return f"{_REFUSED}{' '.join(text.split())}"
  return key


def _is_right(key, text, is_answer, question, reference):
  answer, tolerance = reference["answer"], reference["tolerance"]
  if key is None or key.startswith(_REFUSED) or not answer:
    return False
  return _agree(text, is_answer, answer, tolerance, question)


@functools.lru_cache(maxsize=1 << 16)
def _agree(text, is_answer, answer, tolerance, question):
  """Whether an answer is right; one that takes too long to read is not."""
  return bool(_call("agree", text, is_answer, answer, tolerance, question))


def _call(name, *arguments):
  """Calls a function of `latex`; returns None if it failed."""
  _check_installed()
  return _LATEX_READER(name, *arguments).value


@functools.cache
def _check_installed():
  if importlib.util.find_spec("math_verify") is None:
    raise UserError(
      "Grading mathematical answers needs the library math-verify, which is not"
      " installed. Install the extra tasks, as in: pip install -e '.[tasks]'."
    )
