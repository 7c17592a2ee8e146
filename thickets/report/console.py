"""Tables for the console."""

from collections.abc import Sequence


def align_columns(
  header: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[str]:
  """Lays cells out in columns: the first to the left, the others to the right.

  Args:
    header: [C] titles of the columns.
    rows: [R, C] cells.

  Returns:
    [R + 1] lines, the header first.
  """
  widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
  return [
    "  ".join(
      (row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))
    ).rstrip()
    for row in (header, *rows)
  ]
