"""Questions about pictures and who answered what, for a reader."""

import collections
from collections.abc import Sequence

from thickets.runs.directory import BASE_POSITION
from thickets.search import answers
from thickets.search.answers import Answers, AnswerSource
from thickets.tasks.base import Example

Voted = list[tuple[str, int, bool]]


def read_questions(
  source: AnswerSource,
  split: str,
  examples: Sequence[Example],
  chosen: Sequence[int],
  *,
  count: int = 8,
) -> list[dict[str, object]]:
  """Reads what base and members answered to the first prompts with pictures.

  The first ones, so that nobody chose them.

  Args:
    source: the open run directory.
    split: the name of the prompts in the log.
    examples: [Q] the examples of the split.
    chosen: positions of the members that vote.
    count: how many prompts there are at most.

  Returns:
    What `picture_plots.draw_questions` draws; nothing for prompts without pictures.
  """
  shown = [
    (place, example)
    for place, example in enumerate(examples)
    if example.pictures
  ][:count]
  if not shown:
    return []
  base = answers.read_answers(source, split, [BASE_POSITION])
  members = answers.read_answers(source, split, chosen)
  return [
    {
      "pictures": [picture.read() for picture in example.pictures],
      "question": example.messages[-1].text,
      "base": _count_votes(base, place),
      "vote": _count_votes(members, place),
    }
    for place, example in shown
  ]


def _count_votes(group: Answers, place: int) -> Voted:
  """The answers that a group gives to a prompt: key, number, and whether right."""
  keys = [str(key) for key in group.vote[:, place]]
  right = dict(zip(keys, map(bool, group.lenient[:, place]), strict=True))
  # Ties go to who is ranked first, as in a vote.
  counted = collections.Counter(keys).most_common()
  return [(key, count, right[key]) for key, count in counted]
