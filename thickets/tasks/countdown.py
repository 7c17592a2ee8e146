"""Countdown: a formula of given numbers that equals a target.

The data are `countdown/data/countdown.json` of the repository
VsonicV/es-fine-tuning-paper on GitHub, 2200 puzzles of three or four numbers;
download it and name the file in the config. It is not on the hub, and its
licence forbids commercial use. Its targets are strings, 43 of which are
decimals such as "-15.727272727272727": a whole target must be met exactly, a
decimal one within 1e-5. In 14 puzzles no formula uses every number.

Rules `standard`: the answer is the last complete `<answer>` block, and a
formula is valid if it uses each number exactly once. The form is a `<think>`
block, which may be missing (or lack its opening tag, which some chat templates
write themselves), and one `<answer>` block at the end with a formula and
nothing else. The lenient answer may also have the signs of print and LaTeX, also
`\\boxed{}` and `\\frac{}{}`, spaces of any kind, a `= 22` on either side, and
dollars, asterisks or backticks around it. Where
there is no complete block, the last 4000 characters are searched: for a valid
formula behind an `<answer>` that was not closed, else in the last `\\boxed{}`,
else for the last one anywhere.

The vote is the value of a valid formula, as the authors have it, so that all
formulas of a value vote together. The vote is therefore close to a check: what
hits the target by other means than the given numbers has no vote, and only
formulas that are valid but miss the target vote against it.

Rules `paper` are the authors', `utils/reward_score/countdown.py` and
`data_handlers/countdown.py`. The score is 1 for a right answer plus 0.1 times a
credit for the form: 1 for both blocks in order, else 0.1 for a `</think>` plus
0.5 for an answer block; it ranges from 0 to 1.1. The form is judged on
"<think>" and the response behind it: an older prompt of theirs ended so.
`correct` is the answer's part of the score. For the score the block's content
is not stripped of white space, for the vote it is. Where these rules differ
from the authors':

* a formula of more than 300 characters, with `**`, with `//` or with a number
  of more than 12 digits is refused rather than passed to `eval`;
* values are exact, so that the keys of equal values never differ in their last
  digit (5/3/7 and 5/7/3 do, there);
* only ASCII digits are digits.
"""

import re
from fractions import Fraction

from thickets.tasks import base
from thickets.tasks.parsing import formulas, tags

_SYSTEM = (
  "You are a helpful assistant. You reason about a question first and then give"
  " your answer."
)
_QUESTION = (
  "Using the numbers {numbers}, write a formula that equals {target}. You may"
  " use +, -, *, / and parentheses, and you must use each number exactly once. Show"
  " your work in <think> </think> tags, then give the formula alone in <answer>"
  " </answer> tags, for example <answer> (1 + 2) / 3 </answer>."
)
_TARGET = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,20})?")
_TOLERANCE = Fraction(1, 10**5)  # For targets that are not whole.

# How much of a response's end is searched for an answer without tags.
_TAIL_CHARS = 4000
_PRINTED = str.maketrans(
  {
    **dict.fromkeys("×·⋅∙∗•", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("−–—‐‑‒－﹣", "-"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2009\u200a\u202f\u3000", " "),
    **dict.fromkeys("\u200b\u2060\ufeff", None),
    "＋": "+",
    "（": "(",
    "）": ")",
    "＝": "=",
  }
)
_TIMES = re.compile(r"(?<=[0-9)]) ?[xX] ?(?=[0-9(])")  # 2 x 3
_LATEX = tuple(
  (re.compile(pattern), sign)
  for pattern, sign in (
    (r"\\(?:times|cdot|ast)(?![A-Za-z])", "*"),
    (r"\\div(?![A-Za-z])", "/"),
    (r"\{([0-9 ]+)\\over(?![A-Za-z])([0-9 ]+)\}", r"((\1)/(\2))"),
    (r"\\(?:left|right|displaystyle)(?![A-Za-z])|\\[()\[\]]", ""),
    (r"\\[,!;: ]|\\q?quad(?![A-Za-z])", " "),
    (r"\\(?:boxed|text|mathrm|mathbf)(?=\{)", ""),
    (r"\\[dtc]?frac ?([0-9]) ?([0-9])", r"((\1)/(\2))"),
  )
)
# The innermost braces: of a fraction, or of a group.
_FRACTION = re.compile(r"\\[dtc]?frac ?\{([^{}]*)\} ?\{([^{}]*)\}")
_GROUP = re.compile(r"(?<![A-Za-z}^_]) ?\{([^{}]*)\}(?! ?\{)")
_MAX_FRACTIONS = 8  # More than numbers to divide.
_AROUND = " \t\r\n$*`.,"
_BULLET = re.compile(r"^ {0,8}[-*+•] +", re.MULTILINE)
_RUN = re.compile(r"[-+*/() 0-9]+")

_JOINED = (*".,_^\\½¼¾",)  # What a number before belongs to.
_POWERS = (*"^!_²³½¼¾",)

_PAPER_MAX_NUMBER = 1000
_PAPER_WHOLE = Fraction(1, 10**9)


def _make_example(row: base.Row, number: int) -> base.Example:
  numbers, target = row["numbers"], str(row["target"])
  if not isinstance(numbers, (list, tuple)) or not numbers:
    raise ValueError(f"numbers must be a list, got {numbers!r}.")
  if any(type(n) is not int or n < 0 for n in numbers):
    raise ValueError(f"numbers must be whole and not negative, got {numbers}.")
  if not _TARGET.fullmatch(target):
    raise ValueError(f"target must be a decimal number, got {target!r}.")
  numbers = list(numbers)
  return base.Example(
    id=str(number),
    messages=base.ask(
      _QUESTION.format(numbers=numbers, target=target), system=_SYSTEM
    ),
    reference={"numbers": numbers, "target": target},
  )


def _grade(example: base.Example, response: str) -> base.Grade:
  value = _lenient_value(example, response)
  is_right = value is not None and _is_target(example, value)
  in_form = _formula_in_form(response)
  is_correct = (
    in_form is not None
    and _uses_numbers(example, in_form)
    and _is_target(example, in_form.value)
  )
  return base.Grade(
    score=float(is_correct),
    correct=is_correct,
    lenient=is_right,
    vote=None if value is None else base.shorten_vote(str(value)),
    format=in_form is not None,
  )


def _formula_in_form(response):
  """Returns the formula of a response that has the form, else None."""
  parts = tags.split_final_block(response, "answer")
  if parts is None:
    return None
  before, content = parts
  if before:
    thought = before.removeprefix("<think>").removesuffix("</think>")
    if not before.endswith("</think>") or "think>" in thought:
      return None
  return _parse(content)


def _lenient_value(example, response):
  """Returns the value of the valid formula that is the answer, or None."""
  answer = tags.last_block(response, "answer")
  if answer is not None:  # Given so plainly, nothing else is the answer.
    return _valid_value(example, answer)
  tail = response[-_TAIL_CHARS:]
  for opening in ("<answer>", "\\boxed{"):
    _, found, rest = tail.rpartition(opening)
    value = _valid_value(example, rest) if found else None
    if value is not None:
      return value
  tail = _BULLET.sub("", _plain(tail))
  for run in reversed(list(_RUN.finditer(tail))):
    if _is_cut_out(tail, run):
      continue
    formula = _parse(run.group().strip(" *"))
    if formula is not None and _uses_numbers(example, formula):
      return formula.value
  return None


def _is_cut_out(text, run):
  """Whether a run of signs and digits belongs to a longer expression."""
  before, after = text[: run.start()], text[run.end() :]
  if run.group()[0] != " " and (
    before[-1:].isalnum() or before[-1:] in _JOINED
  ):
    return True
  if run.group()[-1] != " " and (
    after[:1].isalnum() or re.match("[.,][0-9]", after)
  ):
    return True
  return before.rstrip()[-1:] in _POWERS or after.lstrip()[:1] in _POWERS


def _valid_value(example, answer):
  """Returns the value of the first side of an equation that is valid."""
  answer = answer.strip()
  if len(answer) > _TAIL_CHARS:
    return None
  for side in re.split("[=}<\n]", _plain(answer)):
    formula = _parse(side.strip(_AROUND))
    if formula is not None and _uses_numbers(example, formula):
      return formula.value
  return None


def _plain(text):
  """Returns a text with the signs of a formula in place of those of print."""
  text = _TIMES.sub("*", text.translate(_PRINTED))
  if "\\" not in text and "{" not in text:
    return text
  for pattern, sign in _LATEX:
    text = pattern.sub(sign, text)
  for _ in range(_MAX_FRACTIONS):
    simpler = _FRACTION.sub(r"((\1)/(\2))", _GROUP.sub(r"\1", text))
    if simpler == text:
      break
    text = simpler
  return text


def _parse(text):
  try:
    return formulas.parse(text)
  except ValueError:
    return None


def _uses_numbers(example, formula):
  return sorted(formula.numbers) == sorted(example.reference["numbers"])


def _is_target(example, value):
  target = Fraction(example.reference["target"])
  if target.denominator == 1:
    return value == target
  return abs(value - target) < _TOLERANCE


def _grade_as_paper(example: base.Example, response: str) -> base.Grade:
  content = tags.last_lazy_match(response, "answer")
  form = _paper_form(response, content is not None)
  target = Fraction(example.reference["target"])
  is_correct, vote, is_vote_right = False, None, False
  if content is not None:
    # A `$` of theirs lets one line end pass.
    formula = _paper_formula(example, content.removesuffix("\n"))
    if formula is not None:
      is_correct = abs(formula.value - target) < _TOLERANCE
    formula = _paper_formula(example, content.strip())
    if formula is not None and max(formula.numbers) <= _PAPER_MAX_NUMBER:
      whole = round(formula.value)
      is_whole = abs(formula.value - whole) < _PAPER_WHOLE
      vote = str(whole) if is_whole else str(float(formula.value))
      is_vote_right = abs(Fraction(vote) - target) < _TOLERANCE
  return base.Grade(
    score=0.1 * form + is_correct,
    correct=is_correct,
    lenient=is_vote_right,
    vote=None if vote is None else base.shorten_vote(vote),
    format=form == 1.0,
  )


def _paper_formula(example, text):
  formula = _parse(text)
  if formula is None or not _uses_numbers(example, formula):
    return None
  return formula


def _paper_form(response, has_answer):
  """Returns the authors' credit for the form, in [0, 1], in linear time."""
  is_joined = "</think>\n<answer>" in response
  if is_joined and response.removesuffix("\n").endswith("</answer>"):
    return 1.0
  return 0.1 * ("</think>" in response) + 0.5 * has_answer


TASK = base.Task(
  name="countdown",
  fields=("numbers", "target"),
  make_example=_make_example,
  graders={"standard": _grade, "paper": _grade_as_paper},
  max_new_tokens=1024,
  is_checkable=True,  # It names the numbers and the target.
  version=2,
)
