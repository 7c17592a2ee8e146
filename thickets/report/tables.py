"""Tables of text, as a report shows them, and how their numbers are spelt."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"  # In place of a number that is not known.


@dataclasses.dataclass(frozen=True)
class TextTable:
  """A table of text.

  Attributes:
    caption: what the table holds, with units.
    header: the names of the columns.
    rows: the cells of each row, as many as there are columns; the first one
      names the row.
  """

  caption: str
  header: tuple[str, ...]
  rows: tuple[tuple[str, ...], ...]

  @property
  def is_text(self) -> list[bool]:
    """Says of each column whether it holds words, which stand on the left."""
    columns = zip(*self.rows, strict=True) if self.rows else self.header
    return [any(cell[:1].isalpha() for cell in column) for column in columns]


def format_percent(value: float | None, *, sign: bool = False) -> str:
  """Writes a share in percent or a gain in points, with one digit.

  Args:
    value: the share or gain, where 1 is 100 %; a dash stands for None and NaN.
    sign: whether a plus is written too.
  """
  if value is None or not math.isfinite(value):
    return DASH
  return f"{100 * value:{'+' if sign else ''}z.1f}"


def format_interval(
  low: float | None, high: float | None, *, sign: bool = False
) -> str:
  """Writes the ends of an interval in percent, in brackets; "" without ends."""
  if low is None or high is None:
    return ""
  ends = (format_percent(end, sign=sign) for end in (low, high))
  return f"[{', '.join(ends)}]"


def format_number(value: float | None) -> str:
  """Writes a number with three significant digits; a dash stands for None."""
  return DASH if value is None else f"{value:z.3g}"


def format_margin(margin: float, ratio: float | None) -> str:
  """Writes a margin in points, and the ratio that it stands for, if any.

  Args:
    margin: the smallest gain of an expert, in score.
    ratio: the score of such an expert over the base's score.
  """
  suffix = "" if ratio is None else f" (× {ratio:g})"
  return f"{100 * margin:.4g}{suffix}"


def format_seeds(terms: Sequence[Sequence[float]]) -> str:
  """Writes the seed of a member, or several with their coefficients.

  Args:
    terms: the member's terms, each a seed and a coefficient.
  """
  if len(terms) == 1:
    return f"{terms[0][0]}"
  return ", ".join(f"{seed} × {sigma:.4g}" for seed, sigma in terms)


def join_tables(runs: Mapping[str, Sequence[TextTable]]) -> list[TextTable]:
  """Joins the tables of several runs that hold the same, task by task.

  Args:
    runs: the tables of each run, by its name. Tables with the same caption and
      the same header become one, with a column for the run.
  """
  joined: dict[tuple[Any, ...], list[tuple[str, ...]]] = {}
  for name, tables in runs.items():
    for table in tables:
      has_task = table.header[0] == "task"
      header = ("run", *table.header)
      rows = [(name, *row) for row in table.rows]
      if has_task:
        header = ("task", "run", *table.header[1:])
        rows = [(row[0], name, *row[1:]) for row in table.rows]
      joined.setdefault((table.caption, header), []).extend(rows)
  for (_, header), rows in joined.items():
    if header[0] == "task":
      order = [*dict.fromkeys(row[0] for row in rows)]
      rows[:] = [row for task in order for row in rows if row[0] == task]
  return [
    TextTable(caption, header, tuple(rows))
    for (caption, header), rows in joined.items()
  ]
