"""What some prompts begin with, most of all an image that many questions are about.

A prefix is what all prompts begin with. Where each of several images has its
questions, what the questions of one begin with is a *beginning*: a member reads it
once, for the rows that are computed together, and its keys and values are copied
into the KV cache of each of these rows. Decoding knows nothing of it.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from thickets.generation.rows import SharedBeginnings
from thickets.generation.texts import (
  Text,
  count_common,
  pad_texts,
  round_width,
)

# Beginnings are read apart where that leaves at most so many of the tokens.
_MOST_READ_FRAC = 0.8


@dataclasses.dataclass(frozen=True)
class Beginnings:
  """Beginnings that texts share.

  Attributes:
    texts: [U] the beginnings.
    numbers: [Q] the beginning of each text; -1 where it has none.
  """

  texts: Sequence[Text]
  numbers: Sequence[int]

  def length(self, text: int) -> int:
    """How many tokens a text's beginning has."""
    number = self.numbers[text]
    return 0 if number < 0 else len(self.texts[number])


def find_beginnings(texts: Sequence[Text]) -> Beginnings | None:
  """Finds what is read once for several texts.

  A text with images begins with all up to the last of them. Where several texts
  have that in common, so they have what else they share behind it.

  Args:
    texts: [Q] the prompts, behind the prefix of all.

  Returns:
    The beginnings; None where reading them apart saves little.
  """
  alike: dict[tuple[int, ...], list[int]] = {}
  for number, text in enumerate(texts):
    if text.places is None:
      continue
    shown = np.flatnonzero(text.places >= 0)
    if len(shown):
      alike.setdefault(tuple(text.keys[: shown[-1] + 1]), []).append(number)
  beginnings, numbers = [], [-1] * len(texts)
  for key, owners in alike.items():
    length = len(key)
    if len(owners) > 1:
      length = count_common([texts[owner].keys for owner in owners])
    length = min(length, *(len(texts[owner]) - 1 for owner in owners))
    if length:
      for owner in owners:
        numbers[owner] = len(beginnings)
      beginnings.append(texts[owners[0]].cut(0, length))
  found = Beginnings(beginnings, numbers)
  return found if _is_worth_it(texts, found) else None


def order_texts(
  texts: Sequence[Text], beginnings: Beginnings | None
) -> list[int]:
  """The order in which texts are seated: those of similar length together.

  Those that begin alike stand together, so that they are read together.
  """
  if beginnings is None:
    return sorted(range(len(texts)), key=lambda text: -len(texts[text]))
  longest: dict[int, int] = {}
  for number, text in zip(beginnings.numbers, texts, strict=True):
    longest[number] = max(longest.get(number, 0), len(text))

  def rank(text: int) -> tuple[int, int, int]:
    number, length = beginnings.numbers[text], len(texts[text])
    alike = length if number < 0 else longest[number]
    return -alike, number, -length

  return sorted(range(len(texts)), key=rank)


def share_beginnings(
  beginnings: Beginnings,
  rests: Sequence[Sequence[Text | None]],
  seated: np.ndarray,  # [G, B]
  num_slots: int,
  find_most,
) -> SharedBeginnings:
  """What the rows of some groups begin with, as arrays [G, ...].

  Args:
    beginnings: all beginnings.
    rests: for each of G groups what each of its B rows reads behind its
      beginning, None for no row.
    seated: [G, B] the text of each row; -1 where it only fills up.
    num_slots: W, slots that the longest text takes.
    find_most: maps a number of rows to how many columns they may be padded with
      to save programs.
  """
  numbers = np.array([*beginnings.numbers, -1])[seated]
  needed = [[*dict.fromkeys(row[row >= 0].tolist())] for row in numbers]
  count = _round_count(max(1, *map(len, needed)))
  longest = max(
    (len(beginnings.texts[n]) for row in needed for n in row), default=1
  )
  width = round_width(longest, find_most(count))
  of_rows = np.zeros(seated.shape, np.int32)
  sources = np.full((*seated.shape, num_slots), -1, np.int32)
  for group, row in np.ndindex(*seated.shape):
    rest, number = rests[group][row], int(numbers[group, row])
    if rest is None or number < 0:
      continue
    length = len(beginnings.texts[number])
    end = num_slots - len(rest)
    of_rows[group, row] = needed[group].index(number)
    sources[group, row, end - length : end] = np.arange(width - length, width)
  texts = [
    [beginnings.texts[n] for n in row] + [None] * (count - len(row))
    for row in needed
  ]
  return SharedBeginnings(pad_texts(texts, width), of_rows, sources)


def _is_worth_it(texts: Sequence[Text], found: Beginnings) -> bool:
  """Whether so few tokens are read, padding included, that it pays."""
  if not found.texts:
    return False
  longest = max(map(len, found.texts))
  rest = max(len(text) - found.length(n) for n, text in enumerate(texts))
  read = len(found.texts) * longest + len(texts) * rest
  return read <= _MOST_READ_FRAC * len(texts) * max(map(len, texts))


def _round_count(count: int) -> int:
  """The next of four counts per octave, so that few programs differ."""
  multiple = max(1, 2 ** (count.bit_length() - 3)) if count > 3 else 1
  return -(-count // multiple) * multiple
