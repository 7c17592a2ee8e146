"""Responses of the base and of one member to the same prompts, for a reader."""

from collections.abc import Sequence

from thickets.generation import grading
from thickets.runs.directory import BASE_POSITION
from thickets.runs.json_files import JsonObject
from thickets.search.answers import AnswerSource
from thickets.tasks.base import Example


def read_pairs(
  source: AnswerSource,
  split: str,
  examples: Sequence[Example],
  position: int,
  *,
  count: int = 3,
) -> list[JsonObject]:
  """Reads what the base and a member answered to the first prompts of a split.

  The first ones, so that nobody chose them.

  Args:
    source: the open run directory.
    split: the name of the prompts in the log.
    examples: [Q] the examples of the split.
    position: the place of the member in the population.
    count: how many prompts there are at most.

  Returns:
    For each prompt the `question`, and for `base` and `member` the `response` and
    whether its answer is `right`; nothing where responses were not logged.
  """
  channels = {
    who: source.channels(split, place)
    for who, place in (("base", BASE_POSITION), ("member", position))
  }
  if "response" not in channels["base"]:
    return []
  texts = {
    who: grading.read_responses(found) for who, found in channels.items()
  }
  return [
    {
      "question": example.messages[-1].text,
      **{
        who: {
          "response": texts[who][index],
          "right": bool(channels[who]["lenient"][index]),
        }
        for who in channels
      },
    }
    for index, example in enumerate(examples[:count])
  ]
