"""Exercises on lists of numbers and on words, such as `max 86,3,62?`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thickets.tasks.drills.exercises import DrillFamily, Exercise, join_words
from thickets.tasks.drills.stable_random import StableRandom


def _make_listing(
  verb: str,
  draw_items: Callable[[StableRandom], list[Any]],
  separator: str,
  compute: Callable[[list[Any]], str],
  explain: Mapping[str, Callable[[list[Any]], list[Any]]],
) -> DrillFamily:
  """Makes a family of exercises `verb items?`.

  Args:
    verb: what is asked for, such as `sort`.
    draw_items: draws the items, numbers or letters.
    separator: stands between two items.
    compute: maps the items to the answer.
    explain: further manners by name; each maps the items to those that are
      written before the answer.
  """

  def sample(draw):
    items = draw_items(draw)
    question = f"{verb} {separator.join(map(str, items))}"
    return Exercise(question, f"{question}?", compute(items), items)

  def explained(rewrite):
    return lambda draw, exercise: (
      f"{join_words(rewrite(exercise.work))} {exercise.reference}"
    )

  return DrillFamily(
    sample,
    {
      "answer": lambda draw, exercise: exercise.reference,
      "equation": lambda draw, exercise: (
        f"{separator.join(map(str, exercise.work))}={exercise.reference}"
      ),
      **{name: explained(rewrite) for name, rewrite in explain.items()},
    },
  )


def _draw_numbers(draw: StableRandom) -> list[int]:
  return [draw.between(1, 99) for _ in range(draw.between(3, 5))]


def _draw_letters(draw: StableRandom) -> list[str]:
  letters = "abcdefghijklmnopqrstuvwxyz"
  return [draw.choose(letters) for _ in range(draw.between(4, 7))]


def _commas(numbers: Sequence[int]) -> str:
  return ",".join(map(str, numbers))


def _running_maxima(numbers: list[int]) -> list[int]:
  return [max(numbers[:end]) for end in range(1, len(numbers) + 1)]


def _running_minima(numbers: list[int]) -> list[int]:
  return [min(numbers[:end]) for end in range(1, len(numbers) + 1)]


LISTS: Mapping[str, DrillFamily] = {
  "sorting": _make_listing(
    "sort",
    _draw_numbers,
    ",",
    lambda numbers: _commas(sorted(numbers)),
    {
      "one by one": sorted,
      "falling first": lambda numbers: [_commas(sorted(numbers, reverse=True))],
    },
  ),
  "reversal": _make_listing(
    "reverse",
    _draw_letters,
    "",
    lambda letters: "".join(letters[::-1]),
    {"spelled": lambda letters: letters[::-1]},
  ),
  "maximum": _make_listing(
    "max",
    _draw_numbers,
    ",",
    lambda numbers: str(max(numbers)),
    {
      "running": _running_maxima,
      "sorted first": lambda numbers: [_commas(sorted(numbers))],
    },
  ),
  "minimum": _make_listing(
    "min",
    _draw_numbers,
    ",",
    lambda numbers: str(min(numbers)),
    {
      "running": _running_minima,
      "falling first": lambda numbers: [_commas(sorted(numbers, reverse=True))],
    },
  ),
}
