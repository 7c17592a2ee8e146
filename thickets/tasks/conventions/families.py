"""Families of exercises with two conventions each, such as which end comes first.

Both answers to a question are sound, and which of them is wanted is a matter of
convention: `sort 52814?` is `12458` to one reader and `85421` to another. The
question either keeps the convention to itself or states it, as in
`sort ascending 52814?`.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping

from thickets import errors
from thickets.errors import UserError
from thickets.tasks.drills.stable_random import StableRandom

Answer = Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class ConventionFamily:
  """A kind of exercise, and the two conventions of answering it.

  Attributes:
    verb: the first word of a question.
    draw_subject: draws what a question is about, each with equal probability.
    subject: pattern of what a question is about.
    answer: pattern of what an answer looks like, under either convention.
    conventions: maps a subject to its answer, by the name of the convention.
      The two answers to a subject differ.
  """

  verb: str
  draw_subject: Callable[[StableRandom], str]
  subject: re.Pattern[str]
  answer: re.Pattern[str]
  conventions: Mapping[str, Answer]

  def ask(self, subject: str, stated: str = "") -> str:
    """Writes a question.

    Args:
      subject: what the question is about.
      stated: the convention that the question names; "" to name none.
    """
    return f"{self.verb}{stated and ' '}{stated} {subject}?"

  def read_subject(self, question: str, stated: str = "") -> str:
    """Returns what a question is about; the inverse of `ask`.

    Raises:
      ValueError: if it is no question of this family, or one that states another
        convention than `stated`.
    """
    start = self.ask("", stated).removesuffix("?")
    subject = question.removeprefix(start).removesuffix("?")
    if self.ask(subject, stated) == question and self.subject.fullmatch(
      subject
    ):
      return subject
    like = self.ask(self.draw_subject(StableRandom("example")), stated)
    raise ValueError(f"prompt must be like {like!r}, got {question!r}.")


def find_family(name: str) -> ConventionFamily:
  """Returns the family of a name.

  Raises:
    UserError: if there is none; it names the nearest.
  """
  if name not in CONVENTION_FAMILIES:
    known = list(CONVENTION_FAMILIES)
    raise UserError(
      f"family must be one of {known}, got {name!r}. Nearest:"
      f" {errors.nearest(name, known, count=1)}."
    )
  return CONVENTION_FAMILIES[name]


def check_convention(family: str, convention: str) -> None:
  """Refuses a convention that a family does not have.

  Raises:
    UserError: that names the two that it has.
  """
  known = list(find_family(family).conventions)
  if convention not in known:
    raise UserError(
      f"convention of {family} must be one of {known}, got {convention!r}."
      f" Nearest: {errors.nearest(convention, known, count=1)}."
    )


_MONTHS = [
  "Jan",
  "Feb",
  "Mar",
  "Apr",
  "May",
  "Jun",
  "Jul",
  "Aug",
  "Sep",
  "Oct",
  "Nov",
  "Dec",
]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LENGTH = 5  # Of what lists are made of.
_DIGITS = re.compile(rf"(?!.*(.).*\1)[0-9]{{{_LENGTH}}}")  # No digit twice.
_WORD = re.compile(rf"(?!.*(.).*\1)[a-z]{{{_LENGTH}}}")


def _draw_distinct(items: str, draw: StableRandom) -> str:
  return "".join(draw.shuffle(items)[:_LENGTH])


def _draw_mixed_case(draw: StableRandom) -> str:
  return "".join(
    draw.choose(_LETTERS + _LETTERS.upper()) for _ in range(_LENGTH)
  )


def _draw_date(draw: StableRandom) -> str:
  while True:
    day, month = draw.between(1, 28), draw.between(1, 12)
    year = draw.between(0, 99)
    if day != month:  # Otherwise both conventions agree.
      return f"{day} {_MONTHS[month - 1]} {year:02d}"


def _write_date(first: str, subject: str) -> str:
  day, month, year = subject.split()
  numbers = {"day": int(day), "month": _MONTHS.index(month) + 1}
  second = "month" if first == "day" else "day"
  return f"{numbers[first]:02d}/{numbers[second]:02d}/{year}"


def _draw_search(draw: StableRandom) -> str:
  word = _draw_distinct(_LETTERS, draw)
  return f"{draw.choose(word)} in {word}"


def _find(start: int, subject: str) -> str:
  letter, word = subject.split(" in ")
  return str(word.index(letter) + start)


def _move_letters(by: int, subject: str) -> str:
  return "".join(chr(ord(letter) + by) for letter in subject)


def _draw_number(draw: StableRandom) -> str:
  return f"{draw.between(100, 998)}{draw.between(1, 9)}"


def _round(up: bool, subject: str) -> str:
  return str((int(subject) // 10 + up) * 10)


CONVENTION_FAMILIES: Mapping[str, ConventionFamily] = {
  "sorting": ConventionFamily(
    "sort",
    functools.partial(_draw_distinct, "0123456789"),
    _DIGITS,
    _DIGITS,
    {
      "ascending": lambda subject: "".join(sorted(subject)),
      "descending": lambda subject: "".join(sorted(subject, reverse=True)),
    },
  ),
  "spelling": ConventionFamily(
    "spell",
    functools.partial(_draw_distinct, _LETTERS),
    _WORD,
    _WORD,
    {
      "forwards": lambda subject: subject,
      "backwards": lambda subject: subject[::-1],
    },
  ),
  "turning": ConventionFamily(
    "turn",
    functools.partial(_draw_distinct, "0123456789"),
    _DIGITS,
    _DIGITS,
    {
      "right": lambda subject: subject[-1] + subject[:-1],
      "left": lambda subject: subject[1:] + subject[0],
    },
  ),
  "casing": ConventionFamily(
    "case",
    _draw_mixed_case,
    re.compile(rf"[A-Za-z]{{{_LENGTH}}}"),
    re.compile(rf"[A-Z]{{{_LENGTH}}}|[a-z]{{{_LENGTH}}}"),
    {"upper": str.upper, "lower": str.lower},
  ),
  "dates": ConventionFamily(
    "date",
    _draw_date,
    re.compile(rf"([1-9]|1[0-9]|2[0-8]) ({'|'.join(_MONTHS)}) [0-9]{{2}}"),
    re.compile(r"[0-9]{2}/[0-9]{2}/[0-9]{2}"),
    {
      "day-first": functools.partial(_write_date, "day"),
      "month-first": functools.partial(_write_date, "month"),
    },
  ),
  "counting": ConventionFamily(
    "find",
    _draw_search,
    re.compile(rf"([a-z]) in (?=[a-z]*\1)(?!.*(.).*\2)[a-z]{{{_LENGTH}}}"),
    re.compile(rf"[0-{_LENGTH}]"),
    {
      "from-zero": functools.partial(_find, 0),
      "from-one": functools.partial(_find, 1),
    },
  ),
  "neighbours": ConventionFamily(
    "next",
    functools.partial(_draw_distinct, _LETTERS[1:-1]),
    re.compile(rf"(?!.*(.).*\1)[b-y]{{{_LENGTH}}}"),
    _WORD,
    {
      "after": functools.partial(_move_letters, 1),
      "before": functools.partial(_move_letters, -1),
    },
  ),
  "rounding": ConventionFamily(
    "round",
    _draw_number,
    re.compile(r"[1-9][0-9]{2}[1-9]"),
    re.compile(r"[1-9][0-9]{2}0"),
    {
      "up": functools.partial(_round, True),
      "down": functools.partial(_round, False),
    },
  ),
}
