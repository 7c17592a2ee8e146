"""What a user can mend, and how the message that says so names the remedy."""

import difflib
from collections.abc import Collection, Sequence


class UserError(ValueError):
  """Says what was wrong, where, and what to do; binaries print it alone.

  It is for what a user can mend, as opposed to what only a bug breaks.
  """


def nearest(word: str, known: Collection[str], *, count: int = 5) -> str:
  """Lists the known words nearest to a wrong one.

  Args:
    word: the wrong word.
    known: the words that would have been right.
    count: how many of them to list at most.

  Returns:
    The words, the nearest first; the first in the alphabet where none is near.
  """
  close = difflib.get_close_matches(word, known, n=count, cutoff=0.3)
  return ", ".join(close or sorted(known)[:count])


def shorten(words: Sequence[str], count: int) -> str:
  """Lists the first words, and says how many there are in all."""
  shown = ", ".join(words[:count])
  return f"{shown}, … ({len(words)} in all)" if len(words) > count else shown
