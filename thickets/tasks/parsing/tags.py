"""Blocks such as `<answer>...</answer>` in a response, found in linear time.

A lazy regular expression is quadratic on a megabyte of opening tags that are
never closed; these functions look at each character a fixed number of times.
"""


def last_block(text: str, tag: str) -> str | None:
  """Returns the content of the last complete block, None if there is none.

  The innermost of nested blocks counts. Opening tags that are never closed and
  closing tags that were never opened are passed over.
  """
  start, end = f"<{tag}>", f"</{tag}>"
  opened = text.rfind(start, 0, max(text.rfind(end), 0))
  if opened < 0:
    return None
  opened += len(start)
  return text[opened : text.index(end, opened)]


def last_lazy_match(text: str, tag: str) -> str | None:
  """Returns the last match of `<tag>(.*?)</tag>`, `.` being any character.

  Unlike in `last_block`, an opening tag inside a block is content: matches are
  found from left to right and do not overlap.
  """
  start, end = f"<{tag}>", f"</{tag}>"
  last, at = None, 0
  while (opened := text.find(start, at)) >= 0:
    opened += len(start)
    closed = text.find(end, opened)
    if closed < 0:
      break
    last, at = text[opened:closed], closed + len(end)
  return last


def split_final_block(text: str, tag: str) -> tuple[str, str] | None:
  """Splits a text that ends with a block.

  Returns:
    The text before the block and the content of the block, without surrounding
    white space; None if the text does not end with such a block, or has another
    tag of that name.
  """
  start, end = f"<{tag}>", f"</{tag}>"
  text = text.strip()
  if not text.endswith(end) or text.count(end) != 1 or text.count(start) != 1:
    return None
  before, content = text.removesuffix(end).split(start)
  return before.strip(), content.strip()
